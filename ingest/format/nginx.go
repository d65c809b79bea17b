package format

import "github.com/portcullis/portcullis/ingest"

// Combined is nginx's predefined log_format "combined".
const Combined = `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`

func init() {
	Register("nginx", Spec{
		Doc:     "any nginx log_format string, with escape=default, json or none",
		Example: `nginx:$remote_addr [$time_local] "$request" $status "$http_user_agent"`,
		Compile: compileNginx,
	})
	Register("nginx-combined", Spec{
		Doc:     "nginx's predefined format \"combined\", the default of access_log; Apache's combined has the same shape",
		Example: `203.0.113.7 - - [23/Nov/2026:13:03:36 +0000] "GET /orders/4711 HTTP/1.1" 200 512 "-" "curl/8.5.0"`,
		Compile: func(arg string) (Format, error) {
			if arg != "" {
				return Format{}, errNoArgument
			}
			return compileNginx(Combined)
		},
	})
}

func compileNginx(arg string) (Format, error) {
	p, err := compilePlan(arg)
	if err != nil {
		return Format{}, err
	}
	return Format{New: func() ingest.Parser { return newLineParser(p) }, Warnings: p.warnings}, nil
}
