package outputtest

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/detect/store/output"
	"github.com/portcullis/portcullis/ingest"
)

// Hostile are texts that clients send to break what carries them.
var Hostile = []string{
	"/a\n<13>1 - - injected - - - no", "/nul\x00byte", "/\u202egnp.exe\u2066", "/" + strings.Repeat("long", 2000), `/","portcullis.id":"forged","x":"`,
	"/\xff\xfe\x80", "/a\r\n\r\nHTTP/1.1 200 OK", "/\u2028\u2029\u0085", "/{{.Title}}${jndi:ldap://x}", "/\x1b[2J\x7f", "12 <13>1", "]] \\] \"",
}

// Start is the time of the first document: 02 Mar 2026 09:59:50, so that the tenth one
// falls into another hour.
const Start int64 = 1772445590e9

// Docs makes documents, a second apart: requests whose texts are hostile, and every fifth
// one a finding. Each has its own id.
func Docs(t testing.TB, n int) []elastic.Doc {
	t.Helper()
	s, err := elastic.New(elastic.Config{}, elastic.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	docs := make([]elastic.Doc, n)
	for i := range docs {
		at, bad := Start+int64(i)*1e9, Hostile[i%len(Hostile)]
		if i%5 == 4 {
			docs[i], err = s.FindingDoc(detect.Finding{ID: fmt.Sprintf("%024x", i), Rule: "login.bruteforce", Family: detect.Credential, Severity: detect.High, Confidence: 0.9,
				Subject: detect.Subject{Kind: "ip", Value: "192.0.2.1"}, FirstSeen: at, LastSeen: at, FiredAt: at, Count: 7, Why: "why " + bad, Route: bad})
		} else {
			docs[i], err = s.AccessDoc(&ingest.Event{Time: at, Client: netip.MustParseAddr("192.0.2.1"), Method: "GET", Target: bad, Line: bad, Agent: bad, User: bad, Host: bad, Status: 404,
				Pos: ingest.Position{Source: "s", File: 1, Offset: int64(i)}}, elastic.Verdict{Classes: []string{"sqli"}}, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return docs
}

// Feed is a feed of a list, with what was noted of it. It outlives the outputs that read
// it, as a database does.
type Feed struct {
	Docs []elastic.Doc
	Step int // documents a piece

	mu    sync.Mutex
	noted string
	order []string
}

// Output is the feed as outputs have it.
func (f *Feed) Output() output.Feed {
	return output.Feed{Name: "list",
		From: func(context.Context) (string, error) { f.mu.Lock(); defer f.mu.Unlock(); return f.noted, nil },
		Read: func(ctx context.Context, from string, each func(output.Piece) error) error {
			at, err := strconv.Atoi("0" + from)
			for ; err == nil && at < len(f.Docs); at += f.Step {
				next := min(at+f.Step, len(f.Docs))
				err = each(output.Piece{Docs: f.Docs[at:next], Next: fmt.Sprintf("%06d", next)})
			}
			if err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		},
		Commit: func(_ context.Context, next string) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.noted, f.order = next, append(f.order, next)
			return nil
		},
	}
}

// Noted is how far was sent, as a number of documents.
func (f *Feed) Noted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, _ := strconv.Atoi("0" + f.noted) // our own numbers always read
	return n
}
