package inspect

import "github.com/portcullis/portcullis/detect/probe"

// scannerTools are tools whose name in an agent is told as an attack; those that honest
// monitors use as well weigh less.
var scannerTools = probe.Agents(8)

var scannerMatcher = func() *matcher {
	names := make([]string, len(scannerTools))
	for i, e := range scannerTools {
		names[i] = e.Text
	}
	return newMatcher(names)
}()

// scannerIn returns the tool that decoded text names, or nil: dehydrated is no Hydra.
func scannerIn(text []byte) (e *probe.Entry) {
	scannerMatcher.each(text, func(id int32, end int) {
		name := scannerTools[id].Text
		if at := end - len(name); e == nil && (at == 0 || !alpha(name[0]) || !alpha(text[at-1])) {
			e = scannerTools[id]
		}
	})
	return e
}

// agent looks at a user agent.
func (l *look) agent(s string) {
	l.whole("agent", ctxAgent, s)
	l.text = l.in.canon.decode(limit(s, l.in.cfg.MaxBytes), false, l.in.cfg.MaxRounds)
	if e := scannerIn(l.text); e != nil {
		l.ev = l.ev[:0]
		l.add(tool, 60, "an agent that names a tool: "+e.What, 0, len(l.text))
		l.settle("agent", "")
	}
}
