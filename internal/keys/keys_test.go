package keys_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const actor = "operator:test"

var testKEK = []byte("an entirely made-up wrapping key")

func open(t testing.TB, o keys.Options) *keys.Ring {
	t.Helper()
	if o.KEK == nil {
		o.KEK = testKEK
	}
	if o.Logger == nil {
		o.Logger = testkit.Logger(t)
	}
	r, err := keys.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close ring: %v", err)
		}
	})
	return r
}

func spec(purpose, owner string) keys.Spec {
	s := keys.Spec{Purpose: purpose, Owner: owner, Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor}
	if purpose == keys.PurposeLog {
		s.Alg = keys.Ed25519
	}
	return s
}

func create(t testing.TB, r *keys.Ring, s keys.Spec) keys.Key {
	t.Helper()
	k, err := r.Create(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// path is the shortest way from staged to a state.
var path = map[keys.State][]keys.State{
	keys.Staged:      nil,
	keys.Published:   {keys.Published},
	keys.Active:      {keys.Published, keys.Active},
	keys.Retiring:    {keys.Published, keys.Active, keys.Retiring},
	keys.Retired:     {keys.Retired},
	keys.Compromised: {keys.Compromised},
}

// created returns a fresh key brought to a state.
func created(t testing.TB, r *keys.Ring, s keys.Spec, state keys.State) keys.Key {
	t.Helper()
	k := create(t, r, s)
	for _, to := range path[state] {
		move(t, r, k.ID, to)
	}
	return find(t, r, k.ID)
}

func move(t testing.TB, r *keys.Ring, id string, to keys.State) {
	t.Helper()
	if err := r.Move(t.Context(), id, to, actor, "test"); err != nil {
		t.Fatal(err)
	}
}

func find(t testing.TB, r *keys.Ring, id string) keys.Key {
	t.Helper()
	k, err := r.Find(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func wantKind(t testing.TB, err error, kind fault.Kind) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Fatalf("got error %v of kind %v, want kind %v", err, fault.KindOf(err), kind)
	}
}

// exec changes the database behind the ring's back.
func exec(t testing.TB, d *db.DB, query string, args ...any) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func scan(t testing.TB, d *db.DB, query string, to ...any) {
	t.Helper()
	err := d.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), query).Scan(to...)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// signs fails unless s makes signatures that public verifies.
func signs(t testing.TB, s crypto.Signer, public crypto.PublicKey) {
	t.Helper()
	message := []byte("what is signed")
	hash := sha256.Sum256(message)
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		signature, err := s.Sign(rand.Reader, hash[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(public, hash[:], signature) {
			t.Fatal("the signature is not the public key's")
		}
	case ed25519.PublicKey:
		signature, err := s.Sign(rand.Reader, message, crypto.Hash(0))
		if err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(public, message, signature) {
			t.Fatal("the signature is not the public key's")
		}
	default:
		t.Fatalf("public key of type %T", public)
	}
}

func trySign(s crypto.Signer) error {
	hash := sha256.Sum256([]byte("what is signed"))
	_, err := s.Sign(rand.Reader, hash[:], crypto.SHA256)
	return err
}

// selfSigned returns a certificate for the signer's key.
func selfSigned(t testing.TB, s crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, s.Public(), s)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func events(t testing.TB, d *db.DB, object string) []audit.Record {
	t.Helper()
	var list []audit.Record
	err := d.Read(t.Context(), func(tx db.Tx) (err error) {
		list, err = audit.Find(t.Context(), tx, audit.EventFilter{Object: object})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// eventually waits for a condition that another goroutine brings about.
func eventually(t testing.TB, most time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v", what, most)
		}
	}
}

func run(t testing.TB, r *keys.Ring) {
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
	})
}
