package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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

func TestOCSPMalformed(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server := responder(t, c.CA)
	for name, der := range badRequests(t, parse(t, c.issue(t, request(t)).DER), c.issuerOf(t, "city")) {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, post(t, server, "city", der), ocsp.Malformed)
			if len(der) < ca.MaxOCSPRequest {
				wantRefusal(t, get(t, server, "city", der, ""), ocsp.Malformed)
			}
		})
	}
	for _, path := range []string{"", "/", "/%%%", "/MFEw", "/MFEwTzBNMEswSTAJ*", "//", "/not-base64", "/" + strings.Repeat("M", 12000), "/MA"} {
		if strings.Contains(path, "%%%") {
			path = "/%25%25%25"
		}
		wantRefusal(t, send(t, "GET", server.URL+"/ca/city/ocsp"+path, nil, ""), ocsp.Malformed)
	}
	// A body of 4 MB is not read to its end.
	wantRefusal(t, send(t, "POST", server.URL+"/ca/city/ocsp", io.LimitReader(zeros{}, 4<<20), ""), ocsp.Malformed)
	for _, method := range []string{"PUT", "DELETE", "PATCH"} {
		if a := send(t, method, server.URL+"/ca/city/ocsp", nil, ""); a.status != 405 {
			t.Errorf("%s: %d", method, a.status)
		}
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }

// badRequests are requests that are none.
func badRequests(t testing.TB, cert, issuer *x509.Certificate) map[string][]byte {
	good := question(t, cert, issuer, crypto.SHA1)
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var parsed struct {
		TBS struct{ List []asn1.RawValue }
	}
	if _, err := asn1.Unmarshal(good, &parsed); err != nil {
		t.Fatal(err)
	}
	twice := parsed
	twice.TBS.List = append(twice.TBS.List, twice.TBS.List[0])
	none := parsed
	none.TBS.List = nil
	type algorithm struct {
		ID         asn1.ObjectIdentifier
		Parameters asn1.RawValue `asn1:"optional"`
	}
	type id struct {
		Algorithm algorithm
		Name, Key []byte
		Serial    *big.Int
	}
	name, key := sha1.Sum([]byte("a")), sha256.Sum256([]byte("b"))
	build := func(a algorithm, name, key []byte, serial *big.Int) []byte {
		type request struct{ ID id }
		var q struct {
			TBS struct{ List []request }
		}
		q.TBS.List = []request{{id{a, name, key, serial}}}
		return marshal(q)
	}
	sha := asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	version := func(n int) []byte {
		type tbs struct {
			Version int `asn1:"explicit,tag:0"`
			List    []asn1.RawValue
		}
		return marshal(struct{ TBS tbs }{tbs{n, parsed.TBS.List}})
	}
	return map[string][]byte{
		"empty": {}, "one byte": {0x30}, "text": []byte("hello"), "null": {5, 0}, "empty sequence": {0x30, 0},
		"cut off": good[:len(good)-1], "trailing": append(bytes.Clone(good), 0), "two certificates": marshal(twice), "no certificate": marshal(none),
		"too large":           append(bytes.Clone(good), make([]byte, ca.MaxOCSPRequest)...),
		"short name hash":     build(algorithm{ID: sha}, name[:19], name[:], big.NewInt(1)),
		"long key hash":       build(algorithm{ID: sha}, name[:], key[:], big.NewInt(1)),
		"hash of another":     build(algorithm{ID: asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}}, name[:], name[:], big.NewInt(1)),
		"parameters":          build(algorithm{ID: sha, Parameters: asn1.RawValue{Tag: 2, Bytes: []byte{1}}}, name[:], name[:], big.NewInt(1)),
		"serial of 21 octets": build(algorithm{ID: sha}, name[:], name[:], new(big.Int).Lsh(big.NewInt(1), 161)),
		"version 2":           version(1),
		"empty nonce":         withNonce(t, good, []byte{}),
		"nonce of 129 octets": withNonce(t, good, make([]byte, 129)),
		"two nonces":          withNonce(t, good, []byte{1}, []byte{2}),
		"no extension":        withNonce(t, good),
		"nonce in no octets":  bytes.Replace(withNonce(t, good, []byte{7, 7}), []byte{4, 4, 4, 2, 7, 7}, []byte{4, 4, 2, 2, 7, 7}, 1),
		"critical extension":  criticalExtension(t, good),
	}
}

