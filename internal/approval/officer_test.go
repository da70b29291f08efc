package approval_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func TestFound(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		c := emptyCity(t, d)
		a, b, e, f := c.person(), c.person(), c.person(), c.person()
		for name, change := range map[string]func(f *approval.Founding){
			"two":              func(f *approval.Founding) { f.Officers = []string{a, b} },
			"one twice":        func(f *approval.Founding) { f.Officers = []string{a, b, a} },
			"a stranger":       func(f *approval.Founding) { f.Officers = []string{a, b, db.NewID()} },
			"nobody":           func(f *approval.Founding) { f.Officers = []string{a, b, ""} },
			"no quorum":        func(f *approval.Founding) { f.Quorum = approval.Quorum{} },
			"a quorum of one":  func(f *approval.Founding) { f.Quorum.Need = 1 },
			"more than keys":   func(f *approval.Founding) { f.Quorum.Need = 4 },
			"a key twice":      func(f *approval.Founding) { f.Quorum.Keys[1] = f.Quorum.Keys[0] },
			"a key that's not": func(f *approval.Founding) { f.Quorum.Keys[1] = []byte("key") },
		} {
			founding := c.founding(a, b, e)
			change(&founding)
			_, err := c.service.Found(ctx, founding)
			wantKind(t, err, fault.Invalid, name)
		}
		if is, err := c.service.IsOfficer(ctx, a); is || err != nil {
			t.Errorf("officer before the founding: %v %v", is, err)
		}
		_, err := c.service.Submit(ctx, c.spec(a, "red"))
		wantKind(t, err, fault.Denied, "asked before the founding")

		first := c.found(a, b, e)
		lost := c.found(e, a, b) // the same people, whose codes were lost
		_, err = c.service.BeginPasskey(ctx, first[0].Person, first[0].Code)
		wantKind(t, err, fault.Denied, "a code that was replaced")
		_, err = c.service.Found(ctx, c.founding(a, b, f))
		wantKind(t, err, fault.Conflict, "other people")
		_, err = c.service.Found(ctx, c.founding(a, b, e, f))
		wantKind(t, err, fault.Conflict, "more people")
		c.enrolPasskey(lost[0])
		_, err = c.service.Found(ctx, c.founding(a, b, e))
		wantKind(t, err, fault.Conflict, "after somebody enrolled")
		list, err := c.service.Officers(ctx)
		check(t, err)
		if len(list) != 3 {
			t.Errorf("officers %v", list)
		}
		for _, o := range list {
			if is, err := c.service.IsOfficer(ctx, o.Person); !is || err != nil || o.AddedBy != "founding" || len(o.Credentials) != strings.Count(lost[0].Person, o.Person) {
				t.Errorf("%+v: %v %v", o, is, err)
			}
		}
	})
}

func TestFoundTwiceAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := emptyCity(t, d)
		sets := [][]string{{c.person(), c.person(), c.person()}, {c.person(), c.person(), c.person()}}
		errs := make([]error, 2)
		var wg sync.WaitGroup
		for i, set := range sets {
			f := c.founding(set...)
			wg.Go(func() { _, errs[i] = c.service.Found(t.Context(), f) })
		}
		wg.Wait()
		list, err := c.service.Officers(t.Context())
		check(t, err)
		if (errs[0] == nil) == (errs[1] == nil) || len(list) != 3 {
			t.Errorf("%v, %d officers", errs, len(list))
		}
	})
}

func TestOfficersComeAndGo(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		params := func(kind, person string) approval.SubmitSpec {
			s := c.spec(c.ann, "")
			s.Kind, s.Params = kind, fmt.Appendf(nil, `{"person":%q}`, person)
			return s
		}
		refuse := func(what string, kind fault.Kind, s approval.SubmitSpec) {
			t.Helper()
			_, err := c.service.Submit(ctx, s)
			wantKind(t, err, kind, what)
		}
		refuse("below three", fault.Conflict, params(approval.KindRemove, c.bob))
		refuse("an officer already", fault.Conflict, params(approval.KindAdd, c.bob))
		refuse("a stranger", fault.Invalid, params(approval.KindAdd, db.NewID()))
		refuse("nobody", fault.Invalid, params(approval.KindAdd, ""))
		refuse("not an officer", fault.Conflict, params(approval.KindRemove, c.person()))
		dan := c.addOfficer()
		refuse("their own removal", fault.Denied, params(approval.KindRemove, c.ann))

		// Whom it is about does not approve it.
		r := c.ask(params(approval.KindRemove, c.bob))
		_, err := c.service.Statement(ctx, r.ID, c.bob)
		wantKind(t, err, fault.Denied, "the subject")

		// Two removals that were right when they were asked for: one is done.
		other := params(approval.KindRemove, dan)
		other.Requester = c.bob
		second := c.ask(other)
		proof := c.proof(second, c.cai)
		if got := c.approve(r, c.cai); got.State != approval.Done {
			t.Fatalf("got %v %s", got, got.Note)
		}
		_, err = c.service.Approve(ctx, second.ID, c.cai, proof)
		wantKind(t, err, fault.Conflict, "below three by the second")
		list, err := c.service.Officers(ctx)
		check(t, err)
		if len(list) != 3 {
			t.Errorf("%d officers", len(list))
		}
		if is, err := c.service.IsOfficer(ctx, c.bob); is || err != nil {
			t.Errorf("bob: %v %v", is, err)
		}
		removed := c.events("officer.remove", "person:"+c.bob)
		if len(removed) != 1 || removed[0].Actor != "person:"+c.cai || removed[0].Data["by"] != r.ID || len(c.events("officer.credential.remove", "person:"+c.bob)) != 1 {
			t.Errorf("events %v", removed)
		}
	})
}

