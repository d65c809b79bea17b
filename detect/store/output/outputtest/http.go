package outputtest

import (
	"compress/gzip"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Far is the other side of an output, as the suite wants it.
type Far interface {
	// Address is where it listens; it stays when it is stopped and started again.
	Address() string
	// Got are the ids that came, in the order in which they came, repeated ones too.
	Got() []string
	// Break makes it misbehave until the next call; "" is well. It knows Faults.
	Break(fault string)
	// Faults are those that it can have. The name of one that only keeps us waiting begins
	// with "no".
	Faults() []string
	// Poison makes it refuse a document for good; false where it refuses none.
	Poison(id string) bool
	Stop()
	Start(t *testing.T)
}

// Service is a Far that is told by HTTP.
type Service struct {
	// Take reads the ids of the documents of a request; an error is a broken request.
	Take func(t *testing.T, r *http.Request, body []byte) []string
	// Answer says that they were taken, or that one of them is refused.
	Answer func(w http.ResponseWriter, r *http.Request, ids []string, refused string)
	// Other handles requests to other paths than where documents go; true = it did.
	Other func(w http.ResponseWriter, r *http.Request, body []byte) bool
	// More are faults of its own: what it answers then.
	More map[string]func(w http.ResponseWriter, r *http.Request)

	t       *testing.T
	address string

	mu     sync.Mutex
	server *httptest.Server
	got    []string
	fault  string
	poison string
}

// Start implements Far.
func (s *Service) Start(t *testing.T) {
	t.Helper()
	s.t = t
	at := s.address
	if at == "" {
		at = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.serve)}}
	server.Start()
	s.mu.Lock()
	s.server, s.address = server, l.Addr().String()
	s.mu.Unlock()
}

// Stop implements Far.
func (s *Service) Stop() {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	server.CloseClientConnections()
	server.Close()
}

// Address implements Far.
func (s *Service) Address() string { return s.address }

// Got implements Far.
func (s *Service) Got() []string { s.mu.Lock(); defer s.mu.Unlock(); return slices.Clone(s.got) }

// Break implements Far.
func (s *Service) Break(fault string) { s.mu.Lock(); defer s.mu.Unlock(); s.fault = fault }

// Poison implements Far.
func (s *Service) Poison(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.poison = id
	return true
}

// Faults implements Far.
func (s *Service) Faults() []string {
	list := []string{"connection cut before", "connection cut behind", "no answer", "429", "503", "500", "502 of a proxy", "403", "redirect"}
	for name := range s.More {
		list = append(list, name)
	}
	return list
}

func (s *Service) serve(w http.ResponseWriter, r *http.Request) {
	in := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			s.t.Errorf("the body is said to be compressed: %v", err)
			return
		}
		in = z
	}
	body, err := io.ReadAll(in)
	if err != nil {
		return // the sender was killed
	}
	s.mu.Lock()
	fault, poison := s.fault, s.poison
	s.mu.Unlock()
	if s.Other != nil && fault == "" && s.Other(w, r, body) {
		return
	}
	if more := s.More[fault]; more != nil {
		more(w, r)
		return
	}
	if s.misbehave(w, r, fault) {
		return
	}
	ids := s.Take(s.t, r, body)
	if poison != "" && slices.Contains(ids, poison) {
		s.Answer(w, r, ids, poison)
		return
	}
	s.mu.Lock()
	s.got = append(s.got, ids...)
	s.mu.Unlock()
	if fault == "connection cut behind" {
		panic(http.ErrAbortHandler)
	}
	s.Answer(w, r, ids, "")
}

// misbehave answers as a fault has it; false where there is none before the request is
// taken.
func (s *Service) misbehave(w http.ResponseWriter, r *http.Request, fault string) bool {
	switch fault {
	case "connection cut before":
		panic(http.ErrAbortHandler)
	case "no answer":
		<-r.Context().Done()
	case "429", "503":
		w.Header().Set("Retry-After", "0.05")
		w.WriteHeader(map[string]int{"429": 429, "503": 503}[fault])
	case "500", "403":
		w.WriteHeader(map[string]int{"500": 500, "403": 403}[fault])
	case "502 of a proxy":
		w.WriteHeader(502)
		_, _ = io.WriteString(w, "<html>"+strings.Repeat("bad gateway ", 9000)) // a client that is gone reads nothing
	case "redirect":
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	default:
		return false
	}
	return true
}
