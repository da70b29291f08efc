package ca_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	base       = "http://ca.city.example:8080"
	actor      = "operator:test"
	passphrase = "correct horse battery staple"
)

// clock is time that a test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// city is a city after its ceremony.
type city struct {
	*ca.CA
	db       *db.DB
	ring     *keys.Ring
	registry *registry.Registry
	clock    *clock
	result   ca.Result
}

func plan(t testing.TB) ca.Ceremony {
	t.Helper()
	b, err := os.ReadFile("testdata/ceremony.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.ParseCeremony(b)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openRing(t testing.TB, d *db.DB, c *clock) *keys.Ring {
	t.Helper()
	ring, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: make([]byte, 32), Now: c.now, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	return ring
}

func ceremonyOptions(t testing.TB, d *db.DB, ring *keys.Ring, c *clock) ca.CeremonyOptions {
	return ca.CeremonyOptions{Ceremony: plan(t), DB: d, Ring: ring, Passphrase: []byte(passphrase), BaseURL: base, Now: c.now, Logger: testkit.Logger(t)}
}

// newCity holds a ceremony and opens what it made.
func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{db: d, clock: &clock{t: time.Now()}}
	c.ring = openRing(t, d, c.clock)
	var err error
	if c.result, err = ca.Hold(t.Context(), ceremonyOptions(t, d, c.ring, c.clock)); err != nil {
		t.Fatal(err)
	}
	if c.registry, err = registry.New(registry.Options{DB: d, Sealer: c.ring, Now: c.clock.now}); err != nil {
		t.Fatal(err)
	}
	for _, a := range []registry.Agency{
		{ID: "jiangcheng-amr", USCC: "11990100MB0000019L", NameZH: "江城市市场监督管理局", NameEN: "Jiangcheng AMR", Level: registry.City, Area: "990100", Issuer: "city"},
		{ID: "donghu-amr", USCC: "11990101MB0000027X", NameZH: "江城市东湖区市场监督管理局", NameEN: "Donghu AMR", Level: registry.District, Area: "990101", Issuer: "donghu"},
		{ID: "xishan-amr", USCC: "11990102MB00000357", NameZH: "江城市西山区市场监督管理局", NameEN: "Xishan AMR", Level: registry.District, Area: "990102", Issuer: "xishan"},
		// Registered under an issuer that is not its district's.
		{ID: "stray", USCC: "11990100MB00000435", NameZH: "江城市东湖区教育局", NameEN: "Donghu Education", Level: registry.District, Area: "990101", Issuer: "xishan"},
	} {
		if _, err := c.registry.AddAgency(t.Context(), actor, a); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.ring.MakeSecret(t.Context(), keys.SecretData, actor); err != nil {
		t.Fatal(err)
	}
	c.CA = c.reopen(t)
	return c
}

// reopen opens the same city once more, as another replica or after a crash.
func (c *city) reopen(t testing.TB) *ca.CA {
	t.Helper()
	opened, err := ca.Open(t.Context(), ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, BaseURL: base, Now: c.clock.now, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// csr returns a request in PEM.
func csr(t testing.TB, key crypto.Signer, template x509.CertificateRequest) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

// request asks for a permit certificate of the city's agency with a fresh key.
func request(t testing.TB) ca.Request {
	return ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: ecKey(t), Actor: actor}
}

func (c *city) issue(t testing.TB, r ca.Request) ca.Certificate {
	t.Helper()
	cert, err := c.Issue(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func parse(t testing.TB, der []byte) *x509.Certificate {
	t.Helper()
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// rows counts certificates of any status.
func (c *city) rows(t testing.TB) (n int) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM ca_certificates`).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (c *city) audit(t testing.TB) (n int, problems []string) {
	t.Helper()
	n, err := c.Audit(t.Context(), func(serial, problem string) { problems = append(problems, serial+" "+problem) })
	if err != nil {
		t.Fatal(err)
	}
	return n, problems
}

func wantKind(t testing.TB, err error, want fault.Kind) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want kind %v", want)
	} else if fault.KindOf(err) != want {
		t.Errorf("kind %v, want %v: %v", fault.KindOf(err), want, err)
	}
}
