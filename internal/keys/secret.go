package keys

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// The secrets behind Seal, Open and Lookup.
const (
	SecretData   = "registry.data"
	SecretLookup = "registry.lookup"
)

// maxSealed bounds what Seal and Open take.
const maxSealed = 64 << 10

// MakeSecret makes a secret of 32 random bytes. It fails with kind Conflict if
// it exists.
func (r *Ring) MakeSecret(ctx context.Context, name, actor string) error {
	if !isName(name) || strings.HasSuffix(name, suffixNext) || strings.HasSuffix(name, suffixPrevious) {
		return fmt.Errorf("make secret: %w", fault.New(fault.Invalid, "a secret's name has 1 to 64 of a-z 0-9 . _ - : and does not end as those of its generations do"))
	}
	if err := checkActor(actor); err != nil {
		return fmt.Errorf("make secret: %w", err)
	}
	if err := r.makeSecret(ctx, name, audit.Event{Kind: "keys.secret", Actor: actor, Object: "secret:" + name}, nil); err != nil {
		return fmt.Errorf("make secret: %w", err)
	}
	return nil
}

// makeSecret makes a secret unless it exists or check, if any, fails.
func (r *Ring) makeSecret(ctx context.Context, name string, event audit.Event, check func(context.Context, db.Tx) error) error {
	value := make([]byte, keySize)
	defer clear(value)
	_, _ = rand.Read(value) // never fails
	now := db.Micros(r.now())
	return r.change(ctx, func(tx db.Tx, k *kek) error {
		if check != nil {
			if err := check(ctx, tx); err != nil {
				return err
			}
		}
		s := sealedSecret{name, seal(k.aead, value, secretAAD(name)), now}
		if err := s.insert(ctx, tx); err != nil {
			return err
		}
		_, err := audit.Append(ctx, tx, event)
		return err
	})
}

func (s sealedSecret) insert(ctx context.Context, tx db.Tx) error {
	result, err := tx.ExecContext(ctx, `INSERT INTO key_secrets (name, sealed, created) VALUES ($1, $2, $3)
		ON CONFLICT (name) DO NOTHING`, s.name, s.sealed, s.created)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil {
		return err
	} else if n == 0 {
		return fault.New(fault.Conflict, "the secret exists")
	}
	return nil
}

// Secret returns a copy of a secret. It fails with kind NotFound if it was never
// made, or cannot be decrypted, which is logged.
func (r *Ring) Secret(ctx context.Context, name string) ([]byte, error) {
	value := r.current.Load().secrets[name]
	if value == nil { // made by another replica just now?
		if err := r.Refresh(ctx); err != nil {
			return nil, err
		}
		if value = r.current.Load().secrets[name]; value == nil {
			return nil, fault.New(fault.NotFound, "there is no such secret")
		}
	}
	return bytes.Clone(value), nil
}

// Seal encrypts plaintext with the secret SecretData and binds it to aad. Its
// output is a version byte, a random nonce, ciphertext and tag. It fails with
// kind TooLarge for more than 64 KiB.
func (r *Ring) Seal(_ context.Context, plaintext, aad []byte) ([]byte, error) {
	s := r.current.Load()
	if s.data == nil {
		return nil, errNoData
	}
	if len(plaintext) > maxSealed {
		return nil, fault.New(fault.TooLarge, "there is too much to seal")
	}
	return seal(s.data, plaintext, aad), nil
}

// Open decrypts what Seal returned. It fails if sealed or aad was changed.
func (r *Ring) Open(_ context.Context, sealed, aad []byte) ([]byte, error) {
	s := r.current.Load()
	if s.data == nil {
		return nil, errNoData
	}
	if len(sealed) > maxSealed+overhead {
		return nil, fault.New(fault.TooLarge, "there is too much to open")
	}
	return unseal(s.data, sealed, aad)
}

// Lookup returns the HMAC-SHA-256 of label and value under the secret
// SecretLookup: equal for equal values, telling nothing of them, and apart for
// different labels. It fails with kind Invalid for a label that is empty or
// longer than 255 bytes. Rows are written with it; they are found with Lookups.
func (r *Ring) Lookup(_ context.Context, label string, value []byte) ([]byte, error) {
	return r.current.Load().lookup(SecretLookup, label, value)
}

// Lookups returns what Lookup does under each generation of SecretLookup that
// there is: the current one first, then the next and the previous. It fails as
// Lookup does.
func (r *Ring) Lookups(_ context.Context, label string, value []byte) ([][]byte, error) {
	s := r.current.Load()
	var list [][]byte
	for _, name := range []string{SecretLookup, SecretLookup + suffixNext, SecretLookup + suffixPrevious} {
		if s.secrets[name] == nil && name != SecretLookup {
			continue
		}
		hash, err := s.lookup(name, label, value)
		if err != nil {
			return nil, err
		}
		list = append(list, hash)
	}
	return list, nil
}

func (s *snapshot) lookup(name, label string, value []byte) ([]byte, error) {
	key := s.secrets[name]
	if key == nil {
		return nil, fault.New(fault.Unavailable, "the secret "+name+" was never made")
	}
	if label == "" || len(label) > 255 {
		return nil, fault.New(fault.Invalid, "a label has 1 to 255 bytes")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte{byte(len(label))})
	mac.Write([]byte(label))
	mac.Write(value)
	return mac.Sum(nil), nil
}

var errNoData = fault.New(fault.Unavailable, "the secret "+SecretData+" was never made")
