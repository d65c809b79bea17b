package rule

import "github.com/portcullis/portcullis/detect/window"

// progress tells whether the numbers that somebody asks for move on: who walks asks for near
// ones within ten seconds and the next ten, who looks things up by chance for near and far.
// It makes up for a count of distinct ones that is an estimate: of a thousand things, each
// asked for by chance, one key in fifty would seem to ask for too many different ones.
type progress struct {
	low, high   uint64 // of the last ten seconds with a number
	steps, near int64
}

const (
	progressFrom = 128 // ids from which steps are counted
	progressAsk  = 256 // and from which they must tell a walk
	progressNear = 4   // a step is near within this part of all that was asked for
)

// step takes in ten seconds; all is what there was before them.
func (p *progress) step(x, all *reach) {
	if x.high == 0 {
		return
	}
	if p.high != 0 && all.ids.Estimate() >= progressFrom {
		p.steps++
		if max(x.high, p.high)-min(x.low, p.low) <= (max(x.high, all.high)-min(x.low, all.low))/progressNear {
			p.near++
		}
	}
	p.low, p.high = x.low, x.high
}

// inOrder reports whether nothing speaks against a walk of so many ids.
func (p *progress) inOrder(ids int64) bool { return ids < progressAsk || p.near*5 >= p.steps*4 }

func (p *progress) code(k *window.Codec) {
	k.U64(&p.low)
	k.U64(&p.high)
	k.I64(&p.steps)
	k.I64(&p.near)
}