// criticalExtension adds one that nobody knows.
func criticalExtension(t testing.TB, request []byte) []byte {
	t.Helper()
	der := withNonce(t, request, []byte{9, 9, 9})
	nonce := []byte{6, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 2, 4, 5}
	if !bytes.Contains(der, nonce) {
		t.Fatalf("%x", der)
	}
	return bytes.Replace(der, append(nonce, 4, 3, 9, 9, 9), []byte{6, 6, 0x2b, 6, 1, 5, 5, 7, 1, 1, 0xff, 4, 5, 4, 3, 9, 9, 9}, 1)
}

// TestOCSPUnknownExtensionsAreSkipped: what is not critical does no harm, and what
// surrounds the question neither.
func TestOCSPUnknownExtensionsAreSkipped(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	cert := parse(t, c.issue(t, request(t)).DER)
	der := withNonce(t, question(t, cert, issuer, crypto.SHA1), []byte{9, 9, 9})
	foreign := bytes.Replace(der, []byte{6, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 2}, []byte{6, 9, 0x2b, 6, 1, 5, 5, 7, 48, 1, 99}, 1)
	if a := post(t, server, "city", foreign); opened(t, a, cert, issuer).Status != ocsp.Good || a.header.Get("ETag") == "" {
		t.Errorf("%v", a.header)
	}
}

func TestOCSPNonce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		reg := prometheus.NewRegistry()
		a := c.open(t, func(o *ca.Options) { o.OCSPFresh, o.Registerer = 4, reg })
		server, issuer := responder(t, a), c.issuerOf(t, "city")
		cert := parse(t, c.issue(t, request(t)).DER)
		plain := question(t, cert, issuer, crypto.SHA256)
		var bodies [][]byte
		for i, size := range []int{1, 16, 32, 128} {
			nonce := bytes.Repeat([]byte{byte(i + 1), 0xff}, 64)[:size]
			got := post(t, server, "city", withNonce(t, plain, nonce))
			r := opened(t, got, cert, issuer)
			if r.Status != ocsp.Good || r.IssuerHash != crypto.SHA256 || !bytes.Contains(got.body, nonce) || got.header.Get("Cache-Control") != "no-store" || got.header.Get("ETag") != "" {
				t.Errorf("nonce of %d: status %d, %v", size, r.Status, got.header)
			}
			bodies = append(bodies, got.body)
		}
		if bytes.Equal(bodies[0], bodies[1]) || a.CachedOCSP() != 0 {
			t.Errorf("%d answers with nonces are kept", a.CachedOCSP())
		}
		// Over the limit: the answer for everybody.
		over := post(t, server, "city", withNonce(t, plain, bytes.Repeat([]byte{0xaa}, 16)))
		if r := opened(t, over, cert, issuer); r.Status != ocsp.Good || bytes.Contains(over.body, bytes.Repeat([]byte{0xaa}, 16)) || over.header.Get("ETag") == "" {
			t.Errorf("over the limit: %d, %v", r.Status, over.header)
		}
		if again := post(t, server, "city", plain); !bytes.Equal(again.body, over.body) {
			t.Error("over the limit an answer of its own was signed")
		}
		c.clock.advance(time.Second)
		if got := get(t, server, "city", withNonce(t, plain, []byte("fresh again")), ""); !bytes.Contains(got.body, []byte("fresh again")) {
			t.Error("the limit does not end")
		}
		for name, want := range map[string]float64{"limited_total nonce": 1, "signatures_total nonce": 5, "signatures_total first": 1, "answers_total good": 7, "cached": 1} {
			if n := measured(t, reg)["signet_ca_ocsp_"+name]; n != want {
				t.Errorf("%s: %v, want %v", name, n, want)
			}
		}
	})
}

