package ca_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// tokens are access tokens by their callers.
type tokens map[string]web.Caller

func (t tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	c, ok := t[token]
	if !ok {
		return web.Caller{}, fault.New(fault.Denied, "no such token")
	}
	return c, nil
}

var callers = tokens{
	"officer": {ClientID: "officer", Scopes: []string{ca.Scope}},
	"donghu":  {ClientID: "donghu-app", Agency: "donghu-amr", Scopes: []string{ca.Scope}},
	"xishan":  {ClientID: "xishan-app", Agency: "xishan-amr", Scopes: []string{ca.Scope}},
	"person":  {ClientID: "app", Person: "somebody", Agency: "donghu-amr", Scopes: []string{ca.Scope}},
	"other":   {ClientID: "other", Scopes: []string{"licenses"}},
}

// serve mounts the city's CA on a server.
func (c *city) serve(t *testing.T) *httptest.Server {
	t.Helper()
	opened, err := ca.Open(t.Context(), ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, BaseURL: base, Tokens: callers, Now: c.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	opened.Mount(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// call is one request of a client.
type call struct {
	method, path, token, key, body string
}

func (c call) do(t *testing.T, server *httptest.Server) (int, http.Header, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.key != "" {
		r.Header.Set("Idempotency-Key", c.key)
	}
	if c.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, b
}

func TestPublicFiles(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		cert := parse(t, c.issue(t, request(t)).DER)
		server := c.serve(t)
		crl, _, err := c.CRL(t.Context(), "city", 1)
		if err != nil {
			t.Fatal(err)
		}
		rootCRL, _, err := c.CRL(t.Context(), ca.Root, 1)
		if err != nil {
			t.Fatal(err)
		}
		path := func(address string) string { return strings.TrimPrefix(address, base) }
		for _, tt := range []struct {
			path, kind string
			body       []byte
		}{
			{"/ca/city/ca.crt", "application/pkix-cert", c.result.Issuers["city"]},
			{"/ca/donghu/ca.crt", "application/pkix-cert", c.result.Issuers["donghu"]},
			{"/ca/root/ca.crt", "application/pkix-cert", c.result.RootCertificate},
			{path(cert.IssuingCertificateURL[0]), "application/pkix-cert", c.result.Issuers["city"]},
			{path(parse(t, c.result.Issuers["city"]).IssuingCertificateURL[0]), "application/pkix-cert", c.result.RootCertificate},
			{path(cert.CRLDistributionPoints[0]), "application/pkix-crl", crl},
			{path(parse(t, c.result.Issuers["city"]).CRLDistributionPoints[0]), "application/pkix-crl", rootCRL},
		} {
			status, h, body := call{method: "GET", path: tt.path}.do(t, server)
			if status != 200 || h.Get("Content-Type") != tt.kind || !bytes.Equal(body, tt.body) || h.Get("ETag") == "" {
				t.Errorf("%s: %d %v, right body: %v", tt.path, status, h, bytes.Equal(body, tt.body))
			}
		}
		for _, p := range []string{"/ca/nobody/ca.crt", "/ca/city/ca.pem", "/ca/city/ca", "/ca/city/00.crt", "/ca/city/crl/2.crl", "/ca/city/crl/01.crl",
			"/ca/city/crl/-1.crl", "/ca/city/crl/1", "/ca/city/crl/99999999999999999999.crl", "/ca/nobody/crl/1.crl", "/ca/donghu/" + hexOf(parse(t, c.result.Issuers["city"]).SubjectKeyId) + ".crt"} {
			if status, _, body := (call{method: "GET", path: p}).do(t, server); status != 404 {
				t.Errorf("%s: %d %s", p, status, body)
			}
		}
		if status, _, _ := (call{method: "POST", path: "/ca/city/ca.crt"}).do(t, server); status != 405 {
			t.Errorf("POST: %d", status)
		}
	})
}

func TestCRLIsCachedByItsNumber(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.publish(t)
	server := c.serve(t)
	_, h, _ := call{method: "GET", path: "/ca/city/crl/1.crl"}.do(t, server)
	fetch := func() int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/ca/city/crl/1.crl", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", h.Get("ETag"))
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := fetch(); got != http.StatusNotModified {
		t.Errorf("unchanged: %d", got)
	}
	if err := c.Revoke(t.Context(), c.issue(t, request(t)).Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	c.publish(t)
	if got := fetch(); got != http.StatusOK {
		t.Errorf("changed: %d", got)
	}
}

// answer is a certificate as the administration answers it.
type answer struct {
	Serial, Issuer, Profile, Agency, Status, Reason, Certificate, Chain string
}

func issueBody(t *testing.T, agency string, csr []byte) string {
	t.Helper()
	b, err := json.Marshal(map[string]string{"agency": agency, "csr": string(csr)})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAdministration(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := c.serve(t)
		body := issueBody(t, "donghu-amr", csr(t, ecKey(t), x509.CertificateRequest{}))
		post := call{"POST", "/ca/v1/certificates", "donghu", "k1", body}
		status, _, b := post.do(t, server)
		var made, again answer
		if err := json.Unmarshal(b, &made); err != nil || status != 201 {
			t.Fatalf("%d %s", status, b)
		}
		leaf, _ := pem.Decode([]byte(made.Certificate))
		issuer, _ := pem.Decode([]byte(made.Chain))
		if err := parse(t, leaf.Bytes).CheckSignatureFrom(parse(t, issuer.Bytes)); err != nil || made.Issuer != "donghu" || made.Status != "issued" {
			t.Errorf("%v, %+v", err, made)
		}
		if status, _, b := post.do(t, server); status != 201 || json.Unmarshal(b, &again) != nil || again != made {
			t.Errorf("repeated: %d %s", status, b)
		}
		post.body = issueBody(t, "donghu-amr", csr(t, ecKey(t), x509.CertificateRequest{}))
		if status, _, b := post.do(t, server); status != 409 {
			t.Errorf("the key for another request: %d %s", status, b)
		}
		revoke := call{"POST", "/ca/v1/certificates/" + made.Serial + "/revoke", "donghu", "r1", `{"reason":"superseded"}`}
		for range 2 {
			status, _, b := revoke.do(t, server)
			if err := json.Unmarshal(b, &again); err != nil || status != 200 || again.Status != "revoked" || again.Reason != "superseded" {
				t.Errorf("revoke: %d %s", status, b)
			}
		}
		revoke.key = "r2"
		if status, _, b := revoke.do(t, server); status != 409 {
			t.Errorf("revoked twice: %d %s", status, b)
		}
		get := call{method: "GET", path: "/ca/v1/certificates/" + made.Serial, token: "officer"}
		if status, _, b := get.do(t, server); status != 200 || json.Unmarshal(b, &again) != nil || again.Serial != made.Serial {
			t.Errorf("get: %d %s", status, b)
		}
	})
}

func TestAdministrationRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server := c.serve(t)
	citys := c.issue(t, request(t))
	path := "/ca/v1/certificates"
	good := issueBody(t, "jiangcheng-amr", csr(t, ecKey(t), x509.CertificateRequest{}))
	before := c.rows(t)
	tests := []struct {
		name   string
		call   call
		status int
	}{
		{"no token", call{"POST", path, "", "k", good}, 401},
		{"bad token", call{"POST", path, "x", "k", good}, 401},
		{"no scope", call{"POST", path, "other", "k", good}, 403},
		{"no token to list", call{method: "GET", path: path}, 401},
		{"no token to revoke", call{"POST", path + "/" + citys.Serial + "/revoke", "", "k", `{"reason":"superseded"}`}, 401},
		{"another agency", call{"POST", path, "donghu", "k", good}, 403},
		{"no key", call{"POST", path, "officer", "", good}, 400},
		{"long key", call{"POST", path, "officer", strings.Repeat("k", 101), good}, 400},
		{"unknown agency", call{"POST", path, "officer", "k", issueBody(t, "nobody", csr(t, ecKey(t), x509.CertificateRequest{}))}, 404},
		{"agency under another's issuer", call{"POST", path, "officer", "k", issueBody(t, "stray", csr(t, ecKey(t), x509.CertificateRequest{}))}, 403},
		{"CA:TRUE", call{"POST", path, "officer", "k", issueBody(t, "jiangcheng-amr", csr(t, ecKey(t), caTrue))}, 400},
		{"no CSR", call{"POST", path, "officer", "k", issueBody(t, "jiangcheng-amr", nil)}, 400},
		{"oversized CSR", call{"POST", path, "officer", "k", issueBody(t, "jiangcheng-amr", bytes.Repeat([]byte("x"), ca.MaxCSR+1))}, 413},
		{"oversized body", call{"POST", path, "officer", "k", strings.Repeat(" ", 1<<20)}, 413},
		{"unknown member", call{"POST", path, "officer", "k", `{"agency":"jiangcheng-amr","ca":true}`}, 400},
		{"no JSON", call{"POST", path, "officer", "k", `csr`}, 400},
		{"unknown reason", call{"POST", path + "/" + citys.Serial + "/revoke", "officer", "k", `{"reason":"removeFromCRL"}`}, 400},
		{"unknown serial", call{"POST", path + "/" + strings.Repeat("ab", 18) + "/revoke", "officer", "k", `{"reason":"superseded"}`}, 404},
		{"no serial", call{"POST", path + "/12345/revoke", "officer", "k", `{"reason":"superseded"}`}, 400},
		{"another agency's certificate", call{"POST", path + "/" + citys.Serial + "/revoke", "donghu", "k", `{"reason":"superseded"}`}, 404},
		{"another agency's certificate to read", call{method: "GET", path: path + "/" + citys.Serial, token: "donghu"}, 404},
		{"another agency's list", call{method: "GET", path: path + "?agency=jiangcheng-amr", token: "donghu"}, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, _, body := tt.call.do(t, server)
			var refusal struct{ Error, Message string }
			if err := json.Unmarshal(body, &refusal); status != tt.status || err != nil || refusal.Message == "" || refusal.Message == "internal error" {
				t.Errorf("%d %s, want %d", status, body, tt.status)
			}
		})
	}
	if c.rows(t) != before || c.snapshot(t) != (tables{}) {
		t.Error("what was refused left something")
	}
	var list struct{ Certificates []answer }
	_, _, b := call{method: "GET", path: path, token: "donghu"}.do(t, server)
	if err := json.Unmarshal(b, &list); err != nil || len(list.Certificates) != 0 {
		t.Errorf("an agency sees %d certificates of others: %v", len(list.Certificates), err)
	}
	_, _, b = call{method: "GET", path: path, token: "officer"}.do(t, server)
	if err := json.Unmarshal(b, &list); err != nil || len(list.Certificates) != 9 {
		t.Errorf("an officer sees %d certificates: %v", len(list.Certificates), err)
	}
}

func TestMountWithoutTokensHasNoAdministration(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	mux := http.NewServeMux()
	c.Mount(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/ca/v1/certificates", nil))
	if w.Code != 405 && w.Code != 404 {
		t.Errorf("%d", w.Code)
	}
}

// TestRunPublishesRevocations: the loop follows a revocation by itself.
func TestRunPublishesRevocations(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		cert := c.issue(t, request(t))
		if err := c.Revoke(t.Context(), cert.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(20 * time.Second)
		for {
			der, _, err := c.CRL(t.Context(), "city", 1)
			if err == nil {
				if list, err := x509.ParseRevocationList(der); err == nil && len(list.RevokedCertificateEntries) == 1 {
					break
				}
			}
			if time.Now().After(deadline) {
				t.Fatal("the revocation was not published")
			}
			time.Sleep(10 * time.Millisecond)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
