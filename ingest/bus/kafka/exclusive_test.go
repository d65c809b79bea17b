package kafka_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/portcullis/portcullis/ingest/bus"
	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// TestExclusive: while one works alone nobody else can be a member, and it cannot
// begin while others are.
func TestExclusive(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Need(t)))
	other, _ := open(t, settingsOf(c, t))
	err := c.Exclusive(t.Context(), "detect", func(ctx context.Context) error {
		who, err := c.Members(ctx, "detect")
		if err != nil || len(who) != 1 {
			t.Errorf("members: %v, %v", who, err)
		}
		var busy *kafka.BusyError
		if err := other.Exclusive(ctx, "detect", func(context.Context) error { return nil }); !errors.As(err, &busy) || len(busy.Members) != 1 {
			t.Errorf("another could work alone as well: %v", err)
		}
		err = other.Join(ctx, "detect", []string{kafka.Access}, func(context.Context, *kafka.Generation) { t.Error("another is a member") })
		if err == nil || !strings.Contains(err.Error(), "is portcullis kafka rescale at work?") {
			t.Errorf("another joined: %v", err)
		}
		return errors.New("what work says")
	})
	if err == nil || err.Error() != "what work says" {
		t.Fatal(err)
	}
	if who, err := c.Members(t.Context(), "detect"); err != nil || len(who) != 0 {
		t.Errorf("members after it: %v, %v", who, err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	joined, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		_ = other.Join(ctx, "detect", []string{kafka.Access}, func(ctx context.Context, _ *kafka.Generation) { // until stop
			close(joined)
			<-ctx.Done()
		})
	}()
	<-joined
	var busy *kafka.BusyError
	if err := c.Exclusive(t.Context(), "detect", func(context.Context) error { return nil }); !errors.As(err, &busy) || len(busy.Members) != 1 {
		t.Errorf("it worked beside a member: %v", err)
	}
	stop()
	<-ended
}

// settingsOf are those of a second process of the same installation.
func settingsOf(c *kafka.Client, t *testing.T) kafka.Config {
	cfg := settings(kafkatest.Need(t))
	cfg.Prefix = strings.TrimSuffix(c.Topic(""), ".")
	return cfg
}

// TestGrowAndSweep: topics get the partitions that lack, an era's snapshots go away
// and no other, and notes last until they are taken away.
func TestGrowAndSweep(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Full(t)))
	next := kafka.Layout{Partitions: 6, Wide: 2, Era: 1}
	changed, err := c.Grow(t.Context(), next)
	if err != nil || len(changed) != 2 {
		t.Fatalf("%q, %v", changed, err)
	}
	if changed, err = c.Grow(t.Context(), next); err != nil || len(changed) != 0 {
		t.Errorf("again: %q, %v", changed, err)
	}
	p := produce(t, c)
	s := c.Store(p)
	for _, name := range []string{"front", "front.1", "wide"} {
		task, _, err := s.Load(t.Context(), name, 5)
		if err != nil {
			t.Fatal(err)
		}
		if err := task.Save(t.Context(), 1, []byte(name), map[string][]byte{"a/b": []byte("x")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Note(t.Context(), p, "one", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Note(t.Context(), p, "two", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if err := c.Note(t.Context(), p, "two", nil); err != nil {
		t.Fatal(err)
	}
	if err := c.SetLayout(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if err := s.Sweep(t.Context(), 5, func(task string) bool { return task == "front" }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"front": false, "front.1": true, "wide": true} {
		if _, saved, err := s.Load(t.Context(), name, 5); err != nil || saved.Found != want {
			t.Errorf("%s: found %v, %v", name, saved.Found, err)
		}
	}
	kept := map[string]bool{}
	for _, m := range all(t, c, kafka.State, 5) {
		kept[string(m.Key)] = m.Value != nil
	}
	maps.DeleteFunc(kept, func(key string, there bool) bool { return !there || !strings.HasPrefix(key, "front/") })
	if len(kept) > 0 {
		t.Errorf("left of it: %v", kept)
	}
	book, err := c.Notebook(t.Context())
	if err != nil || book.Layout != next || len(book.Notes) != 1 || string(book.Notes["one"]) != "1" {
		t.Errorf("%+v, %v", book, err)
	}
	if name := book.Layout.StateName("front", kafka.Access); name != "front.1" {
		t.Errorf("state of level one is called %q", name)
	}
}

// TestSurveyChangesNothing: where no topic is, all are said to be missing, and still
// are.
func TestSurveyChangesNothing(t *testing.T) {
	c, _ := open(t, settings(kafkatest.Full(t)))
	for range 2 {
		s, err := c.Survey(t.Context())
		if err != nil || s.Found || len(s.Wrong) != 7 || !strings.Contains(s.Wrong.Error(), "does not exist") {
			t.Fatalf("%+v, %v", s, err)
		}
	}
	if err := c.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	p := produce(t, c)
	if _, err := p.SendWait(t.Context(), kafka.Access, 1, bus.Message{Value: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	s, err := c.Survey(t.Context())
	if err != nil || !s.Found || len(s.Wrong) > 0 || s.Layout.Partitions != 4 || s.Topics[1].Messages != 1 || s.Topics[1].Partitions != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}
