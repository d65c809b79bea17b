// Package channel holds whom alerts are told to: one file for each kind of channel, which
// registers itself with its settings.
//
// Each speaks the documented API of its service directly. A library for many services
// would hide what is needed here: what a service answered and when to come again, ids by
// which a repeated notice counts once, and texts that are escaped for where they are shown.
package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
)

// service is another program that is told by HTTP.
type service struct {
	client *http.Client
	now    func() time.Time
}

func newService() service { return service{client: hook.Client(nil), now: time.Now} }

// post sends v as JSON. An answer that is no success is an *alert.Refusal.
func (s *service) post(ctx context.Context, url string, v any, header ...string) (hook.Answer, error) {
	body, err := encode(v)
	if err != nil {
		return hook.Answer{}, err
	}
	return s.send(ctx, url, body, header...)
}

// encode is JSON without the escapes for HTML, which only make it longer.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// send is post for what is encoded.
func (s *service) send(ctx context.Context, to string, body []byte, header ...string) (hook.Answer, error) {
	a, err := hook.Post(ctx, s.client, to, body, header...)
	if err == nil && !a.OK() {
		return a, s.refusal(a)
	}
	return a, err
}

// refusal is what an answer means that is no success.
func (s *service) refusal(a hook.Answer) *alert.Refusal { return a.Refusal(s.now()) }

// short cuts text to a number of characters, with a mark.
func short(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	return string(r[:most-1]) + "…"
}

// oneLine puts text into one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// fact is one line of a notice where a service shows names and values.
type fact struct{ name, value string }

// facts are what a notice says beside its title and its text.
func facts(n *alert.Notice) []fact {
	if n.Kind == alert.Digest {
		return nil
	}
	all := []fact{
		{"Severity", n.Severity}, {"Family", n.Family}, {"Rule", n.Rule}, {"Campaign", n.Campaign}, {"Route", n.Route},
		{"Clients", strconv.FormatInt(n.Clients, 10)}, {"Findings", strconv.FormatInt(n.Findings, 10)}, {"Requests", strconv.FormatInt(n.Requests, 10)},
		{"Alert", n.Alert},
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.value == "" })
}

// color is what severities look like in chats.
func color(n *alert.Notice) int {
	if n.Over() {
		return 0x2e7d32
	}
	switch n.Severity {
	case "critical":
		return 0x8e0000
	case "high":
		return 0xd32f2f
	case "medium":
		return 0xf57c00
	}
	return 0x607d8b
}

// checkURL reports the address of a service that may not be called. What a secret says is
// not repeated.
func checkURL(key, text string, report func(key, message string)) {
	if text == "" {
		report(key, "is missing")
	} else if bad := hook.BadURL(text, "what was found, and the key,"); bad != "" {
		report(key, strings.TrimPrefix(bad, fmt.Sprintf("%.100q ", text)))
	}
}
