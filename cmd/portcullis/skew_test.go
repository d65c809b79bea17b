package main

import (
	"strings"
	"testing"
	"time"
)

func TestSkew(t *testing.T) {
	at := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	for ahead, want := range map[time.Duration]string{-time.Hour: "", 0: "", 2 * time.Second: "", 90 * time.Second: "1m30s ahead"} {
		if got := skew(at.Add(ahead).Unix(), at); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%s ahead: %q, want %q in it", ahead, got, want)
		}
	}
}
