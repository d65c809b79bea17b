package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/enforce/gateway"
)

// TestGatewayTable compares the support table of docs/gateways.md with what each
// gateway says of itself: go test ./cmd/portcullis -run Docs\|Table -update rewrites it.
func TestGatewayTable(t *testing.T) {
	const path, begin, end = "../../docs/gateways.md", "<!-- gateways -->\n", "<!-- /gateways -->\n"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := bytes.Cut(page, []byte(begin))
	have, tail, closed := bytes.Cut(rest, []byte(end))
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", path, begin, end)
	}
	var b bytes.Buffer
	b.WriteString("| gateway | how | tested with | actions | what it can hold |\n|---|---|---|---|---|\n")
	for _, name := range gateway.Names() {
		s, err := gateway.Lookup(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.How == "" || s.Tested == "" || s.Holds == "" || s.Setup == nil {
			t.Errorf("gateway %s does not say how it works, what it was tested with, what it holds, or has no setup", name)
		}
		var actions []string
		for _, a := range s.Actions {
			actions = append(actions, string(a))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, s.How, s.Tested, strings.Join(actions, ", "), s.Holds)
	}
	if *update {
		page = append(append(append(append(append([]byte(nil), head...), begin...), b.Bytes()...), end...), tail...)
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(have, b.Bytes()) {
		t.Errorf("the table of %s is not what the gateways say: rewrite it with -update", path)
	}
}
