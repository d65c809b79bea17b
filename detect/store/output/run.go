package output

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/portcullis/portcullis/detect/store/elastic"
)

// Piece is some documents of a feed, and the place behind them.
type Piece struct {
	Docs []elastic.Doc
	Next string
}

// Feed is where documents come from, in an order that stays.
type Feed struct {
	Name string // as in Batch
	// From is how far was sent; "" is the beginning.
	From func(ctx context.Context) (string, error)
	// Read gives what lies behind a place to each, then what comes, until ctx ends.
	Read func(ctx context.Context, from string, each func(Piece) error) error
	// Commit notes how far was sent.
	Commit func(ctx context.Context, next string) error
	// Waiting is how much of it is not sent, in its own unit; nil: nobody knows.
	Waiting func() int64
}

// Options is what an Output needs beside its settings.
type Options struct {
	Config Config
	Common Common
	// Rejected keeps a document that the other side refuses for good, with the reason;
	// it may be called by several goroutines. An error is tried again like a fault.
	Rejected func(ctx context.Context, d elastic.Doc, reason string) error
	Log      *slog.Logger // must not be nil
}

// Output sends feeds to one sink.
type Output struct {
	Options
	sink  Sink
	whole bool
	slots chan struct{}
	meet  meter
}

// New makes an output. The settings must have passed their checks.
func New(o Options) (*Output, error) {
	spec, err := Lookup(o.Config.Type)
	if err != nil {
		return nil, err
	}
	o.Common.Name = o.Config.ID()
	o.Config.Batch = cmp.Or(o.Config.Batch, spec.Batch, 1<<20)
	o.Config.Interval = cmp.Or(o.Config.Interval, spec.Interval, time.Second)
	sink, err := spec.Open(o.Config.section(), o.Common)
	if err != nil {
		return nil, fmt.Errorf("output %s: %w", o.Common.Name, err)
	}
	return &Output{Options: o, sink: sink, whole: spec.Whole, slots: make(chan struct{}, o.Config.Parallel),
		meet: meter{log: o.Log.With("output", o.Common.Name), sent: map[elastic.Kind]int64{}}}, nil
}

// How long until what failed is tried again, unless the other side says.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 30 * time.Second
	mostAsked  = 5 * time.Minute
)

// Run sends feeds until ctx ends, and closes a sink that can be closed. It starts two
// goroutines a feed, and joins them.
func (o *Output) Run(ctx context.Context, feeds ...Feed) {
	if c, ok := o.sink.(io.Closer); ok {
		defer func() {
			if err := c.Close(); err != nil {
				o.Log.Warn("output: its connection was not closed", "output", o.Common.Name, "error", err.Error())
			}
		}()
	}
	var wg sync.WaitGroup
	for _, f := range feeds {
		wg.Go(func() {
			for try := 0; ctx.Err() == nil; try++ {
				began := time.Now()
				err := o.feed(ctx, f)
				if ctx.Err() != nil {
					return
				}
				if time.Since(began) > time.Minute {
					try = 0
				}
				o.meet.trouble(fmt.Errorf("feed %s is read anew from what was noted last: %w", f.Name, err))
				_ = pause(ctx, try, 0) // ended by ctx, which the loop sees
			}
		})
	}
	wg.Wait()
}

// ahead is how many pieces are read before they are gathered.
const ahead = 4