// Adding, replacing or recovering a credential takes two others.
func TestEnrolTakesTwoOthers(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		officers, err := c.service.Officers(ctx)
		check(t, err)
		var old approval.Credential
		for _, o := range officers {
			if o.Person == c.cai {
				old = o.Credentials[0]
			}
		}
		spec := c.spec(c.cai, "")
		spec.Kind, spec.Params = approval.KindEnrol, fmt.Appendf(nil, `{"person":%q,"remove":[%q]}`, c.cai, old.ID)
		_, err = c.service.Submit(ctx, spec)
		wantKind(t, err, fault.Denied, "asked by the subject")
		spec.Requester = c.ann
		for name, params := range map[string]string{"another's credential": fmt.Sprintf(`{"person":%q,"remove":[%q]}`, c.bob, old.ID),
			"twice": fmt.Sprintf(`{"person":%q,"remove":[%q,%q]}`, c.cai, old.ID, old.ID), "no officer": fmt.Sprintf(`{"person":%q}`, c.person())} {
			bad := spec
			bad.Params = []byte(params)
			if _, err := c.service.Submit(ctx, bad); err == nil {
				t.Errorf("%s: accepted", name)
			}
		}
		r := c.ask(spec)
		for who, kind := range map[string]fault.Kind{c.cai: fault.Denied, c.ann: fault.Denied} {
			_, err = c.service.Statement(ctx, r.ID, who)
			wantKind(t, err, kind, "approved by requester or subject")
		}
		_, err = c.service.DrawCode(ctx, r.ID, c.bob)
		wantKind(t, err, fault.NotFound, "a code before the approval")
		c.approve(r, c.bob)
		for _, who := range []string{c.ann, c.cai, c.person(), ""} {
			if _, err := c.service.DrawCode(ctx, r.ID, who); fault.KindOf(err) != fault.NotFound && fault.KindOf(err) != fault.Denied {
				t.Errorf("code for another than the approver: %v", err)
			}
		}
		lost, err := c.service.DrawCode(ctx, r.ID, c.bob)
		check(t, err)
		code, err := c.service.DrawCode(ctx, r.ID, c.bob)
		check(t, err)
		for name, k := range map[string][2]string{"voided": {c.cai, lost.Code}, "bob's": {c.bob, code.Code}, "ann's": {c.ann, code.Code}, "empty": {c.cai, ""}, "nobody's": {"", code.Code}} {
			if _, err := c.service.BeginPasskey(ctx, k[0], k[1]); fault.KindOf(err) != fault.Denied && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s code: %v", name, err)
			}
			if _, err := c.service.AddKey(ctx, k[0], k[1], spki(t, c.quorum[0]), ""); fault.KindOf(err) != fault.Denied {
				t.Errorf("%s code for a key: %v", name, err)
			}
		}
		lostKey := c.passkeys[c.cai]
		c.passkeys[c.cai] = c.enrolPasskey(code)
		_, err = c.service.BeginPasskey(ctx, c.cai, code.Code)
		wantKind(t, err, fault.Denied, "the code again")
		_, err = c.service.DrawCode(ctx, r.ID, c.bob)
		wantKind(t, err, fault.NotFound, "drawn again")

		// The lost passkey approves nothing any more, the new one does.
		r = c.submit(c.ann, "red")
		st, err := c.service.Statement(ctx, r.ID, c.cai)
		check(t, err)
		lostKey.Count += 5
		_, err = c.service.Approve(ctx, r.ID, c.cai, approval.Proof{Passkey: lostKey.get(t, st)})
		wantKind(t, err, fault.Denied, "the lost passkey")
		c.approve(r, c.cai)
	})
}

