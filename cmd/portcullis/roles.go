package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The roles of a process. All of them together need no Kafka between them.
const (
	roleCollect = "collect"
	roleDetect  = "detect"
	roleEnforce = "enforce"
	roleConsole = "console"
)

var allRoles = roles{roleCollect, roleDetect, roleEnforce, roleConsole}

// roles are what one process does.
type roles []string

func (r roles) has(role string) bool { return slices.Contains(r, role) }

// all reports whether the process does everything.
func (r roles) all() bool { return len(r) == len(allRoles) }

// rolesOf reads the names of roles; none means all.
func rolesOf(names []string) (roles, error) {
	if len(names) == 0 {
		return allRoles, nil
	}
	var out roles
	for _, role := range allRoles {
		if slices.Contains(names, role) {
			out = append(out, role)
		}
	}
	for _, n := range names {
		if !slices.Contains(allRoles, n) {
			return nil, usagef("there is no role %q: %s", n, strings.Join(allRoles, ", "))
		}
	}
	return out, nil
}

// workable says why settings do not do for these roles.
func (r roles) workable(s *Settings) error {
	if !s.Kafka.Enabled && !r.all() {
		return fmt.Errorf("only %s here, and nothing between the processes: set kafka.enabled and kafka.brokers, or let one process do it all with \"portcullis run\"", strings.Join(r, " and "))
	}
	if !r.has(roleCollect) {
		return nil
	}
	return s.workable()
}

// sharedKey refuses a process of several that has no installation key: one that it
// made by itself would put clients into other shards than those of the others.
func (r roles) sharedKey(s *Settings) error {
	if r.all() {
		return nil
	}
	path := filepath.Join(s.StateDir, keyFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no installation key at %s: all processes of one installation need the same one, since it decides which detector sees a client: make it once with \"openssl rand -hex 32\", and put it there on each machine, mode 600", path)
	}
	return nil
}
