package output

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/parquet-go/parquet-go"
	collectorpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/proto"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/internal/hook"
)

// hostile are texts that try to end what carries them, and to begin something else.
var hostile = []string{"", "plain", "a\n<13>1 2026-01-01T00:00:00Z - injected - - - no", "12 <13>1 - - - - - -", "\x00\x01\x7f", "\u202e\u2066\u2028\u0085\ufeff",
	`"}]}],"streams":[{"stream":{"kind":"x"},"values":[["1","x"]]}`, "\"}}\n{\"event\":\"forged\"}", "\xff\xfe\xc0\x80\xed\xa0\x80", "PAR1", "a\r\n\r\nHTTP/1.1 200 OK",
	strings.Repeat("é", 3000), "\\u0000\\", "\U0001f600\U000e0001"}

// fuzzEncoder gives an encoder batches in which what clients send is hostile in each field
// that they choose: there and back it must say the same, document by document.
func fuzzEncoder(f *testing.F, thereAndBack func(t *testing.T, b *Batch) (bodies [][]byte)) {
	for i, s := range hostile {
		f.Add(s, hostile[(i+3)%len(hostile)])
	}
	s, err := elastic.New(elastic.Config{}, elastic.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, one, other string) {
		b := &Batch{Feed: "list", Docs: hostileDocs(t, s, one, other)}
		bodies := thereAndBack(t, b)
		if len(bodies) != len(b.Docs) {
			t.Fatalf("%d documents come back, of %d", len(bodies), len(b.Docs))
		}
		for i := range bodies {
			var was, is map[string]any
			if err := errors.Join(json.Unmarshal(b.Docs[i].Source, &was), json.Unmarshal(bodies[i], &is)); err != nil {
				t.Fatalf("%v: %q", err, bodies[i])
			}
			if was["portcullis.id"] = b.Docs[i].ID; !reflect.DeepEqual(was, is) {
				t.Errorf("it says %q, and was %q", is, was)
			}
			if bytes.ContainsFunc(bodies[i], func(r rune) bool { return r < ' ' }) {
				t.Errorf("a control character is in %q", bodies[i])
			}
		}
	})
}

// hostileDocs are two requests and a finding.
func hostileDocs(t *testing.T, s *elastic.Store, one, other string) []elastic.Doc {
	t.Helper()
	const at = 1772445590e9
	var docs []elastic.Doc
	for i, bad := range []string{one, other} {
		d, err := s.AccessDoc(&ingest.Event{Time: at + int64(i), Client: netip.MustParseAddr("192.0.2.1"), Method: bad, Target: bad, Line: bad, Agent: other, User: one, Host: bad, Referer: other,
			Status: 404, Pos: ingest.Position{Source: "s", File: 1, Offset: int64(i)}}, elastic.Verdict{Classes: []string{bad}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, d)
	}
	d, err := s.FindingDoc(detect.Finding{ID: fmt.Sprintf("%024x", 7), Rule: "login.bruteforce", Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
		Subject: detect.Subject{Kind: "user", Value: one}, FirstSeen: at, LastSeen: at, FiredAt: at, Count: 7, Why: other, Route: one})
	if err != nil {
		t.Fatal(err)
	}
	return append(docs, d)
}

// caught keeps the body of a request, and answers it.
type caught struct {
	body   []byte
	status int
	answer string
}

// RoundTrip implements http.RoundTripper.
func (c *caught) RoundTrip(r *http.Request) (*http.Response, error) {
	var err error
	c.body, err = io.ReadAll(r.Body)
	return &http.Response{StatusCode: c.status, Body: io.NopCloser(strings.NewReader(c.answer)), Header: http.Header{}, Request: r}, err
}

// messageHead is what a message has before its text (RFC 5424, section 6).
var messageHead = regexp.MustCompile(`^<(\d{1,3})>1 (\S+) edge gate - (access|finding) - $`)

func FuzzSyslog(f *testing.F) {
	s := &syslog{cfg: SyslogConfig{Hostname: "edge", App: "gate", Facility: 13}}
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		var messages [][]byte
		for i := range b.Docs {
			messages = append(messages, s.message(&b.Docs[i]))
		}
		for in := hook.Frames(messages...); len(in) > 0; {
			length, rest, found := bytes.Cut(in, []byte(" "))
			n, err := strconv.Atoi(string(length))
			if !found || err != nil || n > len(rest) {
				t.Fatalf("no frame: %v: %.100q", err, in)
			}
			message := rest[:n]
			in = rest[n:]
			at := bytes.IndexByte(message, '{')
			head := messageHead.FindSubmatch(message[:max(at, 0)])
			if head == nil {
				t.Fatalf("a message begins with %.100q", message)
			}
			if priority, err := strconv.Atoi(string(head[1])); err != nil || priority/8 != 13 {
				t.Errorf("the priority is %s", head[1])
			}
			if _, err := time.Parse(time.RFC3339Nano, string(head[2])); err != nil {
				t.Error(err)
			}
			bodies = append(bodies, message[at:])
		}
		return bodies
	})
}

