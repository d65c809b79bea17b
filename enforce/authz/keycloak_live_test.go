package authz

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/portcullis/portcullis/enforce/authn"
	"github.com/portcullis/portcullis/fixtures/gateways"
	"github.com/portcullis/portcullis/fixtures/keycloak"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
)

func startKeycloak(t *testing.T) (*keycloak.Server, *servetest.Authority) {
	t.Helper()
	if testing.Short() {
		t.Skip("starts Keycloak, 15 to 60 s; leave out -short")
	}
	a := servetest.NewAuthority(t)
	a.Issue("server")
	kc, err := keycloak.Start(a.Dir)
	if errors.Is(err, keycloak.ErrMissing) && os.Getenv("CI") != "true" {
		t.Skipf("SKIPPED: %v: apt-get install default-jre-headless maven && deploy/testbed/keycloak.sh fetch", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kc.Stop(); err != nil {
			t.Error(err)
		}
	})
	return kc, a
}

// behindNginx is a service that takes tokens of a Keycloak, asked by a real NGINX.
func behindNginx(t *testing.T, kc *keycloak.Server, introspect string) *guarded {
	t.Helper()
	g := newGuarded(t, authn.Config{Default: authn.NeedToken, Tokens: []authn.Issuer{{
		Issuer: kc.Issuer(), Audience: []string{keycloak.API}, Skew: time.Second, Introspect: introspect,
		ClientID: keycloak.API, ClientSecret: keycloak.SecretOf(keycloak.API), Keep: time.Second,
	}}})
	g.url = gateways.Start(t, "nginx", closedFronts[0].o(t, g.http, g.grpc)).URL
	g.await("the issuer's keys are read", func() bool { return g.s.Health() == nil })
	return g
}

// TestLiveKeycloak: tokens of a real Keycloak through a real NGINX.
func TestLiveKeycloak(t *testing.T) {
	gateways.Need(t, "nginx")
	kc, authority := startKeycloak(t)
	g := behindNginx(t, kc, "never")
	token := func(client string) string {
		t.Helper()
		out, err := kc.Token(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	good, short := token(keycloak.Batch), token(keycloak.Short)
	person, err := kc.Login(t.Context(), "vera")
	if err != nil {
		t.Fatal(err)
	}
	dot := strings.LastIndexByte(good, '.')
	for what, c := range map[string]struct {
		token, consumer string
		status          int
	}{
		"client credentials":               {good, keycloak.Batch, 200},
		"client credentials, ES256":        {token(keycloak.ES256), keycloak.ES256, 200},
		"authorization code":               {person, keycloak.App, 200},
		"for another API":                  {token(keycloak.Other), "", 401},
		"by HMAC":                          {token(keycloak.HS256), "", 401},
		"tampered":                         {good[:dot-3] + "AAA" + good[dot:], "", 401},
		"the signature of another":         {good[:dot] + person[strings.LastIndexByte(person, '.'):], "", 401},
		"nothing":                          {"", "", 401},
		"a client key, where tokens count": {g.issue(authn.Key{Name: "k", Consumer: "x"}), "", 401},
	} {
		resp, heard := g.ask("GET", gateways.Echo, "Authorization", "Bearer "+c.token)
		if resp.StatusCode != c.status || http.Header(heard).Get("X-Portcullis-Consumer") != c.consumer {
			t.Errorf("%s: %d, and the API hears %q", what, resp.StatusCode, http.Header(heard).Get("X-Portcullis-Consumer"))
		}
	}
	g.await("a token of a second runs out", func() bool {
		resp, _ := g.ask("GET", gateways.Echo, "Authorization", "Bearer "+short)
		return resp.StatusCode == 401
	})
	t.Run("bound", func(t *testing.T) { keycloakBound(t, kc, authority) })
	t.Run("rotation", func(t *testing.T) { rotateUnderLoad(t, kc, g) })
	t.Run("revoked", func(t *testing.T) {
		g := behindNginx(t, kc, "always")
		ask := func() int {
			resp, _ := g.ask("GET", gateways.Echo, "Authorization", "Bearer "+good)
			return resp.StatusCode
		}
		if got := ask(); got != 200 {
			t.Fatalf("before: %d", got)
		}
		if err := kc.Revoke(t.Context(), keycloak.Batch, good); err != nil {
			t.Fatal(err)
		}
		g.await("a revoked token is refused", func() bool { return ask() == 401 })
	})
}

// rotateUnderLoad has Keycloak make new keys while clients fetch tokens and use them at once.
func rotateUnderLoad(t *testing.T, kc *keycloak.Server, g *guarded) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	var asked atomic.Int64
	kids := sync.Map{}
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				token, err := kc.Token(context.WithoutCancel(ctx), keycloak.Batch)
				if err != nil {
					t.Error(err)
					return
				}
				head, _, _ := strings.Cut(token, ".")
				kids.Store(head, true)
				if resp, _ := g.ask("GET", gateways.Echo, "Authorization", "Bearer "+token); resp.StatusCode != 200 {
					t.Errorf("an honest request was answered %d", resp.StatusCode)
				}
				asked.Add(1)
			}
		})
	}
	seen := func() (n int) {
		kids.Range(func(any, any) bool { n++; return true })
		return n
	}
	for round := 1; round <= 2; round++ {
		if err := kc.RotateKeys(t.Context(), 200+round); err != nil {
			t.Fatal(err)
		}
		before := asked.Load()
		g.await(fmt.Sprint("tokens by the new key of round ", round), func() bool { return seen() > round && asked.Load() > before+5 })
	}
	stop()
	wg.Wait()
	t.Logf("%d tokens by %d keys, none refused", asked.Load(), seen())
}
