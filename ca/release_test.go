package ca_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
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

// entries returns the serial numbers on an issuer's CRL with their reasons.
func (c *city) entries(t testing.TB, issuer string, shard int64) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, e := range c.crl(t, issuer, shard).RevokedCertificateEntries {
		found[profile.SerialString(e.SerialNumber)] = e.ReasonCode
	}
	return found
}

// TestHoldAndRelease follows one certificate: CRL, OCSP and openssl agree at each
// step, and others on the same list are not touched.
func TestHoldAndRelease(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.publish(t)
		row, other := c.issue(t, request(t)), c.issue(t, request(t))
		if err := c.Revoke(t.Context(), other.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		cert, issuer := parse(t, row.DER), c.issuerOf(t, "city")
		server := responder(t, c.CA)
		numbers := c.crl(t, "city", 1).Number.Int64()
		check := func(step string, held bool) {
			t.Helper()
			c.publish(t)
			list := c.entries(t, "city", 1)
			if reason, listed := list[row.Serial]; listed != held || held && reason != 6 {
				t.Errorf("%s: on the CRL %v, reason %d", step, listed, reason)
			}
			if reason, listed := list[other.Serial]; !listed || reason != 4 {
				t.Errorf("%s: the other one is on the CRL %v, reason %d", step, listed, reason)
			}
			if n := c.crl(t, "city", 1).Number.Int64(); n <= numbers {
				t.Errorf("%s: number %d after %d", step, n, numbers)
			} else {
				numbers = n
			}
			for _, hash := range []crypto.Hash{crypto.SHA1, crypto.SHA256} {
				r := opened(t, post(t, server, "city", question(t, cert, issuer, hash)), cert, issuer)
				if held && (r.Status != ocsp.Revoked || r.RevocationReason != ocsp.CertificateHold) || !held && r.Status != ocsp.Good {
					t.Errorf("%s: OCSP status %d, reason %d", step, r.Status, r.RevocationReason)
				}
			}
			if out, err := c.openssl(t, row.DER, "city", "root/1", "city/1"); (err == nil) == held || held != strings.Contains(out, "revoked") {
				t.Errorf("%s: openssl: %v\n%s", step, err, out)
			}
			chain := []*x509.Certificate{cert, issuer, c.RootCertificate()}
			if err := c.CheckClient(t.Context(), [][]*x509.Certificate{chain}); (err == nil) == held {
				t.Errorf("%s: as a client: %v", step, err)
			}
			if _, problems := c.audit(t); len(problems) != 0 {
				t.Errorf("%s: %v", step, problems)
			}
		}
		for range 2 {
			if err := c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Find(t.Context(), row.Serial); err != nil || !got.Held() || got.RevokedAt.IsZero() {
				t.Fatalf("%+v, %v", got, err)
			}
			check("held", true)
			if err := c.Release(t.Context(), row.Serial, actor, ""); err != nil {
				t.Fatal(err)
			}
			if got, err := c.Find(t.Context(), row.Serial); err != nil || got.Status != ca.Issued || got.Held() || !got.RevokedAt.IsZero() || got.Reason != 0 {
				t.Fatalf("%+v, %v", got, err)
			}
			check("released", false)
		}
	})
}

// TestHeldIsRevokedForGood: the date stays that of the hold, and nothing releases it.
func TestHeldIsRevokedForGood(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		row := c.issue(t, request(t))
		if err := c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		held, err := c.Find(t.Context(), row.Serial)
		if err != nil {
			t.Fatal(err)
		}
		c.clock.advance(time.Hour)
		if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		got, err := c.Find(t.Context(), row.Serial)
		if err != nil || got.Status != ca.Revoked || got.Reason != ca.KeyCompromise || !got.RevokedAt.Equal(held.RevokedAt) || got.Held() {
			t.Errorf("%+v, %v; held at %v", got, err, held.RevokedAt)
		}
		wantKind(t, c.Release(t.Context(), row.Serial, actor, ""), fault.Conflict)
		wantKind(t, c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor), fault.Conflict)
		c.publish(t)
		if reason := c.entries(t, "city", 1)[row.Serial]; reason != 1 {
			t.Errorf("reason %d on the CRL", reason)
		}
		if _, problems := c.audit(t); len(problems) != 0 {
			t.Error(problems)
		}
	})
}

