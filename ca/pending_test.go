package ca_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// officers are the persons who are officers. A call is signed by its header.
type officers map[string]bool

func (o officers) IsOfficer(_ context.Context, person string) (bool, error) { return o[person], nil }

func (o officers) Caller(r *http.Request) (string, error) {
	person, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Officer ")
	if !ok || person == "" {
		return "", fault.New(fault.Denied, "not signed")
	}
	return person, nil
}

// bench is a city with officers: Lin decides, and Wei is one who works for Donghu.
type bench struct {
	*city
	a         *ca.CA
	firm      registry.Firm
	lin, wei  string
	officials officers
	licensed  *licensed
}

func newBench(t testing.TB, d *db.DB) *bench {
	t.Helper()
	b := &bench{city: newCity(t, d), licensed: &licensed{}}
	var wei registry.Person
	b.firm, wei = b.populate(t)
	lin, _, err := b.registry.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Resident, Number: "990100198001020013", Name: "林溪"})
	if err != nil {
		t.Fatal(err)
	}
	b.lin, b.wei = lin.ID, wei.ID
	b.officials = officers{b.lin: true, b.wei: true}
	b.a = b.open(t, func(o *ca.Options) {
		o.Holders, o.Officers, o.Tokens, o.Licensed = b.registry, b.officials, callers, b.licensed
	})
	b.give(t, "donghu-amr", ".donghu.example")
	return b
}

// wish asks for a document certificate of a fresh key.
func wish(t testing.TB, key string) ca.Request {
	return ca.Request{Profile: profile.DocumentSigning, Agency: "xishan-amr", CSR: csr(t, ecKey(t), x509.CertificateRequest{}), Actor: "client:xishan", IdempotencyKey: key}
}

func (b *bench) submit(t testing.TB, r ca.Request) ca.Pending {
	t.Helper()
	p, err := b.a.Submit(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func yes(person string) ca.Decision {
	return ca.Decision{Person: person, Approve: true, Reason: "in order", Key: "key"}
}

func TestRequestIsApproved(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		before := b.rows(t)
		r := wish(t, "1")
		p := b.submit(t, r)
		if again := b.submit(t, r); again.ID != p.ID || p.State != ca.Waiting || b.rows(t) != before {
			t.Fatalf("%+v, again %+v", p, again)
		}
		done, err := b.a.Decide(t.Context(), p.ID, yes(b.lin))
		if err != nil || done.State != ca.Made || done.Serial == "" {
			t.Fatalf("%+v, %v", done, err)
		}
		cert, err := b.a.Find(t.Context(), done.Serial)
		if err != nil || cert.Profile != profile.DocumentSigning || cert.Agency != "xishan-amr" || cert.Issuer != "xishan" || cert.Actor != "request:"+p.ID {
			t.Errorf("%+v, %v", cert, err)
		}
		again, err := b.a.Decide(t.Context(), p.ID, yes(b.lin))
		if err != nil || again.Serial != done.Serial || b.rows(t) != before+1 {
			t.Errorf("decided twice: %+v, %v", again, err)
		}
		if s := b.submit(t, r); s.Serial != done.Serial || s.State != ca.Made {
			t.Errorf("submitted again: %+v", s)
		}
		for kind, want := range map[string]int{"submit": 1, "approve": 1, "issue": 1, "fail": 0} {
			if n := b.events(t, "certificate.request."+kind); n != want {
				t.Errorf("%d events %s, want %d", n, kind, want)
			}
		}
		if _, problems := b.audit(t); len(problems) > 0 {
			t.Error(problems)
		}
	})
}

