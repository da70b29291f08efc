package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// prover accepts one token with the scheme DPoP, and no other.
type prover struct{ err error }

func (p prover) CheckToken(context.Context, string) (web.Caller, error) {
	return web.Caller{}, fault.New(fault.Denied, "bound")
}

func (p prover) CheckProof(_ *http.Request, token string) (web.Caller, error) {
	if token != "good" {
		return web.Caller{}, fault.New(fault.Denied, "no")
	}
	return web.Caller{ClientID: "machine", Scopes: []string{"a"}}, p.err
}

func TestAuthorizeWithProof(t *testing.T) {
	const algs = `, algs="ES256 PS256 EdDSA"`
	for _, k := range []struct {
		name, header     string
		err              error
		status           int
		challenge, nonce string
	}{
		{"good", "DPoP good", nil, 200, "", ""},
		{"in capitals", "DPOP good", nil, 200, "", ""},
		{"a bearer", "Bearer good", nil, 401, `Bearer realm="signet", error="invalid_token"`, ""},
		{"another token", "DPoP bad", nil, 401, `Bearer realm="signet", error="invalid_token"`, ""},
		{"no token", "DPoP ", nil, 401, `Bearer realm="signet", error="invalid_token"`, ""},
		{"a nonce is needed", "DPoP good", web.UnauthorizedProof("use_dpop_nonce", "n1", errors.New("x")), 401,
			`DPoP realm="signet", error="use_dpop_nonce"` + algs, "n1"},
		{"nothing works", "DPoP good", errors.New("x"), 500, "", ""},
	} {
		t.Run(k.name, func(t *testing.T) {
			h := web.Handler(func(w http.ResponseWriter, r *http.Request) error {
				_, err := web.Authorize(prover{k.err}, r, "a")
				return err
			}, nil)
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", k.header)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if got := w.Header(); w.Code != k.status || got.Get("WWW-Authenticate") != k.challenge || got.Get("DPoP-Nonce") != k.nonce {
				t.Errorf("status %d, %v", w.Code, got)
			}
		})
	}
}

func TestInsufficientAuthentication(t *testing.T) {
	const says = `, error="insufficient_user_authentication", error_description="a sign-in that is surer or newer is needed"`
	for want, err := range map[string]error{
		`Bearer realm="signet"` + says + `, acr_values="a b", max_age=60`:      web.InsufficientAuthentication([]string{"a", "b"}, time.Minute, false),
		`DPoP realm="signet", algs="ES256 PS256 EdDSA"` + says + `, max_age=5`: web.InsufficientAuthentication(nil, 5*time.Second, true),
	} {
		w := httptest.NewRecorder()
		web.Handler(func(http.ResponseWriter, *http.Request) error { return err }, nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != want || fault.KindOf(err) != fault.Denied {
			t.Errorf("status %d, %s", w.Code, got)
		}
	}
}
