package scanner_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/scanner"
	"github.com/signet-city/signet/verify/trust"
)

const day = 86400

// Places in status list 1.
const (
	goodIndex      = 10
	revokedIndex   = 11
	suspendedIndex = 12
)

// city is a small city that issues, publishes and serves the page.
type city struct {
	t      testing.TB
	now    int64
	root   *ecdsa.PrivateKey
	bundle *ecdsa.PrivateKey // trust-list signer
	status *ecdsa.PrivateKey
	agency *ecdsa.PrivateKey
	kid    [8]byte
	stolen []byte // the genuine file of the agency's key, nil while it is not stolen
	server *httptest.Server
	base   string // the page's origin

	mu    sync.Mutex
	files map[string][]byte // by path; one that is missing is not found
	asked []string          // paths of files that were asked for
	seq   uint64
	lists []status.List
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func spki(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func newCity(t testing.TB) *city {
	t.Helper()
	c := &city{t: t, now: time.Now().Unix(), root: newKey(t), bundle: newKey(t), status: newKey(t), agency: newKey(t), files: map[string][]byte{},
		lists: []status.List{{No: 1, Revoked: []uint32{revokedIndex, 500_000}, Suspended: []uint32{suspendedIndex}}}}
	mux := http.NewServeMux()
	scanner.Mount(mux, nil)
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.asked = append(c.asked, r.URL.Path)
		body, ok := c.files[r.URL.Path]
		c.mu.Unlock()
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("Cache-Control", "public, no-cache")
		_, _ = w.Write(body)
	})
	c.server = httptest.NewServer(mux)
	t.Cleanup(c.server.Close)
	c.base = strings.Replace(c.server.URL, "127.0.0.1", "localhost", 1)
	c.publish()
	return c
}

func (c *city) signer(k crypto.Signer) trust.KeySigner {
	return trust.KeySigner{KID: trust.KIDOf(spki(c.t, k)), Alg: permit.ES256, Key: k}
}

