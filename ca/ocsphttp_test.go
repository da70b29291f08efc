package ca_test

import (
	"bytes"
	"crypto"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

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
