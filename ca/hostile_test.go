package ca_test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// serveAs mounts an authority for callers of the test's own.
func (c *city) serveAs(t testing.TB, more tokens, change func(*ca.Options)) *httptest.Server {
	t.Helper()
	all := tokens{}
	for _, list := range []tokens{callers, more} {
		for token, caller := range list {
			all[token] = caller
		}
	}
	a := c.open(t, func(o *ca.Options) {
		o.Tokens = all
		if change != nil {
			change(o)
		}
	})
	mux := http.NewServeMux()
	a.Mount(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// TestTextThatNoDatabaseHas: NUL and what is no UTF-8 are refused, or found to name
// nothing, before PostgreSQL fails over them.
func TestTextThatNoDatabaseHas(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		s := b.serveAs(t, nil, func(o *ca.Options) { o.Holders, o.Officers = b.registry, b.officials })
		request := string(csr(t, ecKey(t), x509.CertificateRequest{}))
		place := base64.RawURLEncoding.EncodeToString([]byte("a\x00b")) + ".0." + numberedSerial(1)
		for _, tt := range []struct {
			call call
			want int
		}{
			{call{method: "GET", path: "/ca/v1/requests?agency=a%00", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/requests?agency=%ff", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/requests?before=%00", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/requests/%ff", token: "officer"}, http.StatusNotFound},
			{call{method: "POST", path: "/ca/v1/requests/%ff/withdraw", token: "officer"}, http.StatusNotFound},
			{call{method: "GET", path: "/ca/v1/names?agency=%00", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/names?after=%ff", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/certificates?q=a&after=" + place, token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/certificates?agency=%00", token: "officer"}, http.StatusBadRequest},
			{call{method: "GET", path: "/ca/v1/certificates/%ff", token: "officer"}, http.StatusNotFound},
			{call{method: "GET", path: "/ca/%ff/crl/1.crl"}, http.StatusNotFound},
			{call{method: "GET", path: "/ca/%ff/ca.crt"}, http.StatusNotFound},
			{call{method: "GET", path: "/ca/city/%ff.crt"}, http.StatusNotFound},
			{call{"POST", "/ca/v1/certificates", "officer", "1", fmt.Sprintf(`{"profile":"citizen","person":"a\u0000","csr":%q}`, request)}, http.StatusBadRequest},
			{call{"POST", "/ca/v1/certificates", "officer", "2", fmt.Sprintf(`{"profile":"officer","agency":"donghu-amr","person":"a\u0000","csr":%q}`, request)}, http.StatusBadRequest},
			{call{"POST", "/ca/v1/certificates", "officer", "3", fmt.Sprintf(`{"agency":"a\u0000","csr":%q}`, request)}, http.StatusNotFound},
		} {
			if status, _, body := tt.call.do(t, s); status != tt.want {
				t.Errorf("%s %s: %d, want %d: %s", tt.call.method, tt.call.path, status, tt.want, body)
			}
		}
	})
}

// TestUnprovenKey: a request whose signature is wrong gets nothing, on no way in, and
// learns nothing about its key.
func TestUnprovenKey(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key, blocked := ecKey(t), ecKey(t)
		if err := c.BlockKeys(t.Context(), actor, "stolen", spki(t, blocked)); err != nil {
			t.Fatal(err)
		}
		ours, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposePermit, Owner: "donghu-amr", Alg: keys.ES256, Backend: keys.BackendFile, Actor: actor})
		if err != nil {
			t.Fatal(err)
		}
		old := c.issue(t, ca.Request{Profile: profile.PermitSigning, Agency: "donghu-amr", CSR: csr(t, key, x509.CertificateRequest{}), Actor: actor})
		held, err := c.ring.Signer(t.Context(), ours.ID)
		if err != nil {
			t.Fatal(err)
		}
		before, events := c.rows(t), c.logSize(t)
		for name, signer := range map[string]crypto.Signer{"a new key": ecKey(t), "a key in use": key, "a blocked key": blocked, "a key of ours": held} {
			block, _ := pem.Decode(csr(t, signer, x509.CertificateRequest{}))
			block.Bytes[len(block.Bytes)-1] ^= 1
			r := ca.Request{Profile: profile.PermitSigning, Agency: "donghu-amr", CSR: block.Bytes, Actor: actor, IdempotencyKey: "1"}
			_, issued := c.Issue(t.Context(), r)
			_, submitted := c.Submit(t.Context(), r)
			_, renewed := c.Renew(t.Context(), ca.Renewal{Serial: old.Serial, CSR: block.Bytes, Actor: actor, IdempotencyKey: "2"})
			for way, err := range map[string]error{"issue": issued, "check": c.Check(t.Context(), r), "submit": submitted, "renew": renewed} {
				if fault.KindOf(err) != fault.Invalid || !strings.Contains(fmt.Sprint(err), "does not prove possession") {
					t.Errorf("%s, %s: %v", name, way, err)
				}
			}
		}
		if c.rows(t) != before || c.logSize(t) != events {
			t.Error("something was written")
		}
	})
}

// TestOrderThatNoDatabaseHas: the name of an order comes from an address, too.
func TestOrderThatNoDatabaseHas(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		for _, id := range []string{"", "a\x00", "\xff", strings.Repeat("x", 5000)} {
			if _, err := b.a.FindOrder(t.Context(), id); !errors.Is(err, ca.ErrNoOrder) {
				t.Errorf("%.20q: %v", id, err)
			}
			if _, err := b.a.Redeem(t.Context(), id, actor, firmCSR(t)); !errors.Is(err, ca.ErrNoOrder) {
				t.Errorf("redeemed %.20q: %v", id, err)
			}
			_, err := b.a.Withdraw(t.Context(), id, actor)
			wantKind(t, err, fault.NotFound)
		}
	})
}

// TestAgencyWhoseJobIsDone: an agency that was merged into another gets no certificates
// for keys of its own any more, neither new ones nor successors, nor what waited.
func TestAgencyWhoseJobIsDone(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		program := func(key string) ca.Request {
			return ca.Request{Profile: profile.SystemClient, Agency: "xishan-amr", Name: "x", CSR: csr(t, ecKey(t), x509.CertificateRequest{}), Actor: "client:xishan", IdempotencyKey: key}
		}
		r := program("1")
		old := b.issue(t, r)
		waits := b.submit(t, program("2"))
		if err := b.registry.Succeed(t.Context(), actor, registry.Succession{Agency: "xishan-amr", Successor: "donghu-amr"}); err != nil {
			t.Fatal(err)
		}
		before := b.rows(t)
		_, err := b.a.Issue(t.Context(), program("3"))
		wantKind(t, err, fault.Denied)
		_, err = b.a.Submit(t.Context(), program("4"))
		wantKind(t, err, fault.Denied)
		_, err = b.a.Renew(t.Context(), ca.Renewal{Serial: old.Serial, CSR: r.CSR, Actor: actor, IdempotencyKey: "5"})
		wantKind(t, err, fault.Denied)
		_, err = b.a.Decide(t.Context(), waits.ID, yes(b.lin))
		wantKind(t, err, fault.Denied)
		if after := b.rows(t); after != before {
			t.Errorf("%d rows were written", after-before)
		}
		if found, err := b.Find(t.Context(), old.Serial); err != nil || found.Status != ca.Issued {
			t.Errorf("what it had is %s, %v", found.Status, err)
		}
		if err := b.a.Revoke(t.Context(), old.Serial, ca.CessationOfOperation, actor); err != nil {
			t.Errorf("what it had is not revoked: %v", err)
		}
	})
}
