package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

var bothHashes = []crypto.Hash{crypto.SHA1, crypto.SHA256}

// open opens the city once more with other options.
func (c *city) open(t testing.TB, change func(*ca.Options)) *ca.CA {
	t.Helper()
	o := ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, BaseURL: base, Now: c.clock.now, Logger: testkit.Logger(t)}
	change(&o)
	opened, err := ca.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

// responder serves what stands at plain http.
func responder(t testing.TB, a *ca.CA) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	a.MountPublic(mux)
	server := httptest.NewServer(a.KeepSlashes(mux))
	t.Cleanup(server.Close)
	return server
}

// asked is what came back.
type asked struct {
	status int
	header http.Header
	body   []byte
}

func post(t testing.TB, server *httptest.Server, issuer string, der []byte) asked {
	t.Helper()
	return send(t, "POST", server.URL+"/ca/"+issuer+"/ocsp", bytes.NewReader(der), "")
}

// get writes the request into the path as it is, slashes and all.
func get(t testing.TB, server *httptest.Server, issuer string, der []byte, etag string) asked {
	t.Helper()
	return send(t, "GET", server.URL+"/ca/"+issuer+"/ocsp/"+base64.StdEncoding.EncodeToString(der), nil, etag)
}

func send(t testing.TB, method, url string, body io.Reader, etag string) asked {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return asked{resp.StatusCode, resp.Header, b}
}

func question(t testing.TB, cert, issuer *x509.Certificate, hash crypto.Hash) []byte {
	t.Helper()
	der, err := ocsp.CreateRequest(cert, issuer, &ocsp.RequestOptions{Hash: hash})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// about asks about any number.
func about(t testing.TB, serial *big.Int, issuer *x509.Certificate, hash crypto.Hash) []byte {
	t.Helper()
	der := question(t, &x509.Certificate{SerialNumber: serial}, issuer, hash)
	return der
}

// withNonce adds extensions to a request that has none.
func withNonce(t testing.TB, request []byte, values ...[]byte) []byte {
	t.Helper()
	type extension struct {
		ID    asn1.ObjectIdentifier
		Value []byte
	}
	var list []extension
	for _, v := range values {
		inner, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, extension{asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}, inner})
	}
	var outer struct{ TBS asn1.RawValue }
	if _, err := asn1.Unmarshal(request, &outer); err != nil {
		t.Fatal(err)
	}
	der, err := asn1.MarshalWithParams(list, "explicit,tag:2")
	if err != nil {
		t.Fatal(err)
	}
	outer.TBS.Bytes, outer.TBS.FullBytes = append(bytes.Clone(outer.TBS.Bytes), der...), nil
	out, err := asn1.Marshal(outer)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// opened reads an answer as a client does: signature, delegate, certificate.
func opened(t testing.TB, a asked, cert, issuer *x509.Certificate) *ocsp.Response {
	t.Helper()
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/ocsp-response" {
		t.Fatalf("status %d, %v, %s", a.status, a.header, a.body)
	}
	r, err := ocsp.ParseResponseForCert(a.body, cert, issuer)
	if err != nil {
		t.Fatalf("answer %x: %v", a.body, err)
	}
	if d := r.Certificate; d != nil {
		if err := d.CheckSignatureFrom(issuer); err != nil || len(d.ExtKeyUsage) != 1 || d.ExtKeyUsage[0] != x509.ExtKeyUsageOCSPSigning || r.NextUpdate.After(d.NotAfter) {
			t.Fatalf("delegate %s of %s: %v", d.Subject, d.Issuer, err)
		}
	}
	return r
}

// wantRefusal wants an answer of the protocol that nobody signed.
func wantRefusal(t testing.TB, a asked, want ocsp.ResponseStatus) {
	t.Helper()
	_, err := ocsp.ParseResponse(a.body, nil)
	if got, ok := err.(ocsp.ResponseError); !ok || got.Status != want || a.status != 200 || a.header.Get("Cache-Control") != "no-store" ||
		a.header.Get("Content-Type") != "application/ocsp-response" {
		t.Errorf("status %d, %v, %x: %v, want %v", a.status, a.header, a.body, err, want)
	}
}

