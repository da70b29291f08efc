package ca_test

import (
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestKeyOfAnother: a key serves one subject and one purpose, whichever stands first
// in the index, and one that is compromised or held serves nobody, however many
// certificates it has.
func TestKeyOfAnother(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := ecKey(t)
		want := func(what string, ok bool, r ca.Request) ca.Certificate {
			t.Helper()
			r.Key, r.Actor = key, actor
			cert, err := c.Issue(t.Context(), r)
			if ok && err != nil || !ok && fault.KindOf(err) != fault.Conflict {
				t.Errorf("%s: %v", what, err)
			}
			return cert
		}
		mine := ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr"}
		before, after := mine, mine
		before.Agency, after.Agency = "donghu-amr", "xishan-amr"
		// An intent that came to nothing leaves its key to others.
		abandoned := before
		abandoned.Key, abandoned.Actor = key, actor
		if _, err := c.Half(t.Context(), abandoned, "intent"); err != nil {
			t.Fatal(err)
		}
		want("while the other has an intent", false, mine)
		c.clock.advance(time.Minute)
		if n, err := c.Recover(t.Context()); err != nil || n != 1 {
			t.Fatalf("%d abandoned, %v", n, err)
		}
		var certs []ca.Certificate
		for range 5 {
			certs = append(certs, want("again", true, mine))
		}
		want("an agency that stands before", false, before)
		want("an agency that stands after", false, after)
		for _, kind := range []profile.Kind{profile.DocumentSigning, profile.SystemClient} { // one before permits, one after
			other := mine
			if other.Profile = kind; kind == profile.SystemClient {
				other.Name = "desk"
			}
			want(string(kind), false, other)
		}
		if err := c.Revoke(t.Context(), certs[1].Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		want("one is superseded", true, mine)
		if err := c.Revoke(t.Context(), certs[2].Serial, ca.CertificateHold, actor); err != nil {
			t.Fatal(err)
		}
		want("one is held", false, mine)
		if err := c.Release(t.Context(), certs[2].Serial, actor, ""); err != nil {
			t.Fatal(err)
		}
		want("it is released", true, mine)
		if err := c.Revoke(t.Context(), certs[3].Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		want("one is compromised", false, mine)
	})
}

// TestKeyUseEndsEarly: what one certificate costs does not grow with the number of
// those that its key has.
func TestKeyUseEndsEarly(t *testing.T) {
	d := testkit.SQLite(t)
	const use = "ca_certificates_key_use (key_hash=? AND "
	ranges := []string{use + "agency<?)", use + "agency>?)", use + "agency=? AND holder<?)", use + "agency=? AND holder>?)",
		use + "agency=? AND holder=? AND profile<?)", use + "agency=? AND holder=? AND profile>?)"}
	for query, wants := range map[string][]string{
		ca.KeyUseQuery: append([]string{"ca_certificates_key_revoked (key_hash=? AND reason=?)"}, ranges...), ca.IssuedQuery: ranges,
	} {
		plan := testkit.Plan(t, d, query)
		for _, want := range wants {
			if !strings.Contains(plan, want) {
				t.Errorf("plan:\n%swant %s", plan, want)
			}
		}
	}
}
