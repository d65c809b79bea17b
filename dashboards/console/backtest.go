package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"

	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/enforce/hindsight"
	"github.com/portcullis/portcullis/enforce/hindsight/job"
)

// Backtests runs backtests and keeps what they came to; *job.Desk is one. It is used by
// many requests at once.
type Backtests interface {
	Jobs() []job.Job
	Start(ctx context.Context, o job.Order, who, why string) (job.Job, error)
	Cancel(id string) (job.Job, error)
	Result(id string) (hindsight.Result, error)
	Page(id string) (io.ReadCloser, error)
}

// BacktestOffer is what a backtest can read, and what it can try.
type BacktestOffer struct {
	From     []BacktestFrom
	Settings []BacktestSetting
	Throttle float64 // scores as they are set
	Block    float64
}

// BacktestFrom is a place where a log is.
type BacktestFrom struct {
	Name  string `json:"name"`
	About string `json:"about"`
}

// BacktestSetting is a setting of a rule, as it is set.
type BacktestSetting struct {
	Rule  string `json:"rule"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Wants string `json:"wants" doc:"What it takes, in words."`
	Doc   string `json:"doc"`
}

// Bounds of what may be asked of one backtest.
const (
	maxThresholds = 8
	maxChanges    = 16
	maxPaid       = 8
	maxThreshold  = 1000
)

type backtestOrderJSON struct {
	reasonJSON
	From       string        `json:"from" doc:"What is read: a name that the list of backtests offers."`
	Since      string        `json:"since,omitempty" doc:"Leave out what is older: a time (RFC 3339), a day, or how long ago (36h, 7d)."`
	Until      string        `json:"until,omitempty" doc:"Leave out what is younger, in the same way; without it, what comes after the start."`
	Thresholds []float64     `json:"thresholds,omitempty" doc:"Also try these scores from which a subject is acted on; at most 8."`
	Change     []settingJSON `json:"change,omitempty" doc:"Settings of rules to try instead of those that are set; at most 16."`
	Paid       []string      `json:"paid,omitempty" doc:"Paths that earn money, such as /orders/*; at most 8."`
	AsSet      bool          `json:"as_set,omitempty" doc:"Leave families that are only observed as they are: otherwise the question is what would happen if they were enforced."`
}

type settingJSON struct {
	Rule  string `json:"rule"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

type backtestJSON struct {
	ID         string        `json:"id"`
	State      string        `json:"state" enum:"running,done,failed,cancelled"`
	Who        string        `json:"who"`
	Why        string        `json:"why"`
	Asked      string        `json:"asked" doc:"What was asked, in words."`
	From       string        `json:"from"`
	Since      string        `json:"since,omitempty"`
	Until      string        `json:"until,omitempty"`
	Thresholds []float64     `json:"thresholds"`
	Change     []settingJSON `json:"change"`
	Started    string        `json:"started" format:"date-time"`
	Ended      string        `json:"ended,omitempty" format:"date-time"`
	Reading    int           `json:"reading" doc:"1 while it looks for decisions, 2 while it measures them."`
	Read       int64         `json:"read" doc:"Of this reading: bytes of files, messages of Kafka."`
	Total      int64         `json:"total" doc:"0: not known."`
	Error      string        `json:"error,omitempty"`
}

type backtestsJSON struct {
	Here      bool              `json:"here" doc:"Whether backtests can be run here."`
	Backtests []backtestJSON    `json:"backtests" doc:"The newest first."`
	From      []BacktestFrom    `json:"from"`
	Settings  []BacktestSetting `json:"settings" doc:"What change can try."`
	Throttle  float64           `json:"throttle" doc:"The score from which a subject is acted on, as it is set."`
	Block     float64           `json:"block"`
}

type backtestStoryJSON struct {
	backtestJSON
	Result *hindsight.Result `json:"result,omitempty" doc:"Of one that is done."`
}

func toBacktestJSON(j *job.Job) backtestJSON {
	out := backtestJSON{
		ID: j.ID, State: string(j.State), Who: j.Who, Why: j.Why, Asked: j.Order.String(), From: j.Order.From, Since: j.Order.Since, Until: j.Order.Until,
		Thresholds: list(j.Order.Thresholds), Change: []settingJSON{}, Started: stamp(j.Started), Ended: stamp(j.Ended), Reading: j.Reading, Read: j.Read, Total: j.Total, Error: j.Error,
	}
	for _, c := range j.Order.Change {
		out.Change = append(out.Change, settingJSON(c))
	}
	return out
}

// backtests are the jobs as they are shown, the newest first.
func (s *Server) backtests() []backtestJSON {
	if s.deps.Backtests == nil {
		return []backtestJSON{}
	}
	jobs := s.deps.Backtests.Jobs()
	out := make([]backtestJSON, len(jobs))
	for i := range jobs {
		out[i] = toBacktestJSON(&jobs[i])
	}
	return out
}

func (s *Server) getBacktests(w http.ResponseWriter, _ *http.Request) error {
	out := backtestsJSON{Backtests: s.backtests(), From: []BacktestFrom{}, Settings: []BacktestSetting{}}
	if s.deps.Backtests != nil {
		offer := s.deps.BacktestOffer()
		out.Here, out.From, out.Settings, out.Throttle, out.Block = true, list(offer.From), list(offer.Settings), offer.Throttle, offer.Block
	}
	reply(w, http.StatusOK, out)
	return nil
}

// backtest finds the one that the path names.
func (s *Server) backtest(r *http.Request) (backtestJSON, error) {
	id, err := pathText(r, "id")
	if err != nil {
		return backtestJSON{}, err
	}
	for _, b := range s.backtests() {
		if b.ID == id {
			return b, nil
		}
	}
	return backtestJSON{}, notFound("there is no such backtest: only the last ones are kept")
}

func (s *Server) getBacktest(w http.ResponseWriter, r *http.Request) error {
	b, err := s.backtest(r)
	if err != nil {
		return err
	}
	out := backtestStoryJSON{backtestJSON: b}
	if b.State == string(job.Done) {
		result, err := s.deps.Backtests.Result(b.ID)
		if err != nil {
			return fmt.Errorf("console: %w", err)
		}
		out.Result = &result
	}
	reply(w, http.StatusOK, out)
	return nil
}

// reportPolicy is the policy of a backtest's report: it has styles of its own, no script,
// and leads nowhere.
const reportPolicy = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; sandbox"

func (s *Server) getBacktestReport(w http.ResponseWriter, r *http.Request) error {
	b, err := s.backtest(r)
	if err != nil {
		return err
	}
	page, err := s.deps.Backtests.Page(b.ID)
	if errors.Is(err, job.ErrNone) {
		return newProblem(http.StatusConflict, "the backtest is "+b.State+": only one that is done has a report")
	}
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	h := w.Header()
	h.Set("Content-Security-Policy", reportPolicy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	_, err = io.Copy(w, page)
	if err = errors.Join(err, page.Close()); err != nil {
		s.log.Debug("console: report", "error", err) // the answer has begun
	}
	return nil
}

// order checks what is asked, so far as the console can.
func (o *backtestOrderJSON) order() (job.Order, error) {
	out := job.Order{From: o.From, Since: o.Since, Until: o.Until, Thresholds: o.Thresholds, Paid: o.Paid, AsSet: o.AsSet}
	if err := checkWhy(&o.Why); err != nil {
		return out, err
	}
	if len(o.Thresholds) > maxThresholds || len(o.Change) > maxChanges || len(o.Paid) > maxPaid {
		return out, badRequest(fmt.Sprintf("at most %d thresholds, %d changes and %d paid paths", maxThresholds, maxChanges, maxPaid))
	}
	for _, t := range o.Thresholds {
		if !(t > 0) || t > maxThreshold || math.IsInf(t, 0) {
			return out, badRequest(fmt.Sprintf("thresholds: a score is more than 0 and at most %d", maxThreshold))
		}
	}
	texts := append([]string{o.From, o.Since, o.Until}, o.Paid...)
	for _, c := range o.Change {
		out.Change = append(out.Change, job.Setting(c))
		texts = append(texts, c.Rule, c.Key, c.Value)
		if strings.ContainsAny(c.Rule+c.Key, ".=") {
			return out, badRequest("change: a rule and a key have no dot")
		}
	}
	for _, t := range texts {
		if len(t) > maxID || !printable(t) {
			return out, badRequest(fmt.Sprintf("a text has at most %d printable bytes", maxID))
		}
	}
	return out, nil
}

func (s *Server) startBacktest(w http.ResponseWriter, r *http.Request) error {
	if s.deps.Backtests == nil {
		return newProblem(http.StatusConflict, "no backtest can be run here: portcullis backtest does it on the command line")
	}
	var asked backtestOrderJSON
	if err := readBody(w, r, &asked); err != nil {
		return err
	}
	o, err := asked.order()
	if err != nil {
		return err
	}
	note := enforce.Command{Verb: enforce.VerbBacktest, Arg: o.String(), Why: asked.Why}
	again, err := s.noted(w, r, &note)
	if err != nil || again {
		return err
	}
	note.Who = caller(r).inLedger(r)
	j, err := s.deps.Backtests.Start(r.Context(), o, note.Who, asked.Why)
	if busy, ok := errors.AsType[job.BusyError](err); ok {
		return newProblem(http.StatusConflict, busy.Error())
	}
	if bad, ok := errors.AsType[job.OrderError](err); ok {
		return badRequest(bad.Error())
	}
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	note.Result = j.ID
	return s.note(w, r, note, toBacktestJSON(&j))
}

func (s *Server) cancelBacktest(w http.ResponseWriter, r *http.Request) error {
	b, err := s.backtest(r)
	if err != nil {
		return err
	}
	o, _, err := readOrder(w, r, "")
	if err != nil {
		return err
	}
	note := enforce.Command{Verb: enforce.VerbCancelBacktest, Arg: b.ID, Why: o.Why, Result: b.ID}
	again, err := s.noted(w, r, &note)
	if err != nil || again {
		return err
	}
	note.Who = caller(r).inLedger(r)
	j, err := s.deps.Backtests.Cancel(b.ID)
	if errors.Is(err, job.ErrNone) {
		return newProblem(http.StatusConflict, "the backtest does not run any more: it is "+b.State)
	}
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	return s.note(w, r, note, toBacktestJSON(&j))
}

// noted answers a write that was done before under its Idempotency-Key, with the job as
// it is now; again says that it did.
func (s *Server) noted(w http.ResponseWriter, r *http.Request, note *enforce.Command) (again bool, err error) {
	if note.UID, err = once(r); err != nil || note.UID == "" {
		return false, err
	}
	posted, again, err := s.deps.Poster.Posted(r.Context(), note.UID)
	switch {
	case err != nil:
		return false, fmt.Errorf("console: command: %w", err)
	case !again:
		return false, nil
	case !s.deps.Poster.Same(posted, *note):
		return false, newProblem(http.StatusUnprocessableEntity, "another write was sent under this "+idempotencyHeader)
	}
	for _, b := range s.backtests() {
		if b.ID == posted.Result {
			w.Header().Set("Idempotent-Replayed", "true")
			reply(w, http.StatusOK, b)
			return true, nil
		}
	}
	return false, notFound("that backtest was run, and is not kept any more")
}

// note writes down what was done, and answers with the job. It is done: where it cannot
// be written down, the log has it.
func (s *Server) note(w http.ResponseWriter, r *http.Request, note enforce.Command, b backtestJSON) error {
	note.At = s.now().UnixNano()
	s.log.Info("console: "+note.Verb, "job", b.ID, "who", note.Who, "why", note.Why)
	if err := s.deps.Poster.Note(context.WithoutCancel(r.Context()), note); err != nil {
		s.log.Error("console: the audit misses a backtest", "job", b.ID, "error", err)
	}
	w.Header().Set("Location", apiRoot+"/backtests/"+b.ID)
	reply(w, http.StatusOK, b)
	return nil
}

// backtestRoutes are the reads and writes of backtests.
func (s *Server) backtestRoutes() []route {
	at := func(method, path string, role Role, serve func(http.ResponseWriter, *http.Request) error, doc operation) route {
		return route{method: method, pattern: apiRoot + path, role: role, serve: serve, doc: &doc}
	}
	return []route{
		at("GET", "/backtests", Viewer, s.getBacktests, operation{id: "getBacktests", summary: "The last backtests, and what a new one can read and try.", answer: backtestsJSON{}}),
		at("GET", "/backtests/{id}", Viewer, s.getBacktest, operation{id: "getBacktest", summary: "A backtest: who would have been hit, by threshold and rule.", answer: backtestStoryJSON{}, status: []int{404}}),
		at("GET", "/backtests/{id}/report", Viewer, s.getBacktestReport, operation{id: "getBacktestReport", summary: "The report of a backtest that is done, as a page that needs nothing else.", media: "text/html", status: []int{404, 409}}),
		at("POST", "/backtests", Operator, s.startBacktest, operation{id: "startBacktest", summary: "Begin a backtest; one runs at a time, on one core at the lowest priority. Nothing is enforced.", body: backtestOrderJSON{}, answer: backtestJSON{}, status: []int{400, 409, 422}}),
		at("POST", "/backtests/{id}/cancel", Operator, s.cancelBacktest, operation{id: "cancelBacktest", summary: "End a backtest that runs.", body: reasonJSON{}, answer: backtestJSON{}, status: []int{404, 409, 422}}),
	}
}
