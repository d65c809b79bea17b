package format

import (
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

func TestOpenErrors(t *testing.T) {
	for spec, want := range map[string]string{
		"nginx-combind":         `unknown format "nginx-combind"; did you mean nginx-combined?`,
		"ngnix":                 `did you mean nginx?`,
		"$remote_addr x":        `put "nginx:" in front`,
		"auto:x":                `"auto" takes no argument`,
		"nginx-combined:x":      `format: nginx-combined: takes no argument`,
		"nginx:":                `no log_format string`,
		"nginx:hello":           `the format holds no variable`,
		"nginx:$remote_user":    `the format has no client address: add $remote_addr`,
		"nginx:$remote_addr $":  `at byte 13: a $ without the name`,
		"nginx:${remote_addr x": `at byte 0: ${remote_addr has no closing brace`,
		"nginx:$remote_addr $http_referer$request":            `at byte 13: $http_referer and $request (at byte 26) stand together`,
		"nginx:escape=xml $remote_addr":                       `at byte 0: escape=xml is not known to nginx`,
		"nginx:log_format main '$remote_addr":                 `at byte 16: the quote ' is not closed`,
		"nginx:log_format main '$remote_addr'; x":             `at byte 32: there is text behind the closing ;`,
		"nginx:'$remote_addr' '$ ' 'x'":                       `at byte 16: a $ without`,
		"nginx:$remote_addr\n$status":                         `at byte 12: a line end within the format`,
		"nginx:escape=none $remote_addr $uri":                 `at byte 25: with escape=none a client can put a line end into $uri`,
		"nginx:$remote_addr $upstream_response_time, $status": `at byte 13: the text ", " behind $upstream_response_time could be part of its value`,
		"nginx:$remote_addr $request_time.$status":            `could be part of its value`,
	} {
		_, err := Open(spec)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q): %v\nwant %s", spec, err, want)
		}
	}
}

// TestSpellings: one format, as people paste it.
func TestSpellings(t *testing.T) {
	const line = `1.2.3.4 "a\x22b"	x`
	for _, spec := range []string{
		"nginx:$remote_addr \"$http_referer\"\t$http_user_agent",
		"nginx:escape=default ${remote_addr} \"${http_referer}\"\t$http_user_agent",
		`nginx: '$remote_addr "$http_referer"' '\t$http_user_agent'`,
		"nginx:log_format main '$remote_addr '\n  '\"$http_referer\"'\n  '\\t$http_user_agent' ;\n",
		`nginx:log_format main escape=default "$remote_addr \"$http_referer\"\t$http_user_agent";`,
	} {
		var ev ingest.Event
		if r := open(t, spec).Parse([]byte(line), &ev); r != ingest.OK || ev.Referer != `a"b` || ev.Agent != "x" {
			t.Errorf("%s: %s %+v", spec, r, ev)
		}
	}
}

func TestWarnings(t *testing.T) {
	for spec, want := range map[string][]string{
		"nginx-combined":                         nil,
		"nginx:" + extFormat:                     nil,
		"nginx:" + jsonFormat:                    nil,
		"nginx:" + noneFormat:                    {"no time", "between $request and $http_user_agent"},
		"nginx:$remote_addr $http_referer $msec": {"no $status", "neither $request nor"},
	} {
		f, err := Open(spec)
		if err != nil || len(f.Warnings) != len(want) {
			t.Errorf("%s: %v, warnings %q", spec, err, f.Warnings)
			continue
		}
		for i, w := range want {
			if !strings.Contains(f.Warnings[i], w) {
				t.Errorf("%s: warning %q, want %q", spec, f.Warnings[i], w)
			}
		}
	}
}

func TestRegister(t *testing.T) {
	full := Spec{Doc: "x", Compile: compileNginx}
	for name, s := range map[string]Spec{"nginx": full, Auto: full, "": full, "a:b": full, "no-doc": {Compile: compileNginx}, "no-compile": {Doc: "x"}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("Register(%q) did not panic", name)
				}
			}()
			Register(name, s)
		}()
	}
	for _, name := range Names() {
		s, ok := Lookup(name)
		if !ok && name != Auto {
			t.Errorf("%s is listed but not registered", name)
		}
		if f, err := Open(name); err == nil && !f.Auto && !strings.HasPrefix(s.Example, name+":") {
			var ev ingest.Event
			if r := f.New().Parse([]byte(s.Example), &ev); r != ingest.OK && (r != ingest.NoClient || f.Warnings == nil) {
				t.Errorf("%s: its own example is refused as %s", name, r)
			}
		} else if name != Auto {
			if _, err := Open(s.Example); err != nil {
				t.Errorf("%s: its example does not open: %v", name, err)
			}
		}
	}
	if f, err := Open(" auto"); err != nil || !f.Auto || f.New != nil || f.Name != Auto {
		t.Errorf("auto: %+v, %v", f, err)
	}
}

func TestDetect(t *testing.T) {
	join := func(file string, n int) []byte {
		var out []byte
		for _, l := range sampleFile(t, file)[:n] {
			out = append(append(out, l...), '\n')
		}
		return out
	}
	for file, want := range map[string]string{
		"samples/nginx-combined.log": "nginx-combined", "background/elastic-apache.log.gz": "nginx-combined",
		"samples/nginx-json.log": "nginx-json", "samples/nginx-syslog_rfc3164_json.log": "syslog:nginx-json",
	} {
		for _, n := range []int{1, 5, 190} {
			f, why, err := Detect(join(file, n))
			if err != nil || f.Name != want || f.New == nil || !strings.Contains(why, strings.TrimPrefix(want, "syslog:")+" reads") {
				t.Errorf("%s, %d lines: %q, %q, %v", file, n, f.Name, why, err)
			}
		}
	}
	for sample, want := range map[string]string{
		"": "holds no line", "\n\n": "holds no line",
		string(join("samples/nginx-error.log", 9)): "error log",
		string(join("samples/nginx-ext.log", 9)):   "nginx: and the log_format string",
		`{"level":"info"}` + "\n":                  "JSON objects without the usual keys",
		"\x1b[31m" + strings.Repeat("x", 500):      `the first is "\x1b[31mxxx`,
	} {
		_, _, err := Detect([]byte(sample))
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.40q: %v, want %s", sample, err, want)
		}
	}
	// The half line at the end of a sample does not count against a format.
	half := append(join("samples/nginx-combined.log", 1), "127.0.0."...)
	if f, _, err := Detect(half); err != nil || f.Name != "nginx-combined" {
		t.Errorf("with a half line: %q, %v", f.Name, err)
	}
}
