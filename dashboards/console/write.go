package console

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// Bounds of what a person may send.
const (
	maxBody    = 8 << 10 // bytes
	maxWhy     = 500     // bytes
	maxFor     = 365 * 24 * time.Hour
	pollPeriod = 50 * time.Millisecond // how often the inbox is asked for the answer
)

// reasonJSON is the body of a write that needs no more than a reason.
type reasonJSON struct {
	Why string `json:"why" doc:"1 to 500 printable bytes; kept in the ledger."`
}

type extensionJSON struct {
	reasonJSON
	For string `json:"for" doc:"A duration from 1m to 8760h, such as 4h."`
}

type allowOrderJSON struct {
	reasonJSON
	Value string `json:"value" doc:"An address, a network or kind:value; 128 bytes at most."`
	For   string `json:"for,omitempty" doc:"A duration from 1m to 8760h, such as 4h; without it for good."`
}

// order is the body of every write.
type order struct {
	Why   string `json:"why"`
	Value string `json:"value"` // of an allow entry
	For   string `json:"for"`   // a duration such as 4h
}

// readBody reads a body, which is one JSON object with known keys only.
func readBody(w http.ResponseWriter, r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		if tooBig, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return newProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("the body may have %d bytes", tooBig.Limit))
		}
		return badRequest(`the body must be a JSON object such as {"why": "..."}: ` + telemetry.Quote(err.Error()))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return badRequest("the body must be one JSON object")
	}
	return nil
}

// checkWhy checks the reason of a write, and takes blanks around it away.
func checkWhy(why *string) error {
	*why = strings.TrimSpace(*why)
	if *why == "" || len(*why) > maxWhy || !printable(*why) {
		return badRequest(fmt.Sprintf("why: say in 1 to %d printable bytes why; it is kept in the ledger", maxWhy))
	}
	return nil
}

// readOrder reads and checks a body. uses lists the optional keys that the route
// takes; another key is a mistake, since it would be ignored.
func readOrder(w http.ResponseWriter, r *http.Request, uses string) (order, time.Duration, error) {
	var o order
	if err := readBody(w, r, &o); err != nil {
		return o, 0, err
	}
	o.Value = strings.TrimSpace(o.Value)
	if err := checkWhy(&o.Why); err != nil {
		return o, 0, err
	}
	if o.Value != "" && !strings.Contains(uses, "value") {
		return o, 0, badRequest("value: not used here")
	}
	if o.For == "" {
		return o, 0, nil
	}
	if !strings.Contains(uses, "for") {
		return o, 0, badRequest("for: not used here")
	}
	span, err := time.ParseDuration(o.For)
	if err != nil || span < time.Minute || span > maxFor {
		return o, 0, badRequest("for: must be a duration from 1m to 8760h, such as 4h")
	}
	return o, span, nil
}

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// decide serves the three writes on a decision. A command that cannot fit the
// decision's state is refused here, so that the person learns it at once; the
// enforcer checks again, since the state may change in between.
func (s *Server) decide(verb string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		d, err := s.decision(r)
		if err != nil {
			return err
		}
		uses := ""
		if verb == enforce.VerbExtend {
			uses = "for"
		}
		o, span, err := readOrder(w, r, uses)
		if err != nil {
			return err
		}
		if verb == enforce.VerbExtend && span == 0 {
			return badRequest("for: say by how long to extend, such as 4h")
		}
		return s.post(w, r, enforce.Command{Verb: verb, Arg: d.ID, Why: o.Why, For: span}, func() error {
			if fits(verb, d.State) {
				return nil
			}
			return newProblem(http.StatusConflict, fmt.Sprintf("a decision that is %s cannot take %s", d.State, verb))
		})
	}
}

// fits tells which verb makes sense in which state.
func fits(verb string, state enforce.State) bool {
	switch verb {
	case enforce.VerbApprove:
		return state == enforce.Proposed
	case enforce.VerbExtend:
		return state.Live()
	}
	return state.Live() || state == enforce.Proposed
}

func (s *Server) allow(w http.ResponseWriter, r *http.Request) error {
	o, span, err := readOrder(w, r, "value for")
	if err != nil {
		return err
	}
	if o.Value == "" || len(o.Value) > maxID || !printable(o.Value) {
		return badRequest("value: must be what is never acted on, such as 192.0.2.7 or 192.0.2.0/24")
	}
	return s.post(w, r, enforce.Command{Verb: enforce.VerbAllow, Arg: o.Value, Why: o.Why, For: span}, nil)
}