func FuzzOTLP(f *testing.F) {
	via := &caught{status: 200}
	o := &otlp{exporter: &otlpWeb{web: &web{client: &http.Client{Transport: via}, url: "http://127.0.0.1/v1/logs"}}}
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		if err := o.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var req collectorpb.ExportLogsServiceRequest
		if err := proto.Unmarshal(via.body, &req); err != nil {
			t.Fatal(err)
		}
		for i, r := range req.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords() {
			var doc map[string]any
			text := r.GetBody().GetStringValue()
			if err := json.Unmarshal([]byte(text), &doc); err != nil {
				t.Fatal(err)
			}
			for _, a := range r.GetAttributes() {
				if v, isText := a.GetValue().GetValue().(*commonpb.AnyValue_StringValue); isText && doc[a.GetKey()] != v.StringValue {
					t.Errorf("attribute %q is %q, in the body %q", a.GetKey(), v.StringValue, doc[a.GetKey()])
				}
			}
			if r.GetEventName() != "portcullis."+string(b.Docs[i].Kind) {
				t.Errorf("record %d is a %s", i, r.GetEventName())
			}
			bodies = append(bodies, []byte(text))
		}
		return bodies
	})
}

func FuzzLoki(f *testing.F) {
	via := &caught{status: 204}
	l := &loki{web: &web{client: &http.Client{Transport: via}, url: "http://127.0.0.1/loki/api/v1/push"}, cfg: LokiConfig{Metadata: true, Labels: map[string]string{"site": "north"}}, now: time.Now}
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		if err := l.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		var push struct {
			Streams []struct {
				Stream map[string]string   `json:"stream"`
				Values [][]json.RawMessage `json:"values"`
			} `json:"streams"`
		}
		strict := json.NewDecoder(bytes.NewReader(via.body))
		strict.DisallowUnknownFields()
		if err := strict.Decode(&push); err != nil || strict.More() {
			t.Fatalf("%v, more: %t", err, strict.More())
		}
		for _, s := range push.Streams { // the requests, then the finding, as they stand in the batch
			if len(s.Stream) != 3 || s.Stream["service_name"] != "portcullis" || s.Stream["site"] != "north" {
				t.Errorf("the labels are %q", s.Stream)
			}
			for _, v := range s.Values {
				var at, line string
				var meta map[string]string
				if len(v) != 3 {
					t.Fatalf("an entry is %q", v)
				}
				if err := errors.Join(json.Unmarshal(v[0], &at), json.Unmarshal(v[1], &line), json.Unmarshal(v[2], &meta)); err != nil {
					t.Fatal(err)
				}
				if meta["id"] != b.Docs[len(bodies)].ID || s.Stream["kind"] != string(b.Docs[len(bodies)].Kind) {
					t.Errorf("entry %d is of %q: %q", len(bodies), s.Stream["kind"], meta)
				}
				bodies = append(bodies, []byte(line))
			}
		}
		return bodies
	})
}

func FuzzSplunk(f *testing.F) {
	via := &caught{status: 200, answer: `{"text":"Success","code":0}`}
	s := &splunk{cfg: SplunkConfig{SourceType: "portcullis", Index: "gateways"}, host: "edge", hec: &hook.HEC{Client: &http.Client{Transport: via}, URL: "http://127.0.0.1:8088", Token: "t"}}
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		if err := s.Send(t.Context(), b); err != nil {
			t.Fatal(err)
		}
		lines := bytes.Split(bytes.TrimSuffix(via.body, []byte("\n")), []byte("\n"))
		for i, line := range lines {
			var e struct {
				Time       float64         `json:"time"`
				Host       string          `json:"host"`
				Source     string          `json:"source"`
				SourceType string          `json:"sourcetype"`
				Index      string          `json:"index"`
				Event      json.RawMessage `json:"event"`
				Fields     map[string]any  `json:"fields"`
			}
			strict := json.NewDecoder(bytes.NewReader(line))
			strict.DisallowUnknownFields()
			if err := strict.Decode(&e); err != nil || strict.More() {
				t.Fatalf("%v: %.200q", err, line)
			}
			if i < len(b.Docs) && (e.Host != "edge" || e.Index != "gateways" || e.SourceType != "portcullis:"+string(b.Docs[i].Kind) || e.Fields["portcullis_id"] != b.Docs[i].ID || e.Time < 1e9) {
				t.Errorf("an event is %+v", e)
			}
			bodies = append(bodies, e.Event)
		}
		return bodies
	})
}

func FuzzNDJSON(f *testing.F) {
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		var packed bytes.Buffer
		if err := zipped(&packed, b.Docs); err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(&packed)
		if err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(z)
		lines.Buffer(nil, 64<<20)
		for lines.Scan() {
			bodies = append(bodies, bytes.Clone(lines.Bytes()))
		}
		if err := lines.Err(); err != nil {
			t.Fatal(err)
		}
		return bodies
	})
}

func FuzzParquet(f *testing.F) {
	fuzzEncoder(f, func(t *testing.T, b *Batch) (bodies [][]byte) {
		var out bytes.Buffer
		if err := columns(&out, b.Docs); err != nil {
			t.Fatal(err)
		}
		rows, err := parquet.Read[Row](bytes.NewReader(out.Bytes()), int64(out.Len()))
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range rows {
			var doc map[string]any
			if err := json.Unmarshal([]byte(r.Document), &doc); err != nil {
				t.Fatal(err)
			}
			for name, column := range map[string]*string{"user_agent.original": r.Agent, "user.name": r.User, "portcullis.route": r.Route, "message": r.Message, "url.domain": r.Domain} {
				if want, there := doc[name].(string); there != (column != nil) || there && *column != want {
					t.Errorf("column %s is %q, in the document %q", name, fmt.Sprint(column), want)
				}
			}
			if i < len(b.Docs) && (r.ID != b.Docs[i].ID || r.Kind != string(b.Docs[i].Kind)) {
				t.Errorf("row %d is %s %s", i, r.Kind, r.ID)
			}
			bodies = append(bodies, []byte(r.Document))
		}
		return bodies
	})
}
