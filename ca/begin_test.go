package ca_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestBackdated: what is for the moment begins five minutes ago, what signs for later
// begins now, and neither before its issuer.
func TestBackdated(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		firm, officer := c.populate(t)
		a := c.withHolders(t, nil)
		c.give(t, "donghu-amr", ".donghu.example")
		wishes := map[profile.Kind]ca.Request{
			profile.PermitSigning:   {Agency: "jiangcheng-amr"},
			profile.DocumentSigning: {Agency: "jiangcheng-amr"},
			profile.Timestamp:       {Issuer: "city"},
			profile.OCSP:            {Issuer: "city"},
			profile.TLS:             {Issuer: "city", Hosts: []string{"x.example"}},
			profile.SystemServer:    {Agency: "donghu-amr", Hosts: []string{"a.donghu.example"}},
			profile.SystemClient:    {Agency: "donghu-amr", Name: "importer"},
			profile.Firm:            {Firm: firm.USCC},
			profile.Citizen:         {Person: officer.ID},
			profile.Officer:         {Agency: "donghu-amr", Person: officer.ID},
		}
		lasting := map[profile.Kind]bool{profile.PermitSigning: true, profile.DocumentSigning: true, profile.Timestamp: true}
		check := func(step string, back time.Duration) {
			t.Helper()
			for kind, r := range wishes {
				r.Profile, r.Key, r.Actor = kind, ecKey(t), actor
				cert, err := a.Issue(t.Context(), r)
				if err != nil {
					t.Fatalf("%s, %s: %v", step, kind, err)
				}
				x, now := parse(t, cert.DER), c.clock.now().Truncate(time.Second)
				want := now.Add(-back)
				if lasting[kind] {
					want = now
				}
				rules, _ := kind.Rules()
				if !x.NotBefore.Equal(want) || !cert.NotBefore.Equal(want) || x.NotAfter.Sub(x.NotBefore)+time.Second != rules.Usual {
					t.Errorf("%s, %s: from %v, row %v, want %v; for %v", step, kind, x.NotBefore, cert.NotBefore, want, x.NotAfter.Sub(x.NotBefore))
				}
				issuer, err := a.Chain(t.Context(), cert.Serial)
				if err != nil || len(issuer) == 0 || x.NotBefore.Before(issuer[0].NotBefore) {
					t.Errorf("%s, %s: begins before its issuer, %v", step, kind, err)
				}
			}
		}
		check("with the issuer", 0)
		c.clock.advance(2 * time.Minute)
		check("two minutes later", 2*time.Minute)
		c.clock.advance(time.Hour)
		check("an hour later", 5*time.Minute)
		a = c.open(t, func(o *ca.Options) { o.Holders, o.Backdate = c.registry, time.Hour })
		check("an hour later, an hour back", time.Hour)
		a = c.open(t, func(o *ca.Options) { o.Holders, o.Backdate = c.registry, -1 })
		check("not at all", 0)
		if _, problems := c.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
		_, err := ca.Open(t.Context(), ca.Options{DB: c.db, Ring: c.ring, Agencies: c.registry, BaseURL: base, Backdate: time.Hour + 1})
		if err == nil {
			t.Error("more than an hour is accepted")
		}
	})
}