// measured returns metrics by name and label.
func measured(t testing.TB, reg *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// TestOCSPUnknownIsLimited: numbers that nobody gave are not the way to keep the
// key busy, and who asks for real ones does not notice.
func TestOCSPUnknownIsLimited(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	a := c.open(t, func(o *ca.Options) { o.OCSPFresh = 3 })
	server, issuer := responder(t, a), c.issuerOf(t, "city")
	for i := range 3 {
		if r := opened(t, post(t, server, "city", about(t, big.NewInt(int64(i)+1), issuer, crypto.SHA1)), nil, issuer); r.Status != ocsp.Unknown {
			t.Errorf("status %d", r.Status)
		}
	}
	over := post(t, server, "city", about(t, big.NewInt(99), issuer, crypto.SHA1))
	wantRefusal(t, over, ocsp.TryLater)
	if over.header.Get("Retry-After") == "" {
		t.Error("when?")
	}
	cert := parse(t, c.issue(t, request(t)).DER)
	if r := opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer); r.Status != ocsp.Good {
		t.Errorf("status %d", r.Status)
	}
}

// TestOCSPSlashes: two slashes in base64 are two slashes, where a multiplexer alone
// would make them one and send the client to an address that says something else.
func TestOCSPSlashes(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
	cert := parse(t, c.issue(t, request(t)).DER)
	der := withNonce(t, question(t, cert, issuer, crypto.SHA1), bytes.Repeat([]byte{0xff}, 16))
	text := base64.StdEncoding.EncodeToString(der)
	if !strings.Contains(text, "//////") {
		t.Fatal(text)
	}
	mux := http.NewServeMux()
	c.MountPublic(mux)
	bare := httptest.NewServer(mux)
	defer bare.Close()
	if a := send(t, "GET", bare.URL+"/ca/city/ocsp/"+text, nil, ""); a.status/100 != 3 {
		t.Fatalf("the multiplexer alone answers %d: KeepSlashes is not needed any more", a.status)
	}
	for name, path := range map[string]string{
		"as it is": text, "escaped": strings.ReplaceAll(text, "/", "%2F"), "all escaped": strings.NewReplacer("/", "%2F", "+", "%2B", "=", "%3D").Replace(text),
		"half escaped": strings.Replace(text, "/", "%2f", 1), "slash before": "/" + text, "two before": "//" + text,
		"plus as space": strings.ReplaceAll(text, "+", "%20"),
	} {
		a := send(t, "GET", server.URL+"/ca/city/ocsp/"+path, nil, "")
		if r := opened(t, a, cert, issuer); r.Status != ocsp.Good || !bytes.Contains(a.body, bytes.Repeat([]byte{0xff}, 16)) {
			t.Errorf("%s: status %d", name, r.Status)
		}
	}
	// Metrics ask the request that came in for its route.
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/ca/city/ocsp/"+text, nil)
	path := r.URL.RawPath
	c.KeepSlashes(mux).ServeHTTP(httptest.NewRecorder(), r)
	if r.Pattern != "GET /ca/{issuer}/ocsp/{request...}" || r.URL.RawPath != path {
		t.Errorf("route %q, path %q", r.Pattern, r.URL.RawPath)
	}
	// Elsewhere paths stay as they are.
	if a := send(t, "GET", server.URL+"/ca//city/ca.crt", nil, ""); a.status/100 != 3 {
		t.Errorf("status %d", a.status)
	}
	for path, want := range map[string]string{"/ca/city/ocsp/a//b": "/ca/city/ocsp/a%2F%2Fb", "/ca/city/ocsp/ab": "", "/ca/city/ocsp": "", "/ca/city/crl//1": "",
		"/ca//ocsp/a/b": "/ca//ocsp/a%2Fb", "/x/ca/city/ocsp/a//b": "", "/ca/city/x/ocsp/a//b": "", "/": "", "": "", "/ca/": "", "/ca/ocsp/a/b": "",
		"/ca/city/ocsp/..//x": "/ca/city/ocsp/..%2F%2Fx"} {
		if got, ok := ca.EscapeRequest(path); got != want || ok != (want != "") {
			t.Errorf("%s: %s", path, got)
		}
	}
}

