package ca_test

import (
	"crypto"
	"encoding/asn1"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

var oidInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}

// TestRaisedToKeyCompromise: a theft that comes to light after the revocation changes
// the reason everywhere, and nothing else.
func TestRaisedToKeyCompromise(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		row := c.issue(t, r)
		cert, issuer, server := parse(t, row.DER), c.issuerOf(t, "city"), responder(t, c.CA)
		c.clock.advance(48 * time.Hour)
		if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		first, err := c.Find(t.Context(), row.Serial)
		if err != nil {
			t.Fatal(err)
		}
		c.issue(t, r) // a superseded key is no compromised one
		answer := func() *ocsp.Response {
			return opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA256)), cert, issuer)
		}
		if a := answer(); a.RevocationReason != ocsp.Superseded || len(a.Extensions) != 0 {
			t.Errorf("before: %+v", a)
		}
		c.clock.advance(24 * time.Hour)
		for i, from := range []time.Time{{}, c.clock.now().Add(-30 * time.Hour), c.clock.now().Add(-40 * time.Hour)} {
			if err := c.RevokeCompromised(t.Context(), row.Serial, from, actor); err != nil {
				t.Fatalf("%d: %v", i, err)
			}
			if !from.IsZero() {
				from = from.UTC().Truncate(time.Second)
			}
			got, err := c.Find(t.Context(), row.Serial)
			if err != nil || got.Status != ca.Revoked || got.Reason != ca.KeyCompromise || !got.RevokedAt.Equal(first.RevokedAt) || !got.InvalidFrom.Equal(from) {
				t.Errorf("%d: %+v, %v", i, got, err)
			}
			c.publish(t)
			listed := false
			for _, e := range c.crl(t, "city", 1).RevokedCertificateEntries {
				if e.SerialNumber.Cmp(cert.SerialNumber) != 0 {
					continue
				}
				listed = true
				if e.ReasonCode != 1 || !e.RevocationTime.Equal(first.RevokedAt.Truncate(time.Second)) {
					t.Errorf("%d: on the CRL %+v", i, e)
				}
				var at time.Time
				for _, x := range e.Extensions {
					if x.Id.Equal(oidInvalidityDate) {
						if _, err := asn1.UnmarshalWithParams(x.Value, &at, "generalized"); err != nil || x.Critical {
							t.Errorf("%d: %+v, %v", i, x, err)
						}
					}
				}
				if !at.Equal(from) {
					t.Errorf("%d: invalid from %v on the CRL, want %v", i, at, from)
				}
			}
			a := answer()
			if !listed || a.Status != ocsp.Revoked || a.RevocationReason != ocsp.KeyCompromise || !a.RevokedAt.Equal(first.RevokedAt.Truncate(time.Second)) {
				t.Errorf("%d: listed %v, %+v", i, listed, a)
			}
			var at time.Time
			for _, x := range a.Extensions {
				if x.Id.Equal(oidInvalidityDate) {
					if _, err := asn1.UnmarshalWithParams(x.Value, &at, "generalized"); err != nil {
						t.Error(err)
					}
				}
			}
			if !at.Equal(from) {
				t.Errorf("%d: invalid from %v in the answer, want %v", i, at, from)
			}
			if _, problems := c.audit(t); len(problems) > 0 {
				t.Errorf("%d: %v", i, problems)
			}
			_, err = c.Issue(t.Context(), r)
			wantKind(t, err, fault.Conflict)
		}
		for _, tamper := range []string{`UPDATE ca_certificates SET invalid_from = 0 WHERE serial = $1`, `UPDATE ca_certificates SET reason = 4 WHERE serial = $1`} {
			c.exec(t, tamper, row.Serial)
			if _, problems := c.audit(t); !hasSerial(problems, row.Serial) {
				t.Errorf("%s is not found", tamper)
			}
		}
	})
}

