package rule

import (
	"github.com/portcullis/portcullis/detect"
	"github.com/portcullis/portcullis/detect/window"
)

// spell is the finding of a network in its present window, and the last lines before it
// began.
type spell struct {
	lines []window.Sample
	now   *episode // nil: it is silent
}

// fire takes a closed second with n offences into the finding. If it begins here, first
// and before say when what led to it began, and how much that was, the second included.
func (s *spell) fire(env *detect.Env, sec, n int64, line *window.Sample, fires bool, first, before int64) bool {
	start := detect.WindowOf(sec)
	switch {
	case s.now != nil && s.now.start == start:
		s.now.count += n
		if len(s.now.evidence) < detect.MaxEvidence {
			s.now.evidence = append(s.now.evidence, shown(env, line))
		}
	case fires:
		s.now = &episode{start: start, fired: sec, first: first, count: before}
		for i := range s.lines {
			s.now.evidence = append(s.now.evidence, shown(env, &s.lines[i]))
		}
	default:
		return false
	}
	s.now.last = sec
	return true
}

// let forgets a finding whose window is over.
func (s *spell) let(sec int64) {
	if s.now != nil && s.now.start/1e9+detect.FindingWindow <= sec {
		s.now = nil
	}
}

func (s *spell) code(k *window.Codec) {
	codeLines(k, &s.lines)
	codeEpisode(k, &s.now)
}
