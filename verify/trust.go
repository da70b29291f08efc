package verify

import (
	"crypto"
	"fmt"
	"hash/adler32"
	"time"

	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// Trust is a trust bundle ready for use. It is not changed by its methods and is
// safe for concurrent use.
type Trust struct {
	root   trust.RootStatement
	bundle trust.Bundle
	state  trust.State

	keys         map[[8]byte]*key
	agencies     map[string]*trust.Agency
	types        map[uint64]*licenceType
	authority    map[grant][]trust.Authority
	dictionaries map[uint32][]byte
}

// key is an entry of the bundle with its public half ready.
type key struct {
	*trust.Key
	public crypto.PublicKey
	agency *trust.Agency
}

// grant is whose authority for what.
type grant struct{ agency, typ string }

// Load opens a trust bundle: the pinned root's key must have signed the root
// statement in it, and a trust-list signer of that statement the bundle. The
// error wraps one of package trust's; Options.TrustErr takes it.
func Load(pin crypto.PublicKey, bundle []byte, now time.Time) (*Trust, error) {
	b, root, err := trust.OpenBundle(bundle, pin, now)
	if err != nil {
		return nil, fmt.Errorf("load trust: %w", err)
	}
	t := &Trust{
		root: root, bundle: b, state: trust.BundleState(bundle, b, root),
		keys:         make(map[[8]byte]*key, len(b.Keys)),
		agencies:     make(map[string]*trust.Agency, len(b.Agencies)),
		types:        make(map[uint64]*licenceType, len(b.Types)),
		authority:    make(map[grant][]trust.Authority, len(b.Authority)),
		dictionaries: map[uint32][]byte{},
	}
	for i := range b.Agencies {
		t.agencies[b.Agencies[i].ID] = &b.Agencies[i]
	}
	for i := range b.Keys {
		k := &b.Keys[i]
		public, err := trust.ParsePublic(k.Alg, k.Public)
		if err != nil {
			return nil, fmt.Errorf("load trust: key %x: %w", k.KID, err)
		}
		t.keys[k.KID] = &key{k, public, t.agencies[k.Agency]}
	}
	for i := range b.Types {
		typ := &b.Types[i]
		t.types[typ.Code] = newLicenceType(typ)
		if len(typ.Dictionary) > 0 {
			t.dictionaries[adler32.Checksum(typ.Dictionary)] = typ.Dictionary
		}
	}
	for _, a := range b.Authority {
		g := grant{a.Agency, a.Type}
		t.authority[g] = append(t.authority[g], a)
	}
	return t, nil
}

// State returns what a verifier that updates itself keeps; see trust.Accept.
func (t *Trust) State() trust.State { return t.state }

// Snapshot is a status snapshot whose signer the root permits.
type Snapshot struct{ s *status.Snapshot }

// Snapshot reads a snapshot and verifies that a status signer of the root
// statement signed it. The error wraps one of package status's or
// trust.ErrSigner; Options.StatusErr takes it.
func (t *Trust) Snapshot(b []byte) (*Snapshot, error) {
	s, err := status.Parse(b)
	if err != nil {
		return nil, fmt.Errorf("load status: %w", err)
	}
	if err := t.statusSigner(s.KID, s.IssuedAt, s.Verify); err != nil {
		return nil, fmt.Errorf("load status: %w", err)
	}
	return &Snapshot{s}, nil
}

// Delta applies a delta to a snapshot in hand, after verifying that a status signer
// of the root statement signed what it leads to, and returns the later snapshot with
// its file, which is to be kept in place of the old one. The error is as that of
// Snapshot, or wraps status.ErrBase where the delta begins at another snapshot: then
// the whole snapshot has to be fetched. As for Snapshot, trust.Accept says whether
// the result may be used.
func (t *Trust) Delta(base *Snapshot, b []byte) (*Snapshot, []byte, error) {
	d, err := status.ParseDelta(b)
	if err != nil {
		return nil, nil, fmt.Errorf("load status: %w", err)
	}
	if err := t.statusSigner(d.KID, d.IssuedAt, d.Verify); err != nil {
		return nil, nil, fmt.Errorf("load status: %w", err)
	}
	s, file, err := d.Apply(base.s)
	if err != nil {
		return nil, nil, fmt.Errorf("load status: %w", err)
	}
	return &Snapshot{s}, file, nil
}

// statusSigner verifies with the key that the root statement gives for kid.
func (t *Trust) statusSigner(kid [8]byte, issuedAt int64, check func(alg int64, pub crypto.PublicKey) error) error {
	signer, ok := t.root.StatusSigner(kid, issuedAt)
	if !ok {
		return trust.ErrSigner
	}
	public, err := trust.ParsePublic(signer.Alg, signer.Public)
	if err != nil {
		return err
	}
	return check(signer.Alg, public)
}

// AsOf returns when the snapshot was made.
func (s *Snapshot) AsOf() time.Time { return time.Unix(s.s.IssuedAt, 0).UTC() }

// State returns what a verifier that updates itself keeps; see trust.Accept.
func (s *Snapshot) State() trust.State {
	return trust.State{Snapshot: trust.Mark{Number: s.s.Seq, Hash: s.s.Hash()}}
}

// dictionary finds a preset dictionary for package permit.
func (t *Trust) dictionary(id uint32) []byte {
	if t == nil {
		return nil
	}
	return t.dictionaries[id]
}
