package approval_test

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"encoding/json/jsontext"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

func TestTwoPeople(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		asked := c.submit(c.ann, "red")
		if asked.State != approval.Open || asked.Requester != c.ann || string(asked.Resolved) != `{"from":"green","to":"red"}` || len(asked.Show) != 1 || asked.Title.EN == "" {
			t.Errorf("got %+v", asked)
		}
		if c.lamp.total() != 0 {
			t.Error("run before it was approved")
		}
		done := c.approve(asked, c.bob)
		if done.State != approval.Done || done.Decider != c.bob || done.Method != approval.MethodPasskey || done.Attempts != 1 || done.Started.IsZero() || done.Finished.IsZero() {
			t.Errorf("got %+v", done)
		}
		if c.lamp.value != "red" || c.lamp.calls != 1 {
			t.Errorf("lamp %q after %d calls", c.lamp.value, c.lamp.calls)
		}
		c.wantEvents(asked, "approval.request", "approval.approve", "approval.run.intent", "approval.run.outcome")
		approved := c.events("approval.approve", "approval:"+asked.ID)[0]
		if approved.Actor != "person:"+c.bob || !bytes.Equal(approved.Data["statement"].([]byte), done.Statement) || !bytes.Equal(approved.Data["proof"].([]byte), done.Proof) {
			t.Errorf("event %v", approved)
		}
		st, err := approval.ParseStatement(done.Statement)
		check(t, err)
		want := approval.Statement{Kind: "lamp.set", Resolved: asked.Resolved, Request: asked.ID, Requester: c.ann, Approver: c.bob, Nonce: st.Nonce,
			IssuedAt: asked.Created.Unix(), Expires: asked.Expires.Unix(), Origin: issuer}
		if diff := cmp.Diff(want, st); diff != "" {
			t.Error(diff)
		}
	})
}

func TestOneAloneCannot(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		st, err := c.service.Statement(ctx, r.ID, c.bob)
		check(t, err)
		// Ann signs everything that there is to sign.
		a := c.passkeys[c.ann]
		own := approval.Statement{}
		own, err = approval.ParseStatement(st)
		check(t, err)
		own.Requester, own.Approver = c.cai, c.ann // as if somebody else had asked
		forged, err := own.Encode()
		check(t, err)
		for name, statement := range map[string][]byte{"bob's statement": st, "own statement": forged} {
			for _, approver := range []string{c.ann, c.bob, c.cai} {
				a.Count++
				_, err := c.service.Approve(ctx, r.ID, approver, approval.Proof{Passkey: a.get(t, statement)})
				wantKind(t, err, fault.Denied, name)
			}
		}
		_, err = c.service.Statement(ctx, r.ID, c.ann)
		wantKind(t, err, fault.Denied, "statement for the requester")
		_, err = c.service.BeginApproval(ctx, r.ID, c.ann)
		wantKind(t, err, fault.Denied, "options for the requester")
		c.wantState(r.ID, approval.Open)
		c.wantEvents(r, "approval.request")
		if c.lamp.total() != 0 {
			t.Error("the lamp was set by one person")
		}
	})
}

// Whatever a person is besides, they stay the same person.
func TestSamePersonByAnotherDoor(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		_, err := c.registry.AddAgency(ctx, actor, registry.Agency{ID: "donghu-amr", USCC: "11990101MB0000002C", NameZH: "东湖区市场监督管理局",
			NameEN: "Donghu Market Regulation", Level: registry.District, Area: "990101", Issuer: "donghu"})
		check(t, err)
		for _, p := range []registry.Post{{Person: c.ann, Agency: "donghu-amr", Role: "officer"}, {Person: c.ann, Agency: "", Role: "officer"}} {
			_, err := c.registry.Employ(ctx, actor, p)
			check(t, err)
		}
		// Registering the same document again gives the same person.
		again, created, err := c.registry.AddPerson(ctx, actor, registry.Person{Kind: registry.Passport, Number: "E00000001", Name: "Person 1"})
		check(t, err)
		if created || again.ID != c.ann {
			t.Fatal("another person")
		}
		r := c.submit(c.ann, "red")
		_, err = c.service.Statement(ctx, r.ID, again.ID)
		wantKind(t, err, fault.Denied, "by another post or login")
		// Somebody who holds the post of an officer and is none of ours.
		clerk := c.person()
		_, err = c.registry.Employ(ctx, actor, registry.Post{Person: clerk, Agency: "", Role: "officer"})
		check(t, err)
		_, err = c.service.Statement(ctx, r.ID, clerk)
		wantKind(t, err, fault.Denied, "by a post alone")
		_, err = c.service.Submit(ctx, c.spec(clerk, "red"))
		wantKind(t, err, fault.Denied, "asked by a post alone")
	})
}