func TestHoldAndReleaseRefused(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		live, held, dead := c.issue(t, request(t)), c.issue(t, request(t)), c.issue(t, request(t))
		for serial, reason := range map[string]ca.Reason{held.Serial: ca.CertificateHold, dead.Serial: ca.AACompromise} {
			if err := c.Revoke(t.Context(), serial, reason, actor); err != nil {
				t.Fatal(err)
			}
		}
		intent, err := c.Half(t.Context(), ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Issuer: "city", Key: ecKey(t), Actor: actor}, "intent")
		if err != nil {
			t.Fatal(err)
		}
		ocspOf, err := c.List(t.Context(), ca.Filter{Profile: profile.OCSP})
		if err != nil || len(ocspOf) == 0 {
			t.Fatal(err)
		}
		tlsOf, err := c.List(t.Context(), ca.Filter{Profile: profile.TLS})
		if err != nil || len(tlsOf) == 0 {
			t.Fatal(err)
		}
		issuer := serialOf(parse(t, c.result.Issuers["city"]))
		before := c.snapshot(t)
		release := func(serial, actor, key string) error { return c.Release(t.Context(), serial, actor, key) }
		revoke := func(serial string, r ca.Reason) error { return c.Revoke(t.Context(), serial, r, actor) }
		for _, tt := range []struct {
			name string
			err  error
			kind fault.Kind
		}{
			{"release of one in force", release(live.Serial, actor, ""), fault.Conflict},
			{"release of one revoked for good", release(dead.Serial, actor, ""), fault.Conflict},
			{"release of an unknown one", release(strings.Repeat("ab", 18), actor, ""), fault.NotFound},
			{"release of an intent", release(intent, actor, ""), fault.NotFound},
			{"release of not-a-number", release("not-a-number", actor, ""), fault.Invalid},
			{"release of nothing", release("", actor, ""), fault.Invalid},
			{"release of zero", release("00", actor, ""), fault.Invalid},
			{"release by nobody", release(held.Serial, "", ""), fault.Invalid},
			{"release with a key with a line break", release(held.Serial, actor, "a\nb"), fault.Invalid},
			{"release with a long key", release(held.Serial, actor, strings.Repeat("k", 129)), fault.Invalid},
			{"hold of what is held", revoke(held.Serial, ca.CertificateHold), fault.Conflict},
			{"hold of an issuing CA", revoke(issuer, ca.CertificateHold), fault.Invalid},
			{"hold of the root", revoke(serialOf(c.RootCertificate()), ca.CertificateHold), fault.Invalid},
			{"hold of an OCSP signer", revoke(ocspOf[0].Serial, ca.CertificateHold), fault.Invalid},
			{"attributes' compromise of a server", revoke(tlsOf[0].Serial, ca.AACompromise), fault.Invalid},
			{"attributes' compromise of a CA", revoke(issuer, ca.AACompromise), fault.Invalid},
			{"reason 7", revoke(live.Serial, 7), fault.Invalid},
			{"reason 8", revoke(live.Serial, 8), fault.Invalid},
			{"reason 11", revoke(live.Serial, 11), fault.Invalid},
			{"reason 99", revoke(live.Serial, 99), fault.Invalid},
			{"hold of not-a-number", revoke("not-a-number", ca.CertificateHold), fault.Invalid},
		} {
			t.Run(tt.name, func(t *testing.T) { wantKind(t, tt.err, tt.kind) })
		}
		if after := c.snapshot(t); after != before {
			t.Errorf("something changed: %+v, before %+v", after, before)
		}
	})
}

// TestHeldKeyGetsNoCertificate: a hold cannot be walked around with a new certificate
// for the same key.
func TestHeldKeyGetsNoCertificate(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		first := c.issue(t, r)
		if err := c.Revoke(t.Context(), first.Serial, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		_, err := c.Issue(t.Context(), r)
		wantKind(t, err, fault.Conflict)
		if err := c.Release(t.Context(), first.Serial, actor, ""); err != nil {
			t.Fatal(err)
		}
		c.issue(t, r)
	})
}

// TestReleasedOnce races releases and revocations of one held certificate: one of
// each kind can win, and the end agrees with the log.
func TestReleasedOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		replicas := []*ca.CA{c.CA, c.reopen(t)}
		for range 5 {
			row := c.issue(t, request(t))
			if err := c.Revoke(t.Context(), row.Serial, ca.CertificateHold, actor); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var released, revoked atomic.Int32
			for i := range 8 {
				wg.Go(func() {
					replica, n, do := replicas[i/2%2], &released, func(r *ca.CA) error { return r.Release(t.Context(), row.Serial, actor, "") }
					if i%2 == 1 {
						n, do = &revoked, func(r *ca.CA) error { return r.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor) }
					}
					switch err := do(replica); {
					case err == nil:
						n.Add(1)
					case fault.KindOf(err) != fault.Conflict:
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if got, err := c.Find(t.Context(), row.Serial); err != nil || got.Status != ca.Revoked || got.Reason != ca.KeyCompromise {
				t.Errorf("%+v, %v", got, err)
			}
			if released.Load() > 1 || revoked.Load() != 1 {
				t.Errorf("released %d times, revoked %d times", released.Load(), revoked.Load())
			}
		}
		if _, problems := c.audit(t); len(problems) != 0 {
			t.Error(problems)
		}
	})
}

