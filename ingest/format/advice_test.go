package format

import (
	"fmt"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// strings of which an advised variable can be a part.
var adviceStrings = map[string]string{
	"nginx":   `nginx:$remote_addr [$time_local] "%s"`,
	"apache":  `apache:%%h %%t "%s"`,
	"varnish": `varnish:%%h %%t "%s"`,
	"envoy":   `envoy:%%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%% %%START_TIME%% "%s"`,
	"w3c":     "w3c:date time c-ip %s",
	"haproxy": "haproxy:captures=%[2]s %%ci [%%tr] %[1]s",
}

// TestAdviceWorks: what is advised makes a format that has the field.
func TestAdviceWorks(t *testing.T) {
	for name, g := range families {
		for f, variable := range g.log {
			args := []any{variable}
			if name == "haproxy" {
				args = append(args, strings.ToLower(captured[f]))
			}
			spec := fmt.Sprintf(adviceStrings[name], args...)
			if origin(spec, f) == "" {
				_, err := Open(spec)
				t.Errorf("%s: %s does not give %v (%v)", name, spec, f, err)
			}
			if name == "nginx" && !gives(wellKnownKey(strings.TrimPrefix(variable, "$")), f) {
				t.Errorf("nginx-json has no key for %s", variable)
			}
			if without := strings.Replace(spec, variable, "", 1); origin(without, f) != "" {
				t.Errorf("%s has %v without %s: this test shows nothing", without, f, variable)
			}
		}
	}
}

func TestAdvice(t *testing.T) {
	const who = ingest.FieldUser | ingest.FieldConsumer | ingest.FieldKey
	for _, c := range []struct {
		spec string
		set  ingest.Fields
		want string
	}{
		{"nginx-combined", ingest.FieldTLS, "add $ssl_protocol to log_format and say format: nginx:STRING"},
		{"nginx-combined", who, "have the gateway fill in $remote_user, which no line has; or add $http_x_api_key to log_format and say format: nginx:STRING"},
		{`nginx:$remote_addr [$time_local] "$request" $status`, ingest.FieldDuration, "add $request_time to log_format"},
		{"nginx-json", ingest.FieldTLS, `add "ssl_protocol":"$ssl_protocol" to log_format`},
		{"syslog:nginx-combined", ingest.FieldTLS, "add $ssl_protocol to log_format and say format: nginx:STRING"},
		{"kong", ingest.FieldTLS, "have the gateway fill in request.tls.version, which no line has"},
		{"json:time=t,peer=ip", ingest.FieldKey, "add key=PATH to its map, where the objects have it"},
		{"haproxy-http", ingest.FieldKey, "capture request header X-Api-Key len 256, and name it in captures=x-api-key of the format"},
		{"haproxy-http", ingest.FieldTLS, "add %sslv to log-format and say format: haproxy:STRING"},
		{"aws-elb", ingest.FieldKey, "its format has no place for key; a JSON log read with json:FIELD=PATH,... has"},
		{"nginx-combined", ingest.FieldASN, "set enrich.asn to a database"},
	} {
		if got := Advice(c.spec, c.set); got != c.want {
			t.Errorf("%s, %v:\ngot  %s\nwant %s", c.spec, c.set, got, c.want)
		}
	}
}

// TestAdviceForAll: there is something to say for every format and field.
func TestAdviceForAll(t *testing.T) {
	for _, name := range Names() {
		ingest.AllFields.Each(func(f ingest.Fields) {
			if got := Advice(name, f); len(got) < 15 || strings.Contains(got, "STRING:") {
				t.Errorf("%s, %v: %q", name, f, got)
			}
		})
	}
}
