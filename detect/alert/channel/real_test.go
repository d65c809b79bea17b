package channel

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/portcullis/portcullis/fixtures/testbed"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// await looks again and again until ok.
func await(t *testing.T, what string, said func() string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for until := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(until) {
			t.Fatalf("not within %s: %s\n%s", patience, what, said())
		}
	}
}

// ports are free ones of loopback.
func ports(t *testing.T, n int) []int {
	t.Helper()
	base, err := testbed.FreePorts(17600, 18400, n)
	if err != nil {
		t.Fatal(err)
	}
	var out []int
	for i := range n {
		out = append(out, base+i)
	}
	return out
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", fmt.Sprint(port)) }

// get reads JSON from a server; an error is one of a server that is not there yet.
func get(t *testing.T, url string, into any) error {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d, %v: %.200s", resp.StatusCode, err, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(data)
}
