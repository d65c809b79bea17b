package console

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// Role is what somebody may do; each includes those before it.
type Role string

// The roles.
const (
	Viewer   Role = "viewer"   // look at everything
	Operator Role = "operator" // approve, release, extend, allow
	Admin    Role = "admin"    // the panic switch, and the list of API keys
)

// Roles lists the roles, the least first.
func Roles() []Role { return []Role{Viewer, Operator, Admin} }

// ParseRole reads the name of a role.
func ParseRole(name string) (Role, error) {
	if slices.Contains(Roles(), Role(name)) {
		return Role(name), nil
	}
	return "", fmt.Errorf("console: there is no role %.40q: viewer, operator or admin", name)
}

// covers reports whether who has r may do what needs least.
func (r Role) covers(least Role) bool {
	return slices.Index(Roles(), r) >= slices.Index(Roles(), least) && r != ""
}

// principal is who sent a request.
type principal struct {
	name string // "console" for whoever is at the machine or has the token
	role Role
	key  string // name of the API key that it came with; "" = none
	via  *via   // what a session of it depends on; nil: nothing logged in
}

// inLedger is how the principal is written into the ledger: with the address, since
// several may share a token.
func (p principal) inLedger(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return strings.TrimSpace(p.name) + " (" + host + ")"
}

type principalKey struct{}

// as hands the principal to the handlers of a request.
func (p principal) as(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), principalKey{}, p))
}

// caller is who guard let through.
func caller(r *http.Request) principal {
	p, _ := r.Context().Value(principalKey{}).(principal)
	return p
}

// may refuses what the caller's role does not cover.
func (p principal) may(least Role) error {
	if p.role.covers(least) {
		return nil
	}
	return newProblem(http.StatusForbidden, fmt.Sprintf("this needs the role %s, and you have %s: ask an admin, or use another login or key", least, p.role))
}
