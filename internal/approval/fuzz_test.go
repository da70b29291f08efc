package approval_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"testing"

	"github.com/signet-city/signet/internal/approval"
	testvector "github.com/signet-city/signet/internal/testkit/vector"
)

func seeds(f *testing.F, add func(v vector)) {
	for _, path := range testvector.Paths(f, vectorDir) {
		if v := readVector(f, path); len(v.statement) < 4<<10 {
			add(v)
		}
	}
}

func known(err error) bool {
	return err == nil || errors.Is(err, approval.ErrMalformed) || errors.Is(err, approval.ErrTooLarge) || errors.Is(err, approval.ErrSignature)
}

// FuzzParseStatement: what is read is encoded again to the same bytes.
func FuzzParseStatement(f *testing.F) {
	seeds(f, func(v vector) { f.Add(v.statement) })
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := approval.ParseStatement(b)
		if !known(err) {
			t.Fatalf("error of no kind: %v", err)
		}
		if err != nil {
			return
		}
		if again, err := st.Encode(); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encoded to %x: %v", again, err)
		}
	})
}

func FuzzVerifyCOSE(f *testing.F) {
	key := newKey(f, elliptic.P256())
	statement := goodMembers().cbor()
	seeds(f, func(v vector) {
		if v.method == approval.MethodKey {
			f.Add(v.proof)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := approval.VerifyCOSE(statement, b, key.Public()); !known(err) || err == nil {
			t.Fatalf("got %v", err)
		}
	})
}

// FuzzVerifyPasskey: nothing that is changed verifies.
func FuzzVerifyPasskey(f *testing.F) {
	a := newAuthenticator(f)
	statement := goodMembers().cbor()
	seeds(f, func(v vector) {
		var p approval.Assertion
		if v.method == approval.MethodPasskey && json.Unmarshal(v.proof, &p) == nil {
			f.Add([]byte(p.ClientData), []byte(p.AuthenticatorData), []byte(p.Signature))
		}
	})
	f.Fuzz(func(t *testing.T, clientData, data, signature []byte) {
		p := approval.Assertion{ID: a.ID, ClientData: clientData, AuthenticatorData: data, Signature: signature}
		if err := approval.VerifyPasskey(statement, p, a.COSEKey(t), rpID, issuer); !known(err) || err == nil {
			t.Fatalf("got %v", err)
		}
	})
}

// FuzzParseKey: no bytes but a key's own are a key.
func FuzzParseKey(f *testing.F) {
	seeds(f, func(v vector) {
		if v.method == approval.MethodKey {
			f.Add(v.key)
		}
	})
	f.Fuzz(func(t *testing.T, b []byte) {
		public, err := approval.ParseKey(b)
		if err != nil {
			return
		}
		if again, err := x509.MarshalPKIXPublicKey(public); err != nil || !bytes.Equal(again, b) {
			t.Fatalf("encoded to %x: %v", again, err)
		}
	})
}