func TestRequestIsRejectedOrWithdrawn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		before := b.rows(t)
		no := ca.Decision{Person: b.lin, Reason: "nobody ordered it", Key: "k"}
		p := b.submit(t, wish(t, "1"))
		got, err := b.a.Decide(t.Context(), p.ID, no)
		if err != nil || got.State != ca.Rejected || got.Reason != no.Reason || got.Decider != b.lin || !got.DecidedAt.Equal(b.clock.now()) {
			t.Errorf("%+v, %v", got, err)
		}
		if again, err := b.a.Decide(t.Context(), p.ID, no); err != nil || again.State != ca.Rejected {
			t.Errorf("again: %+v, %v", again, err)
		}
		w := b.submit(t, wish(t, "2"))
		for range 2 {
			if got, err := b.a.Withdraw(t.Context(), w.ID, "client:xishan"); err != nil || got.State != ca.Withdrawn {
				t.Errorf("%+v, %v", got, err)
			}
		}
		old := b.submit(t, wish(t, "3"))
		b.clock.advance(30 * 24 * time.Hour)
		_, late := b.a.Decide(t.Context(), old.ID, yes(b.lin))
		wantKind(t, late, fault.Conflict)
		for range 2 {
			if err := b.a.SweepRequests(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{p.ID, w.ID, old.ID} {
			_, err := b.a.Decide(t.Context(), id, yes(b.lin))
			wantKind(t, err, fault.Conflict)
		}
		_, err = b.a.Withdraw(t.Context(), p.ID, "client:xishan")
		wantKind(t, err, fault.Conflict)
		if x, err := b.a.Pending(t.Context(), old.ID); err != nil || x.State != ca.Expired || b.events(t, "certificate.request.expire") != 1 {
			t.Errorf("%+v, %v", x, err)
		}
		if b.rows(t) != before {
			t.Error("a certificate was made")
		}
		list, err := b.a.ListPending(t.Context(), ca.PendingFilter{Agency: "xishan-amr"})
		if err != nil || len(list) != 3 || list[0].ID != old.ID {
			t.Errorf("%d requests, %v", len(list), err)
		}
		list, err = b.a.ListPending(t.Context(), ca.PendingFilter{State: ca.Withdrawn, Before: old.ID, Limit: 1})
		if err != nil || len(list) != 1 || list[0].ID != w.ID {
			t.Errorf("%+v, %v", list, err)
		}
	})
}

// TestWhoActsForTheFirmDoesNotDecide: whoever held a delegation for it at any moment
// since the request was submitted has a part in it, as at a desk.
func TestWhoActsForTheFirmDoesNotDecide(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		delegate := func() {
			t.Helper()
			if _, err := b.registry.Delegate(t.Context(), actor, registry.Delegation{Firm: b.firm.USCC, Person: b.lin}); err != nil {
				t.Fatal(err)
			}
		}
		withdraw := func() {
			t.Helper()
			b.clock.advance(time.Minute)
			if err := b.registry.Withdraw(t.Context(), actor, b.firm.USCC, b.lin); err != nil {
				t.Fatal(err)
			}
			b.clock.advance(time.Minute)
		}
		refused := func(when string, p ca.Pending) {
			t.Helper()
			for _, approve := range []bool{true, false} {
				if _, err := b.a.Decide(t.Context(), p.ID, ca.Decision{Person: b.lin, Approve: approve, Reason: "x", Key: "k"}); fault.KindOf(err) != fault.Denied || err == nil {
					t.Errorf("%s, approve %v: %v", when, approve, err)
				}
			}
			if now, err := b.a.Pending(t.Context(), p.ID); err != nil || now.State != ca.Waiting {
				t.Errorf("%s: %s, %v", when, now.State, err)
			}
		}
		wish := func(key string) ca.Request {
			return ca.Request{Profile: profile.Firm, Firm: b.firm.USCC, CSR: firmCSR(t), Actor: actor, IdempotencyKey: key}
		}
		first := b.submit(t, wish("first"))
		delegate()
		refused("who acts for it", first)
		withdraw()
		refused("who acted for it since", first)
		if p, err := b.a.Decide(t.Context(), b.submit(t, wish("second")).ID, yes(b.lin)); err != nil || p.State != ca.Made {
			t.Errorf("who acted for it before: %+v, %v", p, err)
		}
	})
}