// TestBeginningThatIsNamed: a beginning in the request is kept or refused, and the
// longest life is counted from where it begins.
func TestBeginningThatIsNamed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.clock.advance(3*time.Hour - time.Duration(c.clock.now().Nanosecond()))
		now := c.clock.now()
		rules, _ := profile.SystemClient.Rules()
		longest := now.Add(rules.Longest - time.Second)
		program := ca.Request{Profile: profile.SystemClient, Agency: "xishan-amr", Name: "x"}
		permits := ca.Request{Profile: profile.PermitSigning, Agency: "xishan-amr"}
		for _, tt := range []struct {
			name        string
			r           ca.Request
			from, until time.Time
			want        time.Time // zero: refused
		}{
			{"a program's, before", program, now.Add(-30 * time.Minute), time.Time{}, now.Add(-30 * time.Minute)},
			{"a program's, long before", program, now.Add(-2 * time.Hour), time.Time{}, time.Time{}},
			{"a program's, later", program, now.Add(time.Hour), time.Time{}, now.Add(time.Hour)},
			{"permits, a second before", permits, now.Add(-time.Second), time.Time{}, time.Time{}},
			{"permits, a minute before", permits, now.Add(-time.Minute), time.Time{}, time.Time{}},
			{"permits, now", permits, now, time.Time{}, now},
			{"permits, later", permits, now.Add(time.Hour), time.Time{}, now.Add(time.Hour)},
			{"permits, far ahead", permits, now.AddDate(2, 0, 0), time.Time{}, time.Time{}},
			{"the longest life", program, time.Time{}, longest, now},
			{"all but the longest", program, time.Time{}, longest.Add(-2 * time.Minute), now.Add(-2 * time.Minute)},
			{"much less than the longest", program, time.Time{}, longest.Add(-time.Hour), now.Add(-5 * time.Minute)},
			{"more than the longest", program, time.Time{}, longest.Add(time.Second), time.Time{}},
			{"the longest from a named beginning", program, now.Add(-time.Minute), longest, time.Time{}},
		} {
			r := tt.r
			r.Key, r.Actor, r.NotBefore, r.NotAfter = ecKey(t), actor, tt.from, tt.until
			cert, err := c.Issue(t.Context(), r)
			if tt.want.IsZero() {
				if fault.KindOf(err) != fault.Invalid {
					t.Errorf("%s: from %v until %v, %v", tt.name, cert.NotBefore, cert.NotAfter, err)
				}
				continue
			}
			if err != nil || !cert.NotBefore.Equal(tt.want) {
				t.Errorf("%s: from %v, want %v, %v", tt.name, cert.NotBefore, tt.want, err)
			}
			if !tt.until.IsZero() && (!cert.NotAfter.Equal(tt.until) || cert.NotAfter.Sub(cert.NotBefore)+time.Second > rules.Longest) {
				t.Errorf("%s: from %v until %v", tt.name, cert.NotBefore, cert.NotAfter)
			}
		}
	})
}

// TestBeginningThatPassed: a request whose beginning passed while the issuer's key was
// away begins when it is signed, and so does what is renewed.
func TestBeginningThatPassed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		b.clock.advance(time.Hour)
		r := wish(t, "later")
		r.NotBefore = b.clock.now().Add(10 * time.Minute)
		p := b.submit(t, r)
		if _, err := b.a.ApproveOnly(t.Context(), p.ID, b.lin, false); err != nil {
			t.Fatal(err)
		}
		b.clock.advance(5 * time.Hour)
		if err := b.a.SweepRequests(t.Context()); err != nil {
			t.Fatal(err)
		}
		p, err := b.a.Pending(t.Context(), p.ID)
		if err != nil || p.State != ca.Made {
			t.Fatalf("%+v, %v", p, err)
		}
		if cert, err := b.a.Find(t.Context(), p.Serial); err != nil || !cert.NotBefore.Equal(b.clock.now().Truncate(time.Second)) {
			t.Errorf("from %v, %v", cert.NotBefore, err)
		}
		key := ecKey(t)
		request := ca.Request{Profile: profile.SystemClient, Agency: "xishan-amr", Name: "x", Key: key, Actor: actor}
		old, err := b.a.Issue(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		b.clock.advance(24 * time.Hour)
		next, err := b.a.Renew(t.Context(), renewal(t, old.Serial, key))
		if err != nil || !next.NotBefore.Equal(b.clock.now().Add(-5*time.Minute).Truncate(time.Second)) {
			t.Errorf("renewed from %v, %v", next.NotBefore, err)
		}
		// A peer whose clock is slow takes it.
		pool := x509.NewCertPool()
		pool.AddCert(b.issuerOf(t, "xishan"))
		_, err = parse(t, next.DER).Verify(x509.VerifyOptions{Roots: b.a.Roots(), Intermediates: pool, CurrentTime: b.clock.now().Add(-4 * time.Minute),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
		if err != nil {
			t.Error(err)
		}
	})
}
