package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

// TestE2ELiveTrust: with the settings' default, this machine is trusted, and so the
// client is the address that the chain names, read from its right end.
func TestE2ELiveTrust(t *testing.T) {
	t.Parallel()
	c := live{gateway: "nginx", options: gateways.Options{Format: documented}, source: viaFile, format: "nginx-json"}
	c.check.change = func(s gateways.Sent, want map[string]any) {
		nginxTells(s, want)
		want["client.ip"] = lastHop(s)
	}
	c.run(t, "")
}

// TestE2ELiveShipped: one nginx log that others bring: syslog-ng over TLS with
// certificates of both ends, POST, OTLP and a Kafka topic.
func TestE2ELiveShipped(t *testing.T) {
	t.Parallel()
	g := gateways.Start(t, "nginx", gateways.Options{Format: documentedFormat(t)})
	sent := gateways.Traffic(t, g)
	g.Lines(t, sent[len(sent)-2].Target)
	text, err := os.ReadFile(g.Log)
	if err != nil {
		t.Fatal(err)
	}
	s := shipment{log: g.Log, sent: sent, text: text}
	t.Run("syslog-ng", s.syslogNG)
	t.Run("POST", s.post)
	t.Run("OTLP", s.otlp)
	t.Run("Kafka", s.kafka)
}

// shipment is a log that is to be brought to the service.
type shipment struct {
	log  string
	sent []gateways.Sent
	text []byte
}

var shipped = expectation{change: nginxTells}

// rig runs the service with one source.
func (s *shipment) rig(t *testing.T, source string) *rig {
	t.Helper()
	r := newRig(t, nobody+"sources: [{name: gw, "+source+"}]\n")
	return r.up()
}

func (s *shipment) syslogNG(t *testing.T) {
	t.Parallel()
	gateways.Need(t, "syslog-ng")
	authority := servetest.NewAuthority(t)
	cert, key := authority.Issue("gateway")
	r := s.rig(t, `type: syslog, syslog: {listen: ["tls://127.0.0.1:0"], cert: `+cert+", key: "+key+", client_ca: "+authority.CA+"}")
	refusesStranger(t, strings.TrimPrefix(r.listening("syslog"), "tls://"), authority.Client(""))
	gateways.Start(t, "syslog-ng", gateways.Options{Log: s.log, Syslog: r.listening("syslog"),
		CA: authority.CA, Cert: cert, Key: key})
	r.holds("syslog:nginx-json", shipped, s.sent)
	if bytes.Contains(r.collected(), []byte("stranger")) {
		t.Error("a message of a sender without a certificate was taken")
	}
}

// refusesStranger sends a message without a client certificate, and is shut out.
func refusesStranger(t *testing.T, addr string, trusting *tls.Config) {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, trusting)
	if err != nil {
		t.Fatal(err) // TLS 1.3: the server says no only after it has seen that there is none
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(conn, "<190>1 - stranger nginx - - - {}\n") // it may be gone already
	if _, err := conn.Read(make([]byte, 1)); err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("a sender without a certificate is told %v", err)
	}
}

// post sends lines as a shipper does, several requests of some lines, compressed.
func (s *shipment) post(t *testing.T) {
	t.Parallel()
	const key = "a-key-of-some-length-4711"
	keys := filepath.Join(t.TempDir(), "keys")
	write(t, keys, fmt.Sprintf("shipper:%x\n", sha256.Sum256([]byte(key))))
	r := s.rig(t, `type: http, http: {listen: "127.0.0.1:0", path: /logs, keys_file: `+keys+"}")
	url := "http://" + r.listening("push") + "/logs"
	if status := send(t, url, []byte("x\n"), "x-api-key", "wrong"); status != http.StatusUnauthorized {
		t.Errorf("a wrong key is answered %d", status)
	}
	lines := bytes.SplitAfter(s.text, []byte("\n"))
	for len(lines) > 0 {
		n := min(len(lines), 40)
		var body bytes.Buffer
		z := gzip.NewWriter(&body)
		if _, err := z.Write(bytes.Join(lines[:n], nil)); err != nil || z.Close() != nil {
			t.Fatal(err)
		}
		if status := send(t, url, body.Bytes(), "x-api-key", key, "Content-Encoding", "gzip", "Content-Type", "application/x-ndjson"); status != http.StatusOK {
			t.Fatalf("answered %d", status)
		}
		lines = lines[n:]
	}
	r.holds("nginx-json", shipped, s.sent)
}

// send POSTs with header fields and returns the status.
func send(t *testing.T, url string, body []byte, header ...string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// otlp sends log records as a collector with a filelog receiver does: the line is
// the body (https://opentelemetry.io/docs/specs/otlp/, JSON Protobuf encoding).
func (s *shipment) otlp(t *testing.T) {
	t.Parallel()
	r := s.rig(t, `type: otlp, otlp: {http: "127.0.0.1:0", grpc: "off"}`)
	type object map[string]any
	var records []object
	for line := range strings.Lines(string(s.text)) {
		records = append(records, object{"observedTimeUnixNano": "1795439016625000000", "severityNumber": 9,
			"attributes": []object{{"key": "log.file.name", "value": object{"stringValue": "access.log"}}},
			"body":       object{"stringValue": strings.TrimSuffix(line, "\n")}})
	}
	body, err := json.Marshal(object{"resourceLogs": []object{{"scopeLogs": []object{{"logRecords": records}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if status := send(t, "http://"+r.listening("otlp")+"/v1/logs", body, "Content-Type", "application/json"); status != http.StatusOK {
		t.Fatalf("answered %d", status)
	}
	r.holds("nginx-json", shipped, s.sent)
}

// kafka has a producer fill a topic, which the service then reads.
func (s *shipment) kafka(t *testing.T) {
	t.Parallel()
	b := broker{kafkatest.Full(t).Broker}
	b.fill(context.Background(), t, "access", bytes.SplitAfter(bytes.TrimSuffix(s.text, []byte("\n")), []byte("\n")))
	r := s.rig(t, "type: kafka, kafka: {brokers: [\""+b.Plain()+"\"], topic: access}")
	write(t, r.log, string(s.text)) // there is no spool: this is what is in the topic
	r.holds("nginx-json", shipped, s.sent)
}
