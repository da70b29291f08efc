package ca_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/verify/trust"
)

// between serves what a CA publishes, and lets a test change it on the way.
type between struct {
	*httptest.Server
	change func(r *http.Request, w http.ResponseWriter, answer *httptest.ResponseRecorder) (done bool)
}

func serveBetween(t *testing.T, a *ca.CA) *between {
	mux := http.NewServeMux()
	a.MountPublic(mux)
	b := &between{}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		a.KeepSlashes(mux).ServeHTTP(answer, r)
		if b.change != nil && b.change(r, w, answer) {
			return
		}
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = io.Copy(w, answer.Body)
	}))
	t.Cleanup(b.Close)
	return b
}

// replaced is a change of the answers whose path ends so.
func replaced(suffix string, body func(old []byte) []byte) func(*http.Request, http.ResponseWriter, *httptest.ResponseRecorder) bool {
	return func(r *http.Request, _ http.ResponseWriter, answer *httptest.ResponseRecorder) bool {
		if strings.HasSuffix(r.URL.Path, suffix) && answer.Code == 200 {
			answer.Body = bytes.NewBuffer(body(bytes.Clone(answer.Body.Bytes())))
			answer.Header().Del("Content-Length")
		}
		return false
	}
}

func (c *city) check(t testing.TB, s *between) (ca.Published, string) {
	t.Helper()
	p, err := c.CheckPublished(t.Context(), ca.CheckOptions{URL: s.URL})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, one := range p.Problems {
		lines = append(lines, one.Where+": "+one.Detail)
	}
	return p, strings.Join(lines, "\n")
}

func TestCheckPublished(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		good, held, dead := c.issue(t, request(t)), c.issue(t, request(t)), c.issue(t, request(t))
		for serial, reason := range map[string]ca.Reason{held.Serial: ca.CertificateHold, dead.Serial: ca.AACompromise} {
			if err := c.Revoke(t.Context(), serial, reason, actor); err != nil {
				t.Fatal(err)
			}
		}
		c.publish(t)
		s := serveBetween(t, c.CA)
		p, problems := c.check(t, s)
		if problems != "" || p.CRLs != 4 || p.Certificates != 8 || p.Answers < 3 {
			t.Fatalf("%+v", p)
		}
		// What changed a moment ago may be on its way, both ways; later it must be there.
		if err := c.Revoke(t.Context(), good.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context(), held.Serial, actor, ""); err != nil {
			t.Fatal(err)
		}
		if _, problems := c.check(t, s); problems != "" {
			t.Errorf("at once: %s", problems)
		}
		c.clock.advance(3 * time.Minute)
		_, problems = c.check(t, s)
		for _, want := range []string{"does not list " + good.Serial, "lists " + held.Serial} {
			if !strings.Contains(problems, want) {
				t.Errorf("no problem %q in\n%s", want, problems)
			}
		}
		c.publish(t)
		if _, problems := c.check(t, s); problems != "" {
			t.Errorf("once it is published: %s", problems)
		}
		c.clock.advance(25 * time.Hour)
		if _, problems := c.check(t, s); strings.Count(problems, "is not in force") < 3 {
			t.Errorf("no CRL is too old:\n%s", problems)
		}
	})
}

