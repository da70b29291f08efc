package trust_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	. "github.com/signet-city/signet/internal/trust"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const actor = "operator:test"

// clock is the time of everything in a test's city.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// statuses are those of a city whose licences are beside the point.
type statuses struct {
	mu      sync.Mutex
	version int64
	lists   []status.List
}

func (s *statuses) StatusVersion(context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version, nil
}

func (s *statuses) Statuses(context.Context) ([]status.List, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lists), nil
}

// revoke lists one index more.
func (s *statuses) revoke(list int, index uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = slices.Clone(s.lists)
	for len(s.lists) <= list {
		s.lists = append(s.lists, status.List{No: uint32(len(s.lists))})
	}
	revoked := append(slices.Clone(s.lists[list].Revoked), index)
	slices.Sort(revoked)
	s.lists[list].Revoked = slices.Compact(revoked)
	s.version++
}

// city is a real keyring and registry in one database.
type city struct {
	db       *db.DB
	clock    *clock
	ring     *keys.Ring
	registry *registry.Registry
	statuses *statuses
	rootKey  *ecdsa.PrivateKey
	root     []byte
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{db: d, clock: &clock{now: time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)}, statuses: &statuses{lists: []status.List{{}}}}
	var err error
	c.ring, err = keys.Open(t.Context(), keys.Options{DB: d, KEK: make([]byte, 32), Now: c.clock.Now, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.ring.Close() })
	c.registry, err = registry.New(registry.Options{DB: d, Sealer: c.ring, Now: c.clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	if c.rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	trustKey, statusKey := c.activeKey(t, keys.PurposeTrust, "city"), c.activeKey(t, keys.PurposeStatus, "city")
	c.root = c.signRoot(t, []trust.Signer{c.signer(t, trustKey)}, []trust.Signer{c.signer(t, statusKey)})
	c.addAgency(t, "jiangcheng-amr", "11990100MB0000001", registry.City, "990100")
	return c
}

func (c *city) signRoot(t testing.TB, bundle, status []trust.Signer) []byte {
	t.Helper()
	now := c.clock.Now().Unix()
	spki, err := x509.MarshalPKIXPublicKey(c.rootKey.Public())
	if err != nil {
		t.Fatal(err)
	}
	b, err := trust.SignRoot(trust.RootStatement{Version: 1, IssuedAt: now, Expires: now + 20*365*86400, Bundle: bundle, Status: status},
		trust.KeySigner{KID: trust.KIDOf(spki), Alg: -7, Key: c.rootKey})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *city) signer(t testing.TB, k keys.Key) trust.Signer {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		t.Fatal(err)
	}
	now := c.clock.Now().Unix()
	return trust.Signer{KID: trust.KIDOf(spki), Alg: -7, Public: spki, From: now, Until: now + 15*365*86400}
}

func (c *city) activeKey(t testing.TB, purpose, owner string) keys.Key {
	t.Helper()
	k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: purpose, Owner: owner, Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	c.move(t, k, keys.Published, keys.Active)
	return k
}

func (c *city) move(t testing.TB, k keys.Key, states ...keys.State) {
	t.Helper()
	for _, s := range states {
		if err := c.ring.Move(t.Context(), k.ID, s, actor, "test"); err != nil {
			t.Fatal(err)
		}
	}
}

// permitKey makes a staged permit key with a certificate of two years.
func (c *city) permitKey(t testing.TB, owner string) keys.Key {
	t.Helper()
	k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposePermit, Owner: owner, Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: owner},
		NotBefore: c.clock.Now().Add(-time.Hour), NotAfter: c.clock.Now().AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "Test CA"}}
	k.Certificate, err = x509.CreateCertificate(rand.Reader, template, parent, k.Public, c.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ring.Certify(t.Context(), k.ID, k.Certificate, actor); err != nil {
		t.Fatal(err)
	}
	return k
}

func (c *city) addAgency(t testing.TB, id, uscc string, level registry.Level, area string) {
	t.Helper()
	a := registry.Agency{ID: id, USCC: completeUSCC(uscc), NameZH: "江城市机关", NameEN: "Agency " + id, Level: level, Area: area, Issuer: "city"}
	if _, err := c.registry.AddAgency(t.Context(), actor, a); err != nil {
		t.Fatal(err)
	}
}

// completeUSCC adds the check digit (GB 32100-2015).
func completeUSCC(body string) string {
	const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for _, c := range body {
		sum += strings.IndexRune(alphabet, c) * weight
		weight = weight * 3 % 31
	}
	return body + string(alphabet[(31-sum%31)%31])
}

