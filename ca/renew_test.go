package ca_test

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func renewal(t testing.TB, serial string, key crypto.Signer) ca.Renewal {
	return ca.Renewal{Serial: serial, CSR: csr(t, key, x509.CertificateRequest{}), Actor: actor}
}

// TestRenewFromTheTemplate: the successor has today's issuer, addresses and life, and
// of the old certificate whom it is about and the names alone.
func TestRenewFromTheTemplate(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		firm, officer := c.populate(t)
		a := c.withHolders(t, nil)
		c.give(t, "donghu-amr", ".donghu.example")
		for name, r := range map[string]ca.Request{
			"permits":    {Profile: profile.PermitSigning, Agency: "jiangcheng-amr"},
			"a server":   {Profile: profile.SystemServer, Agency: "donghu-amr", Hosts: []string{"b.donghu.example", "a.donghu.example"}},
			"a program":  {Profile: profile.SystemClient, Agency: "donghu-amr", Name: "importer"},
			"a firm":     {Profile: profile.Firm, Firm: firm.USCC, Issuer: "donghu"},
			"a citizen":  {Profile: profile.Citizen, Person: officer.ID},
			"an officer": {Profile: profile.Officer, Agency: "donghu-amr", Person: officer.ID},
		} {
			key := ecKey(t)
			r.Key, r.Actor = key, actor
			old, err := a.Issue(t.Context(), r)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			c.clock.advance(24 * time.Hour)
			for which, k := range map[string]crypto.Signer{"the same key": key, "another key": ecKey(t)} {
				fresh, err := a.Renew(t.Context(), renewal(t, old.Serial, k))
				if err != nil {
					t.Errorf("%s, %s: %v", name, which, err)
					continue
				}
				x, was := parse(t, fresh.DER), parse(t, old.DER)
				if fresh.Serial == old.Serial || fresh.Issuer != old.Issuer || fresh.Holder != old.Holder || fresh.Agency != old.Agency || x.Subject.CommonName != was.Subject.CommonName ||
					!slices.Equal(x.DNSNames, was.DNSNames) || !x.NotBefore.After(was.NotBefore) || !x.NotAfter.After(was.NotAfter) {
					t.Errorf("%s, %s: %+v, was %+v", name, which, fresh, old)
				}
				if _, same, err := a.RenewalRequest(t.Context(), renewal(t, old.Serial, k)); err != nil || same != (k == crypto.Signer(key)) {
					t.Errorf("%s, %s: same key %v, %v", name, which, same, err)
				}
			}
			if found, err := a.Find(t.Context(), old.Serial); err != nil || found.Status != ca.Issued {
				t.Errorf("%s: the old one is %s, %v", name, found.Status, err)
			}
		}
	})
}

// TestTrapRenewalKeepsAddresses: smallstep would keep the CRL and issuer of a key that
// has been rotated away.
func TestTrapRenewalKeepsAddresses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	key := ecKey(t)
	r := request(t)
	r.Key = key
	old := c.issue(t, r)
	issuer := c.rotateIssuer(t, "city", func(*x509.Certificate) {})
	fresh, err := c.Renew(t.Context(), renewal(t, old.Serial, key))
	if err != nil {
		t.Fatal(err)
	}
	x, was := parse(t, fresh.DER), parse(t, old.DER)
	if x.CheckSignatureFrom(issuer) != nil || slices.Equal(x.CRLDistributionPoints, was.CRLDistributionPoints) || slices.Equal(x.IssuingCertificateURL, was.IssuingCertificateURL) {
		t.Errorf("renewed under %x at %v %v", x.AuthorityKeyId, x.CRLDistributionPoints, x.IssuingCertificateURL)
	}
}

func TestRenewRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, other := newCity(t, d), newCity(t, testkit.SQLite(t))
		c.give(t, "donghu-amr", "a.donghu.example", "b.donghu.example")
		key := ecKey(t)
		issue := func(r ca.Request) ca.Certificate {
			r.Actor = actor
			if r.Key == nil {
				r.Key = ecKey(t)
			}
			return c.issue(t, r)
		}
		good := issue(ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: key})
		revoked, stolen := ecKey(t), ecKey(t)
		gone := issue(ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: revoked})
		thief := issue(ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: stolen})
		server := issue(ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Hosts: []string{"a.donghu.example", "b.donghu.example"}})
		short := issue(ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Name: "x", NotAfter: c.clock.now().Add(24 * time.Hour)})
		foreign := other.issue(t, request(t))
		for serial, reason := range map[string]ca.Reason{gone.Serial: ca.Superseded, thief.Serial: ca.KeyCompromise} {
			if err := c.Revoke(t.Context(), serial, reason, actor); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.RemoveName(t.Context(), actor, "donghu-amr", "b.donghu.example"); err != nil {
			t.Fatal(err)
		}
		tls, err := c.TLSCertificate(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.clock.advance(32 * 24 * time.Hour)
		before := c.rows(t)
		for name, tt := range map[string]struct {
			r    ca.Renewal
			kind fault.Kind
		}{
			"foreign":                   {renewal(t, foreign.Serial, ecKey(t)), fault.NotFound},
			"a foreign CA":              {renewal(t, profile.SerialString(parse(t, other.result.Issuers["city"]).SerialNumber), ecKey(t)), fault.NotFound},
			"unknown":                   {renewal(t, "0102", key), fault.NotFound},
			"no number":                 {renewal(t, "twelve", key), fault.Invalid},
			"revoked":                   {renewal(t, gone.Serial, ecKey(t)), fault.Conflict},
			"stolen":                    {renewal(t, thief.Serial, ecKey(t)), fault.Conflict},
			"with a stolen key":         {renewal(t, good.Serial, stolen), fault.Conflict},
			"with another's key":        {renewal(t, server.Serial, key), fault.Conflict},
			"ended long ago":            {renewal(t, short.Serial, ecKey(t)), fault.Conflict},
			"a name was taken away":     {renewal(t, server.Serial, ecKey(t)), fault.Denied},
			"an issuing CA":             {renewal(t, profile.SerialString(parse(t, c.result.Issuers["city"]).SerialNumber), ecKey(t)), fault.Invalid},
			"the root":                  {renewal(t, profile.SerialString(c.RootCertificate().SerialNumber), ecKey(t)), fault.Invalid},
			"the city's own":            {renewal(t, profile.SerialString(tls.Leaf.SerialNumber), ecKey(t)), fault.Invalid},
			"without a CSR":             {ca.Renewal{Serial: good.Serial, Actor: actor}, fault.Invalid},
			"a CSR that wants to be CA": {ca.Renewal{Serial: good.Serial, Actor: actor, CSR: csr(t, key, caTrue)}, fault.Invalid},
			"for too long":              {ca.Renewal{Serial: good.Serial, Actor: actor, CSR: csr(t, key, x509.CertificateRequest{}), NotAfter: c.clock.now().AddDate(9, 0, 0)}, fault.Invalid},
		} {
			if _, err := c.Renew(t.Context(), tt.r); fault.KindOf(err) != tt.kind || err == nil {
				t.Errorf("%s: %v of kind %v, want %v", name, err, fault.KindOf(err), tt.kind)
			}
		}
		if after := c.rows(t); after != before {
			t.Errorf("%d rows were written", after-before)
		}
		// Within 30 days of its end it can be renewed.
		late := issue(ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Name: "x", NotAfter: c.clock.now().Add(24 * time.Hour)})
		c.clock.advance(30 * 24 * time.Hour)
		if _, err := c.Renew(t.Context(), renewal(t, late.Serial, ecKey(t))); err != nil {
			t.Error(err)
		}
	})
}

// TestRenewalIsAnsweredAgain: whoever lost the answer gets it, though the old certificate
// was superseded meanwhile, and under this key nothing else.
func TestRenewalIsAnsweredAgain(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		s := b.serveAs(t, nil, func(o *ca.Options) { o.Holders, o.Officers = b.registry, b.officials })
		key := ecKey(t)
		old := b.issue(t, ca.Request{Profile: profile.SystemClient, Agency: "donghu-amr", Name: "x", Key: key, Actor: actor})
		body := func(k crypto.Signer) string {
			return fmt.Sprintf(`{"csr":%q}`, string(csr(t, k, x509.CertificateRequest{})))
		}
		renew := func(idem, body string) call {
			return call{"POST", "/ca/v1/certificates/" + old.Serial + "/renew", "donghu", idem, body}
		}
		idIn := func(b []byte) string {
			var v struct {
				Serial  string `json:"serial"`
				Request struct {
					ID string `json:"id"`
				} `json:"request"`
			}
			_ = json.Unmarshal(b, &v) // what is no answer has no id
			return v.Serial + v.Request.ID
		}
		same, other := body(key), body(ecKey(t))
		_, _, first := renew("1", same).do(t, s)
		status, _, waits := renew("2", other).do(t, s)
		if status != http.StatusAccepted {
			t.Fatalf("%d %s", status, waits)
		}
		if err := b.Revoke(t.Context(), old.Serial, ca.Superseded, actor); err != nil {
			t.Fatal(err)
		}
		before := b.rows(t)
		for _, tt := range []struct {
			name string
			call call
			want int
			id   string
		}{
			{"the certificate", renew("1", same), http.StatusCreated, idIn(first)},
			{"the request that waits", renew("2", other), http.StatusAccepted, idIn(waits)},
			{"a key of another renewal", renew("1", other), http.StatusConflict, ""},
			{"a key of another request", renew("2", same), http.StatusConflict, ""},
			{"a fresh key", renew("3", same), http.StatusConflict, ""},
		} {
			status, _, got := tt.call.do(t, s)
			if status != tt.want || idIn(got) != tt.id {
				t.Errorf("%s: %d, want %d: %.120s", tt.name, status, tt.want, got)
			}
		}
		if after := b.rows(t); after != before {
			t.Errorf("%d rows were written", after-before)
		}
	})
}
