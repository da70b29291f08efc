package wallet_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

var errNoDraft = fault.New(fault.NotFound, "no such draft")

func (f *counter) SaveDraft(_ context.Context, by licenses.Applicant, d licenses.Draft) (string, error) {
	f.by = by
	if f.err != nil {
		return "", f.err
	}
	if was := f.drafts[d.ID]; was.Application != "" {
		return was.Application, nil
	}
	if f.drafts == nil {
		f.drafts = map[string]licenses.Draft{}
	}
	f.drafts[d.ID] = d
	return "", nil
}

func (f *counter) FindDraft(_ context.Context, by licenses.Applicant, id string) (licenses.Draft, error) {
	f.by = by
	d, ok := f.drafts[id]
	if !ok {
		return d, errNoDraft
	}
	return d, f.err
}

func (f *counter) Drafts(_ context.Context, by licenses.Applicant) (list []licenses.Draft, err error) {
	f.by = by
	for _, d := range f.drafts {
		list = append(list, licenses.Draft{ID: d.ID, Type: d.Type, Changed: time.Unix(1700000000, 0)})
	}
	return list, f.err
}

func (f *counter) DropDraft(_ context.Context, by licenses.Applicant, id string) error {
	f.by = by
	if _, ok := f.drafts[id]; !ok {
		return errNoDraft
	}
	f.dropped = append(f.dropped, id)
	delete(f.drafts, id)
	return f.err
}

// TestAFormIsKept: half a form goes to the desk as it was typed, is found in the list,
// gone on with, and thrown away.
func TestAFormIsKept(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine := as(c.lin, "")
		half := url.Values{"key": {"k1"}, "submit": {"save"}, "agency": {"b-teacher"}, "subject": {" 语 "}, "granted": {"昨天"}, "holder": {c.zhou.Number}, "forged": {"x"}}
		_, header := c.send(mine, claimAt, half, http.StatusSeeOther)
		if to := header.Get("Location"); to != claimAt+"?done=save&draft=k1" {
			t.Errorf("led to %s", to)
		}
		want := licenses.Draft{ID: "k1", Type: "teacher", Agency: "b-teacher", Values: map[string]string{"kind": "", "subject": "语", "granted": "昨天"}}
		if diff := cmp.Diff(map[string]licenses.Draft{"k1": want}, c.desk.drafts); diff != "" {
			t.Error(diff)
		}
		if by := (licenses.Applicant{Person: c.lin.ID, Kind: licenses.HolderPerson, Holder: c.lin.ID}); c.desk.by != by {
			t.Errorf("kept for %+v", c.desk.by)
		}
		if len(c.desk.claims) != 0 {
			t.Errorf("it was sent in: %+v", c.desk.claims)
		}
		page, _ := c.get(mine, "zh", claimAt+"?done=save&draft=k1", 200)
		wantText(t, page, []string{"草稿已保存", `name="key" value="k1"`, `value="语"`, `value="昨天"`, `value="b-teacher" checked`}, []string{`class="problem`, `value="a-teacher" checked`})
		page, _ = c.get(mine, "en", claimAt+"?draft=k1", 200)
		wantText(t, page, []string{"A draft, last saved"}, []string{"Saved as a draft:"})
		page, _ = c.get(mine, "en", "/wallet/apply", 200)
		wantText(t, page, []string{"My drafts", "Go on", claimAt + "?draft=k1", "15 November 2023, 06:13"}, nil)
		c.send(mine, "/wallet/apply/drafts", url.Values{"draft": {"k1"}}, http.StatusBadRequest)
		c.send(mine, "/wallet/apply/drafts", url.Values{"draft": {"k2"}, "drop": {"1"}}, http.StatusNotFound)
		_, header = c.send(mine, "/wallet/apply/drafts", url.Values{"draft": {"k1"}, "drop": {"1"}}, http.StatusSeeOther)
		if to := header.Get("Location"); to != "/wallet/apply" || len(c.desk.drafts) != 0 {
			t.Errorf("led to %s, left %v", to, c.desk.drafts)
		}
		c.get(mine, "zh", claimAt+"?draft=k1", http.StatusNotFound)
		page, _ = c.get(mine, "zh", "/wallet/apply", 200)
		wantText(t, page, nil, []string{"草稿"})
	})
}

