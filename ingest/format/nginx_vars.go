package format

import "strings"

// field says which part of an event a value fills.
type field uint8

const (
	fSkip field = iota
	fPeer
	fRealPeer
	fClientIP
	fTimeLocal
	fTimeISO
	fMsec
	fTimeAny
	fUser
	fRequest
	fMethod
	fRequestURI
	fURI
	fArgs
	fHostURI // $host$request_uri
	fProtocol
	fStatus
	fBytesBody
	fBytesAll
	fBytesIn
	fDuration
	fUpstream
	fReferer
	fAgent
	fChain
	fKey
	fHost
	fHTTPHost
	fServerName
	fRequestID
	fBody
	fTLS
	fCipher
)

// kind says what a value can look like, and so where it can end.
type kind uint8

const (
	kText   kind = iota // bytes that a client chooses
	kAddr               // an address
	kLocal              // $time_local
	kISO                // $time_iso8601
	kStatus             // three digits
	kInt                // digits or "-"
	kDur                // seconds with a fraction, or "-"
	kDurs               // a list of these, one per upstream tried
	kToken              // a word that the gateway wrote
	kWord               // one of letters, digits, dash and underscore only
	kList               // a list of such words
)

// variable is what the compiler knows of one nginx variable.
type variable struct {
	field field
	kind  kind
	lines bool // its value can hold a line end, which escape=none would write as it is
}

// lookupVariable returns what is known of a variable. What is not known is skipped,
// and taken for something that a client can choose.
func lookupVariable(name string) variable {
	if v, ok := variables[name]; ok {
		return v
	}
	switch {
	case strings.HasPrefix(name, "upstream_http_"), strings.HasPrefix(name, "upstream_cookie_"),
		strings.HasPrefix(name, "upstream_trailer_"):
		return variable{}
	case strings.HasPrefix(name, "upstream_"):
		return variable{kind: kList}
	case strings.HasPrefix(name, "http_"), strings.HasPrefix(name, "sent_http_"),
		strings.HasPrefix(name, "arg_"), strings.HasPrefix(name, "cookie_"):
		return variable{}
	}
	return variable{lines: true}
}

// variables is never written to. $http_x_real_ip is left out on purpose: a
// client can write that header, and no chain tells whether a hop replaced it.
// $http_authorization is left out because it is a secret and nothing else.
var variables = map[string]variable{
	"remote_addr":        {fPeer, kAddr, false},
	"realip_remote_addr": {fRealPeer, kAddr, false},
	"remote_user":        {fUser, kText, true},
	"time_local":         {fTimeLocal, kLocal, false},
	"time_iso8601":       {fTimeISO, kISO, false},
	"msec":               {fMsec, kDur, false},

	"request":         {fRequest, kText, false},
	"request_method":  {fMethod, kWord, false},
	"request_uri":     {fRequestURI, kText, false},
	"uri":             {fURI, kText, true},
	"document_uri":    {fURI, kText, true},
	"args":            {fArgs, kText, false},
	"query_string":    {fArgs, kText, false},
	"server_protocol": {fProtocol, kToken, false},
	"request_body":    {fBody, kText, true},

	"status":                 {fStatus, kStatus, false},
	"body_bytes_sent":        {fBytesBody, kInt, false},
	"bytes_sent":             {fBytesAll, kInt, false},
	"request_length":         {fBytesIn, kInt, false},
	"request_time":           {fDuration, kDur, false},
	"upstream_response_time": {fUpstream, kDurs, false},

	"http_referer":         {fReferer, kText, false},
	"http_user_agent":      {fAgent, kText, false},
	"http_x_forwarded_for": {fChain, kText, false},
	"http_x_api_key":       {fKey, kText, false},
	"host":                 {fHost, kText, false},
	"http_host":            {fHTTPHost, kText, false},
	"server_name":          {fServerName, kToken, false},
	"request_id":           {fRequestID, kWord, false},
	"ssl_protocol":         {fTLS, kToken, false},
	"ssl_cipher":           {fCipher, kToken, false},

	"remote_port":         {fSkip, kInt, false},
	"realip_remote_port":  {fSkip, kInt, false},
	"server_port":         {fSkip, kInt, false},
	"server_addr":         {fSkip, kToken, false},
	"connection":          {fSkip, kInt, false},
	"connection_requests": {fSkip, kInt, false},
	"connection_time":     {fSkip, kDur, false},
	"pid":                 {fSkip, kInt, false},
	"content_length":      {fSkip, kToken, false},
	"gzip_ratio":          {fSkip, kDur, false},
	"pipe":                {fSkip, kWord, false},
	"scheme":              {fSkip, kWord, false},
	"https":               {fSkip, kWord, false},
	"hostname":            {fSkip, kToken, false},
	"nginx_version":       {fSkip, kToken, false},
	"request_completion":  {fSkip, kWord, false},
	"limit_req_status":    {fSkip, kWord, false},
	"limit_conn_status":   {fSkip, kWord, false},
	"ssl_session_id":      {fSkip, kWord, false},
	"ssl_session_reused":  {fSkip, kWord, false},
}

// runsInto tells whether a value could go on into the literal behind it, so that its
// own grammar does not end it.
func runsInto(k kind, lit string) bool {
	if lit == "" {
		return false
	}
	c := lit[0]
	separator := strings.HasPrefix(lit, ", ") || strings.HasPrefix(lit, " : ")
	switch k {
	case kAddr:
		return isAddr[c] || c == '%'
	case kInt:
		return c-'0' <= 9 || c == '-'
	case kDur:
		return c-'0' <= 9 || c == '-' || c == '.'
	case kDurs:
		return c-'0' <= 9 || c == '-' || c == '.' || separator
	case kToken:
		return isItem[c]
	case kWord:
		return isWord[c]
	case kList:
		return isItem[c] || separator
	}
	return false
}

// fixedWidth returns how many bytes a value always has, or 0.
func fixedWidth(k kind) int {
	switch k {
	case kLocal:
		return localWidth
	case kISO:
		return isoWidth
	case kStatus:
		return 3
	}
	return 0
}
