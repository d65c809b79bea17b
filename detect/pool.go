package detect

import (
	"sync"
	"sync/atomic"

	"github.com/portcullis/portcullis/ingest"
)

// pool runs an engine with several workers: parsers parse batches side by side,
// one sequencer puts them in order again and asks the watermark, and every
// worker observes the events of its own shards. It starts 2n+1 goroutines.
type pool struct {
	e      *Engine
	parse  chan *job
	order  chan *job
	own    []chan *job
	free   chan *job
	wg     sync.WaitGroup
	flight sync.WaitGroup // jobs fed and not yet released
}

// job is one batch on its way.
type job struct {
	batch   *ingest.Batch
	items   []item
	rejects []ingest.Reject
	parsed  chan struct{} // one token when the parser is done
	mine    [][]uint32    // indices of the items of every worker
	closed  int64
	ceiling int64
	format  string       // by which it was read
	left    atomic.Int32 // workers that are not done
}

type item struct {
	ev     ingest.Event
	k      key
	h      uint64
	closed int64
	timing timing
}

func startPool(e *Engine, decoders []Decoder) *pool {
	n := len(e.workers)
	jobs := 4 * n // bounds what is in flight; Feed waits for a free one
	p := &pool{e: e, parse: make(chan *job, jobs), order: make(chan *job, jobs), free: make(chan *job, jobs)}
	for range jobs {
		p.free <- &job{parsed: make(chan struct{}, 1), mine: make([][]uint32, n)}
	}
	for i := range n {
		p.own = append(p.own, make(chan *job, jobs))
		p.wg.Add(2)
		go p.parser(decoders[i])
		go p.worker(e.workers[i], p.own[i])
	}
	p.wg.Add(1)
	go p.sequencer()
	return p
}

func (p *pool) feed(b *ingest.Batch) {
	j := <-p.free
	j.batch, j.ceiling = b, p.e.ceiling()
	p.flight.Add(1)
	p.order <- j
	p.parse <- j
}

func (p *pool) drain() { p.flight.Wait() }

func (p *pool) stop() {
	p.drain()
	close(p.parse)
	close(p.order)
	p.wg.Wait()
}

func (p *pool) parser(d Decoder) {
	defer p.wg.Done()
	for j := range p.parse {
		j.items, j.rejects = j.items[:0], j.rejects[:0]
		d.Decode(j.batch, func(ev *ingest.Event) {
			k := keyOf(ev.Client)
			j.items = append(j.items, item{ev: *ev, k: k, h: k.hash(p.e.cfg.Seed)})
		}, func(r ingest.Reject) { j.rejects = append(j.rejects, r) })
		j.format = formatOf(d, j.batch)
		j.parsed <- struct{}{}
	}
}

func (p *pool) sequencer() {
	defer p.wg.Done()
	n := uint64(len(p.own))
	for j := range p.order {
		<-j.parsed
		p.e.mark.ceiling = j.ceiling
		q := p.e.mark.open(j.batch, func() int64 { return j.earliest(p.e.mark.bound) })
		page := p.e.books.page(j.batch)
		for i := range j.batch.Rejects {
			page.reject(j.batch.Rejects[i])
		}
		for i := range j.rejects {
			page.reject(j.rejects[i])
		}
		for i := range j.mine {
			j.mine[i] = j.mine[i][:0]
		}
		for i := range j.items {
			it := &j.items[i]
			it.timing = q.place(&it.ev)
			it.closed = p.e.mark.closed()
			page.take(&it.ev, it.timing)
			owner := it.h >> 56 % n
			j.mine[owner] = append(j.mine[owner], uint32(i))
		}
		page.close(j.batch, j.format)
		p.e.mark.settle()
		j.closed = p.e.mark.closed()
		j.left.Store(int32(n))
		for _, c := range p.own {
			c <- j
		}
	}
	for _, c := range p.own {
		close(c)
	}
}

func (j *job) earliest(bound int64) int64 {
	l := least{remarks: j.batch.Remarks, bound: bound}
	for i := range j.items {
		l.see(&j.items[i].ev)
	}
	return l.sec
}

func (p *pool) worker(w *worker, in <-chan *job) {
	defer p.wg.Done()
	var list [aheadMost]*item
	for j := range in {
		w.meter.begin()
		mine := j.mine[w.number]
		for len(mine) > 0 {
			n := min(len(mine), aheadMost)
			for i := range n {
				list[i] = &j.items[mine[i]]
			}
			mine = mine[n:]
			w.together(list[:n])
		}
		w.closeTo(j.closed)
		w.meter.end(len(j.mine[w.number]))
		if j.left.Add(-1) == 0 {
			clear(j.items)
			j.batch.Release()
			j.batch = nil
			p.free <- j
			p.flight.Done()
		}
	}
}