// TestWhoDecides: an officer who has no part in it, and nobody else.
func TestWhoDecides(t *testing.T) {
	b := newBench(t, testkit.SQLite(t))
	mine := wish(t, "mine")
	mine.Actor = "person:" + b.lin
	donghu := wish(t, "donghu")
	donghu.Agency = "donghu-amr"
	for name, tt := range map[string]struct {
		r      ca.Request
		person string
		kind   fault.Kind
	}{
		"nobody":                   {wish(t, "a"), "", fault.Denied},
		"no officer":               {wish(t, "b"), db.NewID(), fault.Denied},
		"who asked":                {mine, b.lin, fault.Denied},
		"who works for the agency": {donghu, b.wei, fault.Denied},
		"whom it is about":         {ca.Request{Profile: profile.Citizen, Person: b.wei, CSR: wish(t, "").CSR, Actor: actor, IdempotencyKey: "c"}, b.wei, fault.Denied},
		"whose firm it is":         {ca.Request{Profile: profile.Firm, Firm: b.firm.USCC, CSR: wish(t, "").CSR, Actor: actor, IdempotencyKey: "d"}, b.wei, fault.Denied},
	} {
		p := b.submit(t, tt.r)
		for _, approve := range []bool{true, false} {
			_, err := b.a.Decide(t.Context(), p.ID, ca.Decision{Person: tt.person, Approve: approve, Reason: "x", Key: "k"})
			if fault.KindOf(err) != tt.kind || err == nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if p, err := b.a.Pending(t.Context(), p.ID); err != nil || p.State != ca.Waiting {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	// The same requests are decided by the others.
	list, err := b.a.ListPending(t.Context(), ca.PendingFilter{State: ca.Waiting})
	if err != nil || len(list) != 6 {
		t.Fatalf("%d wait, %v", len(list), err)
	}
	for _, p := range list {
		person := b.lin
		if p.Request.Actor == "person:"+b.lin {
			person = b.wei
		}
		if p, err := b.a.Decide(t.Context(), p.ID, yes(person)); err != nil || p.State != ca.Made {
			t.Errorf("%s: %+v, %v", p.Request.Profile, p, err)
		}
	}
	b.officials[b.lin] = false
	_, err = b.a.Decide(t.Context(), b.submit(t, wish(t, "later")).ID, yes(b.lin))
	wantKind(t, err, fault.Denied)
	_, err = b.withHolders(t, nil).Decide(t.Context(), list[0].ID, yes(b.lin))
	wantKind(t, err, fault.Denied)
	for name, d := range map[string]ca.Decision{"no reason": {Person: b.wei, Key: "k"}, "no key": {Person: b.wei, Reason: "x"}, "control": {Person: b.wei, Reason: "a\nb", Key: "k"}} {
		_, err := b.a.Decide(t.Context(), list[0].ID, d)
		if fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = b.a.Decide(t.Context(), "nothing", yes(b.wei))
	wantKind(t, err, fault.NotFound)
}

// TestApprovalChecksAgain: what changed since the request was made counts.
func TestApprovalChecksAgain(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		server := ca.Request{Profile: profile.SystemServer, Agency: "donghu-amr", Hosts: []string{"www.donghu.example"}, CSR: csr(t, ecKey(t), x509.CertificateRequest{}), Actor: "client:a", IdempotencyKey: "1"}
		name := b.submit(t, server)
		blocked := ecKey(t)
		w := wish(t, "2")
		w.CSR = csr(t, blocked, x509.CertificateRequest{})
		key := b.submit(t, w)
		taken := ecKey(t)
		w = wish(t, "3")
		w.CSR = csr(t, taken, x509.CertificateRequest{})
		used := b.submit(t, w)
		if err := b.RemoveName(t.Context(), actor, "donghu-amr", ".donghu.example"); err != nil {
			t.Fatal(err)
		}
		if err := b.BlockKeys(t.Context(), actor, "lost", spki(t, blocked)); err != nil {
			t.Fatal(err)
		}
		b.issue(t, ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Key: taken, Actor: actor})
		before := b.rows(t)
		for id, kind := range map[string]fault.Kind{name.ID: fault.Denied, key.ID: fault.Conflict, used.ID: fault.Conflict} {
			_, err := b.a.Decide(t.Context(), id, yes(b.lin))
			wantKind(t, err, kind)
			if p, err := b.a.Pending(t.Context(), id); err != nil || p.State != ca.Waiting || p.Decider != "" {
				t.Errorf("%+v, %v", p, err)
			}
		}
		if b.rows(t) != before {
			t.Error("something was issued")
		}
		b.give(t, "donghu-amr", "www.donghu.example")
		if p, err := b.a.Decide(t.Context(), name.ID, yes(b.lin)); err != nil || p.State != ca.Made {
			t.Errorf("%+v, %v", p, err)
		}
	})
}

// TestApprovalSurvivesACrash: a request that was approved by a process that died gets
// one certificate, whether it was made or not; or fails, when it cannot be made.
func TestApprovalSurvivesACrash(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		b := newBench(t, d)
		before := b.rows(t)
		early, late := b.submit(t, wish(t, "1")), b.submit(t, wish(t, "2"))
		lost := ecKey(t)
		w := wish(t, "3")
		w.CSR = csr(t, lost, x509.CertificateRequest{})
		hopeless := b.submit(t, w)
		made := map[string]string{}
		for id, issue := range map[string]bool{early.ID: false, late.ID: true, hopeless.ID: false} {
			serial, err := b.a.ApproveOnly(t.Context(), id, b.lin, issue)
			if err != nil {
				t.Fatal(err)
			}
			made[id] = serial
		}
		if err := b.BlockKeys(t.Context(), actor, "lost", spki(t, lost)); err != nil {
			t.Fatal(err)
		}
		if err := b.a.SweepRequests(t.Context()); err != nil { // whoever approved may still be at work
			t.Fatal(err)
		}
		if p, err := b.a.Pending(t.Context(), early.ID); err != nil || p.State != ca.Approved {
			t.Errorf("%+v, %v", p, err)
		}
		b.clock.advance(time.Minute)
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs { // replicas do it at once
			wg.Go(func() { errs[i] = b.a.SweepRequests(t.Context()) })
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		for id, want := range map[string]ca.PendingState{early.ID: ca.Made, late.ID: ca.Made, hopeless.ID: ca.Failed} {
			p, err := b.a.Pending(t.Context(), id)
			for n := 0; err == nil && p.State == ca.Approved && n < 20; n++ { // another's intent was met: try again
				if err = b.a.SweepRequests(t.Context()); err == nil {
					p, err = b.a.Pending(t.Context(), id)
				}
			}
			if err != nil || p.State != want || made[id] != "" && p.Serial != made[id] || (p.Note == "") != (want == ca.Made) {
				t.Errorf("%+v, %v, want %s %s", p, err, want, made[id])
			}
		}
		if n := b.rows(t) - before; n != 2 {
			t.Errorf("%d certificates, want 2", n)
		}
	})
}

