package console

import "time"

// Hurry shortens what tests would otherwise wait for.
func (s *Server) Hurry(tick, patience time.Duration) { s.tick, s.patience = tick, patience }

// Route is one line of the route table, for tests that go through all of it.
type Route struct {
	Method, Pattern string
	Private, Page   bool
	Role            Role
	Documented      bool
}

// Routes lists the server's routes.
func (s *Server) Routes() []Route {
	var out []Route
	for _, rt := range s.routes() {
		out = append(out, Route{rt.method, rt.pattern, rt.access == private, rt.page, rt.role, rt.doc != nil})
	}
	return out
}

// ParseKeys reads a keys file that is at hand.
var ParseKeys = parseKeys

// ParseSessions reads a file of sessions that is at hand, and returns how many it has.
func ParseSessions(data []byte) (int, error) {
	k, err := parseSessions(data)
	return len(k.Sessions), err
}

// Limits of the server that tests run into.
const (
	MaxStreams = maxStreams
	MaxWrong   = maxWrong
	ReadBurst  = readBurst
)
