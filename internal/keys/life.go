package keys

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const maxCertificate = 64 << 10

// begin opens a change: it takes the lock that orders changes, counts the new
// version and ties an unused keyring to its KEK.
func (r *Ring) begin(ctx context.Context, tx db.Tx) error {
	var check []byte
	err := tx.QueryRowContext(ctx, `UPDATE keyring SET version = version + 1, kek_check = COALESCE(kek_check, $1)
		WHERE one = 1 RETURNING kek_check`, r.kek.check).Scan(&check)
	if err != nil {
		return err
	}
	if !r.kek.matches(check) {
		return errWrongKEK
	}
	return nil
}

// Create makes a staged key. It fails with kind Invalid for a Spec that no
// backend can satisfy and Unavailable when the token is away.
func (r *Ring) Create(ctx context.Context, s Spec) (Key, error) {
	if err := s.check(); err != nil {
		return Key{}, fmt.Errorf("create key: %w", err)
	}
	k := Key{ID: db.NewID(), Purpose: s.Purpose, Owner: s.Owner, Alg: s.Alg, Backend: s.Backend,
		State: Staged, Created: db.Time(db.Micros(r.now()))}
	wrapped, private, err := r.generate(&k)
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
	err = r.db.Update(ctx, func(tx db.Tx) error {
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO keys (id, purpose, owner, alg, backend, state, public_key, wrapped_key, private_key, created)
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
	r.follow(ctx)
	return k, nil
}

// generate makes the key pair and sets k.Public. A pair on a token that never
// reaches the database stays there unused.
func (r *Ring) generate(k *Key) (wrapped, private []byte, err error) {
	if k.Backend == BackendPKCS11 {
		if r.token == nil {
			return nil, nil, fault.New(fault.Invalid, "no token is configured: set pkcs11, or choose the file backend")
		}
		if k.Public, err = r.token.create(k.ID, k.Alg); err != nil {
			return nil, nil, err
		}
		wrapped, err = r.kek.bind(k)
		return wrapped, nil, err
	}
	signer, err := generateFile(k.Alg)
	if err != nil {
		return nil, nil, err
	}
	k.Public = signer.Public()
	return r.kek.enclose(k, signer)
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
	err = r.db.Update(ctx, func(tx db.Tx) error {
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
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
	r.follow(ctx)
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

// changedOne checks a compare-and-swap.
func changedOne(result interface{ RowsAffected() (int64, error) }, err error) error {
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return fault.New(fault.Conflict, "the key was changed meanwhile")
	}
	return nil
}

// moves holds the statement for each state that a key can move to: its time,
// and for retired the end of the private half.
var moves = map[State]string{
	Published:   moveTo("published"),
	Active:      moveTo("activated"),
	Retiring:    moveTo("retiring"),
	Compromised: moveTo("compromised"),
	Retired: moveTo(`wrapped_key = NULL, private_key = NULL,
		destroyed = CASE WHEN backend = 'file' THEN CAST($2 AS BIGINT) ELSE 0 END, retired`),
}

func moveTo(column string) string {
	return `UPDATE keys SET state = $1, ` + column + ` = $2 WHERE id = $3 AND state = $4`
}

// Move takes a key along one legal edge of its life. Retiring one destroys its
// private half: in the transaction for the file backend, after it on a token.
// It fails with kind NotFound for an unknown id, Invalid for an unknown state,
// Conflict for an edge that is not legal or a second active key, and
// Unavailable when the key is retired but its object could not be destroyed,
// which Run then tries again.
func (r *Ring) Move(ctx context.Context, id string, to State, actor, reason string) error {
	if err := errors.Join(checkActor(actor), checkReason(reason)); err != nil {
		return fmt.Errorf("move key: %w", err)
	}
	if !slices.Contains(states, to) {
		return fmt.Errorf("move key: %w", fault.New(fault.Invalid, "there is no such state"))
	}
	now := r.now()
	err := r.db.Update(ctx, func(tx db.Tx) error {
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		k, err := findKey(ctx, tx, id)
		if err != nil {
			return err
		}
		return move(ctx, tx, step{key: &k, to: to, at: db.Micros(now), actor: actor, reason: reason})
	})
	if db.IsUnique(err) {
		err = fault.Wrap(fault.Conflict, "another key is active for this purpose and owner: promote this one", err)
	}
	if err != nil {
		return fmt.Errorf("move key: %w", err)
	}
	r.follow(ctx)
	if to == Retired {
		if err := r.destroyRetired(ctx); err != nil {
			return fmt.Errorf("move key: %w", err)
		}
	}
	return nil
}

// step is one move of one key.
type step struct {
	key           *Key
	to            State
	at            int64
	actor, reason string
}

func move(ctx context.Context, tx db.Tx, s step) error {
	if !slices.Contains(edges[s.key.State], s.to) {
		return fault.New(fault.Conflict, fmt.Sprintf("a key that is %s cannot become %s", s.key.State, s.to))
	}
	result, err := tx.ExecContext(ctx, moves[s.to], string(s.to), s.at, s.key.ID, string(s.key.State))
	if err := changedOne(result, err); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "keys.move", Actor: s.actor, Object: "key:" + s.key.ID, Data: map[string]any{
		"purpose": s.key.Purpose, "owner": s.key.Owner, "from": string(s.key.State), "to": string(s.to), "reason": s.reason}})
	return err
}

// Promote puts the longest published key of a purpose and owner into use and
// lets the one in use, if any, retire. It returns both, the latter with an empty
// ID for none. It fails with kind Conflict when no key is published.
func (r *Ring) Promote(ctx context.Context, purpose, owner, actor string) (active, retiring Key, err error) {
	if err := errors.Join(checkActor(actor), checkPlace(purpose, owner)); err != nil {
		return Key{}, Key{}, fmt.Errorf("promote key: %w", err)
	}
	now := db.Micros(r.now())
	err = r.db.Update(ctx, func(tx db.Tx) (err error) {
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		active, retiring, err = promote(ctx, tx, purpose, owner, step{at: now, actor: actor, reason: "promotion"})
		return err
	})
	if err != nil {
		return Key{}, Key{}, fmt.Errorf("promote key: %w", err)
	}
	r.follow(ctx)
	return active, retiring, nil
}

// promote demotes first: both engines check the index of active keys after each
// statement.
func promote(ctx context.Context, tx db.Tx, purpose, owner string, s step) (active, retiring Key, err error) {
	rows, err := readRows(ctx, tx, `WHERE purpose = $1 AND owner = $2 AND state IN ('published', 'active')`, purpose, owner)
	if err != nil {
		return active, retiring, err
	}
	list, err := keysOf(rows)
	if err != nil {
		return active, retiring, err
	}
	for i := range list {
		k := &list[i]
		if k.State == Active {
			retiring = *k
		} else if active.ID == "" || k.Published.Before(active.Published) {
			active = *k
		}
	}
	if active.ID == "" {
		return active, retiring, fault.New(fault.Conflict, "no key is published for this purpose and owner")
	}
	if retiring.ID != "" {
		if err := s.apply(ctx, tx, &retiring, Retiring); err != nil {
			return active, retiring, err
		}
	}
	return active, retiring, s.apply(ctx, tx, &active, Active)
}

// apply moves k and sets what that changed in it.
func (s step) apply(ctx context.Context, tx db.Tx, k *Key, to State) error {
	s.key, s.to = k, to
	if err := move(ctx, tx, s); err != nil {
		return err
	}
	k.State = to
	if to == Active {
		k.Activated = db.Time(s.at)
	} else {
		k.Retiring = db.Time(s.at)
	}
	return nil
}

func checkPlace(purpose, owner string) error {
	if !slices.Contains(purposes, purpose) || !isName(owner) {
		return fault.New(fault.Invalid, "there can be no key of such a purpose or owner")
	}
	return nil
}

// destroyRetired destroys the objects that retired keys left on the token.
func (r *Ring) destroyRetired(ctx context.Context) error {
	s := r.current.Load()
	if r.token == nil || len(s.undead) == 0 {
		return nil
	}
	for _, id := range s.undead {
		if err := r.token.destroy(id); err != nil {
			return fault.Wrap(fault.Unavailable, "the key is retired, but its object on the token is not destroyed yet", err)
		}
		now := db.Micros(r.now())
		err := r.db.Update(ctx, func(tx db.Tx) error {
			if err := r.begin(ctx, tx); err != nil {
				return err
			}
			_, err := tx.ExecContext(ctx, `UPDATE keys SET destroyed = $1 WHERE id = $2 AND state = 'retired' AND destroyed = 0`, now, id)
			return err
		})
		if err != nil {
			return fmt.Errorf("destroy key on token: %w", err)
		}
		r.log.InfoContext(ctx, "key destroyed on the token", slog.String("key", id))
	}
	r.follow(ctx)
	return nil
}
