package console

import (
	"math"
	"net/http"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Bounds of what one caller may ask of the API: a burst, and then so many a second.
// maxCallers are remembered; the one that was quiet longest is forgotten first, and
// begins anew with a whole burst.
const (
	readBurst, readRate   = 600, 50
	writeBurst, writeRate = 60, 1
	maxCallers            = 4096
)

// limiter counts by caller: a token bucket each. It is safe for concurrent use.
type limiter struct {
	burst, rate float64

	mu      sync.Mutex
	callers *lru.Cache[string, bucket]
}

type bucket struct {
	left float64
	at   time.Time
}

func newLimiter(burst, rate float64) (*limiter, error) {
	callers, err := lru.New[string, bucket](maxCallers)
	return &limiter{burst: burst, rate: rate, callers: callers}, err
}

// take returns how long the caller has to wait; 0 = not at all.
func (l *limiter) take(caller string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, known := l.callers.Get(caller)
	if !known {
		b = bucket{left: l.burst, at: now}
	}
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		b.left = math.Min(l.burst, b.left+passed*l.rate)
	}
	b.at = now
	if b.left < 1 {
		l.callers.Add(caller, b)
		return time.Duration((1 - b.left) / l.rate * float64(time.Second))
	}
	b.left--
	l.callers.Add(caller, b)
	return 0
}

// allowance refuses a caller that asks too much, with when to come again.
func (s *Server) allowance(r *http.Request, who principal, method string) error {
	l := s.reads
	if method != http.MethodGet {
		l = s.writes
	}
	wait := l.take(who.name+"|"+who.key+"|"+network(r.RemoteAddr).String(), s.now())
	if wait == 0 {
		return nil
	}
	p := newProblem(http.StatusTooManyRequests, "too many requests; the Retry-After header says when to come again")
	p.retryAfter = int(wait/time.Second) + 1
	return p
}
