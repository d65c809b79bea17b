package kafka_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/portcullis/portcullis/ingest/bus/kafka"
	"github.com/portcullis/portcullis/ingest/kafkanet/kafkatest"
)

// helperEnv holds the settings of a member in a process of its own.
const helperEnv = "PORTCULLIS_TEST_MEMBER"

// runMember is what that process does, until it is killed.
func runMember(text string) error {
	var cfg kafka.Config
	if err := json.Unmarshal([]byte(text), &cfg); err != nil {
		return err
	}
	c, err := kafka.Open(context.Background(), cfg, slog.Default())
	if err != nil {
		return err
	}
	if err := c.Ensure(context.Background()); err != nil {
		return err
	}
	return c.Join(context.Background(), "detect", []string{kafka.Access, kafka.Partials}, func(ctx context.Context, g *kafka.Generation) {
		fmt.Println("working", len(g.Partitions[kafka.Access]))
		<-ctx.Done()
	})
}

// TestKilledMember kills a process that has all partitions.
func TestKilledMember(t *testing.T) {
	cfg := settings(kafkatest.Full(t))
	c, _ := ready(t, cfg)
	text, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	other := exec.CommandContext(t.Context(), os.Args[0])
	other.Env = append(os.Environ(), helperEnv+"="+string(text))
	out, err := other.StdoutPipe()
	if err == nil {
		err = other.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Fscanf(out, "working %d\n", &n); err != nil || n != 4 {
		t.Fatalf("the other process has %d partitions: %v", n, err)
	}
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := other.Wait(); err == nil {
		t.Fatal("a killed process ended well")
	}
	o := newOwners()
	leave := member(t, c, o, "a")
	await(t, "its partitions", func() bool { return o.spread(6, "a") })
	t.Logf("killed; its partitions were taken over after %s (session timeout 6s)", time.Since(start).Round(time.Millisecond))
	leave()
}

// TestGenerationFenced asks about a generation after it was over.
func TestGenerationFenced(t *testing.T) {
	c, _ := ready(t, settings(kafkatest.Full(t)))
	var g *kafka.Generation
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Join(ctx, "detect", []string{kafka.Access}, func(ctx context.Context, now *kafka.Generation) {
		g = now
		if err := g.Check(ctx); err != nil {
			t.Errorf("Check while it holds: %v", err)
		}
		if err := g.Commit(ctx, kafka.Access, map[int]int64{0: 7, 3: 9}); err != nil {
			t.Errorf("Commit while it holds: %v", err)
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Join = %v", err)
	}
	if err := g.Check(t.Context()); !errors.Is(err, kafka.ErrLost) {
		t.Errorf("Check after it: %v", err)
	}
	if err := g.Commit(t.Context(), kafka.Access, map[int]int64{0: 8}); !errors.Is(err, kafka.ErrLost) {
		t.Errorf("Commit after it: %v", err)
	}
	got, err := c.Committed(t.Context(), "detect", kafka.Access)
	if err != nil || len(got) != 2 || got[0] != 7 || got[3] != 9 {
		t.Errorf("Committed = %v, %v", got, err)
	}
	cfg := settings(kafkatest.Full(t))
	cfg.SessionTimeout = time.Second
	short, _ := ready(t, cfg)
	err = short.Join(t.Context(), "detect", []string{kafka.Access}, func(context.Context, *kafka.Generation) {})
	if err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a session timeout that the broker does not allow: %v", err)
	}
}
