package oidc_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// Only tokens that were issued are accepted, and everything else is the sender's
// fault.
func FuzzCheckToken(f *testing.F) {
	c := newCity(f, testkit.SQLite(f))
	issued := map[string]bool{}
	for _, client := range []string{"console", "donghu-api"} {
		token := c.token(f, client)
		issued[token] = true
		f.Add(token)
	}
	for _, token := range forgeries(f, c) {
		f.Add(token)
	}
	f.Fuzz(func(t *testing.T, token string) {
		caller, err := c.provider.CheckToken(t.Context(), token)
		if (err == nil) != issued[token] {
			t.Fatalf("caller %v, error %v", caller, err)
		}
		if err != nil && fault.KindOf(err) != fault.Denied {
			t.Fatalf("kind %v: %v", fault.KindOf(err), err)
		}
	})
}

// Nothing that is sent to the token endpoint is answered with 500, or with a
// token unless it is a well-formed request with the right secret.
func FuzzToken(f *testing.F) {
	c := newCity(f, testkit.SQLite(f))
	secret := c.secrets["console"]
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("console:"+secret))
	const form = "application/x-www-form-urlencoded"
	for _, body := range []string{"grant_type=client_credentials", "grant_type=client_credentials&scope=registry+clients", "grant_type=password&a=%zz",
		"grant_type=client_credentials&scope=a&scope=b", "", "a;b=c", strings.Repeat("a=b&", 3000), "grant_type=client_credentials&client_id=console&client_secret=x"} {
		f.Add(form, basic, body)
		f.Add(form, "Basic Og==", body)
		f.Add("multipart/form-data; boundary=a", basic, body)
	}
	f.Fuzz(func(t *testing.T, contentType, authorization, body string) {
		r := httptest.NewRequest(http.MethodPost, "/oidc/token", strings.NewReader(body))
		r.Header.Set("Content-Type", contentType)
		r.Header.Set("Authorization", authorization)
		w := c.do(r)
		answer := decode(t, w.Body.Bytes())
		switch w.Code {
		case http.StatusOK:
			values, err := url.ParseQuery(body)
			user, password, ok := r.BasicAuth()
			if err != nil || values.Get("grant_type") != "client_credentials" || !ok || user != "console" || password != secret {
				t.Fatalf("a token for %q with %q", body, authorization)
			}
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusRequestEntityTooLarge:
			if answer["error"] == nil || answer["access_token"] != nil || strings.Contains(w.Body.String(), secret) {
				t.Fatalf("answered %s", w.Body)
			}
		default:
			t.Fatalf("status %d: %s", w.Code, w.Body)
		}
	})
}
