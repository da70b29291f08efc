package desk_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// draftOf is a form on its way to a claim.
func draftOf(cl licenses.Claim, key string) licenses.Draft {
	d := licenses.Draft{ID: key, Type: cl.Type, Agency: cl.Agency, Values: map[string]string{}}
	for name, v := range cl.Data {
		d.Values[name], _ = v.(string)
	}
	return d
}

// keep saves a draft that is kept.
func (c *city) keep(by licenses.Applicant, d licenses.Draft) {
	c.t.Helper()
	if application, err := c.SaveDraft(c.t.Context(), by, d); application != "" || err != nil {
		c.t.Fatalf("saving led to %q, %v", application, err)
	}
}

// TestAnApplicantsDraft is one from the first save to the application.
func TestAnApplicantsDraft(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by, claim := c.holder("lin"), teaching()
		half := draftOf(claim, claim.Key)
		half.Agency, half.Values = "", map[string]string{"subject": "语", "granted": "昨天", "holder": "1", "forged": "x", "kind": strings.Repeat("x", 4097)}
		before := c.logged()
		c.keep(by, half)
		got, err := c.FindDraft(t.Context(), by, claim.Key)
		must(t, err)
		want := licenses.Draft{ID: claim.Key, Type: "teacher", Values: map[string]string{"subject": "语", "granted": "昨天"}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(licenses.Draft{}, "Changed")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		c.keep(by, draftOf(claim, claim.Key))
		if got, err = c.FindDraft(t.Context(), by, claim.Key); err != nil || got.Agency != claim.Agency || got.Values["subject"] != "语文" {
			t.Errorf("saved again it is %+v, %v", got, err)
		}
		list, err := c.Drafts(t.Context(), by)
		must(t, err)
		if len(list) != 1 || list[0].ID != claim.Key || list[0].Type != "teacher" || list[0].Values != nil || time.Since(list[0].Changed).Abs() > time.Minute {
			t.Errorf("listed: %+v", list)
		}
		if n := c.logged(); n != before {
			t.Errorf("%d events were written for a draft", n-before)
		}
		id := c.sendIn(by, claim)
		wantDrafts(t, c)
		if got, err := c.FindDraft(t.Context(), by, claim.Key); err != nil || got.Application != id || got.Values != nil {
			t.Errorf("sent in it is %+v, %v", got, err)
		}
		if to, err := c.SaveDraft(t.Context(), by, half); to != id || err != nil {
			t.Errorf("saved too late: %q, %v, want %s", to, err, id)
		}
		wantKind(t, c.DropDraft(t.Context(), by, claim.Key), fault.NotFound)
		wantDrafts(t, c)
	})
}

// TestAnApplicantsDraftIsTheirOwn: also among those who act for one firm.
func TestAnApplicantsDraftIsTheirOwn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.delegate("an")
		claim := feeding()
		key := claim.Key
		c.keep(c.firm("lin"), draftOf(claim, key))
		for name, by := range map[string]licenses.Applicant{"another delegate": c.firm("an"), "themselves": c.holder("lin"), "somebody": c.holder("an")} {
			if _, err := c.FindDraft(t.Context(), by, key); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s: found, %v", name, err)
			}
			wantKind(t, c.DropDraft(t.Context(), by, key), fault.NotFound)
			if list, err := c.Drafts(t.Context(), by); len(list) != 0 || err != nil {
				t.Errorf("%s: listed %v, %v", name, list, err)
			}
		}
		// The other delegate's form under the same key is theirs, and ends only theirs.
		c.keep(c.firm("an"), draftOf(claim, key))
		c.sendIn(c.firm("an"), claim)
		wantDrafts(t, c, "lin "+key)
		must(t, c.reg.Withdraw(t.Context(), "ceremony", firmCode, c.ids["an"]))
		by := c.firm("an")
		_, err := c.SaveDraft(t.Context(), by, draftOf(claim, db.NewID()))
		wantKind(t, err, fault.Denied)
		_, err = c.FindDraft(t.Context(), by, key)
		wantKind(t, err, fault.Denied)
		_, err = c.Drafts(t.Context(), by)
		wantKind(t, err, fault.Denied)
		wantKind(t, c.DropDraft(t.Context(), by, key), fault.Denied)
		must(t, c.DropDraft(t.Context(), c.firm("lin"), key))
		wantDrafts(t, c)
	})
}

// TestApplicantsDraftsThatAreNotKept: what could never be sent in is not kept either.
func TestApplicantsDraftsThatAreNotKept(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, tc := range []struct {
			name   string
			by     licenses.Applicant
			change func(*licenses.Draft)
			want   fault.Kind
		}{
			{"no key", c.holder("lin"), func(d *licenses.Draft) { d.ID = "" }, fault.Invalid},
			{"a key that is not ours", c.holder("lin"), func(d *licenses.Draft) { d.ID = "\x00" }, fault.Invalid},
			{"no such type", c.holder("lin"), func(d *licenses.Draft) { d.Type = "no-such" }, fault.NotFound},
			{"a firm's type", c.holder("lin"), func(d *licenses.Draft) { d.Type = "food-business" }, fault.NotFound},
			{"a type that nobody applies for", c.holder("lin"), func(d *licenses.Draft) { d.Type = "doctor-practice" }, fault.NotFound},
			{"a firm of others", c.firm("mu"), func(d *licenses.Draft) { d.Type = "food-business" }, fault.Denied},
			{"for somebody else", licenses.Applicant{Person: c.ids["mu"], Kind: licenses.HolderPerson, Holder: c.ids["lin"]}, func(*licenses.Draft) {}, fault.Denied},
		} {
			draft := draftOf(teaching(), db.NewID())
			tc.change(&draft)
			if application, err := c.SaveDraft(t.Context(), tc.by, draft); application != "" || fault.KindOf(err) != tc.want {
				t.Errorf("%s: %q, %v, want kind %v", tc.name, application, err, tc.want)
			}
		}
		wantDrafts(t, c)
	})
}

// TestTenDraftsOfAnApplicant are counted for each holder, also where one moves.
func TestTenDraftsOfAnApplicant(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		firm, own := c.firm("lin"), c.holder("lin")
		var keys []string
		for range 10 {
			claim := feeding()
			keys = append(keys, claim.Key)
			c.keep(firm, draftOf(claim, claim.Key))
		}
		eleventh := feeding()
		_, err := c.SaveDraft(t.Context(), firm, draftOf(eleventh, eleventh.Key))
		wantKind(t, err, fault.Conflict)
		if n := len(c.drafts()); n != 10 {
			t.Errorf("%d drafts", n)
		}
		c.keep(firm, draftOf(feeding(), keys[3]))
		mine := teaching()
		c.keep(own, draftOf(mine, mine.Key))
		// Under the key of their own draft it would be the firm's eleventh.
		_, err = c.SaveDraft(t.Context(), firm, draftOf(feeding(), mine.Key))
		wantKind(t, err, fault.Conflict)
		if got, err := c.FindDraft(t.Context(), own, mine.Key); err != nil || got.Type != "teacher" {
			t.Errorf("their own is %+v, %v", got, err)
		}
		must(t, c.DropDraft(t.Context(), firm, keys[0]))
		c.keep(firm, draftOf(feeding(), mine.Key))
		if _, err := c.FindDraft(t.Context(), own, mine.Key); fault.KindOf(err) != fault.NotFound {
			t.Errorf("it is in two lists: %v", err)
		}
		claim := feeding()
		claim.Key = keys[1]
		c.sendIn(firm, claim)
		c.keep(firm, draftOf(eleventh, eleventh.Key))
	})
}
