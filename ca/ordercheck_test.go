package ca_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// checkedOrders returns what is wrong with the orders, and how many there are.
func (b *bench) checkedOrders(t testing.TB) (int, map[string][]string) {
	t.Helper()
	found := map[string][]string{}
	n, err := b.a.CheckOrders(t.Context(), func(id, problem string) { found[id] = append(found[id], problem) })
	if err != nil {
		t.Fatal(err)
	}
	return n, found
}

// change changes one row behind the authority's back.
func (b *bench) change(t testing.TB, query string, args ...any) {
	t.Helper()
	if err := b.db.Update(t.Context(), func(tx db.Tx) error {
		res, err := tx.ExecContext(t.Context(), query, args...)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return errors.Join(err, fmt.Errorf("%d rows changed by %s", n, query))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// redeemed orders a certificate and brings the request for it.
func (b *bench) redeemed(t testing.TB) (id string, p ca.Pending) {
	t.Helper()
	id = b.order(t, b.firm.USCC)
	p, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, firmCSR(t))
	if err != nil || p.State != ca.Made {
		t.Fatalf("%+v, %v", p, err)
	}
	return id, p
}

// TestCheckOrdersIntact: nothing is wrong with orders that wait, are used, had a request
// that failed or is on its way, or whose certificate was revoked, on more than one page.
func TestCheckOrdersIntact(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		if n, found := b.checkedOrders(t); n != 0 || len(found) != 0 {
			t.Errorf("%d, %v", n, found)
		}
		for range ca.AuditRows {
			b.order(t, b.firm.USCC)
		}
		_, p := b.redeemed(t)
		if err := b.a.Revoke(t.Context(), p.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		b.redeemed(t)
		lost, failed := ecKey(t), b.order(t, b.firm.USCC)
		if err := b.a.RedeemOnly(t.Context(), failed, "person:"+b.wei, csr(t, lost, x509.CertificateRequest{})); err != nil {
			t.Fatal(err)
		}
		if n, found := b.checkedOrders(t); n != ca.AuditRows+3 || len(found) != 0 {
			t.Errorf("a request on its way: %d, %v", n, found)
		}
		if err := b.BlockKeys(t.Context(), actor, "lost", spki(t, lost)); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(time.Minute)
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Error(err)
		}
		if n, found := b.checkedOrders(t); n != ca.AuditRows+3 || len(found) != 0 {
			t.Errorf("a request that failed: %d, %v", n, found)
		}
		if p, err := b.a.Redeem(t.Context(), failed, "person:"+b.wei, firmCSR(t)); err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
		if n, found := b.checkedOrders(t); n != ca.AuditRows+3 || len(found) != 0 {
			t.Errorf("another one after it: %d, %v", n, found)
		}
	})
}

// TestCheckOrdersFindsWhatIsBroken breaks one order in each way and wants just that to be
// found.
func TestCheckOrdersFindsWhatIsBroken(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		nobody, err := registry.MakeUSCC(registry.Enterprise, "990101", 1)
		if err != nil {
			t.Fatal(err)
		}
		other, spare := b.redeemed(t)
		want := map[string][]string{}
		for _, c := range []struct {
			query string
			arg   func(order string, p ca.Pending) any
			want  []string
		}{
			{"UPDATE ca_orders SET firm = '" + nobody + "' WHERE id = $1", byOrder, []string{"names a firm that is not in the register", notIts}},
			{"UPDATE ca_orders SET firm = 'x' WHERE id = $1", byOrder, []string{"names a firm that is not in the register", notIts}},
			{"UPDATE ca_orders SET request = 'x' WHERE id = $1", byOrder, []string{"has no event of its request", "names a request that there is none of"}},
			{"UPDATE ca_orders SET request = '" + spare.ID + "' WHERE id = $1", byOrder, []string{"has no event of its request"}},
			{"DELETE FROM ca_requests WHERE id = $1", byRequest, []string{"names a request that there is none of"}},
			{"UPDATE ca_requests SET firm = '" + nobody + "' WHERE id = $1", byRequest, []string{notIts}},
			{"UPDATE ca_requests SET profile = 'citizen' WHERE id = $1", byRequest, []string{notIts}},
			{"UPDATE ca_requests SET state = 'waiting' WHERE id = $1", byRequest, []string{"names a request that is waiting"}},
			{"UPDATE ca_requests SET state = 'rejected' WHERE id = $1", byRequest, []string{"names a request that is rejected"}},
			{"UPDATE ca_requests SET serial = '' WHERE id = $1", byRequest, []string{"is used, and its certificate is not there"}},
			{"UPDATE ca_requests SET serial = '00' WHERE id = $1", byRequest, []string{"is used, and its certificate is not there"}},
			{"DELETE FROM ca_certificates WHERE serial = $1", bySerial, []string{"is used, and its certificate is not there"}},
			{"UPDATE ca_certificates SET status = 'abandoned' WHERE serial = $1", bySerial, []string{"is used, and its certificate is not there"}},
			{"UPDATE ca_certificates SET holder = 'firm:" + nobody + "' WHERE serial = $1", bySerial, []string{"is used, and its certificate is not its firm's"}},
			{"UPDATE ca_certificates SET profile = 'citizen' WHERE serial = $1", bySerial, []string{"is used, and its certificate is not its firm's"}},
			{"DELETE FROM audit_events WHERE kind = 'certificate.order.make' AND object = $1", byObject, []string{"was ordered 0 times by the log, want once"}},
			{"DELETE FROM audit_events WHERE kind = 'certificate.order.redeem' AND object = $1", byObject, []string{"has no event of its request"}},
			{"UPDATE audit_events SET kind = 'certificate.order.make' WHERE kind = 'certificate.order.redeem' AND object = $1", byObject,
				[]string{"was ordered 2 times by the log, want once", "has no event of its request"}},
		} {
			id, p := b.redeemed(t)
			b.change(t, c.query, c.arg(id, p))
			want[id] = c.want
		}
		n, found := b.checkedOrders(t)
		if diff := cmp.Diff(want, found); diff != "" || n != len(want)+1 || found[other] != nil {
			t.Errorf("%d orders (-want +got)\n%s", n, diff)
		}
	})
}

const notIts = "names a request that is not for its firm's certificate"

func byOrder(order string, _ ca.Pending) any  { return order }
func byRequest(_ string, p ca.Pending) any    { return p.ID }
func bySerial(_ string, p ca.Pending) any     { return p.Serial }
func byObject(order string, _ ca.Pending) any { return "certificate-order:" + order }
