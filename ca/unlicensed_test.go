package ca_test

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// made returns the certificate that was made for an order of the firm, for a key.
func (b *bench) made(t testing.TB, key crypto.Signer) string {
	t.Helper()
	p, err := b.a.Redeem(t.Context(), b.order(t, b.firm.USCC), "person:"+b.wei, csr(t, key, x509.CertificateRequest{}))
	if err != nil || p.State != ca.Made {
		t.Fatalf("%+v, %v", p, err)
	}
	return p.Serial
}

// renewed asks for the successor of a certificate, with the same key or by an officer's
// decision.
func (b *bench) renewed(t testing.TB, serial string, key crypto.Signer, name string) (ca.Answer, error) {
	t.Helper()
	r, same, err := b.a.RenewalRequest(t.Context(), ca.Renewal{Serial: serial, CSR: csr(t, key, x509.CertificateRequest{}), Actor: "client:firm", IdempotencyKey: name})
	if err != nil {
		return ca.Answer{}, err
	}
	return b.a.Ask(t.Context(), r, !same)
}

func (b *bench) lose(firms ...ca.Ended) {
	b.licensed.mu.Lock()
	defer b.licensed.mu.Unlock()
	b.licensed.lost.Store(true)
	b.licensed.ended = firms
}

// want checks the state of certificates.
func (b *bench) want(t testing.TB, step string, status ca.Status, reason ca.Reason, serials ...string) {
	t.Helper()
	for i, serial := range serials {
		if got, err := b.a.Find(t.Context(), serial); err != nil || got.Status != status || got.Reason != reason {
			t.Errorf("%s, %d: %s %v, %v", step, i, got.Status, got.Reason, err)
		}
	}
}

