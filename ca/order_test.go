package ca_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// order orders a certificate for a firm.
func (b *bench) order(t testing.TB, firm string) string {
	t.Helper()
	id := db.NewID()
	if err := b.db.Update(t.Context(), func(tx db.Tx) error { return b.a.OrderTx(t.Context(), tx, id, "person:"+b.lin, firm) }); err != nil {
		t.Fatal(err)
	}
	return id
}

func firmCSR(t testing.TB) []byte { return csr(t, ecKey(t), x509.CertificateRequest{}) }

// kinds returns the kinds of the events about an object, in order.
func (b *bench) kinds(t testing.TB, object string) (list []string) {
	t.Helper()
	err := b.db.Read(t.Context(), func(tx db.Tx) error {
		records, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: object})
		for _, r := range records {
			list = append(list, r.Kind)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestOrderIsRedeemed: the firm's certificate is issued with no officer, once, and the
// same request is answered with it again.
func TestOrderIsRedeemed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		if !b.a.NeedsApproval(profile.Firm) {
			t.Error("a firm's certificate needs no officer anyway: the test shows nothing")
		}
		id, request := b.order(t, b.firm.USCC), firmCSR(t)
		p, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, request)
		if err != nil || p.State != ca.Made || p.Serial == "" || p.Decider != b.lin {
			t.Fatalf("%+v, %v", p, err)
		}
		cert, err := b.a.Find(t.Context(), p.Serial)
		if err != nil {
			t.Fatal(err)
		}
		leaf := parse(t, cert.DER)
		if leaf.Subject.CommonName != b.firm.Name || cert.Holder != "firm:"+b.firm.USCC || cert.Profile != profile.Firm {
			t.Errorf("%s of %s", leaf.Subject, cert.Holder)
		}
		again, err := b.a.Redeem(t.Context(), id, "person:"+b.lin, request)
		if err != nil || again.ID != p.ID || again.Serial != p.Serial {
			t.Errorf("again: %+v, %v", again, err)
		}
		_, err = b.a.Redeem(t.Context(), id, "person:"+b.wei, firmCSR(t))
		wantKind(t, err, fault.Conflict)
		o, err := b.a.FindOrder(t.Context(), id)
		if err != nil || o.Request != p.ID || o.Firm != b.firm.USCC {
			t.Errorf("%+v, %v", o, err)
		}
		list, err := b.a.OrdersOf(t.Context(), b.firm.USCC)
		if err != nil || len(list) != 1 || list[0] != o {
			t.Errorf("%+v, %v", list, err)
		}
		if kinds := b.kinds(t, "certificate-order:"+id); len(kinds) != 2 || kinds[0] != "certificate.order.make" || kinds[1] != "certificate.order.redeem" {
			t.Errorf("%v", kinds)
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

// TestOrderRefuses: what is wrong with the request leaves the order open.
func TestOrderRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		id := b.order(t, b.firm.USCC)
		lost := ecKey(t)
		if err := b.BlockKeys(t.Context(), actor, "lost", spki(t, lost)); err != nil {
			t.Fatal(err)
		}
		nobody, err := registry.MakeUSCC(registry.Enterprise, "990101", 1)
		if err != nil {
			t.Fatal(err)
		}
		stranger, late := b.order(t, nobody), b.order(t, b.firm.USCC)
		for name, c := range map[string]struct {
			id   string
			csr  []byte
			kind fault.Kind
		}{
			"no order":          {db.NewID(), firmCSR(t), fault.NotFound},
			"no id":             {"' OR 1=1 --", firmCSR(t), fault.NotFound},
			"no request":        {id, nil, fault.Invalid},
			"broken":            {id, []byte("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----"), fault.Invalid},
			"a host":            {id, csr(t, ecKey(t), x509.CertificateRequest{DNSNames: []string{"www.example.com"}}), fault.Invalid},
			"a blocked key":     {id, csr(t, lost, x509.CertificateRequest{}), fault.Conflict},
			"an unknown firm's": {stranger, firmCSR(t), fault.NotFound},
		} {
			_, err := b.a.Redeem(t.Context(), c.id, "person:"+b.wei, c.csr)
			if err == nil || fault.KindOf(err) != c.kind {
				t.Errorf("%s: %v", name, err)
			}
		}
		if o, err := b.a.FindOrder(t.Context(), id); err != nil || o.Request != "" {
			t.Errorf("%+v, %v", o, err)
		}
		if p, err := b.a.Redeem(t.Context(), id, "person:"+b.wei, firmCSR(t)); err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
		b.clock.advance(90*24*time.Hour - time.Minute)
		request := firmCSR(t)
		if p, err := b.a.Redeem(t.Context(), late, "person:"+b.wei, request); err != nil || p.State != ca.Made {
			t.Errorf("the last minute: %+v, %v", p, err)
		}
		over := b.order(t, b.firm.USCC)
		b.clock.advance(90 * 24 * time.Hour)
		_, err = b.a.Redeem(t.Context(), over, "person:"+b.wei, firmCSR(t))
		wantKind(t, err, fault.Conflict)
		if p, err := b.a.Redeem(t.Context(), late, "person:"+b.wei, request); err != nil || p.State != ca.Made { // what was made stays
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestOrderRaces: of many keys brought at once for one order, one has a certificate;
// brought many times at once, one key has one.
func TestOrderRaces(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		for name, requests := range map[string]func() []byte{"many keys": func() []byte { return firmCSR(t) }, "one key": func() func() []byte {
			one := firmCSR(t)
			return func() []byte { return one }
		}()} {
			id := b.order(t, b.firm.USCC)
			replicas := []*ca.CA{b.a, b.open(t, func(o *ca.Options) { o.Holders, o.Officers, o.Licensed = b.registry, b.officials, b.licensed })}
			var wg sync.WaitGroup
			made, errs := make([]ca.Pending, 12), make([]error, 12)
			for i := range made {
				request := requests()
				wg.Go(func() { made[i], errs[i] = replicas[i%2].Redeem(t.Context(), id, fmt.Sprint("person:", i), request) })
			}
			wg.Wait()
			var won []ca.Pending
			for i, err := range errs {
				switch {
				case err == nil:
					won = append(won, made[i])
				case fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.Unavailable:
					t.Errorf("%s: %v", name, err)
				case fault.KindOf(err) == fault.Conflict && name == "one key":
					t.Errorf("%s: %v", name, err)
				}
			}
			if len(won) == 0 || name == "many keys" && len(won) != 1 {
				t.Fatalf("%s: %d won: %v", name, len(won), errors.Join(errs...))
			}
			b.clock.advance(time.Minute)
			if err := b.a.SweepRequests(t.Context()); err != nil {
				t.Error(err)
			}
			p, err := b.a.Pending(t.Context(), won[0].ID)
			if err != nil || p.State != ca.Made {
				t.Fatalf("%s: %+v, %v", name, p, err)
			}
			for _, other := range won {
				if other.ID != p.ID || other.Serial != "" && other.Serial != p.Serial {
					t.Errorf("%s: %+v and %+v", name, other, p)
				}
			}
		}
		list, err := b.a.List(t.Context(), ca.Filter{Profile: profile.Firm})
		issued := 0
		for _, c := range list {
			if c.Status == ca.Issued {
				issued++
			}
		}
		if err != nil || issued != 2 {
			t.Errorf("%d certificates, %v", issued, err)
		}
	})
}

// TestOrderAfterACrash: a process that died after the request was accepted leaves it to
// the sweeper, and to whoever brings it again; one that failed leaves the order open.
func TestOrderAfterACrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		swept, again, failed := b.order(t, b.firm.USCC), b.order(t, b.firm.USCC), b.order(t, b.firm.USCC)
		lost, requests := ecKey(t), map[string][]byte{}
		for _, id := range []string{swept, again, failed} {
			requests[id] = firmCSR(t)
			if id == failed {
				requests[id] = csr(t, lost, x509.CertificateRequest{})
			}
			if err := b.a.RedeemOnly(t.Context(), id, "person:"+b.wei, requests[id]); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.BlockKeys(t.Context(), actor, "lost", spki(t, lost)); err != nil {
			t.Fatal(err)
		}
		p, err := b.a.Redeem(t.Context(), again, "person:"+b.wei, requests[again])
		if err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
		b.clock.advance(time.Minute)
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Error(err)
		}
		for id, want := range map[string]ca.PendingState{swept: ca.Made, again: ca.Made, failed: ca.Failed} {
			o, err := b.a.FindOrder(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := b.a.Pending(t.Context(), o.Request); err != nil || p.State != want {
				t.Errorf("%s, want %s: %v", p.State, want, err)
			}
		}
		q, err := b.a.Redeem(t.Context(), failed, "person:"+b.wei, firmCSR(t))
		if err != nil || q.State != ca.Made {
			t.Errorf("another key after one that failed: %+v, %v", q, err)
		}
		if bytes.Equal(q.Request.CSR, requests[failed]) {
			t.Error("the blocked key was certified")
		}
	})
}
