package enforce_test

import (
	"errors"
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/enforce"
)

func (n *node) membership() enforce.Membership {
	m, err := n.ledger.Membership(n.Context())
	if err != nil {
		n.Fatal(err)
	}
	return m
}

func (n *node) exec(text string) {
	if _, err := n.db.SQL().Exec(text); err != nil {
		n.fleet.errf("%s: %v", text, err)
	}
}

func (n *node) decisions() []enforce.Decision {
	ds, err := n.ledger.Decisions(n.Context(), enforce.DecisionQuery{Limit: 10000})
	if err != nil {
		n.Fatal(err)
	}
	return ds
}

func (n *node) history(id string) []enforce.Change {
	cs, err := n.ledger.History(n.Context(), id)
	if err != nil {
		n.Fatal(err)
	}
	return cs
}

func (n *node) steps(id string) string {
	var out []string
	for _, c := range n.history(id) {
		out = append(out, string(c.To))
	}
	return strings.Join(out, " ")
}

// dump is all that the ledger holds, but what is only of this machine.
func (n *node) dump() string {
	var b strings.Builder
	for _, q := range []string{
		`SELECT * FROM decisions ORDER BY id`,
		`SELECT decision, n, at, who, from_state, to_state, why FROM changes ORDER BY decision, n`,
		`SELECT * FROM counted ORDER BY kind, value, finding`,
		`SELECT * FROM allows ORDER BY value`,
		`SELECT uid, at, who, verb, arg, why, dur, result, done FROM commands ORDER BY uid`,
		`SELECT * FROM enforce_meta ORDER BY key`,
		`SELECT * FROM watched ORDER BY kind, value`,
		`SELECT key FROM journal_owed ORDER BY key`,
	} {
		rows, err := n.db.SQL().Query(q)
		if err != nil {
			n.Fatal(err)
		}
		cols, _ := rows.Columns()
		vals, into := make([]any, len(cols)), make([]any, len(cols))
		for i := range vals {
			into[i] = &vals[i]
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				n.Fatal(err)
			}
			_, table, _ := strings.Cut(q, "FROM ")
			fmt.Fprintf(&b, "%s|", strings.Fields(table)[0])
			for _, v := range vals {
				fmt.Fprintf(&b, "%v|", v)
			}
			b.WriteByte('\n')
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			n.Fatal(err)
		}
	}
	return b.String()
}