func (s *Server) disallow(w http.ResponseWriter, r *http.Request) error {
	value, err := pathText(r, "value")
	if err != nil {
		return err
	}
	o, _, err := readOrder(w, r, "")
	if err != nil {
		return err
	}
	return s.post(w, r, enforce.Command{Verb: enforce.VerbDisallow, Arg: value, Why: o.Why}, nil)
}

// switchPanic serves the panic switch and its end.
func (s *Server) switchPanic(verb string) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		o, _, err := readOrder(w, r, "")
		if err != nil {
			return err
		}
		return s.post(w, r, enforce.Command{Verb: verb, Why: o.Why}, nil)
	}
}

// idempotencyHeader carries the caller's own name of a write.
const idempotencyHeader = "Idempotency-Key"

// once turns the caller's name of a write into that of the command, "" where there is
// none. It depends on who calls: two callers may choose the same name.
func once(r *http.Request) (string, error) {
	key := r.Header.Get(idempotencyHeader)
	if key == "" {
		return "", nil
	}
	if len(key) > maxID || !printable(key) {
		return "", badRequest(fmt.Sprintf("%s: must have 1 to %d printable bytes", idempotencyHeader, maxID))
	}
	sum := sha256.Sum256([]byte(caller(r).name + "\x00" + key))
	return hex.EncodeToString(sum[:16]), nil
}

// post hands a command to the enforcer and waits a little for its answer: 200 with the
// result, 409 when the enforcer refused, or 202 when it is still to come (the enforcer may
// be another process, and away). fits says why the command makes no sense now; it is not
// asked about one that was posted before under the same Idempotency-Key, which is what the
// first one did.
func (s *Server) post(w http.ResponseWriter, r *http.Request, c enforce.Command, fits func() error) error {
	var err error
	if c.UID, err = once(r); err != nil {
		return err
	}
	posted, again := enforce.Command{}, false
	if c.UID != "" {
		if posted, again, err = s.deps.Poster.Posted(r.Context(), c.UID); err != nil {
			return fmt.Errorf("console: command: %w", err)
		}
	}
	switch {
	case again && !s.deps.Poster.Same(posted, c):
		return newProblem(http.StatusUnprocessableEntity, "another write was sent under this "+idempotencyHeader)
	case again:
		c.ID = posted.ID
		w.Header().Set("Idempotent-Replayed", "true")
	default:
		if fits != nil {
			if err := fits(); err != nil {
				return err
			}
		}
		c.Who, c.At = caller(r).inLedger(r), s.now().UnixNano()
		if c.ID, err = s.deps.Poster.Post(r.Context(), c); err != nil {
			return fmt.Errorf("console: post %s: %w", c.Verb, err)
		}
		s.log.Info("console: command posted", "id", c.ID, "verb", c.Verb, "arg", telemetry.Quote(c.Arg), "who", telemetry.Quote(c.Who), "why", telemetry.Quote(c.Why))
	}
	return s.answer(w, r, c)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, c enforce.Command) error {
	answered, err := s.await(r.Context(), c)
	if err != nil {
		return err
	}
	if reason, refused := strings.CutPrefix(answered.Result, refusal); answered.Done && refused {
		return newProblem(http.StatusConflict, reason)
	}
	w.Header().Set("Location", apiRoot+"/commands/"+strconv.FormatInt(c.ID, 10))
	status := http.StatusAccepted
	if answered.Done {
		status = http.StatusOK
	}
	reply(w, status, toCommandJSON(answered))
	return nil
}

// await polls the inbox until the command is done or patience ends.
func (s *Server) await(ctx context.Context, c enforce.Command) (enforce.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	poll := time.NewTicker(pollPeriod)
	defer poll.Stop()
	for {
		got, ok, err := s.deps.Poster.Command(ctx, c.ID)
		switch {
		case ok && err == nil && got.Done:
			return got, nil
		case err != nil && ctx.Err() == nil:
			return c, fmt.Errorf("console: command %d: %w", c.ID, err)
		}
		select {
		case <-ctx.Done():
			return c, nil // it is posted; the caller asks again
		case <-poll.C:
		}
	}
}

func (s *Server) getCommand(w http.ResponseWriter, r *http.Request) error {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return badRequest("id: must be the number of a command")
	}
	c, ok, err := s.deps.Poster.Command(r.Context(), id)
	if err != nil {
		return fmt.Errorf("console: command: %w", err)
	}
	if !ok {
		return notFound(fmt.Sprintf("there is no command %d", id))
	}
	reply(w, http.StatusOK, toCommandJSON(c))
	return nil
}
