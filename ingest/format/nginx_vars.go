package format

import (
	"fmt"
	"strings"

	"github.com/portcullis/portcullis/ingest/format/field"
	"github.com/portcullis/portcullis/ingest/format/text"
)

// nginxVariable is what is known of a variable, and a hazard.
type nginxVariable struct {
	field field.Field
	kind  text.Kind
	lines bool // its value can hold a line end, which escape=none would write as it is
}

// variableOf returns a variable for the compiler, unless it is a hazard.
func variableOf(name string, mode escaping, pos int) (text.Variable, error) {
	v := lookupVariable(name)
	if mode == escNone && v.lines {
		return text.Variable{}, fmt.Errorf("at byte %d: with escape=none a client can put a line end into $%s and so write whole "+
			"lines of its own; use escape=json or leave $%s out", pos, field.Capped(name), field.Capped(name))
	}
	return text.Variable{Field: v.field, Kind: v.kind}, nil
}

// lookupVariable returns what is known of a variable. What is not known is skipped,
// and taken for something that a client can choose.
func lookupVariable(name string) nginxVariable {
	if v, ok := variables[name]; ok {
		return v
	}
	switch {
	case strings.HasPrefix(name, "upstream_http_"), strings.HasPrefix(name, "upstream_cookie_"),
		strings.HasPrefix(name, "upstream_trailer_"):
		return nginxVariable{}
	case strings.HasPrefix(name, "upstream_"):
		return nginxVariable{kind: text.List}
	case strings.HasPrefix(name, "http_"), strings.HasPrefix(name, "sent_http_"),
		strings.HasPrefix(name, "arg_"), strings.HasPrefix(name, "cookie_"):
		return nginxVariable{}
	}
	return nginxVariable{lines: true}
}

// variables is never written to. What $http_authorization and $http_cookie hold
// becomes pseudonyms before anybody sees it.
var variables = map[string]nginxVariable{
	"realip_remote_addr": {field.Peer, text.Addr, false},
	"remote_addr":        {field.RealPeer, text.Addr, false}, // the realip module changes it
	"remote_user":        {field.User, text.Text, true},
	"time_local":         {field.TimeLocal, text.Local, false},
	"time_iso8601":       {field.TimeISO, text.ISO, false},
	"msec":               {field.Msec, text.Seconds, false},

	"request":         {field.Request, text.Text, false},
	"request_method":  {field.Method, text.Word, false},
	"request_uri":     {field.RequestURI, text.Text, false},
	"uri":             {field.URI, text.Text, true},
	"document_uri":    {field.URI, text.Text, true},
	"args":            {field.Args, text.Text, false},
	"query_string":    {field.Args, text.Text, false},
	"server_protocol": {field.Protocol, text.Token, false},
	"request_body":    {field.Body, text.Text, true},

	"status":                 {field.StatusCode, text.Status, false},
	"body_bytes_sent":        {field.BytesBody, text.Int, false},
	"bytes_sent":             {field.BytesAll, text.Int, false},
	"request_length":         {field.BytesIn, text.Int, false},
	"request_time":           {field.Duration, text.Seconds, false},
	"upstream_response_time": {field.UpstreamTime, text.SecondsList, false},

	"http_referer":          {field.Referer, text.Text, false},
	"http_user_agent":       {field.Agent, text.Text, false},
	"http_x_forwarded_for":  {field.Chain, text.Text, false},
	"http_x_api_key":        {field.Key, text.Text, false},
	"http_authorization":    {field.Token, text.Text, false},
	"http_cookie":           {field.Session, text.Text, false},
	"http_forwarded":        {field.Forwarded, text.Text, false},
	"http_x_real_ip":        {field.RealIP, text.Text, false},
	"proxy_protocol_addr":   {field.RealIP, text.Text, false},
	"http_cf_connecting_ip": {field.RealIP, text.Text, false},
	"http_true_client_ip":   {field.RealIP, text.Text, false},
	"ssl_client_s_dn":       {field.Subject, text.Text, false},
	"http_ssl_ja3_hash":     {field.Print, text.Text, false},
	"http_ssl_ja3":          {field.Print, text.Text, false},

	"portcullis_consumer": {field.Consumer, text.Text, false}, // as docs/authentication.md calls what authz tells

	"host":         {field.Host, text.Text, false},
	"http_host":    {field.HTTPHost, text.Text, false},
	"server_name":  {field.ServerName, text.Token, false},
	"request_id":   {field.RequestID, text.Word, false},
	"ssl_protocol": {field.TLS, text.Token, false},
	"ssl_cipher":   {field.Cipher, text.Token, false},

	"remote_port":         {field.Skip, text.Int, false},
	"realip_remote_port":  {field.Skip, text.Int, false},
	"server_port":         {field.Skip, text.Int, false},
	"server_addr":         {field.Skip, text.Token, false},
	"connection":          {field.Skip, text.Int, false},
	"connection_requests": {field.Skip, text.Int, false},
	"connection_time":     {field.Skip, text.Seconds, false},
	"pid":                 {field.Skip, text.Int, false},
	"content_length":      {field.Skip, text.Token, false},
	"gzip_ratio":          {field.Skip, text.Seconds, false},
	"pipe":                {field.Skip, text.Word, false},
	"scheme":              {field.Scheme, text.Word, false},
	"https":               {field.Scheme, text.Word, false},
	"hostname":            {field.Skip, text.Token, false},
	"nginx_version":       {field.Skip, text.Token, false},
	"request_completion":  {field.Skip, text.Word, false},
	"limit_req_status":    {field.Skip, text.Word, false},
	"limit_conn_status":   {field.Skip, text.Word, false},
	"ssl_session_id":      {field.Skip, text.Word, false},
	"ssl_session_reused":  {field.Skip, text.Word, false},
}