// TestNotRaised: no other reason changes, and no time is said that cannot be.
func TestNotRaised(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		live, dead, stolen := c.issue(t, request(t)), c.issue(t, request(t)), c.issue(t, request(t))
		c.clock.advance(24 * time.Hour)
		now := c.clock.now()
		if err := c.Revoke(t.Context(), dead.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		if err := c.RevokeCompromised(t.Context(), stolen.Serial, now.Add(-time.Hour), actor); err != nil {
			t.Fatal(err)
		}
		issuer := serialOf(parse(t, c.result.Issuers["city"]))
		before := c.snapshot(t)
		compromised := func(serial string, from time.Time) error {
			return c.RevokeCompromised(t.Context(), serial, from, actor)
		}
		for name, tt := range map[string]struct {
			err  error
			kind fault.Kind
		}{
			"for another reason":      {c.Revoke(t.Context(), dead.Serial, ca.CessationOfOperation, actor), fault.Conflict},
			"the permits' compromise": {c.Revoke(t.Context(), dead.Serial, ca.AACompromise, actor), fault.Conflict},
			"back to superseded":      {c.Revoke(t.Context(), stolen.Serial, ca.Superseded, actor), fault.Conflict},
			"a hold":                  {c.Revoke(t.Context(), stolen.Serial, ca.CertificateHold, actor), fault.Conflict},
			"a release":               {c.Release(t.Context(), stolen.Serial, actor, ""), fault.Conflict},
			"once more":               {c.Revoke(t.Context(), stolen.Serial, ca.KeyCompromise, actor), fault.Conflict},
			"from the same time":      {compromised(stolen.Serial, now.Add(-time.Hour)), fault.Conflict},
			"from a later time":       {compromised(stolen.Serial, now.Add(-time.Minute)), fault.Conflict},
			"from the future":         {compromised(dead.Serial, now.Add(time.Hour)), fault.Invalid},
			"from before it began":    {compromised(dead.Serial, dead.NotBefore.Add(-time.Second)), fault.Invalid},
			"one in force likewise":   {compromised(live.Serial, live.NotBefore.Add(-time.Second)), fault.Invalid},
			"a CA from a time":        {compromised(issuer, now), fault.Invalid},
			"the root":                {compromised(serialOf(c.RootCertificate()), time.Time{}), fault.Invalid},
			"an unknown one":          {compromised(strings.Repeat("ab", 18), now), fault.NotFound},
		} {
			if fault.KindOf(tt.err) != tt.kind || tt.err == nil {
				t.Errorf("%s: %v", name, tt.err)
			}
		}
		if after := c.snapshot(t); after != before {
			t.Errorf("something changed: %+v, before %+v", after, before)
		}
	})
}

func TestRaisedOverHTTP(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server := c.serve(t)
		r := request(t)
		r.Agency = "donghu-amr"
		serial := c.issue(t, r).Serial
		c.clock.advance(24 * time.Hour)
		at := func(back time.Duration) string {
			return fmt.Sprintf(`{"reason":"keyCompromise","invalid_from":%q}`, c.clock.now().Add(-back).UTC().Format(time.RFC3339))
		}
		for _, tt := range []struct {
			name, token, key, body string
			status                 int
		}{
			{"superseded from a time", "donghu", "0", strings.Replace(at(time.Hour), "keyCompromise", "superseded", 1), 400},
			{"no time", "donghu", "0", `{"reason":"keyCompromise","invalid_from":"yesterday"}`, 400},
			{"superseded", "donghu", "1", `{"reason":"superseded"}`, 200},
			{"another agency", "xishan", "1", at(time.Hour), 404},
			{"raised", "donghu", "2", at(time.Hour), 200},
			{"repeated", "donghu", "2", at(time.Hour), 200},
			{"the key for another time", "donghu", "2", at(2 * time.Hour), 409},
			{"again", "donghu", "3", at(time.Hour), 409},
			{"earlier", "donghu", "4", at(2 * time.Hour), 200},
		} {
			status, state, message := changes(t, server, serial, "/revoke", tt.token, tt.key, tt.body)
			if status != tt.status || tt.name != "superseded" && status == 200 && (state != "revoked keyCompromise" || !strings.Contains(message, `"invalid_from"`)) {
				t.Errorf("%s: %d %s", tt.name, status, message)
			}
		}
		if kinds := (&bench{city: c}).kinds(t, "certificate:"+serial); count(kinds, "certificate.revoke") != 3 {
			t.Errorf("%v", kinds)
		}
		if _, problems := c.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}
