package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// answerMost bounds what is read of an answer.
const answerMost = 64 << 10

// Answer is what a service said, whether it is a success or not.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// OK reports whether it is a success.
func (a Answer) OK() bool { return a.Status/100 == 2 }

// Post sends a body. Headers are names and values in turn; the body is JSON where they
// say nothing else. An error says that there is no answer; it does not tell the address,
// which may hold a token.
func Post(ctx context.Context, client *http.Client, to string, body []byte, header ...string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return Answer{}, errors.New("the address of the service cannot be used: look at its settings")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Portcullis")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return Answer{}, fmt.Errorf("the service cannot be reached: %w", err)
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, answerMost))
	a := Answer{resp.StatusCode, resp.Header, said}
	if a.OK() && err != nil {
		return a, fmt.Errorf("read the answer: %w", err)
	}
	return a, nil
}

// Refusal is an answer that is no success.
type Refusal struct {
	Status int           // as in HTTP or SMTP; 0 = none
	Said   string        // what the other side answered
	After  time.Duration // when to come again, as it asked; 0 = it did not say
	Final  bool          // the same would be refused again
}

// Error implements error.
func (r *Refusal) Error() string {
	s := fmt.Sprintf("status %d", r.Status)
	if r.Status == 0 {
		s = "refused"
	}
	if r.Said != "" {
		s += fmt.Sprintf(": %.300q", r.Said)
	}
	return s
}

// Refusal is what an answer means that is no success. What is wrong with what was sent is
// final; a wrong key or address is not, since somebody may mend it.
func (a Answer) Refusal(now time.Time) *Refusal {
	r := &Refusal{Status: a.Status, Said: strings.ToValidUTF8(string(a.Body[:min(len(a.Body), saidMost)]), "\uFFFD")}
	switch a.Status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		r.Final = true
	}
	r.After = RetryAfter(a.Header.Get("Retry-After"), now)
	return r
}

// saidMost is how much of an answer is told.
const saidMost = 300

// RetryAfter reads the header of that name: seconds, also with a fraction, or a date; 0 =
// it says nothing.
func RetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1e6 {
		return time.Duration(seconds * float64(time.Second))
	}
	if t, err := http.ParseTime(text); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}

// Gzip compresses a body, quickly rather than well.
func Gzip(data []byte) ([]byte, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	if err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	_, err = w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, fmt.Errorf("compress: %w", err)
	}
	return packed.Bytes(), nil
}
