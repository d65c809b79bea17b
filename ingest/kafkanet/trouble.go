package kafkanet

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// Place is where a trouble is: a partition of a topic. Where there is but one topic
// its name may be left out.
type Place struct {
	Topic     string
	Partition int
}

// Everywhere is the place of a trouble that is not of one partition.
var Everywhere = Place{Partition: -1}

// String names a place for people.
func (p Place) String() string {
	switch {
	case p.Topic == "":
		return fmt.Sprint("partition ", p.Partition)
	case p.Partition < 0:
		return p.Topic
	}
	return fmt.Sprintf("%s/%d", p.Topic, p.Partition)
}

// Trouble is what keeps Kafka from being used. Each message is said once until all
// is well again, however many partitions and attempts it meets. Its methods may be
// called at any time by any goroutine.
type Trouble struct {
	Log      *slog.Logger
	Down, Up string // what is said when it begins, and when it is over
	Args     []any  // go with both

	mu    sync.Mutex
	of    map[Place]string
	said  map[string]bool
	since time.Time
}

// maxSaid bounds how many different messages one time of trouble brings to the
// log.
const maxSaid = 100

// Say notes why a place is not served now.
func (t *Trouble) Say(ctx context.Context, at Place, what Problem) {
	if ctx.Err() != nil {
		return // it is we who stop
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.of == nil {
		t.of, t.said = map[Place]string{}, map[string]bool{}
	}
	if len(t.of) == 0 {
		t.since = time.Now()
	}
	t.of[at] = what.Text
	if t.said[what.Text] || len(t.said) >= maxSaid {
		return
	}
	t.said[what.Text] = true
	t.Log.Warn(t.Down, append(t.Args[:len(t.Args):len(t.Args)], "error", what.Text, "hint", what.Hint+"; it is tried again until it works")...)
}

// Well notes that a place is served.
func (t *Trouble) Well(at Place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, had := t.of[at]; !had {
		return
	}
	delete(t.of, at)
	if len(t.of) == 0 {
		clear(t.said)
		t.Log.Info(t.Up, append(t.Args[:len(t.Args):len(t.Args)], "after", time.Since(t.since).Round(time.Millisecond))...)
	}
}

// Now is the trouble to show, and since when there is any: that of Everywhere, else
// of the first place that has one; empty where all is well.
func (t *Trouble) Now() (text string, since time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.of) == 0 {
		return "", time.Time{}
	}
	if text, all := t.of[Everywhere]; all {
		return text, t.since
	}
	var first *Place
	for at := range t.of {
		if first == nil || cmp.Or(cmp.Compare(at.Topic, first.Topic), cmp.Compare(at.Partition, first.Partition)) < 0 {
			first = &at
		}
	}
	return fmt.Sprintf("%s: %s", first, t.of[*first]), t.since
}

// Problem is an error in words that do not change from attempt to attempt.
type Problem struct {
	Text, Hint string
	Cause      error // what was explained
}

// Error makes one text of it.
func (p Problem) Error() string { return p.Text + " (" + p.Hint + ")" }

// Unwrap returns what was explained.
func (p Problem) Unwrap() error { return p.Cause }

// Explain puts an error of the network into words for the operator. What concerns
// a topic the caller puts better.
func (a *Access) Explain(err error) Problem {
	text, hint := a.explain(err)
	return Problem{text, hint, err}
}

func (a *Access) explain(err error) (text, hint string) {
	var (
		op       *net.OpError
		plain    tls.RecordHeaderError
		unsigned x509.UnknownAuthorityError
	)
	switch {
	case errors.Is(err, kafkago.SASLAuthenticationFailed):
		return fmt.Sprintf("the broker refused user %q (%s)", a.SASL.User, a.SASL.Mechanism),
			"check user, password and mechanism"
	case errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return fmt.Sprintf("the broker does not offer SASL mechanism %s", a.SASL.Mechanism),
			"set the mechanism that the broker's listener has in sasl.enabled.mechanisms"
	case errors.As(err, &plain):
		return "the broker's listener does not speak TLS", "set tls.enabled to false, or name the broker's TLS port"
	case errors.As(err, &unsigned):
		return fmt.Sprintf("%.300s", err.Error()), "name in tls.ca the file of the authority that signed the broker's certificate"
	case strings.Contains(err.Error(), "remote error: tls:"):
		return fmt.Sprintf("%.300s", err.Error()), "does the broker ask for a certificate? name ours in tls.cert and tls.key, signed by an authority that the broker trusts"
	case errors.As(err, &op) && op.Addr != nil: // its own text names a local port, which is another each time
		return fmt.Sprintf("%s %v: %v", op.Op, op.Addr, op.Err), "is the broker up, and the address right?"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer from " + strings.Join(a.Brokers, ", "), "is the broker up, and does it answer others?"
	}
	switch {
	case !a.TLS.Enabled:
		hint = "does the broker's listener want TLS or a login (SASL) that is not set?"
	case a.SASL.User == "":
		hint = "does the broker's listener speak TLS, and want a login (SASL) that is not set?"
	default:
		hint = "does the broker's listener speak TLS? what does the broker's log say?"
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "the broker closed the connection", "is it starting or stopping? if it stays so: " + hint
	}
	return fmt.Sprintf("%.300s", err.Error()), hint
}