func TestSubmitRefuses(t *testing.T) {
	b := newBench(t, testkit.SQLite(t))
	first := wish(t, "1")
	b.submit(t, first)
	change := func(f func(*ca.Request)) ca.Request {
		r := wish(t, db.NewID())
		f(&r)
		return r
	}
	for name, tt := range map[string]struct {
		r    ca.Request
		kind fault.Kind
	}{
		"no CSR":              {change(func(r *ca.Request) { r.CSR, r.Key = nil, ecKey(t) }), fault.Invalid},
		"no idempotency key":  {change(func(r *ca.Request) { r.IdempotencyKey = "" }), fault.Invalid},
		"another under a key": {wish(t, "1"), fault.Conflict},
		"an unknown agency":   {change(func(r *ca.Request) { r.Agency = "nobody" }), fault.NotFound},
		"an agency astray":    {change(func(r *ca.Request) { r.Agency = "stray" }), fault.Denied},
		"a foreign name":      {change(func(r *ca.Request) { r.Profile, r.Hosts = profile.SystemServer, []string{"www.xishan.example"} }), fault.Denied},
		"broken CSR":          {change(func(r *ca.Request) { r.CSR = r.CSR[:50] }), fault.Invalid},
		"CA:TRUE":             {change(func(r *ca.Request) { r.CSR = csr(t, ecKey(t), caTrue) }), fault.Invalid},
		"too long a life":     {change(func(r *ca.Request) { r.NotAfter = b.clock.now().AddDate(20, 0, 0) }), fault.Invalid},
		"an issuing CA":       {change(func(r *ca.Request) { r.Profile = profile.Issuer }), fault.Invalid},
	} {
		if _, err := b.a.Submit(t.Context(), tt.r); fault.KindOf(err) != tt.kind || err == nil {
			t.Errorf("%s: %v, want kind %v", name, err, tt.kind)
		}
	}
	if list, err := b.a.ListPending(t.Context(), ca.PendingFilter{}); err != nil || len(list) != 1 {
		t.Errorf("%d requests, %v", len(list), err)
	}
	for i := range 99 {
		r := first
		r.IdempotencyKey = fmt.Sprint("more", i)
		b.submit(t, r)
	}
	_, err := b.a.Submit(t.Context(), wish(t, "one more"))
	wantKind(t, err, fault.Conflict)
	r := wish(t, "another agency")
	r.Agency = "donghu-amr"
	b.submit(t, r)
}

