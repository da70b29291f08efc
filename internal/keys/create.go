package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const maxCertificate = 64 << 10

// Create makes a staged key. It fails with kind Invalid for a Spec that no
// backend can satisfy and Unavailable when the token is away.
func (r *Ring) Create(ctx context.Context, s Spec) (Key, error) {
	if err := s.check(); err != nil {
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	k := Key{ID: db.NewID(), Purpose: s.Purpose, Owner: s.Owner, Alg: s.Alg, Backend: s.Backend,
		State: Staged, Created: db.Time(db.Micros(r.now()))}
	enclose, err := r.generate(&k)
	if err != nil {
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	hash := sha256.Sum256(public)
	event := audit.Event{Kind: "keys.create", Actor: s.Actor, Object: "key:" + k.ID, Data: map[string]any{
		"purpose": k.Purpose, "owner": k.Owner, "alg": k.Alg, "backend": k.Backend, "public_sha256": hash[:]}}
	err = r.change(ctx, func(tx db.Tx, kek *kek) error {
		wrapped, private, err := enclose(kek)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO keys (id, purpose, owner, alg, backend, state, public_key, wrapped_key, private_key, created)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`,
			k.ID, k.Purpose, k.Owner, k.Alg, k.Backend, string(k.State), public, wrapped, private, db.Micros(k.Created))
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, event)
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	return k, nil
}

// generate makes the key pair and sets k.Public. It returns what makes the two
// columns of the private half under a key-encryption key. A pair on a token that
// never reaches the database stays there unused.
func (r *Ring) generate(k *Key) (enclose func(*kek) (wrapped, private []byte, err error), err error) {
	if k.Backend == BackendPKCS11 {
		if r.token == nil {
			return nil, fault.New(fault.Invalid, "no token is configured: set pkcs11, or choose the file backend")
		}
		if k.Public, err = r.token.create(k.ID, k.Alg); err != nil {
			return nil, err
		}
		return func(kek *kek) (wrapped, private []byte, err error) {
			wrapped, err = kek.bind(k)
			return wrapped, nil, err
		}, nil
	}
	signer, err := generateFile(k.Alg)
	if err != nil {
		return nil, err
	}
	k.Public = signer.Public()
	return func(kek *kek) (wrapped, private []byte, err error) { return kek.enclose(k, signer) }, nil
}

func generateFile(alg string) (crypto.Signer, error) {
	switch alg {
	case ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case ES384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, errors.New("unknown algorithm")
}

// Certify attaches a certificate to a staged key. Attaching the same one again
// changes nothing. It fails with kind Invalid when the certificate is another
// key's, NotFound for an unknown id, and Conflict when the key has another
// certificate or has left its stage.
func (r *Ring) Certify(ctx context.Context, id string, der []byte, actor string) error {
	if err := checkActor(actor); err != nil {
		return fmt.Errorf("certify key: %w", err)
	}
	if len(der) > maxCertificate {
		return fmt.Errorf("certify key: %w", fault.New(fault.TooLarge, "the certificate is too large"))
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return fmt.Errorf("certify key: %w", fault.Wrap(fault.Invalid, "this is no certificate", err))
	}
	hash := sha256.Sum256(der)
	event := audit.Event{Kind: "keys.certify", Actor: actor, Object: "key:" + id,
		Data: map[string]any{"certificate_sha256": hash[:]}}
	err = r.change(ctx, func(tx db.Tx, _ *kek) error {
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		if bytes.Equal(k.Certificate, der) {
			return nil
		}
		if !samePublic(certificate.PublicKey, k.Public) {
			return fault.New(fault.Invalid, "the certificate is not for this key")
		}
		return attach(ctx, tx, &k, der, event)
	})
	if err != nil {
		return fmt.Errorf("certify key: %w", err)
	}
	return nil
}

func attach(ctx context.Context, tx db.Tx, k *Key, der []byte, event audit.Event) error {
	if k.State != Staged || k.Certificate != nil {
		return fault.New(fault.Conflict, "only a staged key without a certificate takes one")
	}
	result, err := tx.ExecContext(ctx, `UPDATE keys SET certificate = $1 WHERE id = $2 AND state = 'staged' AND certificate IS NULL`, der, k.ID)
	if err := changedOne(result, err); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, event)
	return err
}
