package authn

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"strconv"
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
	values[0], values[1], values[2] = who.Consumer, who.KeyID, who.joined
	if g.cfg.Secret != "" {
		mac, _ := g.macs.Get().(hash.Hash)
		mac.Reset()
		values[3] = signature(mac, who.Consumer, who.KeyID, values[2], now)
		g.macs.Put(mac)
	}
	return values
}

// signature signs what an API is told of its client: t=SECONDS,v1=HEX, where HEX is the
// HMAC-SHA-256 of "v1", the seconds, the consumer, the key id and the scopes, with newlines
// between.
func signature(mac hash.Hash, consumer, keyID, scopes string, now time.Time) string {
	var room [512]byte
	b := append(room[:0], "v1\n"...)
	b = strconv.AppendInt(b, now.Unix(), 10)
	at := len(b)
	for _, s := range [...]string{consumer, keyID, scopes} {
		b = append(append(b, '\n'), s...)
	}
	_, _ = mac.Write(b) // a hash takes everything
	var sum [sha256.Size]byte
	out := append(make([]byte, 0, 96), "t="...)
	out = append(out, b[len("v1\n"):at]...)
	return string(hex.AppendEncode(append(out, ",v1="...), mac.Sum(sum[:0])))
}