// TestRevocationIsSeenAtOnce: from the moment that Revoke returns, in spite of
// everybody who was asking meanwhile.
func TestRevocationIsSeenAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
		bystander := parse(t, c.issue(t, request(t)).DER)
		same := question(t, bystander, issuer, crypto.SHA1)
		first := post(t, server, "city", same)
		for range 4 {
			row := c.issue(t, request(t))
			cert := parse(t, row.DER)
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 4 {
				q := question(t, cert, issuer, bothHashes[i%2])
				wg.Go(func() {
					for ctx.Err() == nil {
						resp, err := http.Post(server.URL+"/ca/city/ocsp", "application/ocsp-request", bytes.NewReader(q))
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			}
			for _, hash := range bothHashes {
				if r := opened(t, get(t, server, "city", question(t, cert, issuer, hash), ""), cert, issuer); r.Status != ocsp.Good {
					t.Fatalf("status %d before", r.Status)
				}
			}
			if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				for _, hash := range bothHashes {
					if r := opened(t, get(t, server, "city", question(t, cert, issuer, hash), ""), cert, issuer); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.Superseded {
						t.Fatalf("status %d after it was revoked", r.Status)
					}
				}
			}
			own := withNonce(t, question(t, cert, issuer, crypto.SHA1), []byte("after"))
			if r := opened(t, post(t, server, "city", own), cert, issuer); r.Status != ocsp.Revoked {
				t.Errorf("with a nonce status %d after it was revoked", r.Status)
			}
			stop()
			wg.Wait()
		}
		// Whoever is in the same shard has the answer that was signed before.
		if again := post(t, server, "city", same); !bytes.Equal(again.body, first.body) {
			t.Error("a revocation made the others' answers be signed again")
		}
	})
}

// TestReplicasFollowRevocations: within two seconds of Run, which calls this.
func TestReplicasFollowRevocations(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		here, there := c.reopen(t), c.reopen(t)
		one, two, issuer := responder(t, here), responder(t, there), c.issuerOf(t, "city")
		row := c.issue(t, request(t))
		cert := parse(t, row.DER)
		status := func(s *httptest.Server, hash crypto.Hash) int {
			return opened(t, post(t, s, "city", question(t, cert, issuer, hash)), cert, issuer).Status
		}
		for _, hash := range bothHashes {
			if status(one, hash) != ocsp.Good || status(two, hash) != ocsp.Good {
				t.Fatal("not good")
			}
		}
		if err := here.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		if status(one, crypto.SHA1) != ocsp.Revoked {
			t.Error("not revoked where it was revoked")
		}
		there.FollowOCSP(t.Context())
		for _, hash := range bothHashes {
			if status(two, hash) != ocsp.Revoked {
				t.Error("not revoked on the other replica")
			}
		}
	})
}

func TestRunFollowsRevocations(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	there := c.reopen(t)
	server, issuer := responder(t, there), c.issuerOf(t, "city")
	row := c.issue(t, request(t))
	cert := parse(t, row.DER)
	ask := func() int {
		return opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer).Status
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- there.Run(ctx) }()
	defer func() { stop(); <-done }()
	if ask() != ocsp.Good {
		t.Fatal("not good")
	}
	if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ask() != ocsp.Revoked; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("another replica's revocation is not followed")
		}
	}
}