// TestFormsThatAreNotKept: what the desk refuses is shown with all that was typed, and
// what the wallet refuses does not reach the desk.
func TestFormsThatAreNotKept(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine := as(c.lin, "")
		save := func(pairs ...string) url.Values {
			v := claimForm("submit", "save")
			for i := 0; i < len(pairs); i += 2 {
				v.Set(pairs[i], pairs[i+1])
			}
			return v
		}
		c.send(mine, "/wallet/apply/new/food-business", save(), http.StatusNotFound)   // a firm's
		c.send(mine, "/wallet/apply/new/doctor-practice", save(), http.StatusNotFound) // nobody's
		c.send(mine, claimAt, save("subject", strings.Repeat("x", 64<<10)), http.StatusRequestEntityTooLarge)
		both := save()
		both.Add("submit", "1") // no button sends it
		c.send(mine, claimAt, both, http.StatusSeeOther)
		if len(c.desk.drafts) != 0 || len(c.desk.claims) != 1 {
			t.Errorf("kept %v, sent %v", c.desk.drafts, c.desk.claims)
		}
		c.desk.err = web.Refuse(fault.Conflict, web.Text{ZH: "已有十份", EN: "There are ten"})
		page, _ := c.send(mine, claimAt, save(), http.StatusBadRequest)
		wantText(t, page, []string{"已有十份", `value="语文"`, `name="key" value="k"`}, []string{"草稿已保存"})
		c.desk.err = web.Refuse(fault.Invalid, web.Text{ZH: "旧表单", EN: "Old form"})
		page, _ = c.send(mine, claimAt, save(), http.StatusBadRequest)
		wantText(t, page, []string{"表单已失效，请核对后重新保存", `value="语文"`}, []string{`name="key" value="k"`})
		c.desk.err = web.Refuse(fault.Denied, web.Text{ZH: "不行", EN: "No"})
		c.send(mine, claimAt, save(), http.StatusForbidden)
		c.desk.err = nil
		// An agency that does not issue it is not kept, and no agency is fine.
		c.send(mine, claimAt, save("agency", "forged"), http.StatusSeeOther)
		if got := c.desk.drafts["k"]; got.Agency != "" {
			t.Errorf("kept agency %q", got.Agency)
		}
		// Too long, or not to be seen: said, and the rest is kept.
		page, _ = c.send(mine, claimAt, save("subject", strings.Repeat("语", 1366), "kind", "小学\u202e"), http.StatusOK)
		wantText(t, page, []string{"草稿已保存", "未能照原样保存", "内容过长", "含有不可见字符", `value="2026-06-30"`}, []string{"语语"})
		if got := c.desk.drafts["k"]; got.Values["granted"] != "2026-06-30" || got.Values["subject"] != "" {
			t.Errorf("kept %+v", got)
		}
		// Another type's address does not draw it.
		c.get(mine, "zh", "/wallet/apply/new/taxi-driver?draft=k", http.StatusNotFound)
		c.get(as(c.lin, firmCode), "zh", claimAt+"?draft=k", http.StatusNotFound)
		for _, id := range []string{"", "x", "%00"} {
			c.get(mine, "zh", claimAt+"?draft="+id, http.StatusNotFound)
		}
	})
}

// TestAKeptFormWasSent: address and button of a draft lead to what it has become.
func TestAKeptFormWasSent(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	mine := as(c.lin, "")
	c.desk.drafts = map[string]licenses.Draft{"k": {ID: "k", Application: "sent"}}
	_, header := c.get(mine, "zh", claimAt+"?draft=k", http.StatusSeeOther)
	if to := header.Get("Location"); to != "/wallet/apply/sent/sent" {
		t.Errorf("its address led to %s", to)
	}
	_, header = c.send(mine, claimAt, claimForm("submit", "save"), http.StatusSeeOther)
	if to := header.Get("Location"); to != "/wallet/apply/sent/sent" {
		t.Errorf("its button led to %s", to)
	}
	// A type that is offered no more can only be thrown away.
	c.desk.drafts = map[string]licenses.Draft{"d": {ID: "d", Type: "doctor-practice"}, "n": {ID: "n", Type: "no-such"}}
	page, _ := c.get(mine, "en", "/wallet/apply", 200)
	wantText(t, page, []string{"It cannot be applied for here any more", "no-such", `name="draft" value="d"`}, []string{"?draft="})
	// Whoever lost the firm's delegation is shown nothing of it.
	must := as(c.zhou, firmCode)
	c.get(must, "zh", "/wallet/apply/new/food-business?draft=k", http.StatusForbidden)
	c.send(must, "/wallet/apply/drafts", url.Values{"draft": {"d"}, "drop": {"1"}}, http.StatusForbidden)
	if len(c.desk.dropped) != 0 {
		t.Errorf("dropped %v", c.desk.dropped)
	}
}
