package trust

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// The share of its life after which an object is signed anew.
const (
	bundleShare = 2.0 / 3
	freshShare  = 1.0 / 3
)

// signer returns the city's active key of a purpose, which the root statement
// must permit now. Nothing is promised in the log before that is known.
func (p *Publisher) signer(ctx context.Context, purpose string, permitted []trust.Signer, now time.Time) (trust.KeySigner, error) {
	_, key, err := p.o.Ring.Active(ctx, purpose, p.o.Owner)
	if err != nil {
		return trust.KeySigner{}, fmt.Errorf("find %s signer: %w", purpose, err)
	}
	alg, err := trust.AlgOf(key.Public())
	if err != nil {
		return trust.KeySigner{}, fmt.Errorf("find %s signer: %w", purpose, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return trust.KeySigner{}, fmt.Errorf("find %s signer: %w", purpose, err)
	}
	s := trust.KeySigner{KID: trust.KIDOf(spki), Alg: alg, Key: key}
	for _, k := range permitted {
		if k.KID == s.KID && k.From <= now.Unix() && now.Unix() < k.Until {
			return s, nil
		}
	}
	return trust.KeySigner{}, fmt.Errorf("find %s signer: key %x is not permitted by the root statement", purpose, s.KID)
}

// snapshot publishes the snapshot if it is due.
func (p *Publisher) snapshot(ctx context.Context, now time.Time) error {
	signer, err := p.signer(ctx, keys.PurposeStatus, p.root.Load().Status, now)
	if err != nil {
		return err
	}
	// Read before the lists: a change in between makes a snapshot too many, never
	// one too few.
	version, err := p.o.Statuses.StatusVersion(ctx)
	if err != nil {
		return fmt.Errorf("read status version: %w", err)
	}
	inputs := fmt.Sprintf("%d by %x", version, signer.KID)
	if p.current[kindSnapshot].Load().isFresh(inputs, freshShare, now) {
		return nil
	}
	lists, err := p.o.Statuses.Statuses(ctx)
	if err != nil {
		return fmt.Errorf("read statuses: %w", err)
	}
	o := newObject(kindSnapshot, inputs, now, p.o.SnapshotLife)
	build := func(seq uint64, _ *object) ([]byte, error) {
		return status.Encode(seq, o.issued, o.expires, lists, status.Signer(signer))
	}
	return p.produce(ctx, o, build, func(o *object) error { return p.checkSnapshot(o, lists) })
}

func newObject(k kind, inputs string, now time.Time, life time.Duration) *object {
	return &object{kind: k, inputs: inputs, issued: now.Unix(), expires: now.Add(life).Unix()}
}

// checkSnapshot opens a snapshot as a verifier would and compares what it says.
func (p *Publisher) checkSnapshot(o *object, lists []status.List) error {
	s, err := status.Parse(o.body)
	if err != nil {
		return err
	}
	k, ok := p.root.Load().StatusSigner(s.KID, s.IssuedAt)
	if !ok {
		return trust.ErrSigner
	}
	pub, err := trust.ParsePublic(k.Alg, k.Public)
	if err != nil {
		return err
	}
	if err := s.Verify(k.Alg, pub); err != nil {
		return err
	}
	same := slices.EqualFunc(s.Lists, lists, func(a, b status.List) bool {
		return a.No == b.No && slices.Equal(a.Revoked, b.Revoked) && slices.Equal(a.Suspended, b.Suspended)
	})
	if !same || s.Seq != o.seq {
		return errors.New("the snapshot does not say what it should")
	}
	o.covers, o.snapshot = covers(s), s
	return nil
}

// bundle publishes the bundle if it is due. It lists what the current snapshot
// covers.
func (p *Publisher) bundle(ctx context.Context, now time.Time) error {
	signer, err := p.signer(ctx, keys.PurposeTrust, p.root.Load().Bundle, now)
	if err != nil {
		return err
	}
	content, left, err := p.content(ctx, now)
	if err != nil {
		return err
	}
	sum, err := fingerprint(content)
	if err != nil {
		return err
	}
	inputs := fmt.Sprintf("%x by %x", sum, signer.KID)
	if p.current[kindBundle].Load().isFresh(inputs, bundleShare, now) {
		return nil
	}
	for _, what := range left {
		p.o.Logger.WarnContext(ctx, "left out of the trust bundle", slog.String("what", what))
	}
	o := newObject(kindBundle, inputs, now, p.o.BundleLife)
	content.IssuedAt, content.Expires = o.issued, o.expires
	build := func(seq uint64, before *object) ([]byte, error) {
		content.Seq = seq
		switch {
		case before != nil:
			content.Previous = before.hash[:]
		case seq > 1:
			content.Previous = make([]byte, 32) // the first that was published
		}
		return trust.SignBundle(content, signer)
	}
	return p.produce(ctx, o, build, func(o *object) error { return p.checkBundle(o, sum, now) })
}

// checkBundle opens a bundle as a verifier would and compares what it says.
func (p *Publisher) checkBundle(o *object, sum [32]byte, now time.Time) error {
	b, _, err := trust.OpenBundle(o.body, p.root.Load().pin, now)
	if err != nil {
		return err
	}
	again, err := fingerprint(b)
	if err != nil {
		return err
	}
	if b.Seq != o.seq || again != sum {
		return errors.New("the bundle does not say what it should")
	}
	if before := p.current[kindBundle].Load(); before != nil {
		old := trust.State{Bundle: trust.Mark{Number: before.seq, Hash: before.hash}}
		_, err = trust.Accept(old, trust.BundleState(o.body, b, p.root.Load().RootStatement))
	}
	return err
}

// head publishes the head if it is due.
func (p *Publisher) head(ctx context.Context, now time.Time) error {
	signer, err := p.signer(ctx, keys.PurposeStatus, p.root.Load().Status, now)
	if err != nil {
		return err
	}
	bundle, snapshot := p.current[kindBundle].Load(), p.current[kindSnapshot].Load()
	inputs := fmt.Sprintf("%x and %x by %x", bundle.hash, snapshot.hash, signer.KID)
	if p.current[kindHead].Load().isFresh(inputs, freshShare, now) {
		return nil
	}
	o := newObject(kindHead, inputs, now, p.o.HeadLife)
	h := trust.Head{
		BundleSeq: bundle.seq, BundleHash: bundle.hash, SnapshotSeq: snapshot.seq, SnapshotHash: snapshot.hash,
		IssuedAt: o.issued, Expires: o.expires,
	}
	if p.o.Checkpoint != nil {
		if h.Checkpoint, err = p.o.Checkpoint(ctx); err != nil {
			return fmt.Errorf("read log checkpoint: %w", err)
		}
	}
	build := func(uint64, *object) ([]byte, error) { return trust.SignHead(h, signer) }
	return p.produce(ctx, o, build, func(o *object) error {
		got, err := trust.OpenHead(o.body, p.root.Load().RootStatement, now)
		if err == nil && (got.BundleHash != h.BundleHash || got.SnapshotHash != h.SnapshotHash) {
			err = errors.New("the head does not say what it should")
		}
		return err
	})
}