func TestWhoMayNotApprove(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		dan := c.addOfficer()
		r := c.submit(c.ann, "red")
		proofs := map[string]approval.Proof{dan: c.proof(r, dan), c.bob: c.proof(r, c.bob)}

		t.Run("a stranger", func(t *testing.T) {
			for _, who := range []string{"", "quorum", c.person(), "person:" + c.bob} {
				_, err := c.service.Approve(ctx, r.ID, who, proofs[c.bob])
				wantKind(t, err, fault.Denied, who)
			}
		})
		t.Run("removed since", func(t *testing.T) {
			c.do(approval.KindRemove, approval.OfficerParams{Person: dan}, c.bob, c.cai)
			_, err := c.service.Approve(ctx, r.ID, dan, proofs[dan])
			wantKind(t, err, fault.Denied, "removed")
			_, err = c.service.Statement(ctx, r.ID, dan)
			wantKind(t, err, fault.Denied, "statement")
		})
		t.Run("added since", func(t *testing.T) {
			eve := c.addOfficer()
			_, err := c.service.Statement(ctx, r.ID, eve)
			wantKind(t, err, fault.Denied, "added after the request")
		})
		t.Run("removed and back", func(t *testing.T) {
			back := c.do(approval.KindAdd, approval.OfficerParams{Person: dan}, c.bob, c.cai)
			code, err := c.service.DrawCode(ctx, back.ID, c.cai)
			check(t, err)
			old := c.passkeys[dan]
			c.passkeys[dan] = c.enrolPasskey(code)
			_, err = c.service.Statement(ctx, r.ID, dan)
			wantKind(t, err, fault.Denied, "back again")
			// What they had before does not come back with them.
			r := c.submit(c.ann, "blue")
			st, err := c.service.Statement(ctx, r.ID, dan)
			check(t, err)
			old.Count += 10
			_, err = c.service.Approve(ctx, r.ID, dan, approval.Proof{Passkey: old.get(t, st)})
			wantKind(t, err, fault.Denied, "an old passkey")
		})
		t.Run("requester removed", func(t *testing.T) {
			r := c.submit(dan, "red")
			c.do(approval.KindRemove, approval.OfficerParams{Person: dan}, c.bob, c.cai)
			_, err := c.service.Statement(ctx, r.ID, c.bob)
			wantKind(t, err, fault.Conflict, "the requester is gone")
		})
		c.wantState(r.ID, approval.Open)
		if c.lamp.total() != 0 {
			t.Error("run")
		}
	})
}

func TestExpired(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		proof := c.proof(r, c.bob)
		c.clock.add(r.Expires.Sub(c.clock.Now()) - time.Microsecond)
		_, err := c.service.Statement(ctx, r.ID, c.bob)
		check(t, err)
		c.clock.add(time.Microsecond)
		_, err = c.service.Approve(ctx, r.ID, c.bob, proof)
		wantKind(t, err, fault.Conflict, "too late")
		c.wantState(r.ID, approval.Open)
		check(t, c.service.Sweep(ctx))
		c.wantState(r.ID, approval.Expired)
		c.wantEvents(r, "approval.request", "approval.expire")
		_, err = c.service.Approve(ctx, r.ID, c.bob, proof)
		wantKind(t, err, fault.Conflict, "expired")
		_, err = c.service.Withdraw(ctx, r.ID, c.ann)
		wantKind(t, err, fault.Conflict, "withdrawn after the end")
		if c.lamp.total() != 0 {
			t.Error("run")
		}
	})
}

