package ca

import (
	"context"
	"errors"
	"log/slog"
	"math/big"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
)

// How long answers live, and how many there are.
const (
	ocspLife   = 12 * time.Hour
	ocspUnsure = 5 * time.Minute // of an answer "unknown"
	ocspMaxAge = 5 * time.Minute // in others' caches: what is revoked is seen by then
	ocspCached = 1 << 16         // about 1.2 kB each
	ocspFresh  = 200             // a second, for nonces and for "unknown", apart
	ocspBatch  = 5000            // renewed at once
)

// responder answers what certificates' status is: RFC 6960, in the profile of RFC
// 5019. Answers are signed when they are first asked for and kept in memory; those
// that are asked for are signed again before they end.
//
// An answer is only as good as the register was when it was made. Every change of
// a certificate raises the counter of its CRL shard in its own transaction. Answers
// remember the counter that they were made under, and one whose shard has moved on
// is compared with the register before it is given away. This process notices its
// own changes before Revoke returns, those of other replicas within two seconds.
//
// cfssl's ocsp.Responder is not used: it verifies the signature of every answer
// that it gives, drops nonces, answers a broken request in words instead of OCSP's
// own, and brings a database layer along.
type responder struct {
	ca      *CA
	life    time.Duration
	metrics *ocspMetrics

	cache   *answers
	flights flights
	counts  sync.Map     // place → *shardCount
	epoch   atomic.Int64 // answers of an earlier one are not given away

	reading sync.Mutex // makes the table
	table   atomic.Pointer[ocspTable]

	nonces, unknowns *bucket
}

// newResponder makes the responder of c, whose options were checked.
func newResponder(c *CA, o Options) (*responder, error) {
	r := &responder{ca: c, life: o.OCSPLifetime}
	most, fresh := o.OCSPCache, o.OCSPFresh
	if r.life == 0 {
		r.life = ocspLife
	}
	if most == 0 {
		most = ocspCached
	}
	if fresh == 0 {
		fresh = ocspFresh
	}
	if r.life < 2*time.Minute || most < 0 || fresh < 0 {
		return nil, errors.New("an OCSP answer lives two minutes at least, and numbers are not negative")
	}
	r.cache = newAnswers(most)
	r.nonces, r.unknowns = newBucket(fresh, c.now()), newBucket(fresh, c.now())
	var err error
	r.metrics, err = newOCSPMetrics(o.Registerer, r.cache.size)
	return r, err
}

// Reasons for which there is no answer.
var (
	errOCSPForeign = fault.New(fault.Denied, "this responder does not answer for this issuer")
	errOCSPLimit   = fault.New(fault.Unavailable, "too many certificates were asked for that nobody issued here")
)

// answer returns the answer to a request at an issuer's address, and whether it
// is for this client alone. It fails with kind Denied for another issuer's
// certificate, Conflict when no key is left that could sign, and Unavailable while
// the key is away or too much was asked.
func (r *responder) answer(ctx context.Context, issuer string, q ocspRequest) (a *answer, own bool, err error) {
	if q.hash == 0 {
		return nil, false, errOCSPForeign
	}
	t, err := r.tableFor(ctx, certIssuer{issuer, q.hash, q.name, q.key})
	if err != nil {
		return nil, false, err
	}
	k := t.byID[certIssuer{issuer, q.hash, q.name, q.key}]
	if k == nil {
		return nil, false, errOCSPForeign
	}
	if q.nonce != nil {
		if r.nonces.take(r.ca.now()) {
			a, err = r.answerNonce(ctx, k, q)
			return a, true, err
		}
		r.metrics.limited.WithLabelValues("nonce").Inc()
	}
	a, err = r.answerPlain(ctx, k, q)
	return a, false, err
}

// tableFor returns a table that knows id, reading it again only if it is old.
func (r *responder) tableFor(ctx context.Context, id certIssuer) (*ocspTable, error) {
	if t := r.table.Load(); t != nil && t.byID[id] != nil {
		return t, nil
	}
	return r.current(ctx)
}

// answerKeyOf names the answer to q. Numbers that no certificate can have are none.
func answerKeyOf(k *ocspKey, q ocspRequest) (key answerKey, ok bool) {
	if q.serial.Sign() <= 0 {
		return key, false
	}
	key = answerKey{ca: k.id, hash: q.hash}
	q.serial.FillBytes(key.serial[:])
	return key, true
}

