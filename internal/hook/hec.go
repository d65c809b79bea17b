package hook

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// HEC is Splunk's HTTP Event Collector, by
// https://docs.splunk.com/Documentation/Splunk/latest/Data/AboutHECIDXAck. It may be used
// from any goroutine.
type HEC struct {
	Client     *http.Client
	URL        string // such as https://splunk.example.org:8088
	Token      string
	RequireAck bool // refuse a token without acknowledgement by the indexer
	Gzip       bool

	channel string // a UUID, by which acknowledgements are asked for
}

// HECError is an answer of a collector that is no success.
type HECError struct {
	Answer
	Code int // Splunk's own number; 0 where it gave none
}

// Error implements error.
func (e *HECError) Error() string {
	return fmt.Sprintf("the collector answers with status %d: %.300q", e.Status, e.Body)
}

// Channel gives the collector a channel of its own, which is needed before Send.
func (h HEC) Channel() *HEC {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	h.channel = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	return &h
}

// ackEvery is how often an acknowledgement is asked for.
const ackEvery = 500 * time.Millisecond

// Send posts events, and returns nil once the indexer has acknowledged them, where the
// token has that. An answer that is no success is a *HECError.
func (h *HEC) Send(ctx context.Context, events []byte) error {
	var header []string
	if h.Gzip {
		packed, err := Gzip(events)
		if err != nil {
			return err
		}
		events, header = packed, []string{"Content-Encoding", "gzip"}
	}
	a, err := h.call(ctx, "/services/collector/event", events, header...)
	if err != nil {
		return err
	}
	var said struct {
		AckID *int64 `json:"ackId"`
	}
	if err := json.Unmarshal(a.Body, &said); err != nil {
		return fmt.Errorf("the answer is not that of a collector: %w", err)
	}
	switch {
	case said.AckID != nil:
		return h.await(ctx, *said.AckID)
	case h.RequireAck:
		return errors.New("the token has no indexer acknowledgement: enable it, or set require_ack to false")
	}
	return nil
}

func (h *HEC) call(ctx context.Context, path string, body []byte, header ...string) (Answer, error) {
	header = append(header, "Authorization", "Splunk "+strings.TrimSpace(h.Token), "X-Splunk-Request-Channel", h.channel)
	a, err := Post(ctx, h.Client, strings.TrimRight(h.URL, "/")+path, body, header...)
	if err != nil || a.OK() {
		return a, err
	}
	var said struct {
		Code int `json:"code"`
	}
	_ = json.Unmarshal(a.Body, &said) // a proxy's answer has no code
	return a, &HECError{a, said.Code}
}

// await asks until the events are indexed.
func (h *HEC) await(ctx context.Context, id int64) error {
	tick := time.NewTicker(ackEvery)
	defer tick.Stop()
	key := strconv.FormatInt(id, 10)
	for {
		a, err := h.call(ctx, "/services/collector/ack?channel="+url.QueryEscape(h.channel), []byte(`{"acks":[`+key+`]}`))
		if err != nil {
			return fmt.Errorf("ask for the acknowledgement: %w", err)
		}
		var said struct {
			Acks map[string]bool `json:"acks"`
		}
		if err := json.Unmarshal(a.Body, &said); err != nil {
			return fmt.Errorf("ask for the acknowledgement: the answer is not that of a collector: %w", err)
		}
		if said.Acks[key] {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the indexer has not acknowledged the events in time")
		case <-tick.C:
		}
	}
}
