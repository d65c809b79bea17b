package authn

import "strings"

// refuse makes the answer to a request that may not pass. r is the rule that refuses it.
func (g *Guard) refuse(f fault, r *rule) Result {
	g.counts[f].Add(1)
	switch f {
	case faultScope:
		return Result{Status: statusForbidden, Challenge: g.challenge(f, r),
			Detail: "These credentials are good, but not for this route or method."}
	case faultBlind:
		return Result{Status: statusUnavailable, Detail: "Credentials cannot be checked now."}
	case faultUnreadable:
		return Result{Status: statusBad, Detail: "What this request is for, and so what it needs, cannot be told from its path and method."}
	case faultMissing:
		return Result{Status: statusUnknown, Challenge: g.challenge(f, r), Detail: "This route needs credentials."}
	}
	// Which of unknown, run out and revoked it is is for the operator's metrics only.
	return Result{Status: statusUnknown, Challenge: g.challenge(f, r), Detail: "These credentials are not valid."}
}

// challenge is the WWW-Authenticate field (RFC 9110, section 11.6.1; the error codes are
// those of RFC 6750, section 3.1). It is one line even where two schemes are offered, for
// gateways that pass on one only.
func (g *Guard) challenge(f fault, r *rule) string {
	var b strings.Builder
	code := map[fault]string{faultScope: "insufficient_scope", faultUnknown: "invalid_token", faultExpired: "invalid_token", faultRevoked: "invalid_token"}[f]
	add := func(scheme string) {
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(scheme + ` realm="` + g.cfg.Realm + `"`)
		if code != "" {
			b.WriteString(`, error="` + code + `"`)
		}
		if f == faultScope && len(r.scopes) > 0 {
			b.WriteString(`, scope="` + strings.Join(r.scopes, " ") + `"`)
		}
	}
	if r.need == NeedKey || r.need == NeedAny {
		add("ApiKey")
	}
	if r.need == NeedToken || r.need == NeedAny {
		add("Bearer")
	}
	return b.String()
}

// Stats are counts since the start.
type Stats struct {
	Known   int64            // requests of somebody who is known
	Nobody  int64            // requests that passed without credentials
	Refused map[string]int64 // by reason
	Secrets int              // of client keys, now
	Skipped int64            // requests that no quota counted for want of room
}

// Stats returns the counts.
func (g *Guard) Stats() Stats {
	s := Stats{Skipped: g.quotas.skips.Load(), Known: g.counts[faultNone].Load(), Nobody: g.noNames.Load(), Refused: map[string]int64{}}
	for f := faultMissing; f < faults; f++ {
		s.Refused[f.String()] = g.counts[f].Load()
	}
	if g.keys != nil {
		s.Secrets = g.keys.size()
	}
	return s
}

// Health says why credentials cannot be checked; nil when they can. An issuer that answered
// once is no trouble while it is away.
func (g *Guard) Health() error {
	if g.keys != nil {
		if err := g.keys.health(); err != nil {
			return err
		}
	}
	return g.tokens.health()
}