// TestLicenseIsRevoked: what came from an order ends with the licence, by whatever way
// it was renewed, and what an officer decided on does not.
func TestLicenseIsRevoked(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		key := ecKey(t)
		first := b.made(t, key)
		again, err := b.renewed(t, first, key, "same key")
		if err != nil {
			t.Fatal(err)
		}
		asked, err := b.renewed(t, again.Certificate.Serial, ecKey(t), "another key")
		if err != nil || asked.Pending.ID == "" {
			t.Fatalf("%+v, %v", asked, err)
		}
		decided, err := b.a.Decide(t.Context(), asked.Pending.ID, yes(b.lin))
		if err != nil || decided.State != ca.Made {
			t.Fatalf("%+v, %v", decided, err)
		}
		held := b.made(t, ecKey(t))
		if err := b.a.Revoke(t.Context(), held, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		gone := b.made(t, ecKey(t))
		if err := b.a.Revoke(t.Context(), gone, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		alone := b.submit(t, ca.Request{Profile: profile.Firm, Firm: b.firm.USCC, CSR: firmCSR(t), Actor: "person:" + b.wei, IdempotencyKey: "alone"})
		if alone, err = b.a.Decide(t.Context(), alone.ID, yes(b.lin)); err != nil {
			t.Fatal(err)
		}
		citizens, err := b.a.Issue(t.Context(), ca.Request{Profile: profile.Citizen, Person: b.wei, Key: ecKey(t), Actor: actor})
		if err != nil {
			t.Fatal(err)
		}
		ordered := []string{first, again.Certificate.Serial, decided.Serial}
		round := func() {
			t.Helper()
			if err := b.a.RevokeUnlicensed(t.Context()); err != nil {
				t.Error(err)
			}
			b.clock.advance(time.Minute)
		}
		round()
		b.licensed.lost.Store(true) // suspended, or past its end
		round()
		b.want(t, "while it is suspended", ca.Issued, 0, ordered...)
		b.lose(ca.Ended{Firm: "91990100MA0000000X", License: "a", At: b.clock.now()})
		round()
		b.want(t, "when another firm's is revoked", ca.Issued, 0, ordered...)
		b.lose(ca.Ended{Firm: b.firm.USCC, License: "b", At: b.clock.now()})
		for range 3 {
			round()
			b.want(t, "when it is revoked", ca.Revoked, ca.CessationOfOperation, append(ordered, held)...)
			b.want(t, "what was revoked", ca.Revoked, ca.KeyCompromise, gone)
			b.want(t, "what has no order", ca.Issued, 0, alone.Serial, citizens.Serial)
		}
		b.publish(t)
		list := b.entries(t, "city", 1)
		for i, serial := range ordered {
			if list[serial] != 5 {
				t.Errorf("%d: on the CRL %d", i, list[serial])
			}
			if n := count(b.kinds(t, "certificate:"+serial), "certificate.revoke"); n != 1 {
				t.Errorf("%d: revoked %d times by the log", i, n)
			}
		}
		row, err := b.a.Find(t.Context(), first)
		if err != nil {
			t.Fatal(err)
		}
		issuer := b.issuerOf(t, "city")
		r := opened(t, post(t, responder(t, b.a), "city", question(t, parse(t, row.DER), issuer, crypto.SHA256)), parse(t, row.DER), issuer)
		if r.Status != ocsp.Revoked || r.RevocationReason != ocsp.CessationOfOperation {
			t.Errorf("OCSP status %d, reason %d", r.Status, r.RevocationReason)
		}
		err = d.Read(t.Context(), func(tx db.Tx) error {
			found, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: "certificate:" + first, Kind: "certificate.revoke"})
			if err == nil && (len(found) != 1 || found[0].Actor != "system" || found[0].Data["cause"] != "business licence revoked" || found[0].Data["reason"] != "cessationOfOperation") {
				t.Errorf("%+v", found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

// TestRenewingNeedsTheLicense: what came from an order is renewed while the licence is
// in force alone, up to the moment of the intent; a firm without one asks an officer.
func TestRenewingNeedsTheLicense(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		key := ecKey(t)
		first := b.made(t, key)
		next, err := b.renewed(t, first, key, "1")
		if err != nil {
			t.Fatal(err)
		}
		waits, err := b.renewed(t, first, ecKey(t), "2")
		if err != nil {
			t.Fatal(err)
		}
		approved, err := b.renewed(t, first, ecKey(t), "3")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.a.ApproveOnly(t.Context(), approved.Pending.ID, b.lin, false); err != nil {
			t.Fatal(err)
		}
		alone := b.submit(t, ca.Request{Profile: profile.Firm, Firm: b.firm.USCC, CSR: firmCSR(t), Actor: "person:" + b.wei, IdempotencyKey: "alone"})
		if alone, err = b.a.Decide(t.Context(), alone.ID, yes(b.lin)); err != nil {
			t.Fatal(err)
		}
		before := b.firmCertificates(t)
		b.licensed.lost.Store(true)
		for i, serial := range []string{first, next.Certificate.Serial} {
			_, err := b.renewed(t, serial, key, fmt.Sprint("lost", i))
			wantKind(t, err, fault.Conflict)
			if _, _, err := b.a.RenewalRequest(t.Context(), renewal(t, serial, key)); fault.KindOf(err) != fault.Conflict || !strings.Contains(fault.Public(err), "is not renewed") {
				t.Errorf("%d: %v", i, err)
			}
			_, err = b.renewed(t, serial, ecKey(t), fmt.Sprint("lost, another key", i))
			wantKind(t, err, fault.Conflict)
		}
		_, err = b.a.Decide(t.Context(), waits.Pending.ID, yes(b.lin))
		wantKind(t, err, fault.Conflict)
		b.clock.advance(time.Minute)
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Error(err)
		}
		if p, err := b.a.Pending(t.Context(), approved.Pending.ID); err != nil || p.State != ca.Failed || p.Note == "" {
			t.Errorf("%+v, %v", p, err)
		}
		if n := b.firmCertificates(t); n != before {
			t.Errorf("%d certificates, before %d", n, before)
		}
		// What was answered is answered again, and what an officer decides on is no order's.
		if again, err := b.renewed(t, first, key, "1"); err != nil || again.Certificate.Serial != next.Certificate.Serial {
			t.Errorf("%+v, %v", again, err)
		}
		if a, err := b.renewed(t, alone.Serial, ecKey(t), "alone"); err != nil || a.Pending.ID == "" {
			t.Errorf("%+v, %v", a, err)
		}
		b.licensed.broken.Store(true)
		if _, err := b.renewed(t, first, key, "broken"); !errors.Is(err, errLicenses) {
			t.Errorf("while licences cannot be read: %v", err)
		}
		b.licensed.broken.Store(false)
		b.licensed.lost.Store(false)
		if p, err := b.a.Decide(t.Context(), waits.Pending.ID, yes(b.lin)); err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestUnlicensedByReplicas: two replicas at once, one that died amid its round, and
// many firms; each certificate is revoked once.
func TestUnlicensedByReplicas(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		var serials []string
		for range 4 {
			serials = append(serials, b.made(t, ecKey(t)))
		}
		var firms []ca.Ended
		for i := range 230 {
			firms = append(firms, ca.Ended{Firm: fmt.Sprintf("firm %03d", i), License: fmt.Sprintf("%03d", i), At: b.clock.now().Add(-48 * time.Hour)})
		}
		b.lose(append(firms, ca.Ended{Firm: b.firm.USCC, License: "ours", At: b.clock.now()})...)
		b.licensed.broken.Store(true)
		if err := b.a.RevokeUnlicensed(t.Context()); !errors.Is(err, errLicenses) {
			t.Errorf("%v", err)
		}
		b.licensed.broken.Store(false)
		b.clock.advance(time.Minute)
		if err := b.a.Revoke(t.Context(), serials[1], ca.CessationOfOperation, "system"); err != nil { // and died
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.a.RevokeUnlicensed(ctx); err == nil {
			t.Error("a round that was broken off is no error")
		}
		replicas := []*ca.CA{b.a}
		for range 3 {
			replicas = append(replicas, b.open(t, func(o *ca.Options) { o.Holders, o.Officers, o.Licensed = b.registry, b.officials, b.licensed }))
		}
		for range 3 {
			b.clock.advance(time.Minute)
			var wg sync.WaitGroup
			for _, r := range replicas {
				wg.Go(func() {
					if err := r.RevokeUnlicensed(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			b.want(t, "after a round", ca.Revoked, ca.CessationOfOperation, serials...)
		}
		for i, serial := range serials {
			if n := count(b.kinds(t, "certificate:"+serial), "certificate.revoke"); n != 1 {
				t.Errorf("%d: revoked %d times by the log", i, n)
			}
		}
		// A process that has looked at all of them looks at the newest again.
		b.clock.advance(time.Minute)
		alone := b.open(t, func(o *ca.Options) { o.Holders, o.Officers, o.Licensed = b.registry, b.officials, b.licensed })
		for range 2 {
			b.licensed.asked = nil
			if err := alone.RevokeUnlicensed(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.clock.advance(time.Minute)
		}
		want := b.clock.now().Add(-17 * time.Minute)
		if len(b.licensed.asked) != 1 || !b.licensed.asked[0].At.Equal(want) {
			t.Errorf("asked behind %v, want once, behind %v", b.licensed.asked, want)
		}
		nobody := b.open(t, func(o *ca.Options) { o.Holders = b.registry })
		if err := nobody.RevokeUnlicensed(t.Context()); err != nil {
			t.Errorf("without licences: %v", err)
		}
	})
}