func (c *city) issuerOf(t testing.TB, id string) *x509.Certificate {
	return parse(t, c.result.Issuers[id])
}

func TestOCSPAnswers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
		good, gone := parse(t, c.issue(t, request(t)).DER), parse(t, c.issue(t, request(t)).DER)
		c.clock.advance(time.Minute - c.clock.now().Sub(c.clock.now().Truncate(time.Minute)) + 150*time.Second) // half past a minute
		if err := c.Revoke(t.Context(), hexOf(gone.SerialNumber.Bytes()), ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		stranger := &x509.Certificate{SerialNumber: big.NewInt(4711)}
		for _, hash := range bothHashes {
			for name, do := range map[string]func(der []byte) asked{
				"POST": func(der []byte) asked { return post(t, server, "city", der) },
				"GET":  func(der []byte) asked { return get(t, server, "city", der, "") },
			} {
				for _, tt := range []struct {
					cert   *x509.Certificate
					status int
				}{{good, ocsp.Good}, {gone, ocsp.Revoked}, {stranger, ocsp.Unknown}} {
					a := do(question(t, tt.cert, issuer, hash))
					r := opened(t, a, tt.cert, issuer)
					if r.Status != tt.status || r.IssuerHash != hash || r.Certificate == nil {
						t.Errorf("%s %v: status %d, want %d; hash %v", name, hash, r.Status, tt.status, r.IssuerHash)
					}
					if tt.status == ocsp.Revoked && (r.RevocationReason != ocsp.KeyCompromise || c.clock.now().Sub(r.RevokedAt) > time.Minute || r.RevokedAt.After(r.ThisUpdate)) {
						t.Errorf("revoked at %v for %d, as of %v", r.RevokedAt, r.RevocationReason, r.ThisUpdate)
					}
					if now := c.clock.now(); r.ThisUpdate.After(now) || !r.NextUpdate.After(now) {
						t.Errorf("from %v until %v", r.ThisUpdate, r.NextUpdate)
					}
				}
			}
		}
	})
}

// TestOCSPHeaders: RFC 5019 section 6.2.
func TestOCSPHeaders(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	cert := parse(t, c.issue(t, request(t)).DER)
	q := question(t, cert, issuer, crypto.SHA1)
	a := get(t, server, "city", q, "")
	r := opened(t, a, cert, issuer)
	tag := a.header.Get("ETag")
	if a.header.Get("Last-Modified") != r.ThisUpdate.UTC().Format(http.TimeFormat) || a.header.Get("Expires") != r.NextUpdate.UTC().Format(http.TimeFormat) ||
		a.header.Get("Cache-Control") != "max-age=300, public, no-transform, must-revalidate" || len(tag) != 34 {
		t.Errorf("%v", a.header)
	}
	if again := post(t, server, "city", q); !bytes.Equal(again.body, a.body) || again.header.Get("ETag") != tag {
		t.Error("the same question got another answer: it is not cached")
	}
	for _, header := range []string{tag, `"x", ` + tag, "W/" + tag, "*"} {
		if n := get(t, server, "city", q, header); n.status != 304 || len(n.body) != 0 || n.header.Get("ETag") != tag || n.header.Get("Expires") == "" {
			t.Errorf("If-None-Match %s: %d, %v", header, n.status, n.header)
		}
	}
	for _, header := range []string{`"x"`, strings.Trim(tag, `"`)} {
		if n := get(t, server, "city", q, header); n.status != 200 {
			t.Errorf("If-None-Match %s: %d", header, n.status)
		}
	}
	if h := send(t, "HEAD", server.URL+"/ca/city/ocsp/"+base64.StdEncoding.EncodeToString(q), nil, ""); h.status != 200 || len(h.body) != 0 || h.header.Get("ETag") != tag {
		t.Errorf("HEAD: %d %v", h.status, h.header)
	}
	c.clock.advance(12*time.Hour - 62*time.Second) // it has less than five minutes to live
	a = get(t, server, "city", q, "")
	var age int
	if _, err := fmt.Sscanf(a.header.Get("Cache-Control"), "max-age=%d,", &age); err != nil || age < 1 || age > 62 || a.header.Get("ETag") != tag {
		t.Errorf("near its end: %v", a.header)
	}
	c.clock.advance(2 * time.Minute)
	if a = get(t, server, "city", q, tag); a.status != 200 || a.header.Get("ETag") == tag {
		t.Errorf("an answer that has ended is given: %d %v", a.status, a.header)
	}
}

