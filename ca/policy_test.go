package ca_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func spki(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return sum[:]
}

// events counts events of a kind.
func (c *city) events(t testing.TB, kind string) (n int) {
	t.Helper()
	err := c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT count(*) FROM audit_events WHERE kind = $1`, kind).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func server(t testing.TB, agency string, hosts ...string) ca.Request {
	return ca.Request{Profile: profile.SystemServer, Agency: agency, Hosts: hosts, Key: ecKey(t), Actor: actor}
}

func (c *city) give(t testing.TB, agency string, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := c.AddName(t.Context(), actor, agency, name); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNames(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.give(t, "jiangcheng-amr", ".jiangcheng.example", "192.0.2.7", ".jiangcheng.example")
		c.give(t, "donghu-amr", ".donghu.jiangcheng.example", "donghu.jiangcheng.example")
		c.give(t, "xishan-amr", "shop.amr.jiangcheng.example")
		if n := c.events(t, "certificate.name.add"); n != 5 {
			t.Errorf("%d events, want one for each name", n)
		}
		for name, r := range map[string]ca.Request{
			"in the zone":        server(t, "jiangcheng-amr", "amr.jiangcheng.example", "a.b.c.jiangcheng.example"),
			"an address":         server(t, "jiangcheng-amr", "192.0.2.7"),
			"the zone's own":     server(t, "donghu-amr", "donghu.jiangcheng.example"),
			"in the inner zone":  server(t, "donghu-amr", "www.donghu.jiangcheng.example"),
			"one name in a zone": server(t, "xishan-amr", "shop.amr.jiangcheng.example"),
		} {
			cert := c.issue(t, r)
			x := parse(t, cert.DER)
			if len(x.DNSNames)+len(x.IPAddresses) != len(r.Hosts) || x.Subject.CommonName != r.Hosts[0] {
				t.Errorf("%s: %v %v, %s", name, x.DNSNames, x.IPAddresses, x.Subject)
			}
		}
		before := c.rows(t)
		for name, tt := range map[string]struct {
			r    ca.Request
			kind fault.Kind
		}{
			"the zone itself":          {server(t, "jiangcheng-amr", "jiangcheng.example"), fault.Denied},
			"another's inner zone":     {server(t, "jiangcheng-amr", "www.donghu.jiangcheng.example"), fault.Denied},
			"another's name":           {server(t, "jiangcheng-amr", "shop.amr.jiangcheng.example"), fault.Denied},
			"below another's name":     {server(t, "xishan-amr", "x.shop.amr.jiangcheng.example"), fault.Denied},
			"the outer zone":           {server(t, "donghu-amr", "www.jiangcheng.example"), fault.Denied},
			"one of two is foreign":    {server(t, "donghu-amr", "donghu.jiangcheng.example", "amr.jiangcheng.example"), fault.Denied},
			"like the zone":            {server(t, "jiangcheng-amr", "notjiangcheng.example"), fault.Denied},
			"the zone further up":      {server(t, "jiangcheng-amr", "jiangcheng.example.evil.example"), fault.Denied},
			"another address":          {server(t, "jiangcheng-amr", "192.0.2.8"), fault.Denied},
			"a wildcard":               {server(t, "jiangcheng-amr", "*.jiangcheng.example"), fault.Invalid},
			"capitals":                 {server(t, "jiangcheng-amr", "AMR.jiangcheng.example"), fault.Invalid},
			"none":                     {server(t, "jiangcheng-amr"), fault.Invalid},
			"of a program":             {ca.Request{Profile: profile.SystemClient, Agency: "jiangcheng-amr", Name: "x", Hosts: []string{"amr.jiangcheng.example"}, Key: ecKey(t), Actor: actor}, fault.Invalid},
			"in the CSR":               {ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Actor: actor, CSR: csr(t, ecKey(t), x509.CertificateRequest{DNSNames: []string{"amr.jiangcheng.example"}})}, fault.Denied},
			"in the CSR, an address":   {ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Actor: actor, CSR: csr(t, ecKey(t), x509.CertificateRequest{IPAddresses: []net.IP{{192, 0, 2, 7}}})}, fault.Denied},
			"in the CSR beside others": {ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Actor: actor, Hosts: []string{"donghu.jiangcheng.example"}, CSR: csr(t, ecKey(t), x509.CertificateRequest{DNSNames: []string{"amr.jiangcheng.example"}})}, fault.Invalid},
		} {
			_, err := c.Issue(t.Context(), tt.r)
			if fault.KindOf(err) != tt.kind {
				t.Errorf("%s: %v of kind %v, want %v", name, err, fault.KindOf(err), tt.kind)
			}
		}
		if after := c.rows(t); after != before {
			t.Errorf("%d rows were written", after-before)
		}
		if n := c.events(t, "certificate.refused"); n != 11 {
			t.Errorf("%d refusals in the log, want 11", n)
		}
		// A name that was taken away is not certified any more.
		if err := c.RemoveName(t.Context(), actor, "jiangcheng-amr", "192.0.2.7"); err != nil {
			t.Fatal(err)
		}
		_, err := c.Issue(t.Context(), server(t, "jiangcheng-amr", "192.0.2.7"))
		wantKind(t, err, fault.Denied)
		list, err := c.Names(t.Context(), "donghu-amr", "")
		if err != nil || len(list) != 2 || list[0].Name != ".donghu.jiangcheng.example" || list[0].Actor != actor || !list[0].At.Equal(c.clock.now().Truncate(time.Microsecond)) {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err := c.Names(t.Context(), "", "donghu.jiangcheng.example"); err != nil || len(list) != 1 {
			t.Errorf("after: %+v, %v", list, err)
		}
	})
}

func TestNamesRefuse(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	c.give(t, "donghu-amr", "www.donghu.example")
	for name, tt := range map[string]struct {
		actor, agency, name string
		kind                fault.Kind
	}{
		"another has it":    {actor, "xishan-amr", "www.donghu.example", fault.Conflict},
		"a public suffix":   {actor, "donghu-amr", ".gov.cn", fault.Invalid},
		"a wildcard":        {actor, "donghu-amr", "*.donghu.example", fault.Invalid},
		"nothing":           {actor, "donghu-amr", "", fault.Invalid},
		"an unknown agency": {actor, "nobody", "a.donghu.example", fault.NotFound},
		"an agency astray":  {actor, "stray", "a.donghu.example", fault.Denied},
		"nobody":            {"", "donghu-amr", "a.donghu.example", fault.Invalid},
	} {
		if err := c.AddName(t.Context(), tt.actor, tt.agency, tt.name); fault.KindOf(err) != tt.kind || err == nil {
			t.Errorf("%s: %v, want kind %v", name, err, tt.kind)
		}
	}
	// Nobody takes another's name away.
	if err := c.RemoveName(t.Context(), actor, "xishan-amr", "www.donghu.example"); err != nil {
		t.Fatal(err)
	}
	if list, err := c.Names(t.Context(), "", ""); err != nil || len(list) != 1 || c.events(t, "certificate.name.remove") != 0 {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestBlockedKeys(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key, other := ecKey(t), ecKey(t)
		for range 2 { // the second changes nothing
			if err := c.BlockKeys(t.Context(), actor, "published by mistake", spki(t, key)); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.events(t, "certificate.block"); n != 1 {
			t.Errorf("%d events", n)
		}
		before := c.rows(t)
		for _, r := range []ca.Request{
			{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: key, Actor: actor},
			{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: csr(t, key, x509.CertificateRequest{}), Actor: actor},
		} {
			_, err := c.Issue(t.Context(), r)
			wantKind(t, err, fault.Conflict)
		}
		if c.rows(t) != before || c.events(t, "certificate.refused") != 2 {
			t.Errorf("%d rows, %d refusals", c.rows(t)-before, c.events(t, "certificate.refused"))
		}
		// A key that serves already gets no second certificate, once it is blocked.
		r := ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: other, Actor: actor}
		c.issue(t, r)
		if err := c.BlockKeys(t.Context(), actor, "stolen", spki(t, other)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Issue(t.Context(), r)
		wantKind(t, err, fault.Conflict)
		list, err := c.BlockedKeys(t.Context(), nil)
		if err != nil || len(list) != 2 || bytes.Compare(list[0].SPKI, list[1].SPKI) >= 0 {
			t.Fatalf("%+v, %v", list, err)
		}
		if rest, err := c.BlockedKeys(t.Context(), list[0].SPKI); err != nil || len(rest) != 1 || !bytes.Equal(rest[0].SPKI, list[1].SPKI) || rest[0].Reason == "" || rest[0].Actor != actor {
			t.Errorf("%+v, %v", rest, err)
		}
		many := make([][]byte, 101)
		for i := range many {
			many[i] = fmt.Appendf(make([]byte, 0, 32), "%032d", i)
		}
		for name, err := range map[string]error{
			"none": c.BlockKeys(t.Context(), actor, "x"), "too many": c.BlockKeys(t.Context(), actor, "x", many...),
			"short": c.BlockKeys(t.Context(), actor, "x", []byte{1}), "SHA-1": c.BlockKeys(t.Context(), actor, "x", make([]byte, 20)),
			"no reason": c.BlockKeys(t.Context(), actor, "", spki(t, key)), "nobody": c.BlockKeys(t.Context(), "", "x", spki(t, key)),
			"one is bad": c.BlockKeys(t.Context(), actor, "x", many[0], []byte{1}),
		} {
			if fault.KindOf(err) != fault.Invalid || err == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if list, err := c.BlockedKeys(t.Context(), nil); err != nil || len(list) != 2 {
			t.Errorf("%d keys, %v", len(list), err)
		}
	})
}

// TestRefusalsAreBounded: whoever repeats a refused request does not fill the log.
func TestRefusalsAreBounded(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	r := server(t, "donghu-amr", "www.foreign.example")
	for range 30 {
		_, err := c.Issue(t.Context(), r)
		wantKind(t, err, fault.Denied)
	}
	if n := c.events(t, "certificate.refused"); n != 20 {
		t.Errorf("%d events in a minute, want 20", n)
	}
	c.clock.advance(time.Minute)
	if _, err := c.Issue(t.Context(), r); err == nil {
		t.Fatal("issued")
	}
	if n := c.events(t, "certificate.refused"); n != 21 {
		t.Errorf("%d events, want 21", n)
	}
	// What is no attack stands in no event.
	r.Hosts = []string{"*"}
	if _, err := c.Issue(t.Context(), r); err == nil || c.events(t, "certificate.refused") != 21 {
		t.Errorf("a mistake stands in the log, %v", err)
	}
}

// TestKeysOfTheRing: nobody gets a certificate for a key that we keep, whatever it
// signs here.
func TestKeysOfTheRing(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	k, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposeStatus, Owner: "city", Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := c.ring.Signer(t.Context(), k.ID)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Issue(t.Context(), ca.Request{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: csr(t, signer, x509.CertificateRequest{}), Actor: actor})
	wantKind(t, err, fault.Conflict)
}
