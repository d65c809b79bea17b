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
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/alert"
	"github.com/portcullis/portcullis/internal/hook"
)

// answerMost bounds what is read of an answer.
const answerMost = 64 << 10

// service is another program that is told by HTTP.
type service struct {
	client *http.Client
	now    func() time.Time
}

func newService() service { return service{client: hook.Client(nil), now: time.Now} }

// answer is what a service said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// post sends v as JSON. An answer that is no success is an *alert.Refusal.
func (s *service) post(ctx context.Context, url string, v any, header ...string) (answer, error) {
	body, err := encode(v)
	if err != nil {
		return answer{}, err
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
func (s *service) send(ctx context.Context, to string, body []byte, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return answer{}, errors.New("the address of the service cannot be used: look at the settings of the channel")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Portcullis")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		var u *url.Error // without the address, which may hold a token
		if errors.As(err, &u) {
			err = u.Err
		}
		return answer{}, fmt.Errorf("the service cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	a := answer{resp.StatusCode, resp.Header, said}
	if resp.StatusCode/100 != 2 {
		return a, s.refusal(a)
	}
	if err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	return a, nil
}

// refusal is what an answer means that is no success. What is wrong with the notice is
// final; a wrong key or address is not, since somebody may mend it.
func (s *service) refusal(a answer) *alert.Refusal {
	r := &alert.Refusal{Status: a.status, Said: short(string(a.body), 300)}
	switch a.status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		r.Final = true
	}
	r.After = retryAfter(a.header.Get("Retry-After"), s.now())
	return r
}

// retryAfter reads the header: seconds, also with a fraction, or a date; 0 = it says
// nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if t, err := http.ParseTime(text); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

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
