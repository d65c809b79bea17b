package store_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/ingest"
)

const childEnv = "PORTCULLIS_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		if err := saveForever(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// saveForever saves numbered states, each in four tables, and prints a number
// once Save has acknowledged it.
func saveForever(path string) error {
	db, err := store.Open(path)
	if err != nil {
		return err
	}
	s, err := db.Load(context.Background())
	if err != nil {
		return err
	}
	var n int64
	if len(s.Marks) > 0 {
		n = s.Marks[0].Offset
	}
	for {
		n++
		// 64 parts that differ, so that a kill hits the middle of a save: small
		// ones in one transaction, and every fourth time large ones in pieces
		blobs := map[string][]byte{"n": strconv.AppendInt(nil, n, 10)}
		for i := range 64 {
			blobs[fmt.Sprintf("part/%d", i)] = bytes.Repeat([]byte{byte(n)}, partSize(n))
		}
		err := db.Save(context.Background(), store.State{
			Marks:  []ingest.Mark{{Source: "a", Offset: n}},
			Ledger: []ingest.LedgerRow{{Source: "a", Read: n}},
			Blobs:  blobs,
		})
		if err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func partSize(n int64) int {
	if n%4 == 0 {
		return 128 << 10 // 8 MB together
	}
	return 8 << 10
}

// TestKill kills the writer 20 times, at instants spread over its work, and
// looks at what the file holds.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("long, and one goroutine after the other: leave out -short")
	}
	path := filepath.Join(t.TempDir(), "portcullis.db")
	rng := rand.New(rand.NewPCG(1, 2))
	var last int64
	for round := range 20 {
		acked := runAndKill(t, path, 1+rng.IntN(15), time.Duration(rng.IntN(40000))*time.Microsecond)
		db, err := store.Open(path)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s, err := db.Load(t.Context())
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		_ = db.Close()
		n := int64(0)
		if len(s.Marks) > 0 {
			n = s.Marks[0].Offset
			if s.Ledger[0].Read != n || string(s.Blobs["n"]) != fmt.Sprint(n) {
				t.Fatalf("round %d: mark %d, ledger %d, blob %s", round, n, s.Ledger[0].Read, s.Blobs["n"])
			}
			for i := range 64 {
				if b := s.Blobs[fmt.Sprintf("part/%d", i)]; !bytes.Equal(b, bytes.Repeat([]byte{byte(n)}, partSize(n))) {
					t.Fatalf("round %d: part %d is of another state than %d", round, i, n)
				}
			}
		}
		if n < acked || n < last {
			t.Fatalf("round %d: the file holds %d, acknowledged were %d and before %d", round, n, acked, last)
		}
		last = n
	}
	if last < 20 {
		t.Fatalf("only %d states were saved in 20 rounds: the test tests nothing", last)
	}
}

// runAndKill lets the child acknowledge some states and kills it a moment
// later. The moment is the point of the test, so it is the one real wait here.
func runAndKill(t *testing.T, path string, states int, moment time.Duration) (acked int64) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range states {
		if !lines.Scan() {
			break
		}
		acked = number(t, lines.Text())
	}
	timer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	for lines.Scan() { // until the pipe breaks
		acked = number(t, lines.Text())
	}
	timer.Stop()
	if err := cmd.Wait(); err == nil || acked == 0 {
		t.Fatalf("the child ended by itself (%v) after %d", err, acked)
	}
	return acked
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatalf("the child printed %q", s)
	}
	return n
}