// cached returns the answer in memory that may still be given, nil for none. Its
// shard may have moved on.
func (r *responder) cached(key answerKey, now time.Time) *answer {
	a := r.cache.find(key)
	if a == nil || a.epoch != r.epoch.Load() || !now.Before(a.until) || now.Before(a.from) {
		return nil
	}
	return a
}

// answerPlain returns the answer in memory, or makes one.
func (r *responder) answerPlain(ctx context.Context, k *ocspKey, q ocspRequest) (*answer, error) {
	key, ok := answerKeyOf(k, q)
	if !ok {
		return r.answerUnknown(ctx, k, q)
	}
	if a := r.cached(key, r.ca.now()); a != nil && a.holds() {
		if !a.used.Load() { // a shared cache line, written as little as possible
			a.used.Store(true)
		}
		return a, nil
	}
	a, mine, err := r.flights.do(ctx, key, func(ctx context.Context) (*answer, error) { return r.make(ctx, key, k, q, "first") })
	if err == nil && !mine && !a.holds() { // begun before a revocation that this client may know of
		return r.make(ctx, key, k, q, "first")
	}
	return a, err
}

// holds reports whether nothing has changed in the certificate's shard since the
// register was asked.
func (a *answer) holds() bool {
	return a.found.shard == nil || a.seen.Load() >= a.found.shard.Load()
}

// make asks the register, and signs an answer unless the one in memory says the
// same.
func (r *responder) make(ctx context.Context, key answerKey, k *ocspKey, q ocspRequest, why string) (*answer, error) {
	epoch := r.epoch.Load()
	f, err := r.look(ctx, k, q.serial)
	if err != nil {
		return nil, err
	}
	if f.status == ocsp.Unknown {
		return r.answerUnknown(ctx, k, q)
	}
	if old := r.cached(key, r.ca.now()); old != nil && why == "first" {
		if old.found.same(f) {
			raiseTo(&old.seen, f.changes)
			return old, nil
		}
		why = "changed"
	}
	a, err := r.sign(ctx, k, q, f, nil, why)
	if err != nil {
		return nil, err
	}
	a.epoch = epoch
	a.used.Store(why != "renewed") // nobody has asked for that one yet
	r.cache.put(key, a)
	return a, nil
}

func raiseTo(n *atomic.Int64, to int64) {
	for old := n.Load(); old < to && !n.CompareAndSwap(old, to); old = n.Load() {
	}
}

// answerUnknown says that there is no such certificate. Such answers are not kept,
// because anybody can ask for any number of them; so they are limited.
func (r *responder) answerUnknown(ctx context.Context, k *ocspKey, q ocspRequest) (*answer, error) {
	if !r.unknowns.take(r.ca.now()) {
		r.metrics.limited.WithLabelValues("unknown").Inc()
		return nil, errOCSPLimit
	}
	return r.sign(ctx, k, q, finding{status: ocsp.Unknown}, nil, "unknown")
}

// answerNonce signs an answer for one client alone. What it says may come from the
// answer in memory, while that holds.
func (r *responder) answerNonce(ctx context.Context, k *ocspKey, q ocspRequest) (*answer, error) {
	key, ok := answerKeyOf(k, q)
	if !ok {
		return r.sign(ctx, k, q, finding{status: ocsp.Unknown}, q.nonce, "nonce")
	}
	if a := r.cached(key, r.ca.now()); a != nil && a.holds() {
		return r.sign(ctx, k, q, a.found, q.nonce, "nonce")
	}
	f, err := r.look(ctx, k, q.serial)
	if err != nil {
		return nil, err
	}
	return r.sign(ctx, k, q, f, q.nonce, "nonce")
}

// renew signs again what has lived half its life and was asked for meanwhile, and
// drops the rest.
func (r *responder) renew(ctx context.Context) {
	t, err := r.current(ctx)
	if err != nil {
		return // follow has said so
	}
	now := r.ca.now()
	for key, a := range r.cache.before(now.Add(r.life/2), ocspBatch) {
		k := t.byKey[key.ca]
		if k == nil || ctx.Err() != nil || a.epoch != r.epoch.Load() || !a.used.Swap(false) {
			r.cache.remove(key, a)
			continue
		}
		q := ocspRequest{hash: key.hash, serial: new(big.Int).SetBytes(key.serial[:])}
		if _, err := r.make(ctx, key, k, q, "renewed"); err != nil {
			a.used.Store(true) // it serves on until it ends
			r.ca.log.WarnContext(ctx, "OCSP answer not renewed", slog.String("serial", profile.SerialString(q.serial)), slog.Any("cause", err))
			return // and so would the next ones
		}
	}
}
