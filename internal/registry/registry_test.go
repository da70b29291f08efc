package registry_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var now = time.Date(2026, 3, 1, 9, 30, 0, 0, time.UTC)

// sealer is AES-256-GCM and HMAC-SHA-256 under one key, as the keyring does it but
// without its store.
type sealer struct {
	aead cipher.AEAD
	key  []byte
}

func newSealer(t testing.TB) sealer {
	t.Helper()
	key := make([]byte, 32)
	_, _ = rand.Read(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead, key}
}

func (s sealer) Seal(_ context.Context, plaintext, aad []byte) ([]byte, error) {
	return s.aead.Seal(nil, nil, plaintext, aad), nil
}

func (s sealer) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	return s.aead.Open(nil, nil, sealed, aad)
}

func (s sealer) Lookups(_ context.Context, label string, value []byte) ([][]byte, error) {
	return [][]byte{hash(s.key, label, value)}, nil
}

func hash(key []byte, label string, value []byte) []byte {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s\x00%s", label, value)
	return h.Sum(nil)
}

func open(t testing.TB, d *db.DB, s registry.Sealer) *registry.Registry {
	t.Helper()
	r, err := registry.New(registry.Options{DB: d, Sealer: s, Now: func() time.Time { return now }, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func each(t *testing.T, f func(t *testing.T, d *db.DB, r *registry.Registry)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, d, open(t, d, newSealer(t))) })
}

const actor = "operator:li"

var (
	cityAgency = registry.Agency{ID: "jiangcheng-amr", USCC: completeUSCC("11990100MB0000001"), NameZH: "江城市市场监督管理局",
		NameEN: "Jiangcheng Market Regulation", Level: registry.City, Area: "990100", Issuer: "city"}
	districtAgency = registry.Agency{ID: "donghu-amr", USCC: completeUSCC("11990101MB0000002"), NameZH: "东湖区市场监督管理局",
		NameEN: "Donghu Market Regulation", Level: registry.District, Parent: "jiangcheng-amr", Area: "990101", Issuer: "donghu"}
	authority = registry.Authority{Agency: "donghu-amr", Type: "food-business", Area: "990101",
		From: now.Truncate(time.Second), Until: now.AddDate(10, 0, 0).Truncate(time.Second)}
	wang = registry.Person{Kind: registry.Resident, Number: complete("99010119900307001"), Name: "王小明"}
)

// must fails the test on an error.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func addAgencies(t testing.TB, r *registry.Registry) {
	t.Helper()
	must(r.AddAgency(t.Context(), actor, cityAgency))(t)
	must(r.AddAgency(t.Context(), actor, districtAgency))(t)
}

// events returns actor and object of the events of a kind, sorted.
func events(t testing.TB, d *db.DB, kind string) (list []string) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
		for _, r := range records {
			list = append(list, r.Actor+" "+r.Object)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

func TestNew(t *testing.T) {
	if _, err := registry.New(registry.Options{}); err == nil {
		t.Error("made without a database")
	}
}

func wantFault(t testing.TB, err error, kind fault.Kind, path string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got %v of kind %v, want kind %v", err, fault.KindOf(err), kind)
	}
	named := func(p fault.Problem) bool { return p.Path == path }
	if path != "" && !slices.ContainsFunc(fault.Problems(err), named) {
		t.Errorf("problems %v do not name %s", fault.Problems(err), path)
	}
}