// TestCheckPublishedFinds changes one thing on the way at a time.
func TestCheckPublishedFinds(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	cert, dead := c.issue(t, request(t)), c.issue(t, request(t))
	c.publish(t)
	old, _, err := c.CRL(t.Context(), "city", 1)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := c.CRL(t.Context(), "donghu", 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Revoke(t.Context(), dead.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	c.publish(t)
	c.clock.advance(3 * time.Minute)
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	status := func(code int) func(*http.Request, http.ResponseWriter, *httptest.ResponseRecorder) bool {
		return func(r *http.Request, w http.ResponseWriter, _ *httptest.ResponseRecorder) bool {
			w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
			w.WriteHeader(code)
			return true
		}
	}
	for _, tt := range []struct {
		name, want string
		change     func(*http.Request, http.ResponseWriter, *httptest.ResponseRecorder) bool
	}{
		{"an older CRL", "has number 1, and 2 was published", replaced("/city/crl/1.crl", func([]byte) []byte { return old })},
		{"a missing entry", "does not list " + dead.Serial, replaced("/city/crl/1.crl", func([]byte) []byte { return old })},
		{"another CA's CRL", "is not signed by its CA", replaced("/city/crl/1.crl", func([]byte) []byte { return other })},
		{"a changed signature", "is not signed by its CA", replaced("/donghu/crl/1.crl", flip)},
		{"no CRL", "is no CRL", replaced("/xishan/crl/1.crl", func([]byte) []byte { return []byte("<html>") })},
		{"the root's CRL cut", "is no CRL", replaced("/root/crl/1.crl", func(b []byte) []byte { return b[:len(b)-1] })},
		{"another CA's certificate", "is another certificate than", replaced("/city/ca.crt", func([]byte) []byte { return c.result.Issuers["donghu"] })},
		{"another root", "is another certificate than", replaced("/root/ca.crt", func([]byte) []byte { return c.result.Issuers["donghu"] })},
		{"an answer without a signature", "gives no answer about", replaced("/city/ocsp", func([]byte) []byte { return []byte{0x30, 3, 0x0a, 1, 6} })},
		{"an answer changed", "gives no answer about", replaced("/city/ocsp", func(b []byte) []byte { return bytes.Replace(b, []byte("Z\x18\x0f"), []byte("Z\x18\x0e"), 1)[:len(b)-1] })},
		{"nothing there", "cannot be fetched: status 404", status(404)},
		{"broken", "cannot be fetched: status 500", status(500)},
		{"a redirect", "cannot be fetched: status 302", status(302)},
		{"a type that clients do not read", "its type is not application/pkix-crl", func(_ *http.Request, _ http.ResponseWriter, a *httptest.ResponseRecorder) bool {
			a.Header().Set("Content-Type", "text/plain")
			return false
		}},
		{"without end", "more than 4194304 bytes", replaced("/city/crl/1.crl", func([]byte) []byte { return make([]byte, 5<<20) })},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := serveBetween(t, c.CA)
			if _, problems := c.check(t, s); problems != "" {
				t.Fatalf("before: %s", problems)
			}
			s.change = tt.change
			if _, problems := c.check(t, s); !strings.Contains(problems, tt.want) {
				t.Errorf("want %q:\n%s", tt.want, problems)
			}
		})
	}
	t.Run("OCSP against the register", func(t *testing.T) {
		s := serveBetween(t, c.CA)
		if _, problems := c.check(t, s); problems != "" { // and answers are in memory
			t.Fatal(problems)
		}
		c.exec(t, `UPDATE ca_certificates SET status = 'revoked', reason = 4 WHERE serial = $1`, cert.Serial) // in silence
		_, problems := c.check(t, s)
		for _, want := range []string{"says otherwise about " + cert.Serial + " than the register", "does not list " + cert.Serial} {
			if !strings.Contains(problems, want) {
				t.Errorf("want %q:\n%s", want, problems)
			}
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		p, err := c.CheckPublished(t.Context(), ca.CheckOptions{URL: "http://127.0.0.1:1"})
		if err != nil || len(p.Problems) < p.CRLs+p.Certificates || !strings.Contains(p.Problems[0].Detail, "no answer") {
			t.Errorf("%+v, %v", p, err)
		}
	})
	t.Run("another root is pinned", func(t *testing.T) {
		s := serveBetween(t, c.CA)
		p, err := c.CheckPublished(t.Context(), ca.CheckOptions{URL: s.URL, Root: parse(t, c.result.Issuers["city"])})
		if err != nil || !slices.ContainsFunc(p.Problems, func(p ca.Problem) bool { return strings.HasSuffix(p.Where, "/ca/root/ca.crt") }) {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestCheckKeepsWhatItAsksAbout: of a million revocations a check keeps a handful.
func TestCheckKeepsWhatItAsksAbout(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	for range 20 {
		if err := c.Revoke(t.Context(), c.issue(t, request(t)).Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
	}
	c.publish(t)
	n, err := c.KeptByCheck(t.Context(), serveBetween(t, c.CA).URL)
	if err != nil || n < 1 || n > 6 {
		t.Errorf("%d entries kept, %v", n, err)
	}
}

// TestCheckFindsWhatEndsSoon: what should have been renewed, and what takes an act of the
// root, is a problem before verifiers meet it.
func TestCheckFindsWhatEndsSoon(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.publish(t)
	s := serveBetween(t, c.CA)
	wants := func(when, problem string, want int) {
		t.Helper()
		if _, problems := c.check(t, s); strings.Count(problems, problem) != want {
			t.Errorf("%s: want %d times %q:\n%s", when, want, problem, problems)
		}
	}
	c.clock.advance(17 * time.Hour)
	wants("after half its life", "should have a successor", 0)
	c.clock.advance(2 * time.Hour)
	wants("in its last quarter", "should have a successor", 3)
	root := c.crl(t, "root", 1)
	c.clock.advance(root.NextUpdate.Sub(c.clock.now()) - 31*24*time.Hour)
	c.publish(t)
	wants("a month before the root's", "should have a successor", 0)
	c.clock.advance(2 * 24 * time.Hour)
	c.publish(t)
	wants("less than that", base+"/ca/root/crl/1.crl: should have a successor", 1)
	wants("the statement has longer", "root statement", 0)
	statement, err := trust.OpenRoot(c.RootStatement(), c.RootCertificate().PublicKey, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	c.clock.advance(time.Unix(statement.Expires, 0).Sub(c.clock.now()) - 29*24*time.Hour)
	wants("a month before the statement's end", "root statement: ends at", 1)
}

// TestCheckAsksAsClientsDo: with either hash, and an answer counts if who signed it may.
func TestCheckAsksAsClientsDo(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	leaf := request(t)
	cert := c.issue(t, leaf)
	c.publish(t)
	serial, issuer := parse(t, cert.DER).SerialNumber, c.issuerOf(t, "city")
	byLeaf, err := ocsp.CreateResponse(issuer, parse(t, cert.DER), ocsp.Response{Status: ocsp.Good, SerialNumber: serial, ThisUpdate: c.clock.now().Add(-time.Minute),
		NextUpdate: c.clock.now().Add(time.Hour), Certificate: parse(t, cert.DER)}, leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(oid string) func(b []byte) []byte { // the answers to questions with one hash
		return func(b []byte) []byte {
			if bytes.Contains(b, []byte(oid)) {
				return []byte{0x30, 3, 0x0a, 1, 6}
			}
			return b
		}
	}
	for _, tt := range []struct {
		name, want string
		body       func([]byte) []byte
	}{
		{"SHA-1 refused", "gives no answer about", wrong("\x2b\x0e\x03\x02\x1a")},
		{"SHA-256 refused", "gives no answer about", wrong("\x60\x86\x48\x01\x65\x03\x04\x02\x01")},
		{"signed by another certificate of the issuer's", "who may not sign it", func([]byte) []byte { return byLeaf }},
	} {
		s := serveBetween(t, c.CA)
		if _, problems := c.check(t, s); problems != "" {
			t.Fatalf("before: %s", problems)
		}
		s.change = replaced("/city/ocsp", tt.body)
		if _, problems := c.check(t, s); !strings.Contains(problems, tt.want) {
			t.Errorf("%s: want %q:\n%s", tt.name, tt.want, problems)
		}
	}
}

// TestRunChecks: on one of two replicas, and the metric says what was found.
func TestRunChecks(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		reg := prometheus.NewRegistry()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		// Nobody listens at the base address that this city names.
		a := c.open(t, func(o *ca.Options) {
			o.Registerer, o.CheckEvery, o.BaseURL, o.Now = reg, 100*time.Millisecond, "http://127.0.0.1:1", time.Now
		})
		go func() { done <- a.Run(ctx) }()
		defer func() { stop(); <-done }()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			if n := gauge(t, reg, "signet_ca_published_problems"); n >= 8 {
				return
			} else if time.Since(began) > 60*time.Second {
				t.Fatalf("%v problems", n)
			}
		}
	})
}

// runChecking runs a replica that checks all the time, at addresses where nobody listens,
// and returns what waits until its metric is as wanted.
func (c *city) runChecking(t *testing.T) (until func(what string, is func(float64) bool)) {
	t.Helper()
	reg := prometheus.NewRegistry()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	a := c.open(t, func(o *ca.Options) {
		o.Registerer, o.CheckEvery, o.BaseURL, o.Now = reg, 100*time.Millisecond, "http://127.0.0.1:1", time.Now
	})
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return func(what string, is func(float64) bool) {
		t.Helper()
		for began := time.Now(); !is(gauge(t, reg, "signet_ca_published_problems")); time.Sleep(50 * time.Millisecond) {
			if time.Since(began) > 60*time.Second {
				t.Fatal(what)
			}
		}
	}
}

// TestOldProblemsAreForgotten: what a replica found is not said by its metric once another
// one looks.
func TestOldProblemsAreForgotten(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	until := c.runChecking(t)
	until("no problem is found", func(n float64) bool { return n > 0 })
	mine, err := c.db.Lease(t.Context(), "ca.check", "another replica", time.Hour, time.Now().Add(time.Minute))
	if err != nil || !mine {
		t.Fatalf("%v, %v", mine, err)
	}
	until("it is said on and on", func(n float64) bool { return n == 0 })
}

// TestNotLookingIsAProblem: a check that breaks off says nothing of what it did not see.
func TestNotLookingIsAProblem(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.exec(t, `ALTER TABLE ca_shards RENAME TO lost`)
	c.runChecking(t)("nobody is told", func(n float64) bool { return n > 0 })
}

func gauge(t testing.TB, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal(fmt.Errorf("no metric %s", name))
	return 0
}