// lies are ways in which an assertion is not the approver's over this statement.
var lies = map[string]func(c *city, a *authenticator, other []byte){
	"another request":    func(_ *city, a *authenticator, other []byte) { a.Challenge = approval.ChallengeText(other) },
	"a random answer":    func(_ *city, a *authenticator, _ []byte) { a.Challenge = b64(make([]byte, 32)) },
	"not verified":       func(_ *city, a *authenticator, _ []byte) { a.Flags = testkit.FlagUP },
	"nobody there":       func(_ *city, a *authenticator, _ []byte) { a.Flags = testkit.FlagUV },
	"another site":       func(_ *city, a *authenticator, _ []byte) { a.RPID = "evil.example" },
	"another origin":     func(_ *city, a *authenticator, _ []byte) { a.Origin = "https://evil.example" },
	"another port":       func(_ *city, a *authenticator, _ []byte) { a.Origin = issuer + ":8443" },
	"capital letters":    func(_ *city, a *authenticator, _ []byte) { a.Origin = "https://SIGNET.example" },
	"a frame":            func(_ *city, a *authenticator, _ []byte) { a.Cross = true },
	"an enrolment":       func(_ *city, a *authenticator, _ []byte) { a.Kind = "webauthn.create" },
	"another key":        func(c *city, a *authenticator, _ []byte) { a.Key = newKey(c.t, elliptic.P256()) },
	"unknown passkey":    func(c *city, a *authenticator, _ []byte) { a.ID = bytes.Repeat([]byte{7}, 32) },
	"another's passkey":  func(c *city, a *authenticator, _ []byte) { *a = *c.passkeys[c.cai] },
	"another's, unnamed": func(c *city, a *authenticator, _ []byte) { *a = *c.passkeys[c.cai]; a.Handle = nil },
	"another's handle":   func(c *city, a *authenticator, _ []byte) { a.Handle = c.passkeys[c.cai].Handle },
	"now synchronized":   func(_ *city, a *authenticator, _ []byte) { a.Flags |= testkit.FlagBE },
	"oddly backed up":    func(_ *city, a *authenticator, _ []byte) { a.Flags |= testkit.FlagBS },
	"signs in with it":   func(c *city, a *authenticator, _ []byte) { *a = *newAuthenticator(c.t) },
	"a short id":         func(_ *city, a *authenticator, _ []byte) { a.ID = []byte{1} },
	"counter stands":     func(_ *city, a *authenticator, _ []byte) { a.Count = 1 },
	"counter fell":       func(_ *city, a *authenticator, _ []byte) { a.Count = 0 },
}

func TestLyingPasskeys(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		c.lamp.after = nil
		c.approve(c.submit(c.ann, "red"), c.bob) // the counter is 1
		r, other := c.submit(c.ann, "blue"), c.submit(c.ann, "grey")
		st, err := c.service.Statement(ctx, r.ID, c.bob)
		check(t, err)
		foreign, err := c.service.Statement(ctx, other.ID, c.bob)
		check(t, err)
		for name, lie := range lies {
			a := *c.passkeys[c.bob]
			a.Count = 2
			lie(c, &a, foreign)
			_, err := c.service.Approve(ctx, r.ID, c.bob, approval.Proof{Passkey: a.get(t, st)})
			wantKind(t, err, fault.Denied, name)
		}
		c.wantState(r.ID, approval.Open)
		if n := len(c.events("officer.credential.copied", "person:"+c.bob)); n != 2 {
			t.Errorf("%d events of copies, want 2", n)
		}
		for name, proof := range map[string]approval.Proof{"none": {}, "both": {Passkey: c.passkeys[c.bob].get(t, st), COSE: []byte{1}}} {
			_, err := c.service.Approve(ctx, r.ID, c.bob, proof)
			wantKind(t, err, fault.Invalid, name)
		}
		// The truth still does.
		if r := c.approve(r, c.bob); r.State != approval.Done {
			t.Errorf("got %v", r)
		}
	})
}

// An answer for one request, person or database is none for another.
func TestReplay(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		first := c.submit(c.ann, "red")
		proof := c.proof(first, c.bob)
		done, err := c.service.Approve(ctx, first.ID, c.bob, proof)
		check(t, err)
		// The very same call is answered as it was, and runs nothing.
		again, err := c.service.Approve(ctx, first.ID, c.bob, proof)
		check(t, err)
		if diff := cmp.Diff(done.String(), again.String()); diff != "" || c.lamp.calls != 1 {
			t.Errorf("%s; %d calls", diff, c.lamp.calls)
		}
		c.lamp.set("green")
		second := c.submit(c.ann, "red") // to the letter the same request
		_, err = c.service.Approve(ctx, second.ID, c.bob, proof)
		wantKind(t, err, fault.Denied, "replayed for an equal request")
		_, err = c.service.Approve(ctx, first.ID, c.cai, proof)
		wantKind(t, err, fault.Conflict, "replayed by another")
		_, err = c.service.Approve(ctx, first.ID, c.bob, approval.Proof{Passkey: c.passkeys[c.bob].get(t, done.Statement)})
		wantKind(t, err, fault.Conflict, "approved again")
		c.wantState(second.ID, approval.Open)
		if c.lamp.total() != 1 {
			t.Error("run again")
		}
	})
}

