package servetest

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// ErrDisk is what a failing disk says.
var ErrDisk = errors.New("write segment: input/output error")

// Store is a spool's intake in memory that fails as it is told. Its zero value
// takes everything.
type Store struct {
	mu     sync.Mutex
	lines  []byte
	calls  int
	faults []error
	always error
}

// Append implements spool.Intake. Half a line is an error.
func (s *Store) Append(lines []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	if s.always != nil {
		return s.always
	}
	if len(s.faults) > 0 {
		err := s.faults[0]
		s.faults = s.faults[1:]
		if err != nil {
			return err
		}
	}
	if len(lines) == 0 || lines[len(lines)-1] != '\n' {
		return fmt.Errorf("half a line was appended: %.80q", lines)
	}
	s.lines = append(s.lines, lines...)
	return nil
}

// FailNext makes the next calls fail with these, nil for a success.
func (s *Store) FailNext(faults ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults
}

// Fail makes every call fail until it is called with nil.
func (s *Store) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = err
}

// Lines are those that were taken.
func (s *Store) Lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.TrimSuffix(string(s.lines), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// Calls is how often Append was called.
func (s *Store) Calls() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// Eventually polls for a condition, for ten seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if ok() {
			return
		}
		<-tick.C
	}
	t.Fatalf("ten seconds passed before: %s", what)
}
