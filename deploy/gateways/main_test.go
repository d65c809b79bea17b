// Package gateways holds reference configurations of gateways, and the tests that
// audit them and start them with real requests.
package gateways

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/fixtures/testbed"
)

// binary is portcullis, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "portcullis-gateways-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	binary = filepath.Join(dir, "portcullis")
	build := exec.Command("go", "build", "-o", binary, "./cmd/portcullis")
	build.Dir = "../.."
	if said, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build ./cmd/portcullis: %v\n%s", err, said)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// portcullis is a running "portcullis run" with the settings beside the configurations.
type portcullis struct {
	http, grpc string
	settings   string
	stop       func()
}

// startPortcullis runs it with other ports and a state folder of its own.
func startPortcullis(t *testing.T) *portcullis {
	t.Helper()
	dir := t.TempDir()
	p := &portcullis{http: testbed.FreeAddr(t), grpc: testbed.FreeAddr(t), settings: filepath.Join(dir, "portcullis.yaml")}
	text := read(t, "portcullis.yaml")
	write(t, p.settings, "state_dir: "+dir+"/state\n"+replaced(t, text, "127.0.0.1:8471", p.http, "127.0.0.1:8472", p.grpc, "127.0.0.1:5514", testbed.FreeAddr(t), "127.0.0.1:5515", testbed.FreeAddr(t), "/var/log", dir, "127.0.0.0/8", "127.0.0.1/32"))
	p.stop = runWith(t, io.Discard, []string{"PORTCULLIS_CONSOLE_LISTEN=127.0.0.1:0"}, p.http, binary, "--config", p.settings, "run")
	waitFor(t, "Portcullis is ready", func() error { return p.ask(t, "/readyz") })
	return p
}

// ask asks the decision service, with header fields in pairs.
func (p *portcullis) ask(t *testing.T, path string, fields ...string) error {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.http+path, nil)
	if err != nil {
		return err
	}
	for i := 0; i < len(fields); i += 2 {
		req.Header.Set(fields[i], fields[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, resp.Status)
	}
	return nil
}

// issue makes a key for a client of the API.
func (p *portcullis) issue(t *testing.T, consumer string) string {
	t.Helper()
	var issued struct{ Key string }
	if err := json.Unmarshal([]byte(p.command(t, "", "keys", "client", "issue", consumer, "--output", "jsonl")), &issued); err != nil || issued.Key == "" {
		t.Fatalf("no key was issued: %v", err)
	}
	waitFor(t, "the key is known", func() error {
		return p.ask(t, "/authz", "X-Api-Key", issued.Key, "X-Forwarded-Uri", "/v1/orders", "X-Forwarded-Method", "GET", "X-Forwarded-For", client)
	})
	return issued.Key
}

// command runs another command of portcullis with the same settings.
func (p *portcullis) command(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), binary, append([]string{"--config", p.settings}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("portcullis %s: %v\n%s%s", strings.Join(args, " "), err, out.String(), said.String())
	}
	return out.String()
}