// feed sends one feed from what was noted.
func (o *Output) feed(ctx context.Context, f Feed) error {
	from, err := f.From(ctx)
	if err != nil {
		return fmt.Errorf("how far was sent: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	in, read := make(chan Piece, ahead), make(chan error, 1)
	go func() {
		defer close(in)
		read <- f.Read(ctx, from, func(p Piece) error {
			select {
			case in <- p:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	err = o.pump(ctx, f, from, in)
	cancel()
	return errors.Join(<-read, err)
}

// pump gathers, sends and notes until in is closed.
func (o *Output) pump(ctx context.Context, f Feed, from string, in <-chan Piece) error {
	for again := true; ; again = false {
		b := &Batch{Feed: f.Name, From: from, Again: again}
		var open bool
		if from, open = o.gather(ctx, b, in); ctx.Err() != nil {
			return ctx.Err()
		}
		if err := o.deliver(ctx, b); err != nil {
			return err
		}
		if from != b.From {
			if err := f.Commit(ctx, from); err != nil {
				return fmt.Errorf("note how far was sent: %w", err)
			}
		}
		if !open {
			return nil
		}
	}
}

// gather fills a batch, and returns the place behind it.
func (o *Output) gather(ctx context.Context, b *Batch, in <-chan Piece) (next string, open bool) {
	var full <-chan time.Time
	next = b.From
	for size := int64(0); size < o.Config.Batch; {
		select {
		case <-ctx.Done():
			return next, true
		case <-full:
			return next, true
		case p, ok := <-in:
			if !ok {
				return next, false
			}
			if full == nil {
				t := time.NewTimer(o.Config.Interval)
				defer t.Stop()
				full = t.C
			}
			next = p.Next
			for _, d := range p.Docs {
				b.Docs = append(b.Docs, d)
				size += int64(len(d.Source))
			}
		}
	}
	return next, true
}

// deliver sends a batch until all of it is settled.
func (o *Output) deliver(ctx context.Context, b *Batch) error {
	queue := newest(b.Docs)
	limit := len(queue)
	for try := 0; len(queue) > 0; {
		part := *b
		part.Docs = queue[:o.cut(queue, limit)]
		err := o.send(ctx, &part)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var no *Refusal
		final := errors.As(err, &no) && no.Final
		switch {
		case err == nil:
			o.meet.delivered(part.Docs)
			queue, try, limit = queue[len(part.Docs):], 0, 2*len(part.Docs)
		case final && len(part.Docs) > 1 && !o.whole:
			limit = len(part.Docs) / 2 // until it is found which one
		case final && !o.whole && o.reject(ctx, part.Docs[0], no) == nil:
			queue = queue[1:]
		default:
			o.meet.failed(err, len(part.Docs))
			var after time.Duration
			if no != nil {
				after = no.After
			}
			if err := pause(ctx, try, after); err != nil {
				return err
			}
			try++
		}
	}
	return nil
}

// reject hands a document over for good.
func (o *Output) reject(ctx context.Context, d elastic.Doc, why error) error {
	err := o.Rejected(ctx, d, why.Error())
	if err != nil {
		o.meet.trouble(fmt.Errorf("a document that was refused cannot be kept: %w", err))
		return err
	}
	o.meet.rejected(d, why)
	return nil
}

func (o *Output) send(ctx context.Context, b *Batch) error {
	select {
	case o.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-o.slots }()
	ctx, cancel := context.WithTimeout(ctx, o.Config.Timeout)
	defer cancel()
	return o.sink.Send(ctx, b)
}

// cut is how many documents are sent at once: at least one.
func (o *Output) cut(queue []elastic.Doc, limit int) int {
	if o.whole {
		return len(queue)
	}
	n, size := 0, int64(0)
	for ; n < len(queue) && n < max(limit, 1); n++ {
		if size += int64(len(queue[n].Source)); n > 0 && size > o.Config.Batch {
			break
		}
	}
	return n
}

// newest drops older versions of the same document, and keeps the order of the others.
func newest(docs []elastic.Doc) []elastic.Doc {
	last := make(map[string]int, len(docs))
	for i, d := range docs {
		key := string(d.Kind) + " " + d.ID
		if was, known := last[key]; !known || d.Version >= docs[was].Version {
			last[key] = i
		}
	}
	out := make([]elastic.Doc, 0, len(last))
	for i, d := range docs {
		if last[string(d.Kind)+" "+d.ID] == i {
			out = append(out, d)
		}
	}
	return out
}

// pause waits before the next try: as long as the other side asked for, or longer each
// time, and never as long as others do.
func pause(ctx context.Context, try int, asked time.Duration) error {
	wait := min(firstPause<<min(try, 10), mostPause)
	if asked > 0 {
		wait = min(asked, mostAsked)
	}
	wait += rand.N(wait/2 + 1)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
