package spool

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest"
)

// fed is a receiver that is given its lines by the test.
type fed struct {
	lines chan string
	err   error
}

func (f *fed) Serve(ctx context.Context, in Intake) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case line, ok := <-f.lines:
			if !ok {
				return f.err
			}
			if err := in.Append([]byte(line)); err != nil {
				return err
			}
		}
	}
}

func (f *fed) Stats() Stats {
	return Stats{Received: 1, Dropped: 2, Refused: 3, Rejected: 4, Senders: 5}
}

func TestSource(t *testing.T) {
	s := openIn(t, Config{})
	r := &fed{lines: make(chan string, 10)}
	x := NewSource(s, r)
	r.lines <- "one\n"
	r.lines <- "two\n"
	lines, got := take(t, x.Run, 2)
	if text(lines) != "one\ntwo\n" {
		t.Fatalf("read %q", text(lines))
	}
	x.Saved(last(got))
	h := x.Health()
	if h.Received != 1 || h.Dropped != 2 || h.Refused != 3 || h.Rejected != 4 || h.Senders != 5 || h.Lag != 0 || x.Stats() != r.Stats() {
		t.Errorf("Health is %+v", h)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Run(ctx, nil, nil); err != context.Canceled {
		t.Errorf("Run of an ended context = %v", err)
	}
}

func TestSourceWhoseReceiverFails(t *testing.T) {
	r := &fed{lines: make(chan string), err: errors.New("listen udp :514: address already in use")}
	close(r.lines)
	x := NewSource(openIn(t, Config{}), r)
	err := x.Run(t.Context(), nil, func(context.Context, *ingest.Batch) error { return nil })
	if err != r.err {
		t.Fatalf("Run = %v, want why the receiver stopped", err)
	}
}

func BenchmarkAppendAndRead(b *testing.B) {
	const perAppend = 64
	line := strings.Repeat("a", 249) + "\n"
	lines := []byte(strings.Repeat(line, perAppend))
	s := openIn(b, Config{Sync: 1e9})
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	done := errors.New("done")
	read := make(chan error, 1)
	want := (b.N + perAppend - 1) / perAppend * len(lines)
	go func() {
		got := 0
		read <- s.Run(context.Background(), nil, func(_ context.Context, batch *ingest.Batch) error {
			got += len(batch.Data)
			batch.Release()
			s.Saved(batch.Mark)
			if got >= want {
				return done
			}
			return nil
		})
	}()
	for i := 0; i < b.N; i += perAppend {
		for err := ErrFull; err != nil; {
			if err = s.Append(lines); err != nil && !errors.Is(err, ErrFull) {
				b.Fatal(err)
			}
		}
	}
	if err := <-read; err != done {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

func BenchmarkAppendOne(b *testing.B) {
	line := []byte(strings.Repeat("a", 249) + "\n")
	s := openIn(b, Config{Sync: 1e9, MaxBytes: 1 << 40})
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for p.Next() {
			if err := s.Append(line); err != nil {
				b.Error(err)
			}
		}
	})
}