func TestReleaseOverHTTP(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := c.serve(t)
		r := request(t)
		r.Agency = "donghu-amr"
		cert, citys := c.issue(t, r), c.issue(t, request(t))
		path := "/ca/v1/certificates/" + cert.Serial
		hold := call{"POST", path + "/revoke", "donghu", "h1", `{"reason":"certificateHold"}`}
		release := call{"POST", path + "/release", "donghu", "r1", `{}`}
		want := func(what string, q call, status int, state string) {
			t.Helper()
			got, _, b := q.do(t, server)
			var v struct{ Status, Reason string }
			if err := json.Unmarshal(b, &v); got != status || state != "" && (err != nil || v.Status+" "+v.Reason != state) {
				t.Errorf("%s: %d %s", what, got, b)
			}
		}
		want("released before", release, 409, "")
		want("held", hold, 200, "revoked certificateHold")
		want("held again", hold, 200, "revoked certificateHold")
		want("released", release, 200, "issued ")
		want("released again", release, 200, "issued ")
		want("the hold comes late once more", hold, 200, "issued ")
		want("another client's key", call{"POST", "/ca/v1/certificates/" + citys.Serial + "/revoke", "officer", "h1", `{"reason":"superseded"}`}, 200, "revoked superseded")
		want("the key for another reason", call{"POST", path + "/revoke", "donghu", "h1", `{"reason":"superseded"}`}, 409, "")
		want("the key of a release", call{"POST", path + "/revoke", "donghu", "r1", `{"reason":"certificateHold"}`}, 409, "")
		want("the key of a hold", call{"POST", path + "/release", "donghu", "h1", `{}`}, 409, "")
		for name, q := range map[string]struct {
			call
			status int
		}{
			"no token":          {call{"POST", path + "/release", "", "k", `{}`}, 401},
			"another scope":     {call{"POST", path + "/release", "other", "k", `{}`}, 403},
			"another's":         {call{"POST", "/ca/v1/certificates/" + citys.Serial + "/release", "donghu", "k", `{}`}, 404},
			"no key":            {call{"POST", path + "/release", "donghu", "", `{}`}, 400},
			"another member":    {call{"POST", path + "/release", "donghu", "k", `{"reason":"superseded"}`}, 400},
			"not-a-number":      {call{"POST", "/ca/v1/certificates/not-a-number/release", "officer", "k", `{}`}, 400},
			"by GET":            {call{"GET", path + "/release", "officer", "", ""}, 405},
			"remove from CRL":   {call{"POST", path + "/revoke", "donghu", "k", `{"reason":"removeFromCRL"}`}, 400},
			"reason in numbers": {call{"POST", path + "/revoke", "donghu", "k", `{"reason":6}`}, 400},
		} {
			want(name, q.call, q.status, "")
		}
		if _, problems := c.audit(t); len(problems) != 0 {
			t.Error(problems)
		}
	})
}

// TestAuditFindsStatusTampering changes a status in the database, or what the log
// says about it.
func TestAuditFindsStatusTampering(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		const otherwise = "otherwise than the log says"
		for _, tt := range []struct{ name, statement, want string }{
			{"released in silence", `UPDATE ca_certificates SET status = 'issued', reason = 0, revoked_at = 0 WHERE serial = $1`, otherwise},
			{"another reason", `UPDATE ca_certificates SET reason = 4 WHERE serial = $1`, otherwise},
			{"event gone", `DELETE FROM audit_events WHERE kind = 'certificate.revoke' AND object = 'certificate:' || $1`, "no revoke event"},
		} {
			for _, reason := range []ca.Reason{ca.CertificateHold, ca.KeyCompromise} {
				cert := c.issue(t, request(t))
				if err := c.Revoke(t.Context(), cert.Serial, reason, actor); err != nil {
					t.Fatal(err)
				}
				if _, problems := c.audit(t); hasSerial(problems, cert.Serial) {
					t.Fatalf("before: %v", problems)
				}
				c.exec(t, tt.statement, cert.Serial)
				_, problems := c.audit(t)
				if !strings.Contains(strings.Join(problems, "\n"), cert.Serial+" "+"is ") && !strings.Contains(strings.Join(problems, "\n"), cert.Serial+" has") ||
					!strings.Contains(strings.Join(problems, "\n"), tt.want) {
					t.Errorf("%s of %v: %v", tt.name, reason, problems)
				}
			}
		}
		// Whoever was released and stays so.
		cert := c.issue(t, request(t))
		if err := c.Revoke(t.Context(), cert.Serial, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(t.Context(), cert.Serial, actor, ""); err != nil {
			t.Fatal(err)
		}
		err := d.Read(t.Context(), func(tx db.Tx) error {
			found, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: "certificate.release"})
			if len(found) != 1 || found[0].Actor != actor || found[0].Data["agency"] != "jiangcheng-amr" {
				t.Errorf("%+v", found)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		c.exec(t, `DELETE FROM audit_events WHERE kind = 'certificate.release' AND object = 'certificate:' || $1`, cert.Serial)
		if _, problems := c.audit(t); !strings.Contains(strings.Join(problems, "\n"), cert.Serial+" is revoked, held or good "+otherwise) {
			t.Errorf("release gone: %v", problems)
		}
	})
}
