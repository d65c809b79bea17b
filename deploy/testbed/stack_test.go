package testbed_test

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/broker"
	"github.com/portcullis/portcullis/fixtures/elastic"
	"github.com/portcullis/portcullis/fixtures/testbed"
)

// stackPorts finds free ports for the stack, or skips where a part is missing.
func stackPorts(t *testing.T, dir string) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Kafka, Elasticsearch and nginx; leave out -short")
	}
	_, err := broker.New(dir)
	if err == nil {
		_, err = elastic.New(dir)
	}
	if err == nil {
		_, err = exec.LookPath("nginx")
	}
	if err != nil && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven nginx-light && deploy/testbed/fetch.sh nginx kafka elastic", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	port, err := testbed.FreePorts(12000, 14000, 16)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		fmt.Sprint("STACK_DIR=", dir), fmt.Sprint("STACK_KAFKA=", port), fmt.Sprint("STACK_ELASTIC=", port+4), fmt.Sprint("STACK_CONSOLE=", port+8),
	}
}

// TestServices starts what the stack stands on, lets traffic through it, interrupts
// it as Ctrl-C does, and finds nothing left.
func TestServices(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "stack")
	var said bytes.Buffer
	stack := exec.Command("./stack.sh", "services")
	stack.Env = append(os.Environ(), stackPorts(t, dir)...)
	stack.Stdout, stack.Stderr = &said, &said
	if err := stack.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- stack.Wait() }()
	up := testbed.Eventually(4*time.Minute, func() bool { return trafficked(dir) || len(ended) > 0 })
	if up && len(ended) == 0 {
		answers(t, dir)
	}
	if err := stack.Process.Signal(syscall.SIGINT); err != nil {
		t.Errorf("interrupt: %v", err)
	}
	err := <-ended
	if !up || err == nil || err.Error() != "exit status 130" || !strings.Contains(said.String(), "all stopped") {
		t.Errorf("the stack ended with %v:\n%s", err, said.String())
	}
	testbed.Gone(t, dir)
}

// trafficked tells whether the gateway of the stack logged requests.
func trafficked(dir string) bool {
	logs, err := filepath.Glob(filepath.Join(dir, "portcullis-demo-*", "access.log"))
	if err != nil || len(logs) != 1 {
		return false
	}
	text, err := os.ReadFile(logs[0])
	return err == nil && bytes.Count(text, []byte("\n")) > 100
}

// answers asks each address of the settings that were filled in.
func answers(t *testing.T, dir string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "portcullis.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), `urls: ["`)
	url, _, _ := strings.Cut(rest, `"`)
	resp, err := http.Get(url + "/_cluster/health")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK || strings.Contains(string(text), `"@`) {
		t.Errorf("elasticsearch answered %s; settings:\n%s", resp.Status, text)
	}
}
