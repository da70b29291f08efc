package ca_test

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// stands returns what stands under an idempotency key: certificates and requests.
func (c *city) stands(t testing.TB, actor, key string) (certificates, requests int) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM ca_certificates WHERE actor = $1 AND request_key = $2),
			(SELECT count(*) FROM ca_requests WHERE requester = $1 AND request_key = $2 AND state <> 'withdrawn')`, actor, key).Scan(&certificates, &requests)
	})
	if err != nil {
		t.Fatal(err)
	}
	return certificates, requests
}

// TestOneKeyOneAct: what a key stood for first it stands for later, whatever the policy
// says then.
func TestOneKeyOneAct(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		kept, made := wish(t, "kept"), wish(t, "made")
		first, err := b.a.Ask(t.Context(), kept, true)
		if err != nil || first.Pending.ID == "" {
			t.Fatalf("%+v, %v", first, err)
		}
		issued, err := b.a.Ask(t.Context(), made, false)
		if err != nil || issued.Certificate.Serial == "" || issued.Pending.ID != "" {
			t.Fatalf("%+v, %v", issued, err)
		}
		before := b.rows(t)
		same := func(step string) {
			t.Helper()
			for _, waits := range []bool{true, false} {
				if a, err := b.a.Ask(t.Context(), kept, waits); err != nil || a.Pending.ID != first.Pending.ID || a.Certificate.Serial != "" {
					t.Errorf("%s, waits %v: %+v, %v", step, waits, a, err)
				}
				if a, err := b.a.Ask(t.Context(), made, waits); err != nil || a.Certificate.Serial != issued.Certificate.Serial || a.Pending.ID != "" {
					t.Errorf("%s, waits %v: %+v, %v", step, waits, a, err)
				}
				for _, old := range []ca.Request{kept, made} {
					other := wish(t, old.IdempotencyKey)
					_, err := b.a.Ask(t.Context(), other, waits)
					wantKind(t, err, fault.Conflict)
				}
			}
			_, err := b.a.Issue(t.Context(), kept)
			wantKind(t, err, fault.Conflict)
			_, err = b.a.Submit(t.Context(), made)
			wantKind(t, err, fault.Conflict)
			if certificates, requests := b.stands(t, "client:xishan", "kept"); certificates != 0 || requests != 1 {
				t.Errorf("%s: %d certificates and %d requests", step, certificates, requests)
			}
			if certificates, requests := b.stands(t, "client:xishan", "made"); certificates != 1 || requests != 0 {
				t.Errorf("%s: %d certificates and %d requests", step, certificates, requests)
			}
		}
		same("while one waits")
		if b.rows(t) != before {
			t.Errorf("%d rows, before %d", b.rows(t), before)
		}
		if p, err := b.a.Decide(t.Context(), first.Pending.ID, yes(b.lin)); err != nil || p.State != ca.Made {
			t.Fatalf("%+v, %v", p, err)
		}
		same("once it is issued")
		if err := b.a.Revoke(t.Context(), issued.Certificate.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		same("once the other is revoked")
		// Other actors and other keys are not concerned.
		other := wish(t, "kept")
		other.Actor = "client:other"
		if a, err := b.a.Ask(t.Context(), other, false); err != nil || a.Certificate.Serial == "" {
			t.Errorf("%+v, %v", a, err)
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

// TestKeyOfARenewal: a renewal is another act than the request for the first
// certificate, also with the same key and the same certificate request.
func TestKeyOfARenewal(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		for _, waits := range []bool{true, false} {
			r := wish(t, fmt.Sprint("issue", waits))
			a, err := b.a.Ask(t.Context(), r, waits)
			if err != nil {
				t.Fatal(err)
			}
			serial := a.Certificate.Serial
			if waits {
				p, err := b.a.Decide(t.Context(), a.Pending.ID, yes(b.lin))
				if err != nil {
					t.Fatal(err)
				}
				serial = p.Serial
			}
			renew := func(key string) (ca.Answer, error) {
				wish, same, err := b.a.RenewalRequest(t.Context(), ca.Renewal{Serial: serial, CSR: r.CSR, Actor: r.Actor, IdempotencyKey: key})
				if err != nil || !same || wish.Renews != serial {
					t.Fatalf("%+v, %v, %v", wish, same, err)
				}
				return b.a.Ask(t.Context(), wish, false)
			}
			before := b.rows(t)
			_, err = renew(r.IdempotencyKey)
			wantKind(t, err, fault.Conflict)
			if b.rows(t) != before {
				t.Error("something was made")
			}
			key := fmt.Sprint("renew", waits)
			next, err := renew(key)
			if err != nil || next.Certificate.Serial == "" || next.Certificate.Serial == serial {
				t.Fatalf("%+v, %v", next, err)
			}
			if again, err := renew(key); err != nil || again.Certificate.Serial != next.Certificate.Serial {
				t.Errorf("%+v, %v", again, err)
			}
			r.IdempotencyKey = key
			for _, waits := range []bool{true, false} {
				_, err := b.a.Ask(t.Context(), r, waits)
				wantKind(t, err, fault.Conflict)
			}
		}
	})
}

// TestOneKeyInARace: the policy changes while a client asks twice, at two replicas.
func TestOneKeyInARace(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		replicas := []*ca.CA{b.a, b.open(t, func(o *ca.Options) { o.Holders, o.Officers, o.Licensed = b.registry, b.officials, b.licensed })}
		for i := range 12 {
			r := wish(t, fmt.Sprint("k", i))
			var wg sync.WaitGroup
			answers := make([]ca.Answer, 6)
			for j := range answers {
				wg.Go(func() {
					var err error
					answers[j], err = replicas[j%2].Ask(t.Context(), r, j%2 == 0)
					if kind := fault.KindOf(err); err != nil && kind != fault.Unavailable && kind != fault.Conflict {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			certificates, requests := b.stands(t, r.Actor, r.IdempotencyKey)
			if certificates+requests > 1 {
				t.Errorf("%d certificates and %d requests", certificates, requests)
			}
			a, err := b.a.Ask(t.Context(), r, i%2 == 0)
			if err != nil || (a.Certificate.Serial == "") == (a.Pending.ID == "") {
				t.Errorf("afterwards: %+v, %v", a, err)
			}
			for _, got := range answers {
				if got.Certificate.Serial != "" && got.Certificate.Serial != a.Certificate.Serial || got.Pending.ID != "" && got.Pending.State == ca.Waiting && got.Pending.ID != a.Pending.ID {
					t.Errorf("answered with %s %s, afterwards with %s %s", got.Certificate.Serial, got.Pending.ID, a.Certificate.Serial, a.Pending.ID)
				}
			}
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

// TestWhoComesLaterGivesWay: a certificate and a request that did not see each other when
// they were written do not both stay.
func TestWhoComesLaterGivesWay(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		r := ca.Request{Profile: profile.SystemClient, Agency: "xishan-amr", Name: "x", Key: ecKey(t), Actor: "client:xishan", IdempotencyKey: "late"}
		serial, err := b.a.Half(t.Context(), r, "intent")
		if err != nil {
			t.Fatal(err)
		}
		p := b.submit(t, wish(t, "kept"))
		if err := b.a.TakeBack(t.Context(), p); err != nil {
			t.Errorf("with nothing under its key: %v", err)
		}
		b.exec(t, `UPDATE ca_requests SET request_key = 'late' WHERE id = $1`, p.ID)
		p.Request.IdempotencyKey = "late"
		wantKind(t, b.a.StoreLate(t.Context(), serial, []byte{1}), fault.Conflict)
		wantKind(t, b.a.TakeBack(t.Context(), p), fault.Unavailable)
		if now, err := b.a.Pending(t.Context(), p.ID); err != nil || now.State != ca.Withdrawn {
			t.Errorf("%+v, %v", now, err)
		}
		wantKind(t, b.a.StoreLate(t.Context(), serial, []byte{1}), fault.Conflict)
		if cert, err := b.a.Find(t.Context(), serial); err != nil || cert.Status != ca.Intent {
			t.Errorf("%s, %v", cert.Status, err)
		}
	})
}

// TestKeyOfBothIsNotApproved: rows of the release before, or of a process that died
// between keeping a request and looking once more.
func TestKeyOfBothIsNotApproved(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		p := b.submit(t, wish(t, "kept"))
		a, err := b.a.Ask(t.Context(), wish(t, "made"), false)
		if err != nil {
			t.Fatal(err)
		}
		b.exec(t, `UPDATE ca_certificates SET request_key = 'kept' WHERE serial = $1`, a.Certificate.Serial)
		_, err = b.a.Decide(t.Context(), p.ID, yes(b.lin))
		wantKind(t, err, fault.Conflict)
		if p, err := b.a.Pending(t.Context(), p.ID); err != nil || p.State != ca.Waiting {
			t.Errorf("%+v, %v", p, err)
		}
		if p, err := b.a.Decide(t.Context(), p.ID, ca.Decision{Person: b.lin, Reason: "made already", Key: "k"}); err != nil || p.State != ca.Rejected {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

func TestOneKeyOverHTTP(t *testing.T) {
	b := newBench(t, testkit.SQLite(t))
	open := func(p profile.Policy) *httptest.Server {
		return b.serveAs(t, nil, func(o *ca.Options) {
			o.Holders, o.Officers, o.Licensed = b.registry, b.officials, b.licensed
			o.Profiles = map[profile.Kind]profile.Policy{profile.SystemClient: p}
		})
	}
	waits := map[bool]*httptest.Server{true: open(profile.Policy{Approval: profile.Decided}), false: open(profile.Policy{Approval: profile.Direct})}
	body := func(name string) string {
		b, err := json.Marshal(map[string]string{"profile": "system-client", "agency": "xishan-amr", "name": name, "csr": string(csr(t, ecKey(t), x509.CertificateRequest{}))})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for _, first := range []bool{true, false} {
		mine, key := body("mine"), fmt.Sprint("key", first)
		status, answer := map[bool]int{true: 202, false: 201}[first], ""
		for i := range 4 {
			at := first != (i%2 == 1)
			got, _, text := call{"POST", "/ca/v1/certificates", "xishan", key, mine}.do(t, waits[at])
			var v struct {
				Serial  string
				Request struct{ ID string }
			}
			if err := json.Unmarshal(text, &v); err != nil {
				t.Fatal(err)
			}
			if answer == "" {
				answer = v.Serial + v.Request.ID
			}
			if got != status || answer == "" || v.Serial+v.Request.ID != answer {
				t.Errorf("first %v, now %v: %d %s", first, at, got, text)
			}
			if got, _, text := (call{"POST", "/ca/v1/certificates", "xishan", key, body("another")}).do(t, waits[at]); got != 409 || !strings.Contains(string(text), "used for another request") {
				t.Errorf("another request, first %v, now %v: %d %s", first, at, got, text)
			}
		}
	}
}