// certificate returns a root certificate.
func certificate(t testing.TB, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Jiangcheng Root (scanner)"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// rootStatement is what the root says, signed by those roots.
func (c *city) rootStatement(version uint64, next []byte, roots ...*ecdsa.PrivateKey) []byte {
	c.t.Helper()
	permitted := func(k *ecdsa.PrivateKey) []trust.Signer {
		return []trust.Signer{{KID: trust.KIDOf(spki(c.t, k)), Alg: permit.ES256, Public: spki(c.t, k), From: c.now - 100*day, Until: c.now + 700*day}}
	}
	var signers []trust.KeySigner
	for _, r := range roots {
		signers = append(signers, c.signer(r))
	}
	b, err := trust.SignRoot(trust.RootStatement{
		Version: version, IssuedAt: c.now - 100*day, Expires: c.now + 3000*day, Bundle: permitted(c.bundle), Status: permitted(c.status), Next: next,
	}, signers...)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// publish makes everything that the page fetches, each time with the next number.
func (c *city) publish() { c.publishAs(c.rootStatement(1, nil, c.root), c.root) }

func (c *city) publishAs(root []byte, holder *ecdsa.PrivateKey) {
	c.t.Helper()
	c.seq++
	cert := []byte("certificate of donghu-amr")
	c.kid = permit.KID(cert)
	b := trust.Bundle{
		Seq: c.seq, IssuedAt: c.now - day, Expires: c.now + 29*day, Root: root,
		Agencies: []trust.Agency{{ID: "donghu-amr", Names: trust.Names{ZH: "东湖区市场监督管理局", EN: "Donghu Administration for Market Regulation"}, Level: trust.LevelDistrict, Area: "990101"}},
		Keys: []trust.Key{{KID: c.kid, Alg: permit.ES256, Public: spki(c.t, c.agency), CertHash: sha256.Sum256(cert), Agency: "donghu-amr",
			State: trust.KeyActive, SignFrom: c.now - 90*day, SignUntil: c.now + 300*day, VerifyUntil: c.now + 3000*day}},
		Authority: []trust.Authority{{Agency: "donghu-amr", Type: "food-business", Area: "990101", From: c.now - 90*day}},
		Types: []trust.Type{{
			Code: 1, ID: "food-business", Names: trust.Names{ZH: "食品经营许可证", EN: "Food business licence"}, HolderKind: trust.HolderFirm, MaxStatusAge: 7 * day,
			Fields: []trust.Field{
				{No: 4, Name: "premises", Names: trust.Names{ZH: "经营场所", EN: "Premises"}},
				{No: 5, Name: "category", Names: trust.Names{ZH: "主体业态", EN: "Category"}, List: "category"},
				{No: 6, Name: "seats", Names: trust.Names{ZH: "就餐座位", EN: "Seats"}},
			},
			Lists: []trust.CodeList{{ID: "category", Codes: []trust.Code{{Code: 1, Value: "餐饮服务经营者", Names: trust.Names{ZH: "餐饮服务经营者", EN: "Catering service"}}}}},
		}},
	}
	if c.stolen != nil {
		sum := sha256.Sum256(c.stolen)
		b.Keys[0].State, b.Keys[0].CompromisedAt, b.Keys[0].Genuine = trust.KeyCompromised, c.now-60, sum[:]
		c.serve(map[string][]byte{fmt.Sprintf("/trust/genuine/%x", sum): c.stolen})
	}
	if c.seq > 1 {
		previous := trust.Hash(c.files["/trust/bundle"])
		b.Previous = previous[:]
	}
	bundle, err := trust.SignBundle(b, c.signer(c.bundle))
	if err != nil {
		c.t.Fatal(err)
	}
	before := c.files["/status/snapshot"]
	snapshot := c.snapshot(c.seq, c.now-3600, c.status)
	head, err := trust.SignHead(trust.Head{
		BundleSeq: c.seq, BundleHash: trust.Hash(bundle), SnapshotSeq: c.seq, SnapshotHash: trust.Hash(snapshot), IssuedAt: c.now - 60, Expires: c.now + 3600,
	}, c.signer(c.status))
	if err != nil {
		c.t.Fatal(err)
	}
	c.serve(map[string][]byte{
		"/ca/root/ca.crt": certificate(c.t, holder), "/trust/root": root, "/trust/bundle": bundle, "/trust/head": head, "/status/snapshot": snapshot,
	})
	if before != nil {
		c.serve(map[string][]byte{fmt.Sprintf("/status/delta/%d-%d", c.seq-1, c.seq): c.delta(before, snapshot)})
	}
}

// delta leads from one snapshot to another; nil where none does.
func (c *city) delta(before, after []byte) []byte {
	c.t.Helper()
	from, err := status.Parse(before)
	if err != nil {
		c.t.Fatal(err)
	}
	to, err := status.Parse(after)
	if err != nil {
		c.t.Fatal(err)
	}
	changes, err := status.Diff(from.Lists, to.Lists)
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := status.EncodeDelta(from.Mark(), to, changes)
	if err != nil {
		return nil // a test went back
	}
	return b
}

func (c *city) snapshot(seq uint64, issuedAt int64, key *ecdsa.PrivateKey) []byte {
	c.t.Helper()
	s := status.Signer{KID: trust.KIDOf(spki(c.t, key)), Alg: permit.ES256, Key: key}
	b, err := status.Encode(seq, issuedAt, issuedAt+14*day, c.lists, s)
	if err != nil {
		c.t.Fatal(err)
	}
	return b
}

// serve replaces files; nil takes one away.
func (c *city) serve(files map[string][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, body := range files {
		if body == nil {
			delete(c.files, name)
			continue
		}
		c.files[name] = body
	}
}

// permit issues a permit.
func (c *city) permit(edit func(*permit.Claims)) string {
	c.t.Helper()
	from := (c.now-30*day+8*3600)/day*day - 8*3600
	claims := permit.Claims{
		IssuedAt: from + 36000, NotBefore: from, Expires: from + 2100*day, Status: permit.Ref{List: 1, Index: goodIndex},
		Type: 1, Number: "JY29901010012345", HolderName: "江城市荷塘餐饮管理有限公司", HolderID: "91990101MA4KLJ2X7H",
		Fields: map[uint64]any{4: "江城市东湖区荷塘路88号", 5: uint64(1), 6: uint64(40)},
	}
	_, _ = rand.Read(claims.ID[:])
	if edit != nil {
		edit(&claims)
	}
	text, _, err := permit.Encode(claims, permit.Signer{KID: c.kid, Alg: permit.ES256, Key: c.agency}, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}
