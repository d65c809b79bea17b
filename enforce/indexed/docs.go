// Package indexed keeps decisions and their audit trail in Elasticsearch, and
// answers the questions that the ledger answers. What it knows comes from the
// ledger's journal: nothing here decides, and losing it loses no decision.
package indexed

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/portcullis/portcullis/detect/store/elastic"
	"github.com/portcullis/portcullis/enforce"
)

// Index makes documents and reads them back. It may be used from any goroutine.
type Index struct {
	store *elastic.Store
	cloak enforce.Cloak
}

// New returns an index in a store. The cloak finds subjects that are stored hidden;
// nil: none are.
func New(s *elastic.Store, cloak enforce.Cloak) *Index { return &Index{s, cloak} }

// texts are the strings of a decision that anybody but us may have written.
func texts(d *enforce.Decision) map[string]*string {
	return map[string]*string{
		"id": &d.ID, "kind": &d.Subject.Kind, "value": &d.Subject.Value, "route": &d.Route, "action": (*string)(&d.Action),
		"state": (*string)(&d.State), "reason": &d.Reason, "code": &d.Code, "rule": &d.Rule, "findings": &d.Findings,
		"why": &d.Why, "collateral": &d.Collateral, "by": &d.By,
	}
}

func changeTexts(c *enforce.Change) map[string]*string {
	return map[string]*string{"who": &c.Who, "from": (*string)(&c.From), "to": (*string)(&c.To), "why": &c.Why}
}

// record adds a value as it is read back. Strings that JSON cannot hold go besides.
func record(b *elastic.Builder, v any, texts map[string]*string) {
	b.JSON("portcullis.record", v)
	for name, s := range texts {
		if !utf8.ValidString(*s) {
			b.Keep(name, *s)
		}
	}
}

// DecisionDoc makes the document of a decision in its present state. The version
// orders states: the offset of the journal plus one, say. Its index is that of the
// day on which it was made.
func (x *Index) DecisionDoc(d enforce.Decision, version int64) (elastic.Doc, error) {
	for _, s := range []*string{&d.Subject.Value, &d.Route, &d.Reason, &d.Why, &d.Collateral} {
		*s = x.store.Hide(*s)
	}
	effect := "allowed"
	if d.State.Live() {
		effect = "denied"
	}
	var b elastic.Builder
	x.store.Common(&b, elastic.Decision, d.Created, "event", []string{"intrusion_detection"}, []string{effect})
	b.Exact("event.id", d.ID)
	b.Exact("event.action", string(d.Action))
	b.Time("event.start", d.Created)
	b.Time("event.end", d.Expires)
	b.Text("message", d.Why)
	b.Exact("rule.id", d.Rule)
	elastic.PutSubject(&b, d.Subject)
	b.Exact("portcullis.route", d.Route)
	b.Exact("portcullis.state", string(d.State))
	b.List("portcullis.findings", strings.Fields(d.Findings))
	b.Text("portcullis.code", d.Code)
	b.Text("portcullis.by", d.By)
	b.Some("portcullis.successes", d.Good)
	b.Some("portcullis.people", d.People)
	b.Int("portcullis.created_ns", d.Created)
	b.Int("portcullis.version", version)
	b.JSON("portcullis.detail", map[string]string{
		"by": printable(d.By), "code": printable(d.Code), "offence": strconv.Itoa(d.Offence), "people": strconv.FormatInt(d.People, 10),
		"good": strconv.FormatInt(d.Good, 10), "score": strconv.FormatFloat(d.Score, 'g', -1, 64),
	})
	record(&b, d, texts(&d))
	source, err := b.Done()
	if err != nil {
		return elastic.Doc{}, fmt.Errorf("indexed: decision %.80q: %w", d.ID, err)
	}
	return elastic.Doc{Kind: elastic.Decision, ID: elastic.DocID("decision", d.ID), Time: d.Created, Version: max(version, 1), Source: source}, nil
}

// ChangeDoc makes the document of a change. The same change has the same id, so it
// may be written twice; seq orders changes of the same moment.
func (x *Index) ChangeDoc(decision string, c enforce.Change, seq int64) (elastic.Doc, error) {
	id := elastic.DocID("change", decision, strconv.FormatInt(c.At, 10), c.Who, string(c.From), string(c.To), c.Why)
	c.Why = x.store.Hide(c.Why)
	var b elastic.Builder
	x.audit(&b, id, c.At, seq, c.Who, c.Why)
	b.Exact("portcullis.decision", decision)
	b.Exact("portcullis.state", string(c.To))
	record(&b, c, changeTexts(&c))
	return finish(&b, id, c.At)
}

// CommandDoc makes the document of what a person wanted, once it is done.
func (x *Index) CommandDoc(c enforce.Command) (elastic.Doc, error) {
	id := elastic.DocID("command", strconv.FormatInt(c.At, 10), strconv.FormatInt(c.ID, 10), c.Who, c.Verb, c.Arg)
	c.Arg, c.Why, c.Result = x.store.Hide(c.Arg), x.store.Hide(c.Why), x.store.Hide(c.Result)
	var b elastic.Builder
	x.audit(&b, id, c.At, c.ID, c.Who, c.Why)
	b.Exact("event.action", c.Verb)
	b.JSON("portcullis.detail", map[string]string{"arg": printable(c.Arg), "result": printable(c.Result), "for": c.For.String()})
	record(&b, c, map[string]*string{"who": &c.Who, "verb": &c.Verb, "arg": &c.Arg, "why": &c.Why, "result": &c.Result})
	return finish(&b, id, c.At)
}

func (x *Index) audit(b *elastic.Builder, id string, at, seq int64, who, why string) {
	x.store.Common(b, elastic.Audit, at, "event", []string{"configuration"}, []string{"change"})
	b.Text("event.id", id)
	b.Text("user.name", who)
	b.Text("message", why)
	b.Int("portcullis.at_ns", at)
	b.Int("portcullis.seq", seq)
}

func finish(b *elastic.Builder, id string, at int64) (elastic.Doc, error) {
	source, err := b.Done()
	if err != nil {
		return elastic.Doc{}, fmt.Errorf("indexed: audit trail: %w", err)
	}
	return elastic.Doc{Kind: elastic.Audit, ID: id, Time: at, Source: source}, nil
}

// printable is a text in which everything is UTF-8.
func printable(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func decodeDecision(source []byte) (enforce.Decision, error) { return decode(source, texts) }

func decodeChange(source []byte) (enforce.Change, error) { return decode(source, changeTexts) }

// decode is the inverse of record.
func decode[T any](source []byte, texts func(*T) map[string]*string) (T, error) {
	var in struct {
		Record T           `json:"portcullis.record"`
		Raw    elastic.Raw `json:"portcullis.raw"`
	}
	if err := json.Unmarshal(source, &in); err != nil {
		return in.Record, fmt.Errorf("indexed: a document cannot be read: %w", err)
	}
	for name, s := range texts(&in.Record) {
		*s = in.Raw.Text(name, *s)
	}
	return in.Record, nil
}