// TestCertificatesNameTheirResponder, and it answers there.
func TestCertificatesNameTheirResponder(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server := responder(t, c.CA)
	r := request(t)
	r.Agency = "donghu-amr"
	c.issue(t, r)
	list, err := c.List(t.Context(), ca.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range list {
		cert := parse(t, row.DER)
		if row.Profile != profile.PermitSigning && row.Profile != profile.TLS {
			if len(cert.OCSPServer) != 0 {
				t.Errorf("%s names %v", row.Profile, cert.OCSPServer)
			}
			continue
		}
		if len(cert.OCSPServer) != 1 || cert.OCSPServer[0] != base+"/ca/"+row.Issuer+"/ocsp" {
			t.Fatalf("%s names %v", row.Profile, cert.OCSPServer)
		}
		issuer := c.issuerOf(t, row.Issuer)
		a := send(t, "POST", strings.Replace(cert.OCSPServer[0], base, server.URL, 1), bytes.NewReader(question(t, cert, issuer, crypto.SHA256)), "")
		if got := opened(t, a, cert, issuer); got.Status != ocsp.Good {
			t.Errorf("%s: status %d", row.Profile, got.Status)
		}
	}
	c.wantClean(t)
}

func TestOCSPReasons(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	// What stands in the register, and what may stand in an answer: there is no 7,
	// and 8 would say that it is revoked no longer.
	want := map[int64]int{0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 0, 8: 0, 9: 9, 10: 10, 11: 0, 99: 0, -1: 0}
	for reason, name := range want {
		row := c.issue(t, request(t))
		if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		c.exec(t, `UPDATE ca_certificates SET reason = $1 WHERE serial = $2`, reason, row.Serial)
		cert := parse(t, row.DER)
		if r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA256)), cert, issuer); r.Status != ocsp.Revoked || r.RevocationReason != name {
			t.Errorf("reason %d: status %d, reason %d", reason, r.Status, r.RevocationReason)
		}
	}
}

// TestOCSPOfTomorrow: a revocation by a replica whose clock is ahead counts from now.
func TestOCSPOfTomorrow(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	row := c.issue(t, request(t))
	if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	c.exec(t, `UPDATE ca_certificates SET revoked_at = $1 WHERE serial = $2`, db.Micros(c.clock.now().Add(time.Hour)), row.Serial)
	r := opened(t, post(t, server, "city", about(t, parse(t, row.DER).SerialNumber, issuer, crypto.SHA1)), nil, issuer)
	if r.Status != ocsp.Revoked || r.RevokedAt.After(c.clock.now()) || r.ThisUpdate.After(c.clock.now()) {
		t.Errorf("status %d, revoked at %v, as of %v", r.Status, r.RevokedAt, r.ThisUpdate)
	}
}