func TestCodeExpires(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.do(approval.KindEnrol, approval.EnrolParams{Person: c.cai}, c.ann, c.bob)
		code, err := c.service.DrawCode(ctx, r.ID, c.bob)
		check(t, err)
		c.clock.add(24*time.Hour - time.Second)
		again, err := c.service.DrawCode(ctx, r.ID, c.bob)
		check(t, err)
		if !again.Expires.Equal(code.Expires) {
			t.Error("drawing again makes it live longer")
		}
		o, err := c.service.BeginPasskey(ctx, c.cai, again.Code)
		check(t, err)
		c.clock.add(time.Second)
		_, err = c.service.FinishPasskey(ctx, c.cai, again.Code, newAuthenticator(t).create(t, o))
		wantKind(t, err, fault.Denied, "finished too late")
		_, err = c.service.DrawCode(ctx, r.ID, c.bob)
		wantKind(t, err, fault.NotFound, "drawn too late")
	})
}

// Whoever is removed enrols nothing with a code that they still hold.
func TestCodeOfTheRemoved(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		dan := c.addOfficer()
		r := c.do(approval.KindEnrol, approval.EnrolParams{Person: dan}, c.ann, c.bob)
		code, err := c.service.DrawCode(ctx, r.ID, c.bob)
		check(t, err)
		c.do(approval.KindRemove, approval.OfficerParams{Person: dan}, c.ann, c.bob)
		_, err = c.service.BeginPasskey(ctx, dan, code.Code)
		wantKind(t, err, fault.Denied, "removed")
		c.do(approval.KindAdd, approval.OfficerParams{Person: dan}, c.ann, c.bob)
		_, err = c.service.BeginPasskey(ctx, dan, code.Code)
		wantKind(t, err, fault.Denied, "back, with an old code")
	})
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := emptyCity(t, sqlite(t))
	codes := c.found(c.person(), c.person(), c.person())
	for _, s := range []string{fmt.Sprint(codes[0]), fmt.Sprintf("%+v", codes[0]), fmt.Sprintf("%#v", codes[0]), fmt.Sprintf("%s", codes), codes[0].LogValue().String()} {
		if strings.Contains(s, codes[0].Code) {
			t.Errorf("printed %s", s)
		}
	}
	check(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		var n int
		err := tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM officer_enrolments WHERE code = $1`, []byte(codes[0].Code)).Scan(&n)
		if n != 0 {
			t.Error("the code itself is stored")
		}
		return err
	}))
}

// Two removals at once leave three officers.
func TestRemovalsAtOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		dan := c.addOfficer()
		subjects := []string{c.cai, dan}
		requests, proofs := make([]approval.Request, 2), make([]approval.Proof, 2)
		for i, subject := range subjects {
			spec := c.spec(c.ann, "")
			spec.Kind, spec.Params = approval.KindRemove, fmt.Appendf(nil, `{"person":%q}`, subject)
			requests[i] = c.ask(spec)
			proofs[i] = c.proof(requests[i], c.bob)
		}
		var wg sync.WaitGroup
		for i, r := range requests {
			s := c.replica()
			wg.Go(func() { _, _ = s.Approve(ctx, r.ID, c.bob, proofs[i]) })
		}
		// As if both had been checked before either was run.
		wg.Wait()
		for i, subject := range subjects {
			resolved := fmt.Appendf(nil, `{"person":%q}`, subject)
			wg.Go(func() {
				by := approval.Decision{Request: fmt.Sprintf("checked-%d", i), Requester: c.ann, Approver: c.bob}
				_ = c.service.Operation(approval.KindRemove).Run(ctx, resolved, by)
			})
		}
		wg.Wait()
		if list, err := c.service.Officers(ctx); err != nil || len(list) != approval.MinOfficers {
			t.Errorf("%d officers, %v", len(list), err)
		}
	})
}

// A run that is repeated, because its outcome was not written, changes nothing.
func TestOwnOperationsRunOnce(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		c.addOfficer()
		cai, err := c.service.Officers(ctx)
		check(t, err)
		newcomer := c.person()
		var credential string
		for _, o := range cai {
			if o.Person == c.cai {
				credential = o.Credentials[0].ID
			}
		}
		for i, k := range []struct{ kind, resolved, event string }{
			{approval.KindEnrol, fmt.Sprintf(`{"person":%q,"remove":[%q]}`, c.cai, credential), "officer.credential.remove"},
			{approval.KindAdd, fmt.Sprintf(`{"person":%q}`, newcomer), "officer.add"},
			{approval.KindRemove, fmt.Sprintf(`{"person":%q}`, c.cai), "officer.remove"},
		} {
			before := len(c.events(k.event, ""))
			by := approval.Decision{Request: fmt.Sprintf("request-%d", i), Kind: k.kind, Requester: c.ann, Approver: c.bob}
			for range 3 {
				if err := c.service.Operation(k.kind).Run(ctx, []byte(k.resolved), by); err != nil {
					t.Errorf("%s: %v", k.kind, err)
				}
			}
			if n := len(c.events(k.event, "")) - before; n != 1 {
				t.Errorf("%s: %d events %s", k.kind, n, k.event)
			}
		}
	})
}
