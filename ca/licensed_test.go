package ca_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// licensed stands for the licences: every firm has its own in force until lost is set. The
// firms of ended have lost it for good.
type licensed struct {
	lost, broken atomic.Bool

	mu    sync.Mutex
	ended []ca.Ended
	asked []ca.Ended // what was asked behind
}

var errLicenses = errors.New("licences cannot be read")

// LicensedTx implements ca.Licensed.
func (l *licensed) LicensedTx(context.Context, db.Tx, string) (bool, error) {
	if l.broken.Load() {
		return false, errLicenses
	}
	return !l.lost.Load(), nil
}

// EndedTx implements ca.Licensed.
func (l *licensed) EndedTx(_ context.Context, _ db.Tx, after ca.Ended, limit int) (list []ca.Ended, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken.Load() {
		return nil, errLicenses
	}
	l.asked = append(l.asked, after)
	for _, e := range l.ended {
		if e.At.After(after.At) || e.At.Equal(after.At) && e.License > after.License {
			list = append(list, e)
		}
	}
	return list[:min(limit, len(list))], nil
}

// firmCertificates returns how many certificates of firms there are, whatever their state.
func (b *bench) firmCertificates(t testing.TB) int {
	t.Helper()
	list, err := b.a.List(t.Context(), ca.Filter{Profile: profile.Firm})
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestOrderOfAnUnlicensedFirm: while the firm's business licence is not in force nothing is
// taken or made for the order, and afterwards it is as before.
func TestOrderOfAnUnlicensedFirm(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		id, request := b.order(t, b.firm.USCC), firmCSR(t)
		b.licensed.lost.Store(true)
		for range 2 {
			_, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request)
			wantKind(t, err, fault.Conflict)
		}
		b.licensed.broken.Store(true)
		if _, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request); !errors.Is(err, errLicenses) {
			t.Errorf("while licences cannot be read: %v", err)
		}
		nobody := b.open(t, func(o *ca.Options) { o.Holders, o.Officers = b.registry, b.officials })
		_, err := nobody.Redeem(t.Context(), id, "person:"+b.wei, request)
		wantKind(t, err, fault.Unavailable)
		if o, err := b.a.FindOrder(t.Context(), id); err != nil || o.Request != "" || b.firmCertificates(t) != 0 {
			t.Errorf("%+v, %v, %d certificates", o, err, b.firmCertificates(t))
		}
		if kinds := b.kinds(t, "certificate-order:"+id); !slices.Equal(kinds, []string{"certificate.order.make"}) {
			t.Errorf("%v", kinds)
		}
		b.licensed.broken.Store(false)
		b.licensed.lost.Store(false)
		p, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request)
		if err != nil || p.State != ca.Made {
			t.Fatalf("%+v, %v", p, err)
		}
		b.licensed.lost.Store(true) // what was made stays, and is answered again
		if again, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request); err != nil || again.Serial != p.Serial {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// TestOrderLosesItsLicense: a request that was taken, and that nobody came to issuing, is
// not issued once the licence has ended, whoever goes on with it.
func TestOrderLosesItsLicense(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		swept, again := b.order(t, b.firm.USCC), b.order(t, b.firm.USCC)
		requests := map[string][]byte{swept: firmCSR(t), again: firmCSR(t)}
		for id, request := range requests {
			if err := b.a.RedeemOnly(t.Context(), id, "person:"+b.wei, request); err != nil {
				t.Fatal(err)
			}
		}
		b.clock.advance(time.Minute)
		b.licensed.broken.Store(true)
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Error(err)
		}
		state := func(id string) ca.PendingState {
			o, err := b.a.FindOrder(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			p, err := b.a.Pending(t.Context(), o.Request)
			if err != nil {
				t.Fatal(err)
			}
			return p.State
		}
		if s := state(swept); s != ca.Approved {
			t.Errorf("while licences cannot be read: %s", s)
		}
		b.licensed.lost.Store(true)
		b.licensed.broken.Store(false)
		p, err := b.a.Redeem(t.Context(), again, "person:"+b.wei, requests[again])
		if err != nil || p.State != ca.Failed || p.Note == "" {
			t.Errorf("%+v, %v", p, err)
		}
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Error(err)
		}
		if s := state(swept); s != ca.Failed || b.firmCertificates(t) != 0 {
			t.Errorf("%s, %d certificates", s, b.firmCertificates(t))
		}
		b.licensed.lost.Store(false)
		for id, request := range requests {
			if p, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request); err != nil || p.State != ca.Made {
				t.Errorf("%+v, %v", p, err)
			}
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
		if n, found := b.checkedOrders(t); n != 2 || len(found) != 0 {
			t.Errorf("%d, %v", n, found)
		}
	})
}

// TestOfficerDecidesWithoutOrder: what an officer approved is no matter of an order, also
// where the requester gave it a key like an order's.
func TestOfficerDecidesWithoutOrder(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		id := b.order(t, b.firm.USCC)
		b.licensed.lost.Store(true)
		p := b.submit(t, ca.Request{Profile: profile.Firm, Firm: b.firm.USCC, CSR: firmCSR(t), Actor: "person:" + b.wei, IdempotencyKey: "order:" + id + ":"})
		if p, err := b.a.Decide(t.Context(), p.ID, yes(b.lin)); err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
	})
}