// Of any number of approvals at once, by one officer or by two, one counts.
func TestApprovedOnceInARace(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		bob, cai := c.proof(r, c.bob), c.proof(r, c.cai)
		services := []*approval.Service{c.service, c.replica()}
		var wg sync.WaitGroup
		var mu sync.Mutex
		deciders, refused := map[string]bool{}, 0
		for i := range 8 {
			wg.Go(func() {
				who, proof := c.bob, bob
				if i%2 == 1 {
					who, proof = c.cai, cai
				}
				got, err := services[i/2%2].Approve(ctx, r.ID, who, proof)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					deciders[got.Decider] = true
				case fault.KindOf(err) == fault.Conflict || fault.KindOf(err) == fault.Denied:
					refused++
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		wg.Wait()
		if len(deciders) != 1 || refused < 4 {
			t.Errorf("deciders %v, %d refused", deciders, refused)
		}
		c.wantState(r.ID, approval.Done)
		c.wantEvents(r, "approval.request", "approval.approve", "approval.run.intent", "approval.run.outcome")
		if c.lamp.calls != 1 {
			t.Errorf("%d runs", c.lamp.calls)
		}
	})
}

func TestSituationChanged(t *testing.T) {
	for name, value := range map[string]string{"resolves otherwise": "blue", "does not resolve": "broken"} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, c *city) {
				ctx := t.Context()
				r := c.submit(c.ann, "red")
				proof := c.proof(r, c.bob)
				c.lamp.set("away")
				_, err := c.service.Approve(ctx, r.ID, c.bob, proof)
				wantKind(t, err, fault.Unavailable, "not known now")
				c.wantState(r.ID, approval.Open)
				c.lamp.set(value)
				if _, err := c.service.Statement(ctx, r.ID, c.bob); !errors.Is(err, approval.ErrChanged) {
					t.Errorf("statement: %v", err)
				}
				c.wantState(r.ID, approval.Open)
				if _, err := c.service.Approve(ctx, r.ID, c.bob, proof); !errors.Is(err, approval.ErrChanged) || fault.KindOf(err) != fault.Conflict {
					t.Errorf("approve: %v", err)
				}
				c.lamp.set("green") // too late
				_, err = c.service.Approve(ctx, r.ID, c.bob, proof)
				wantKind(t, err, fault.Conflict, "failed for good")
				c.wantState(r.ID, approval.Failed)
				c.wantEvents(r, "approval.request", "approval.run.outcome")
				if c.lamp.calls != 0 {
					t.Error("run")
				}
			})
		})
	}
}

func TestStatementIsStable(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		one, err := c.service.Statement(ctx, r.ID, c.bob)
		check(t, err)
		c.clock.add(time.Hour)
		two, err := c.replica().Statement(ctx, r.ID, c.bob)
		check(t, err)
		other, err := c.service.Statement(ctx, r.ID, c.cai)
		check(t, err)
		if !bytes.Equal(one, two) || bytes.Equal(one, other) {
			t.Error("not one statement for each approver")
		}
		o, err := c.service.BeginApproval(ctx, r.ID, c.bob)
		check(t, err)
		challenge := approval.Challenge(one)
		if !bytes.Equal(o.Challenge, challenge[:]) || o.RPID != rpID || len(o.Allow) != 1 || !bytes.Equal(o.Allow[0], c.passkeys[c.bob].ID) {
			t.Errorf("options %+v", o)
		}
	})
}

// Whoever is removed while they approve has not approved.
func TestRemovedMeanwhile(t *testing.T) {
	for _, removed := range []string{"approver", "requester", "passkey"} {
		t.Run(removed, func(t *testing.T) {
			each(t, func(t *testing.T, c *city) {
				ctx := t.Context()
				dan, eve := c.addOfficer(), c.addOfficer()
				meanwhile := func() {}
				op := c.lamp.operation()
				inner := op.Check
				op.Kind = "lamp.dim"
				op.Check = func(ctx context.Context, p jsontext.Value) (jsontext.Value, []approval.Line, error) {
					meanwhile()
					return inner(ctx, p)
				}
				c.service = c.replica(op)
				spec := c.spec(eve, "red")
				spec.Kind = "lamp.dim"
				r := c.ask(spec)
				proof := c.proof(r, dan)
				meanwhile = func() { // after the proof was looked at
					meanwhile = func() {}
					switch removed {
					case "passkey":
						officers, err := c.service.Officers(ctx)
						check(t, err)
						for _, o := range officers {
							if o.Person == dan {
								check(t, c.service.RemoveCredential(ctx, dan, o.Credentials[0].ID))
							}
						}
					case "approver":
						c.do(approval.KindRemove, approval.OfficerParams{Person: dan}, c.ann, c.bob)
					case "requester":
						c.do(approval.KindRemove, approval.OfficerParams{Person: eve}, c.ann, c.bob)
					}
				}
				_, err := c.service.Approve(ctx, r.ID, dan, proof)
				if kind := fault.KindOf(err); kind != fault.Denied && kind != fault.Conflict {
					t.Errorf("got %v", err)
				}
				c.wantState(r.ID, approval.Open)
				if c.lamp.calls != 0 {
					t.Error("run")
				}
			})
		})
	}
}
