package ca_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestIssue(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		tests := []struct{ agency, issuer, common string }{
			{"jiangcheng-amr", "city", "江城市市场监督管理局"},
			{"donghu-amr", "donghu", "江城市东湖区市场监督管理局"},
			{"xishan-amr", "xishan", "江城市西山区市场监督管理局"},
		}
		for _, tt := range tests {
			r := request(t)
			r.Agency = tt.agency
			got := c.issue(t, r)
			cert, issuer := parse(t, got.DER), parse(t, c.result.Issuers[tt.issuer])
			if err := cert.CheckSignatureFrom(issuer); err != nil || got.Issuer != tt.issuer || got.Status != ca.Issued {
				t.Errorf("%s: issuer %s, status %s, %v", tt.agency, got.Issuer, got.Status, err)
			}
			if cert.Subject.CommonName != tt.common || !r.Key.Public().(*ecdsa.PublicKey).Equal(cert.PublicKey) {
				t.Errorf("%s: subject %s", tt.agency, cert.Subject)
			}
			if cert.CRLDistributionPoints[0] != base+"/ca/"+tt.issuer+"/crl/1.crl" || !strings.HasPrefix(cert.IssuingCertificateURL[0], base+"/ca/"+tt.issuer+"/") {
				t.Errorf("%s: addresses %v %v", tt.agency, cert.CRLDistributionPoints, cert.IssuingCertificateURL)
			}
			found, err := c.Find(t.Context(), got.Serial)
			if err != nil || !bytes.Equal(found.DER, got.DER) || found.TBSHash() != sha256.Sum256(cert.RawTBSCertificate) {
				t.Errorf("%s: found %+v, %v", tt.agency, found, err)
			}
		}
		if n, problems := c.audit(t); n != 11 || len(problems) > 0 {
			t.Errorf("%d certificates, problems %v", n, problems)
		}
	})
}

// TestIntentAndOutcomeAreInTheLog finds the events and the certificate itself.
func TestIntentAndOutcomeAreInTheLog(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		cert := c.issue(t, request(t))
		err := d.Read(t.Context(), func(tx db.Tx) error {
			steps, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: "certificate:" + cert.Serial})
			if err != nil {
				return err
			}
			if len(steps) != 2 || steps[0].Kind != "certificate.issue.intent" || steps[1].Kind != "certificate.issue.outcome" || steps[0].Actor != actor {
				t.Errorf("events %+v", steps)
			}
			entry, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: audit.CertificateObject(cert.DER)})
			if err != nil {
				return err
			}
			if len(entry) != 1 || !bytes.Equal(entry[0].Certificate, cert.DER) {
				t.Errorf("entries %+v", entry)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestIssueRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		used := request(t)
		c.issue(t, used)
		tests := []struct {
			name   string
			kind   fault.Kind
			change func(*ca.Request)
		}{
			{"unknown agency", fault.NotFound, func(r *ca.Request) { r.Agency = "nobody" }},
			{"another district's issuer", fault.Denied, func(r *ca.Request) { r.Agency, r.Issuer = "donghu-amr", "xishan" }},
			{"the city's issuer for a district", fault.Denied, func(r *ca.Request) { r.Agency, r.Issuer = "donghu-amr", "city" }},
			{"agency registered under another's issuer", fault.Denied, func(r *ca.Request) { r.Agency = "stray" }},
			{"root", fault.Invalid, func(r *ca.Request) { r.Profile = profile.Root }},
			{"issuer", fault.Invalid, func(r *ca.Request) { r.Profile = profile.Issuer }},
			{"unknown profile", fault.Invalid, func(r *ca.Request) { r.Profile = "any" }},
			{"TLS for an agency", fault.Invalid, func(r *ca.Request) { r.Profile, r.Hosts = profile.TLS, []string{"a.example"} }},
			{"TLS by CSR", fault.Invalid, func(r *ca.Request) {
				*r = ca.Request{Profile: profile.TLS, Issuer: "city", Hosts: []string{"a.example"}, Actor: actor, CSR: csr(t, ecKey(t), x509.CertificateRequest{})}
			}},
			{"permits for nobody", fault.Invalid, func(r *ca.Request) { r.Agency, r.Issuer = "", "city" }},
			{"OCSP of no issuer", fault.NotFound, func(r *ca.Request) { r.Profile, r.Agency, r.Issuer = profile.OCSP, "", "nobody" }},
			{"neither CSR nor key", fault.Invalid, func(r *ca.Request) { r.Key = nil }},
			{"both CSR and key", fault.Invalid, func(r *ca.Request) { r.CSR = csr(t, ecKey(t), x509.CertificateRequest{}) }},
			{"no actor", fault.Invalid, func(r *ca.Request) { r.Actor = "" }},
			{"backdated", fault.Invalid, func(r *ca.Request) { r.NotBefore = c.clock.now().Add(-2 * time.Hour) }},
			{"far ahead", fault.Invalid, func(r *ca.Request) { r.NotBefore = c.clock.now().AddDate(2, 0, 0) }},
			{"ends before it begins", fault.Invalid, func(r *ca.Request) { r.NotAfter = c.clock.now().AddDate(-1, 0, 0) }},
			{"too long", fault.Invalid, func(r *ca.Request) { r.NotAfter = c.clock.now().AddDate(6, 0, 0) }},
			{"another agency's key", fault.Conflict, func(r *ca.Request) { r.Agency, r.Key = "donghu-amr", used.Key }},
			{"CSR with CA:TRUE", fault.Invalid, func(r *ca.Request) { r.Key, r.CSR = nil, csr(t, ecKey(t), caTrue) }},
			{"oversized CSR", fault.TooLarge, func(r *ca.Request) { r.Key, r.CSR = nil, bytes.Repeat([]byte("x"), 1<<20) }},
			{"key of another curve", fault.Invalid, func(r *ca.Request) {
				k, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				r.Key = k
			}},
		}
		before := c.rows(t)
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				r := request(t)
				tt.change(&r)
				_, err := c.Issue(t.Context(), r)
				wantKind(t, err, tt.kind)
			})
		}
		if n := c.rows(t); n != before {
			t.Errorf("%d rows, %d before: what was refused left something", n, before)
		}
	})
}

