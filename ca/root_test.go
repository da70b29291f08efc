package ca_test

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/json/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/verify/trust"
)

// rootKey is the key of the ceremony's root.
func (c *city) rootKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ca.LoadRootKey(c.result.RootKeyPEM, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (c *city) ask(t testing.TB, a ca.RootAsk) []byte {
	t.Helper()
	a.Actor = actor
	file, err := c.AskRoot(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// act holds a whole act of the root.
func (c *city) act(t testing.TB, a ca.RootAsk, signers ...crypto.Signer) {
	t.Helper()
	response, err := ca.SignRootRequest(c.ask(t, a), c.RootCertificate(), signers, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ApplyRoot(t.Context(), response, actor); err != nil {
		t.Fatal(err)
	}
}

func (c *city) promote(t testing.TB, purpose, owner string) (active, retiring keys.Key) {
	t.Helper()
	active, retiring, err := c.ring.Promote(t.Context(), purpose, owner, actor)
	if err != nil {
		t.Fatal(err)
	}
	return active, retiring
}

func (c *city) wantClean(t testing.TB) {
	t.Helper()
	if _, problems := c.audit(t); len(problems) > 0 {
		t.Errorf("audit: %v", problems)
	}
}

func TestIssuingKeyRotates(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		old := c.issue(t, request(t))
		if _, _, err := c.ring.Promote(t.Context(), keys.PurposeCA, "city", actor); fault.KindOf(err) != fault.Conflict {
			t.Fatalf("promoted a key that no root certified: %v", err)
		}
		c.act(t, ca.RootAsk{Issuers: []string{"city"}}, c.rootKey(t))
		active, retiring := c.promote(t, keys.PurposeCA, "city")
		r := request(t)
		r.IdempotencyKey = "after"
		fresh := c.issue(t, r)
		if fresh.IssuerKey != active.ID || old.IssuerKey != retiring.ID {
			t.Errorf("issued by %s and before by %s, want %s and %s", fresh.IssuerKey, old.IssuerKey, active.ID, retiring.ID)
		}
		pool := x509.NewCertPool()
		pool.AddCert(c.RootCertificate())
		for _, one := range []struct {
			leaf   ca.Certificate
			issuer keys.Key
		}{{old, retiring}, {fresh, active}} {
			middle := x509.NewCertPool()
			middle.AddCert(parse(t, one.issuer.Certificate))
			leaf := parse(t, one.leaf.DER)
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: middle, CurrentTime: c.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Errorf("chain of %s: %v", one.leaf.Serial, err)
			}
		}
		// What the old key signed is still revoked by the old key.
		if err := c.Revoke(t.Context(), old.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		if err := c.PublishCRLs(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.wantClean(t)
	})
}

func TestSignersAreReplenished(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.act(t, ca.RootAsk{}, c.rootKey(t))
		before, err := trust.OpenRoot(c.RootStatement(), c.RootCertificate().PublicKey, c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		for _, purpose := range []string{keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog} {
			c.promote(t, purpose, ca.Owner)
		}
		c.act(t, ca.RootAsk{}, c.rootKey(t))
		after, err := trust.OpenRoot(c.RootStatement(), c.RootCertificate().PublicKey, c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		if after.Version != before.Version+1 {
			t.Errorf("version %d after %d", after.Version, before.Version)
		}
		for _, l := range []struct {
			name      string
			old, next []trust.Signer
		}{{"bundle", before.Bundle, after.Bundle}, {"status", before.Status, after.Status}, {"log", before.Log, after.Log}} {
			if len(l.next) != len(l.old)+1 {
				t.Errorf("%s: %d signers, want one more than %d", l.name, len(l.next), len(l.old))
			}
			for _, s := range l.old {
				if !slices.ContainsFunc(l.next, func(n trust.Signer) bool { return n.KID == s.KID && n.From == s.From }) {
					t.Errorf("%s: a signer that verifiers need is gone, or begins later", l.name)
				}
			}
		}
		// Every standby is published: another rotation needs no act of the root.
		for _, purpose := range []string{keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog} {
			c.promote(t, purpose, ca.Owner)
		}
	})
}

func TestRootRotates(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		leaf := c.issue(t, request(t))
		first, firstKey := c.RootCertificate(), c.rootKey(t)
		reviewed := plan(t)
		reviewed.Root.CommonName += " 2"
		der, pem, err := ca.NewRoot(reviewed, []byte(passphrase), c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		second := parse(t, der)
		secondKey, err := ca.LoadRootKey(pem, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.AskRoot(t.Context(), ca.RootAsk{Switch: second, Actor: actor}); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("a root that no statement has named took over: %v", err)
		}
		c.act(t, ca.RootAsk{NextRoot: second.PublicKey}, firstKey)
		s, err := trust.OpenRoot(c.RootStatement(), first.PublicKey, c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		if next, err := s.NextRoot(); err != nil || !second.PublicKey.(interface{ Equal(crypto.PublicKey) bool }).Equal(next) {
			t.Fatalf("next root %v, %v", next, err)
		}
		c.clock.advance(time.Hour)
		file := c.ask(t, ca.RootAsk{Switch: second, Issuers: []string{"city"}})
		if _, err := ca.SignRootRequest(file, first, []crypto.Signer{secondKey}, c.clock.now()); fault.KindOf(err) != fault.Invalid {
			t.Errorf("the next root alone took over: %v", err)
		}
		response, err := ca.SignRootRequest(file, first, []crypto.Signer{secondKey, firstKey}, c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ApplyRoot(t.Context(), response, actor); err != nil {
			t.Fatal(err)
		}
		if !c.RootCertificate().Equal(second) {
			t.Error("the second root did not take over")
		}
		for _, pin := range []*x509.Certificate{first, second} {
			if _, err := trust.OpenRoot(c.RootStatement(), pin.PublicKey, c.clock.now()); err != nil {
				t.Errorf("a verifier that pins %s: %v", pin.Subject.CommonName, err)
			}
		}
		c.promote(t, keys.PurposeCA, "city")
		r := request(t)
		r.IdempotencyKey = "second"
		issuer := c.issue(t, r)
		again := c.reopen(t) // what was stored is enough
		for _, serial := range []string{leaf.Serial, issuer.Serial} {
			if err := again.Revoke(t.Context(), serial, ca.Superseded, actor); err != nil {
				t.Errorf("%s: %v", serial, err)
			}
		}
		if err := again.PublishCRLs(t.Context()); err != nil {
			t.Error(err)
		}
		// The first root still signs the CRL of what it certified, and nothing else.
		file = c.ask(t, ca.RootAsk{Former: true})
		if _, err := ca.SignRootRequest(file, second, []crypto.Signer{secondKey}, c.clock.now()); fault.KindOf(err) != fault.Invalid {
			t.Errorf("the first root's CRL without its key: %v", err)
		}
		if response, err = ca.SignRootRequest(file, second, []crypto.Signer{secondKey, firstKey}, c.clock.now()); err != nil {
			t.Fatal(err)
		}
		if err := c.ApplyRoot(t.Context(), response, actor); err != nil {
			t.Fatal(err)
		}
		for number, root := range map[string]*x509.Certificate{"1": first, "2": second} {
			w := httptest.NewRecorder()
			mux := http.NewServeMux()
			c.MountPublic(mux)
			mux.ServeHTTP(w, httptest.NewRequest("GET", "/ca/root/crl/"+number+".crl", nil))
			list, err := x509.ParseRevocationList(w.Body.Bytes())
			if err != nil || list.CheckSignatureFrom(root) != nil || list.ThisUpdate.Before(c.clock.now().Add(-time.Minute)) {
				t.Errorf("CRL %s of the roots: %v", number, err)
			}
		}
		if _, err := trust.OpenRoot(c.RootStatement(), first.PublicKey, c.clock.now()); err == nil {
			t.Error("a former root signed the statement")
		}
		// The second root can hand over in its turn, and needs the first no more.
		c.act(t, ca.RootAsk{Issuers: []string{"donghu"}}, secondKey)
		if _, err := trust.OpenRoot(c.RootStatement(), first.PublicKey, c.clock.now()); err == nil {
			t.Error("a statement of the second root alone passes under the first")
		}
		c.wantClean(t)
	})
}

func TestActsOfTheRootAreRefused(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	key, stranger := c.rootKey(t), ecKey(t)
	if _, err := c.AskRoot(t.Context(), ca.RootAsk{Issuers: []string{"nobody"}, Actor: actor}); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown issuer: %v", err)
	}
	file := c.ask(t, ca.RootAsk{Issuers: []string{"city"}})
	if _, err := c.AskRoot(t.Context(), ca.RootAsk{Actor: actor}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("second act at once: %v", err)
	}
	if _, err := ca.SignRootRequest(file, c.RootCertificate(), []crypto.Signer{stranger}, c.clock.now()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a stranger's key: %v", err)
	}
	other := newCity(t, testkit.SQLite(t))
	if _, err := ca.SignRootRequest(file, other.RootCertificate(), []crypto.Signer{other.rootKey(t)}, c.clock.now()); fault.KindOf(err) != fault.Denied {
		t.Errorf("another city's root: %v", err)
	}
	for name, change := range map[string]func(*ca.RootRequest){
		"another life":                 func(q *ca.RootRequest) { q.Certificates[0].NotAfter = q.Certificates[0].NotAfter.Add(-time.Hour) },
		"another name":                 func(q *ca.RootRequest) { q.Certificates[0].CommonName = "Mallory" },
		"another key":                  func(q *ca.RootRequest) { q.Certificates[0].Public = mustSPKI(t, stranger.Public()) },
		"a foreign root":               func(q *ca.RootRequest) { q.Certificates[0].By = "root-9" },
		"another version":              func(q *ca.RootRequest) { q.Format = "signet-root-request/2" },
		"a CRL of a hundred years":     func(q *ca.RootRequest) { q.CRLs[0].Until = q.CRLs[0].Until.AddDate(100, 0, 0) },
		"a CRL that ends as it begins": func(q *ca.RootRequest) { q.CRLs[0].Until = q.CRLs[0].From },
		"a CRL of next week":           func(q *ca.RootRequest) { q.CRLs[0].From = q.CRLs[0].From.AddDate(0, 0, 7) },
		"a CRL without a number":       func(q *ca.RootRequest) { q.CRLs[0].Number = 0 },
		"a statement beyond the root":  func(q *ca.RootRequest) { q.Statement.Expires = c.RootCertificate().NotAfter.Unix() + 1 },
		"two CRLs of a root": func(q *ca.RootRequest) {
			q.Former, q.CRLs = []ca.RootFile{{Key: "root-0", DER: q.Roots[0].DER}}, append(q.CRLs, q.CRLs[0])
		},
		"a root twice under other names": func(q *ca.RootRequest) {
			q.Roots, q.CRLs = append(q.Roots, ca.RootFile{Key: "root-2", DER: q.Roots[0].DER}), append(q.CRLs, q.CRLs[0])
		},
	} {
		var q ca.RootRequest
		if err := json.Unmarshal(file, &q); err != nil {
			t.Fatal(err)
		}
		change(&q)
		changed, err := json.Marshal(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ca.SignRootRequest(changed, c.RootCertificate(), []crypto.Signer{key}, c.clock.now()); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	response, err := ca.SignRootRequest(file, c.RootCertificate(), []crypto.Signer{key}, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	statement := c.RootStatement()
	for name, change := range map[string]func(*ca.RootResponse){
		"no certificate":    func(a *ca.RootResponse) { a.Certificates = nil },
		"other certificate": func(a *ca.RootResponse) { a.Certificates[0].DER = c.result.Issuers["city"] },
		"old statement":     func(a *ca.RootResponse) { a.Statement = statement },
		"no CRL":            func(a *ca.RootResponse) { a.CRLs[0].DER = nil },
		"cut certificate":   func(a *ca.RootResponse) { a.Certificates[0].DER = a.Certificates[0].DER[1:] },
	} {
		var a ca.RootResponse
		if err := json.Unmarshal(response, &a); err != nil {
			t.Fatal(err)
		}
		change(&a)
		changed, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.ApplyRoot(t.Context(), changed, actor); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.ApplyRoot(t.Context(), []byte(`{"format":"signet-root-response/1","x":1}`), actor); fault.KindOf(err) != fault.Invalid {
		t.Errorf("unknown member: %v", err)
	}
	if !bytes.Equal(statement, c.RootStatement()) {
		t.Error("a refused response changed the statement")
	}
	for range 2 { // repeated, it is answered like the first time
		if err := c.ApplyRoot(t.Context(), response, actor); err != nil {
			t.Fatal(err)
		}
	}
	withdrawn := c.ask(t, ca.RootAsk{})
	var q ca.RootRequest
	if err := json.Unmarshal(withdrawn, &q); err != nil {
		t.Fatal(err)
	}
	late, err := ca.SignRootRequest(withdrawn, c.RootCertificate(), []crypto.Signer{key}, c.clock.now())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.WithdrawRoot(t.Context(), q.ID, actor); err != nil {
		t.Fatal(err)
	}
	if err := c.WithdrawRoot(t.Context(), q.ID, actor); fault.KindOf(err) != fault.NotFound {
		t.Errorf("withdrawn twice: %v", err)
	}
	if err := c.ApplyRoot(t.Context(), late, actor); fault.KindOf(err) != fault.NotFound {
		t.Errorf("applied after it was withdrawn: %v", err)
	}
	c.wantClean(t)
}

// TestActOfTheRootSurvivesACrash: a process that dies between storing an act and
// moving its keys leaves what the next one completes.
func TestActOfTheRootSurvivesACrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		response, err := ca.SignRootRequest(c.ask(t, ca.RootAsk{Issuers: []string{"city"}}), c.RootCertificate(), []crypto.Signer{c.rootKey(t)}, c.clock.now())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.StoreActOnly(t.Context(), response, actor); err != nil {
			t.Fatal(err)
		}
		again := c.reopen(t)
		if _, err := again.AskRoot(t.Context(), ca.RootAsk{Actor: actor}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("an act that is not finished was forgotten: %v", err)
		}
		again.CompleteActs(t.Context())
		c.promote(t, keys.PurposeCA, "city")
		if _, err := again.AskRoot(t.Context(), ca.RootAsk{Actor: actor}); err != nil {
			t.Error(err)
		}
		c.wantClean(t)
	})
}

func mustSPKI(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