func (c *city) options(t testing.TB) Options {
	return Options{
		DB: c.db, Ring: c.ring, Registry: c.registry, Statuses: c.statuses, Root: c.rootNow,
		Types: func() []trust.Type {
			return []trust.Type{{
				Code: 1, ID: "food-business", Names: trust.Names{ZH: "食品经营许可证", EN: "Food business licence"}, HolderKind: trust.HolderFirm,
				// Neither in order nor without empty slices: the publisher has to cope.
				Fields: []trust.Field{
					{No: 5, Name: "scope", Names: trust.Names{ZH: "经营项目", EN: "Scope"}, List: "scope"},
					{No: 4, Name: "premises", Names: trust.Names{ZH: "经营场所", EN: "Premises"}},
				},
				Lists: []trust.CodeList{{ID: "scope", Codes: []trust.Code{
					{Code: 2, Value: "热食", Names: trust.Names{ZH: "热食", EN: "Hot food"}}, {Code: 1, Value: "冷食", Names: trust.Names{ZH: "冷食", EN: "Cold food"}}}}},
				Dictionary: []byte{}, MaxStatusAge: 86400,
			}}
		},
		Checkpoint: func(context.Context) ([]byte, error) { return []byte("example.org/log\n1\nhash\n"), nil },
		StatusURI:  "http://localhost:8080/status/snapshot",
		Now:        c.clock.Now, Logger: testkit.Logger(t),
	}
}

func (c *city) publisher(t testing.TB, change ...func(*Options)) *Publisher {
	t.Helper()
	o := c.options(t)
	for _, f := range change {
		f(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func publish(t testing.TB, p *Publisher) {
	t.Helper()
	if err := p.Publish(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// fetch returns what a publisher serves at a path.
func fetch(t testing.TB, p *Publisher, path string) []byte {
	t.Helper()
	w := get(p, path, "")
	if w.Code != http.StatusOK {
		t.Fatalf("%s: status %d: %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func get(p *Publisher, path, etag string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	p.Mount(mux)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

// view is everything that a verifier fetches and finds good.
type view struct {
	bundle   trust.Bundle
	head     trust.Head
	snapshot *status.Snapshot
	state    trust.State
}

// look fetches as a verifier with nothing but the pinned root would, and fails
// the test for anything that does not verify.
func (c *city) look(t testing.TB, p *Publisher) view {
	t.Helper()
	file, now := fetch(t, p, "/trust/bundle"), c.clock.Now()
	b, root, err := trust.OpenBundle(file, c.rootKey.Public(), now)
	if err != nil {
		t.Fatal(err)
	}
	h, err := trust.OpenHead(fetch(t, p, "/trust/head"), root, now)
	if err != nil {
		t.Fatal(err)
	}
	s, err := status.Parse(fetch(t, p, "/status/snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	k, ok := root.StatusSigner(s.KID, s.IssuedAt)
	if !ok {
		t.Fatal("no permitted signer for the snapshot")
	}
	pub, err := trust.ParsePublic(k.Alg, k.Public)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(k.Alg, pub); err != nil {
		t.Fatal(err)
	}
	if now.Unix() >= s.Expires {
		t.Fatal("the snapshot has expired")
	}
	if h.BundleHash != trust.Hash(file) || h.BundleSeq != b.Seq || h.SnapshotHash != s.Hash() || h.SnapshotSeq != s.Seq {
		t.Fatal("the head names other objects")
	}
	return view{b, h, s, trust.BundleState(file, b, root)}
}

// events returns the events of a kind.
func (c *city) events(t testing.TB, kind string) []audit.Record {
	t.Helper()
	var found []audit.Record
	err := c.db.Read(t.Context(), func(tx db.Tx) (err error) {
		found, err = audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// hooked is the ring with a look into what its signers do.
type hooked struct {
	*keys.Ring
	sign func(key crypto.Signer, digest []byte, opts crypto.SignerOpts) ([]byte, error)
}

func (h hooked) Active(ctx context.Context, purpose, owner string) (keys.Key, crypto.Signer, error) {
	k, s, err := h.Ring.Active(ctx, purpose, owner)
	return k, hookedSigner{s, h}, err
}

// rootNow is what the publisher is told of the root.
func (c *city) rootNow() ([]byte, crypto.PublicKey) { return c.root, c.rootKey.Public() }

// fixed is a root that stays.
func fixed(file []byte, pin crypto.PublicKey) func() ([]byte, crypto.PublicKey) {
	return func() ([]byte, crypto.PublicKey) { return file, pin }
}
