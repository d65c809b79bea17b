package authn

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
)

// The fields that tell an API who its client is. The gateway sets them on the request, in
// the place of any that the client sent.
const (
	HeaderConsumer  = "X-Portcullis-Consumer"
	HeaderKeyID     = "X-Portcullis-Key-Id"
	HeaderScopes    = "X-Portcullis-Scopes"
	HeaderSignature = "X-Portcullis-Signature"
)

// IdentityHeaders are their names.
var IdentityHeaders = [4]string{HeaderConsumer, HeaderKeyID, HeaderScopes, HeaderSignature}

// Headers are the values of IdentityHeaders for a client, "" where there is none.
func (g *Guard) Headers(who *Identity, now time.Time) (values [4]string) {
	if who.Kind == "" {
		return values
	}
	values[0], values[1], values[2] = who.Consumer, who.KeyID, strings.Join(who.Scopes, " ")
	if g.cfg.Secret != "" {
		values[3] = Signature([]byte(g.cfg.Secret), who.Consumer, who.KeyID, values[2], now)
	}
	return values
}

// Signature signs what an API is told of its client: t=SECONDS,v1=HEX, where HEX is the
// HMAC-SHA-256 of "v1", the seconds, the consumer, the key id and the scopes, with newlines
// between.
func Signature(secret []byte, consumer, keyID, scopes string, now time.Time) string {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("v1\n" + at + "\n" + consumer + "\n" + keyID + "\n" + scopes))
	return "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}