func (c *city) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	err := c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOCSPIsGoodOnlyForWhatWasIssued: everything else is unknown, whatever comes
// close to it.
func TestOCSPIsGoodOnlyForWhatWasIssued(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
		serial := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 16); return n }
		intent, err := c.Half(t.Context(), request(t), "intent")
		if err != nil {
			t.Fatal(err)
		}
		signed, err := c.Half(t.Context(), request(t), "signed")
		if err != nil {
			t.Fatal(err)
		}
		r := request(t)
		r.Agency = "donghu-amr"
		other := c.issue(t, r)
		held := c.issue(t, request(t))
		c.exec(t, `UPDATE ca_certificates SET der = NULL WHERE serial = $1`, held.Serial)
		check := func(name string, n *big.Int) {
			t.Helper()
			for _, hash := range bothHashes {
				r := opened(t, post(t, server, "city", about(t, n, issuer, hash)), nil, issuer)
				if r.Status != ocsp.Unknown || r.SerialNumber.Cmp(n) != 0 || r.NextUpdate.Sub(c.clock.now()) > 5*time.Minute {
					t.Errorf("%s: status %d, serial %v, until %v", name, r.Status, r.SerialNumber, r.NextUpdate)
				}
			}
		}
		check("an intent", serial(intent))
		check("a signature that was not stored", serial(signed))
		check("another issuer's", serial(other.Serial))
		given := c.issue(t, request(t))
		c.exec(t, `UPDATE ca_certificates SET status = 'abandoned' WHERE serial = $1`, given.Serial)
		check("one that was given up", serial(given.Serial))
		check("a row without its bytes", serial(held.Serial))
		check("the issuer's own", issuer.SerialNumber)
		check("zero", big.NewInt(0))
		check("negative", new(big.Int).Neg(serial(other.Serial)))
		check("a number nobody gave", big.NewInt(1))
		check("twenty octets", new(big.Int).Lsh(big.NewInt(0x7f), 152))
		c.clock.advance(time.Minute)
		if n, err := c.Recover(t.Context()); err != nil || n != 2 {
			t.Fatalf("%d abandoned, %v", n, err)
		}
		check("an abandoned one", serial(signed))
		if n := c.CachedOCSP(); n != 0 {
			t.Errorf("%d answers about nothing are kept", n)
		}
		// The same intent, once it is stored, is good at once.
		late, err := c.Half(t.Context(), request(t), "intent")
		if err != nil {
			t.Fatal(err)
		}
		check("before it is stored", serial(late))
		if err := c.StoreLate(t.Context(), late, other.DER); err != nil {
			t.Fatal(err)
		}
		if r := opened(t, post(t, server, "city", about(t, serial(late), issuer, crypto.SHA1)), nil, issuer); r.Status != ocsp.Good {
			t.Errorf("status %d once it is stored", r.Status)
		}
	})
}

func TestOCSPRefusesForeignIssuers(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server := responder(t, c.CA)
	cert, issuer := parse(t, c.issue(t, request(t)).DER), c.issuerOf(t, "city")
	renamed := *issuer
	renamed.RawSubject = c.issuerOf(t, "donghu").RawSubject // the name of one, the key of another
	for name, a := range map[string]asked{
		"another issuer's address": post(t, server, "donghu", question(t, cert, issuer, crypto.SHA1)),
		"by GET":                   get(t, server, "donghu", question(t, cert, issuer, crypto.SHA256), ""),
		"the root":                 post(t, server, "city", question(t, issuer, c.RootCertificate(), crypto.SHA1)),
		"another name":             post(t, server, "city", question(t, cert, &renamed, crypto.SHA1)),
		"SHA-384":                  post(t, server, "city", question(t, cert, issuer, crypto.SHA384)),
		"SHA-512":                  post(t, server, "city", question(t, cert, issuer, crypto.SHA512)),
	} {
		t.Run(name, func(t *testing.T) { wantRefusal(t, a, ocsp.Unauthorized) })
	}
	for _, issuer := range []string{"nobody", "root"} {
		if a := post(t, server, issuer, question(t, cert, c.issuerOf(t, "city"), crypto.SHA1)); a.status != 404 {
			t.Errorf("%s: status %d", issuer, a.status)
		}
	}
}