func TestIssueIsIdempotent(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		r.IdempotencyKey = "order 1"
		first := c.issue(t, r)
		c.clock.advance(time.Hour)
		if again := c.issue(t, r); again.Serial != first.Serial || !bytes.Equal(again.DER, first.DER) {
			t.Errorf("the repetition made %s, the first was %s", again.Serial, first.Serial)
		}
		if again, err := c.reopen(t).Issue(t.Context(), r); err != nil || again.Serial != first.Serial {
			t.Errorf("on another replica: %s, %v", again.Serial, err)
		}
		other := r
		other.Key = ecKey(t)
		_, err := c.Issue(t.Context(), other)
		wantKind(t, err, fault.Conflict)
		other.Actor = "client:another" // has keys of its own
		if next := c.issue(t, other); next.Serial == first.Serial {
			t.Error("another actor got the first one's certificate")
		}

		// An intent under the key stands for the request until it is given up.
		late := request(t)
		late.IdempotencyKey = "order 2"
		serial, err := c.Half(t.Context(), late, "intent")
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Issue(t.Context(), late)
		wantKind(t, err, fault.Unavailable)
		c.clock.advance(time.Hour)
		if made := c.issue(t, late); made.Serial == serial || made.Status != ca.Issued {
			t.Errorf("%s is %s", made.Serial, made.Status)
		}
		if old, err := c.Find(t.Context(), serial); err != nil || old.Status != ca.Abandoned {
			t.Errorf("the intent is %s, %v", old.Status, err)
		}

		// Who asks again gets what they got, though it would be refused by now.
		if err := c.BlockKeys(t.Context(), actor, "stolen", spki(t, r.Key)); err != nil {
			t.Fatal(err)
		}
		if again := c.issue(t, r); again.Serial != first.Serial {
			t.Errorf("the repetition made %s, the first was %s", again.Serial, first.Serial)
		}
		if err := c.Check(t.Context(), r); err != nil {
			t.Error(err)
		}
		if n := c.events(t, "certificate.refused"); n != 0 {
			t.Errorf("%d refusals in the log", n)
		}
		r.IdempotencyKey = "order 3"
		_, err = c.Issue(t.Context(), r)
		wantKind(t, err, fault.Conflict)
	})
}

