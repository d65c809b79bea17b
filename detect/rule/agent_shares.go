package rule

import (
	"cmp"
	"slices"

	"github.com/portcullis/portcullis/detect/window"
)

// agentShares are how often user agents are seen, by hash. Of those that are too many to
// tell, the rarest gives way.
type agentShares struct {
	list []agentShare // at most sharesMost
	all  float64      // that list divides
}

type agentShare struct {
	hash uint64
	n    float64
}

const sharesMost = 128

func (s *agentShares) add(hash uint64, n float64) {
	s.all += n
	if i := s.find(hash); i >= 0 {
		s.list[i].n += n
		return
	}
	if len(s.list) < sharesMost {
		s.list = append(s.list, agentShare{hash, n})
		return
	}
	least := 0
	for i := range s.list {
		if s.list[i].n < s.list[least].n {
			least = i
		}
	}
	s.list[least] = agentShare{hash, n}
}

func (s *agentShares) find(hash uint64) int {
	return slices.IndexFunc(s.list, func(a agentShare) bool { return a.hash == hash })
}

// familiar tells agents that are at least one in a hundred.
func (s *agentShares) familiar(hash uint64) bool {
	i := s.find(hash)
	return i >= 0 && s.list[i].n >= s.all/100
}

// most is how often an agent was seen, at most: as often as the rarest one kept where the
// agents are too many to tell.
func (s *agentShares) most(hash uint64) float64 {
	if i := s.find(hash); i >= 0 {
		return s.list[i].n
	}
	if len(s.list) == sharesMost {
		return slices.MinFunc(s.list, func(a, b agentShare) int { return cmp.Compare(a.n, b.n) }).n
	}
	return 0
}

func (s *agentShares) fade(part float64) {
	s.all *= part
	for i := range s.list {
		s.list[i].n *= part
	}
}

func (s *agentShares) code(k *window.Codec) {
	n := k.Len(len(s.list))
	if k.Reading() {
		s.list = make([]agentShare, n)
	}
	for i := range s.list {
		k.U64(&s.list[i].hash)
		k.F64(&s.list[i].n)
	}
	k.F64(&s.all)
}
