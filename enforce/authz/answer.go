package authz

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/portcullis/portcullis/enforce/authn"
)

// The problem types of draft-ietf-httpapi-ratelimit-headers-11, section 5.
const typeQuota = "https://iana.org/assignments/http-problem-types#quota-exceeded"

// problem is an answer's body, as RFC 9457 has it.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail"`
	Instance string   `json:"instance,omitempty"` // names the decision, for who asks support
	Violated []string `json:"violated-policies,omitempty"`
	Errors   []wrong  `json:"errors,omitempty"` // what is wrong with the request
}

// header is one field of an answer.
type header struct{ name, value string }

// answer is what a client is told.
type answer struct {
	status int // 200 = it passes
	fields [4]header
	n      int
	body   []byte
}

func (a *answer) add(name, value string) {
	a.fields[a.n] = header{name, value}
	a.n++
}

// fieldAuthenticate is WWW-Authenticate as Go writes it.
const fieldAuthenticate = "Www-Authenticate"

// retryClosed is what is said to wait where a route fails closed, in seconds.
const retryClosed = "5"

// answerOf puts a verdict into words.
func answerOf(v verdict) answer {
	a := answer{status: http.StatusOK}
	if v.quota.Over || v.policy == "" {
		v.policy, v.left, v.wait = v.quota.Name, v.quota.Left, v.quota.Wait
	} else {
		v.quota = authn.Usage{}
	}
	if v.policy != "" {
		a.add("RateLimit-Policy", policyField(v))
		a.add("RateLimit", limitField(v))
	}
	p := problem{Type: "about:blank"}
	switch v.outcome {
	case blocked:
		p.Status, p.Detail, p.Instance = http.StatusForbidden, "Requests from here are refused for a while, because of earlier ones.", instance(v.rule)
	case throttled:
		p.Status, p.Type, p.Instance = http.StatusTooManyRequests, typeQuota, instance(v.rule)
		p.Detail, p.Violated = "Too many requests: wait as long as Retry-After says.", []string{v.policy}
		a.add("Retry-After", strconv.FormatInt(max(seconds(int64(v.wait)), 1), 10))
	case refused:
		p.Status, p.Detail = v.auth.Status, v.auth.Detail
		if v.auth.Challenge != "" {
			a.add(fieldAuthenticate, v.auth.Challenge)
		}
		if p.Status == http.StatusServiceUnavailable {
			a.add("Retry-After", retryClosed)
		}
	case closed:
		p.Status, p.Detail = http.StatusServiceUnavailable, "Whether this request may pass cannot be decided now."
		a.add("Retry-After", retryClosed)
	case faulty:
		p.Status, p.Detail, p.Errors = v.refusal.status, v.refusal.detail, v.refusal.errors
		if v.refusal.allow != "" {
			a.add("Allow", v.refusal.allow)
		}
	default:
		return a
	}
	a.status, p.Title = p.Status, http.StatusText(p.Status)
	a.body, _ = json.Marshal(&p) // strings and numbers: it cannot fail
	return a
}

// instance names a decision without telling whom it is on.
func instance(r *rule) string {
	if r == nil || !plainName(r.id) {
		return ""
	}
	return "urn:portcullis:decision:" + r.id
}

// policyField is the RateLimit-Policy field (draft-ietf-httpapi-ratelimit-headers-11,
// section 3): the quota from rest, and in how many seconds all of it comes back.
func policyField(v verdict) string {
	var quota, window int64
	switch v.quota.Name {
	case "day":
		quota, window = v.quota.Max, 24*60*60
	case "month":
		quota, window = v.quota.Max, 30*24*60*60 // the calendar's months differ: Retry-After is exact
	default:
		quota, window = v.pace.Quota(), v.pace.Window()
	}
	b := make([]byte, 0, 48)
	b = append(b, '"')
	b = append(b, v.policy...)
	b = append(b, `";q=`...)
	b = strconv.AppendInt(b, quota, 10)
	b = append(b, ";w="...)
	return string(strconv.AppendInt(b, max(window, 1), 10))
}

// limitField is the RateLimit field (section 4 there): what is left now, and in how
// many seconds there will be more.
func limitField(v verdict) string {
	b := make([]byte, 0, 48)
	b = append(b, '"')
	b = append(b, v.policy...)
	b = append(b, `";r=`...)
	b = strconv.AppendInt(b, v.left, 10)
	b = append(b, ";t="...)
	return string(strconv.AppendInt(b, max(seconds(int64(v.wait)), 1), 10))
}