func TestConcurrentRepetitionsMakeOneCertificate(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		r.IdempotencyKey = "order 1"
		replicas := []*ca.CA{c.CA, c.reopen(t)}
		before := c.rows(t)
		var wg sync.WaitGroup
		var mu sync.Mutex
		serials := map[string]bool{}
		for i := range 8 {
			wg.Go(func() {
				for {
					cert, err := replicas[i%2].Issue(t.Context(), r)
					if fault.KindOf(err) == fault.Unavailable {
						time.Sleep(5 * time.Millisecond)
						continue
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					serials[cert.Serial] = true
					mu.Unlock()
					return
				}
			})
		}
		wg.Wait()
		if len(serials) != 1 || c.rows(t) != before+1 {
			t.Errorf("%d certificates, %d new rows, want one", len(serials), c.rows(t)-before)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 8 {
					if _, err := c.Issue(t.Context(), request(t)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if n, problems := c.audit(t); n != 8+32 || len(problems) > 0 {
			t.Errorf("%d certificates, problems %v", n, problems)
		}
	})
}

func TestIssuePermitSigning(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, alg := range []string{keys.ES256, keys.ES384, keys.Ed25519} {
			k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposePermit, Owner: "donghu-amr", Alg: alg, Backend: keys.BackendFile, Actor: actor})
			if err != nil {
				t.Fatal(err)
			}
			cert, err := c.IssuePermitSigning(t.Context(), "donghu-amr", k, actor)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := c.IssuePermitSigning(t.Context(), "donghu-amr", k, actor); err != nil || again.Serial != cert.Serial {
				t.Errorf("repeated: %s, %v, want %s", again.Serial, err, cert.Serial)
			}
			if err := c.ring.Certify(t.Context(), k.ID, cert.DER, actor); err != nil {
				t.Error(err)
			}
			_, err = c.IssuePermitSigning(t.Context(), "xishan-amr", k, actor)
			wantKind(t, err, fault.Conflict)
		}
		k, _, err := c.ring.Active(t.Context(), keys.PurposeTLS, ca.Owner)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.IssuePermitSigning(t.Context(), ca.Owner, k, actor)
		wantKind(t, err, fault.Conflict)
	})
}

// TestLongNamesAreRefusedClearly: the registry allows names that no subject holds.
func TestLongNamesAreRefusedClearly(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	_, err := c.registry.AddAgency(t.Context(), actor, registry.Agency{ID: "long", USCC: "91350100M000100Y43", NameZH: strings.Repeat("局", 70), NameEN: "Long",
		Level: registry.City, Area: "990100", Issuer: "city"})
	if err != nil {
		t.Fatal(err)
	}
	r := request(t)
	r.Agency = "long"
	_, err = c.Issue(t.Context(), r)
	wantKind(t, err, fault.Invalid)
	if !strings.Contains(fault.Public(err), "longer than 64") {
		t.Errorf("public sentence %q", fault.Public(err))
	}
}

func TestCompromisedKeyIsNotCertifiedAgain(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		first := c.issue(t, r)
		c.issue(t, r) // the same key for the same agency: a renewal
		if err := c.Revoke(t.Context(), first.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		_, err := c.Issue(t.Context(), r)
		wantKind(t, err, fault.Conflict)
	})
}

func TestIssuersKeyIsNobodyElses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	root, err := ca.LoadRootKey(c.result.RootKeyPEM, []byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	_, issuer, err := c.ring.Active(t.Context(), keys.PurposeCA, "donghu")
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]ca.Request{
		"root":   {Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: root, Actor: actor},
		"issuer": {Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: issuer, Actor: actor},
	} {
		_, err := c.Issue(t.Context(), r)
		if fault.KindOf(err) != fault.Conflict {
			t.Errorf("a permit certificate for the key of the %s: %v", name, err)
		}
	}
}

func TestAwayKeyIsUnavailable(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	k, _, err := c.ring.Active(t.Context(), keys.PurposeCA, "city")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.ring.Move(t.Context(), k.ID, keys.Retiring, actor, "test"); err != nil {
		t.Fatal(err)
	}
	_, err = c.Issue(t.Context(), request(t))
	wantKind(t, err, fault.Unavailable)
}

func TestCallerWhoLeavesLeavesNoIntent(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			go cancel()
			if _, err := c.Issue(ctx, request(t)); err != nil && !errors.Is(err, context.Canceled) && fault.KindOf(err) != fault.Unavailable {
				t.Error(err)
			}
		}
		list, err := c.List(t.Context(), ca.Filter{Status: ca.Intent})
		if err != nil || len(list) > 0 {
			t.Errorf("%d intents left, %v", len(list), err)
		}
		if _, problems := c.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}