// TestRequestAPI: a request on its way from an agency's client to an officer.
func TestRequestAPI(t *testing.T) {
	b := newBench(t, testkit.SQLite(t))
	mux := http.NewServeMux()
	b.a.Mount(mux)
	s := serveMux(t, mux)
	pem := strings.ReplaceAll(string(csr(t, ecKey(t), x509.CertificateRequest{})), "\n", `\n`)
	body := func(agency, rest string) string { return `{"agency":"` + agency + `"` + rest + `,"csr":"` + pem + `"}` }
	post := func(token, key, body string) (int, string) {
		status, _, answer := call{"POST", "/ca/v1/certificates", token, key, body}.do(t, s)
		return status, string(answer)
	}
	status, answer := post("donghu", "1", body("donghu-amr", `,"profile":"document"`))
	if status != http.StatusAccepted || !strings.Contains(answer, `"state":"waiting"`) || strings.Contains(answer, "certificate") {
		t.Fatalf("%d %s", status, answer)
	}
	id := strings.Split(strings.SplitAfter(answer, `"id":"`)[1], `"`)[0]
	for _, tt := range []struct {
		name string
		call call
		want int
	}{
		{"for another agency", call{"POST", "/ca/v1/certificates", "donghu", "2", body("xishan-amr", `,"profile":"document"`)}, http.StatusForbidden},
		{"a firm by an agency", call{"POST", "/ca/v1/certificates", "donghu", "3", `{"profile":"firm","firm":"` + b.firm.USCC + `","csr":"` + pem + `"}`}, http.StatusForbidden},
		{"a citizen by an agency", call{"POST", "/ca/v1/certificates", "donghu", "4", `{"profile":"citizen","person":"` + b.wei + `","csr":"` + pem + `"}`}, http.StatusForbidden},
		{"an unknown profile", call{"POST", "/ca/v1/certificates", "donghu", "5", body("donghu-amr", `,"profile":"any"`)}, http.StatusBadRequest},
		{"the root", call{"POST", "/ca/v1/certificates", "officer", "6", `{"profile":"root","csr":"` + pem + `"}`}, http.StatusBadRequest},
		{"the city's TLS", call{"POST", "/ca/v1/certificates", "officer", "7", `{"profile":"tls","issuer":"city","hosts":["x.example"],"csr":"` + pem + `"}`}, http.StatusBadRequest},
		{"a foreign name", call{"POST", "/ca/v1/certificates", "donghu", "8", body("donghu-amr", `,"profile":"system-server","hosts":["www.xishan.example"]`)}, http.StatusForbidden},
		{"without a key", call{"POST", "/ca/v1/certificates", "donghu", "", body("donghu-amr", `,"profile":"document"`)}, http.StatusBadRequest},
		{"seen by its agency", call{"GET", "/ca/v1/requests/" + id, "donghu", "", ""}, http.StatusOK},
		{"seen by the operator", call{"GET", "/ca/v1/requests/" + id, "officer", "", ""}, http.StatusOK},
		{"seen by another agency", call{"GET", "/ca/v1/requests/" + id, "xishan", "", ""}, http.StatusNotFound},
		{"withdrawn by another agency", call{"POST", "/ca/v1/requests/" + id + "/withdraw", "xishan", "", `{}`}, http.StatusNotFound},
		{"another agency's list", call{"GET", "/ca/v1/requests?agency=donghu-amr", "xishan", "", ""}, http.StatusForbidden},
		{"an unknown state", call{"GET", "/ca/v1/requests?state=any", "officer", "", ""}, http.StatusBadRequest},
		{"nobody looks", call{"GET", "/ca/v1/requests", "", "", ""}, http.StatusUnauthorized},
		{"approved by its agency", call{"POST", "/ca/v1/requests/" + id + "/approve", "donghu", "a", `{"reason":"x"}`}, http.StatusForbidden},
		{"approved by the operator", call{"POST", "/ca/v1/requests/" + id + "/approve", "officer", "a", `{"reason":"x"}`}, http.StatusForbidden},
	} {
		if status, _, b := tt.call.do(t, s); status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, status, tt.want, b)
		}
	}
	decide := func(verb, person, key, body string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.URL+"/ca/v1/requests/"+id+"/"+verb, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Authorization": {"Officer " + person}, "Content-Type": {"application/json"}}
		if key != "" {
			r.Header.Set("Idempotency-Key", key)
		}
		return do(t, r)
	}
	for name, tt := range map[string]struct {
		person, key, body string
		want              int
	}{
		"no officer":         {"somebody", "k", `{"reason":"x"}`, http.StatusForbidden},
		"who works there":    {b.wei, "k", `{"reason":"x"}`, http.StatusForbidden},
		"without a key":      {b.lin, "", `{"reason":"x"}`, http.StatusBadRequest},
		"without a reason":   {b.lin, "k", `{}`, http.StatusBadRequest},
		"with something new": {b.lin, "k", `{"reason":"x","force":true}`, http.StatusBadRequest},
	} {
		if status, answer := decide("approve", tt.person, tt.key, tt.body); status != tt.want {
			t.Errorf("%s: %d %s", name, status, answer)
		}
	}
	for range 2 {
		if status, answer := decide("approve", b.lin, "k", `{"reason":"in order"}`); status != http.StatusOK || !strings.Contains(answer, `"state":"issued"`) || !strings.Contains(answer, `"serial":"`) {
			t.Errorf("approved: %d %s", status, answer)
		}
	}
	if status, answer := decide("reject", b.lin, "k", `{"reason":"in order"}`); status != http.StatusConflict {
		t.Errorf("rejected afterwards: %d %s", status, answer)
	}
	b.renewals(t, s.URL, pem, id)
}

// renewals renews what was approved: at once with the same key, with another one when
// an officer has decided.
func (b *bench) renewals(t *testing.T, url, pem, id string) {
	p, err := b.a.Pending(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.ReplaceAll(string(csr(t, ecKey(t), x509.CertificateRequest{})), "\n", `\n`)
	for i, tt := range []struct {
		token, serial, pem string
		want               int
	}{
		{"donghu", p.Serial, pem, http.StatusCreated},
		{"donghu", p.Serial, other, http.StatusAccepted},
		{"xishan", p.Serial, other, http.StatusNotFound},
		{"other", p.Serial, other, http.StatusForbidden},
		{"", p.Serial, other, http.StatusUnauthorized},
		{"donghu", "0102", other, http.StatusNotFound},
		{"donghu", p.Serial, "x", http.StatusBadRequest},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "POST", url+"/ca/v1/certificates/"+tt.serial+"/renew", strings.NewReader(`{"csr":"`+tt.pem+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {fmt.Sprint("renew", i)}}
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		if status, answer := do(t, r); status != tt.want {
			t.Errorf("%d: %d, want %d: %s", i, status, tt.want, answer)
		}
	}
}

func serveMux(t testing.TB, mux *http.ServeMux) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func do(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
