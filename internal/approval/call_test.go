package approval_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// call is a signed call as the service hears it.
func (c *city) call(key *ecdsa.PrivateKey, method, target, body string, at time.Time) *http.Request {
	c.t.Helper()
	r := httptest.NewRequestWithContext(c.t.Context(), method, target, strings.NewReader(body))
	r.Header.Set("Idempotency-Key", "k1")
	check(c.t, approval.SignCall(r, []byte(body), issuer, key, at))
	return r
}

func TestOfficersSignTheirCalls(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		const target, body = "/security/v1/requests?x=1", `{"kind": "lamp.set"}`
		key := c.callKey(c.ann)
		r := c.call(key, "POST", target, body, c.clock.Now())
		person, err := c.service.Caller(r)
		if err != nil || person != c.ann {
			t.Fatalf("caller %q, %v, want %s", person, err, c.ann)
		}
		if again, err := io.ReadAll(r.Body); err != nil || string(again) != body {
			t.Errorf("the body reads %q afterwards, %v", again, err)
		}
		stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		check(t, err)
		header := func(h string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Authorization", h) } }
		approvalOf := c.submit(c.bob, "on")
		statement, err := c.service.Statement(t.Context(), approvalOf.ID, c.ann)
		check(t, err)
		sign1, err := approval.SignCOSE(statement, key)
		check(t, err)
		for name, one := range map[string]struct {
			key    *ecdsa.PrivateKey
			at     time.Duration
			change func(r *http.Request)
		}{
			"another body":        {key, 0, func(r *http.Request) { r.Body = io.NopCloser(bytes.NewReader([]byte(body + " "))) }},
			"no body":             {key, 0, func(r *http.Request) { r.Body = nil }},
			"another address":     {key, 0, func(r *http.Request) { r.URL.RawQuery = "x=2" }},
			"another path":        {key, 0, func(r *http.Request) { r.URL.Path = "/security/v1/officers" }},
			"another method":      {key, 0, func(r *http.Request) { r.Method = "PUT" }},
			"another key of it":   {key, 0, func(r *http.Request) { r.Header.Set("Idempotency-Key", "k2") }},
			"a stranger's":        {stranger, 0, func(*http.Request) {}},
			"too old":             {key, -6 * time.Minute, func(*http.Request) {}},
			"ahead":               {key, 6 * time.Minute, func(*http.Request) {}},
			"nothing":             {key, 0, header("")},
			"a bearer":            {key, 0, header("Bearer x")},
			"no signature":        {key, 0, header("Officer 1764300000")},
			"no time":             {key, 0, header("Officer x " + base64.RawURLEncoding.EncodeToString(sign1))},
			"an approval's":       {key, 0, func(r *http.Request) { withSignature(r, sign1) }},
			"no COSE":             {key, 0, func(r *http.Request) { withSignature(r, []byte("hello")) }},
			"padding":             {key, 0, func(r *http.Request) { r.Header.Set("Authorization", r.Header.Get("Authorization")+"=") }},
			"more than a call is": {key, 0, func(r *http.Request) { withSignature(r, make([]byte, 4096)) }},
		} {
			r := c.call(one.key, "POST", target, body, c.clock.Now().Add(one.at))
			one.change(r)
			if person, err := c.service.Caller(r); fault.KindOf(err) != fault.Denied {
				t.Errorf("%s: caller %q, %v", name, person, err)
			}
		}
		long := strings.Repeat("x", 300<<10)
		if _, err := c.service.Caller(c.call(key, "POST", target, long, c.clock.Now())); fault.KindOf(err) != fault.TooLarge {
			t.Errorf("a long body: %v", err)
		}
		// Who is no officer any more calls no more.
		c.addOfficer()
		c.do(approval.KindRemove, approval.OfficerParams{Person: c.ann}, c.bob, c.cai)
		if _, err := c.service.Caller(c.call(key, "POST", target, body, c.clock.Now())); fault.KindOf(err) != fault.Denied {
			t.Errorf("a former officer: %v", err)
		}
	})
}

// withSignature puts another signature in the place of the one that is there.
func withSignature(r *http.Request, sign1 []byte) {
	fields := strings.Fields(r.Header.Get("Authorization"))
	r.Header.Set("Authorization", fields[0]+" "+fields[1]+" "+base64.RawURLEncoding.EncodeToString(sign1))
}

// callKey enrols a key for an officer's command line, by an approved request.
func (c *city) callKey(person string) *ecdsa.PrivateKey {
	c.t.Helper()
	r := c.do(approval.KindEnrol, approval.EnrolParams{Person: person}, c.bob, c.cai)
	code, err := c.service.DrawCode(c.t.Context(), r.ID, c.cai)
	check(c.t, err)
	key := newKey(c.t, elliptic.P256())
	_, err = c.service.AddKey(c.t.Context(), person, code.Code, spki(c.t, key), "laptop")
	check(c.t, err)
	return key
}
