package desk_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// half is a form that is far from right: it is kept all the same.
func half(key string, pairs ...string) url.Values {
	v := url.Values{"key": {key}, "submit": {"save"}, "holder": {"91990101"}, "trade_name": {"老灶"}, "seats": {"很多"}, "category": {""}, "not_after": {"2020-02-31"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// drafts returns the keys of all drafts there are, with their authors, in order.
func (c *city) drafts() (list []string) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(c.t.Context(), "SELECT person, id FROM license_drafts ORDER BY id")
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var person, id string
			if err := rows.Scan(&person, &id); err != nil {
				return err
			}
			list = append(list, c.who("person:"+person)+" "+id)
		}
		return rows.Err()
	}))
	return list
}

// logged is how many events there are.
func (c *city) logged() (n int) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) error {
		found, err := audit.Find(c.t.Context(), tx, audit.EventFilter{})
		n = len(found)
		return err
	}))
	return n
}

// save keeps a form as it is and returns the address of its draft.
func (c *city) save(who, form string, v url.Values) string {
	c.t.Helper()
	return c.post(who, form, v).to(c.t, form+"?")
}

func wantDrafts(t testing.TB, c *city, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, c.drafts()); diff != "" {
		t.Errorf("drafts (-want +got):\n%s", diff)
	}
}

// TestADraftIsGoneOnWith: a clerk saves half a form, finds it on the first page, goes on,
// and submits it.
func TestADraftIsGoneOnWith(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key, before := c.key("mu", foodForm), c.logged()
		at := c.save("mu", foodForm, half(key))
		if want := foodForm + "?done=save&draft=" + key; at != want {
			t.Errorf("led to %s, want %s", at, want)
		}
		page := c.get("mu", at)
		page.is(t, http.StatusOK)
		page.has(t, "草稿已保存")
		for _, want := range []string{`name="key" value="` + key, `value="91990101"`, `value="老灶"`, `value="很多"`, `value="2020-02-31"`} {
			if !strings.Contains(page.body, want) {
				t.Errorf("the form has no %s", want)
			}
		}
		if strings.Contains(page.body, `class="problem`) {
			t.Error("a draft is told what is wrong with it before it is submitted")
		}
		c.post("mu", foodForm, half(key, "submit", "1")).is(t, http.StatusBadRequest)
		c.save("mu", foodForm, half(key, "trade_name", "老灶火锅", "seats", ""))
		wantDrafts(t, c, "mu "+key)
		home := c.get("mu", "/desk")
		home.has(t, "我的草稿", "食品经营许可证 2", "继续填写")
		if n := strings.Count(home.body, key); n != 2 {
			t.Errorf("the first page names the draft %d times, want its address and its button", n)
		}
		page = c.get("mu", foodForm+"?draft="+key)
		page.has(t, "草稿，上次保存")
		if !strings.Contains(page.body, `value="老灶火锅"`) || strings.Contains(page.body, "很多") {
			t.Errorf("it is not as it was saved last:\n%s", page.body)
		}
		if n := c.logged(); n != before {
			t.Errorf("%d events were written for a draft", n-before)
		}
		to := c.post("mu", foodForm, food(key)).to(t, "/desk/applications/")
		path, _, _ := strings.Cut(to, "?")
		wantDrafts(t, c)
		if diff := cmp.Diff([]string{"license.application.submit mu"}, c.events("application:"+last(path))); diff != "" {
			t.Error(diff)
		}
		// What comes late is led to the application: the old address, and the old form.
		c.get("mu", foodForm+"?draft="+key).to(t, path)
		c.post("mu", foodForm, half(key)).to(t, path)
		wantDrafts(t, c)
		if home := c.get("mu", "/desk"); strings.Contains(home.text, "我的草稿") {
			t.Error("the first page still has drafts")
		}
	})
}

// TestADraftIsItsAuthors: nobody else finds it, at whatever desk.
func TestADraftIsItsAuthors(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := c.key("mu", foodForm)
		c.save("mu", foodForm, half(key))
		for _, who := range []string{"wan", "chen", "yun"} { // a colleague, another agency's clerk, one of two agencies
			form := foodForm + "?draft=" + key
			c.get(who, form).is(t, http.StatusNotFound)
			c.post(who, "/desk/drafts", url.Values{"draft": {key}, "drop": {"1"}}).is(t, http.StatusNotFound)
			if home := c.get(who, "/desk"); strings.Contains(home.body, key) || strings.Contains(home.text, "草稿") {
				t.Errorf("%s is shown the draft", who)
			}
		}
		wantDrafts(t, c, "mu "+key)
		// Another's key is a key like any other: each has a draft of their own.
		c.save("wan", foodForm, half(key, "trade_name", "别家"))
		if page := c.get("mu", foodForm+"?draft="+key); !strings.Contains(page.body, `value="老灶"`) {
			t.Errorf("somebody wrote into another's draft:\n%s", page.body)
		}
		c.post("wan", foodForm, food(key)).to(t, "/desk/applications/")
		wantDrafts(t, c, "mu "+key)
		c.get("mu", foodForm+"?draft="+key).is(t, http.StatusOK)
		// A citizen has none of it, and a clerk nothing of what they have begun as one.
		c.post("lin", foodForm, half(db.NewID())).is(t, http.StatusForbidden)
		mine := db.NewID()
		claim := teaching()
		_, err := c.SaveDraft(t.Context(), c.holder("an"), draftOf(claim, mine))
		must(t, err)
		c.get("an", "/desk/teacher/new?draft="+mine).is(t, http.StatusNotFound)
		c.post("an", "/desk/drafts", url.Values{"draft": {mine}, "drop": {"1"}}).is(t, http.StatusNotFound)
	})
}

// TestADraftIsAtOneDesk: a clerk of two agencies finds it where it was begun.
func TestADraftIsAtOneDesk(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		form := foodForm + "?agency=donghu-amr"
		key := c.key("yun", form)
		c.post("yun", form, half(key, "agency", "donghu-amr")).to(t, foodForm+"?agency=donghu-amr&done=save&draft="+key)
		c.get("yun", "/desk?agency=donghu-amr").has(t, "我的草稿")
		if home := c.get("yun", "/desk?agency=jiangcheng-edu"); strings.Contains(home.body, key) {
			t.Error("it is at the other desk too")
		}
		c.get("yun", foodForm+"?agency=jiangcheng-edu&draft="+key).has(t, "江城市东湖区市场监督管理局")
		c.get("yun", "/desk/teacher/new?draft="+key).is(t, http.StatusNotFound)
		drop := url.Values{"draft": {key}, "drop": {"1"}, "agency": {"jiangcheng-edu"}}
		c.post("yun", "/desk/drafts", drop).is(t, http.StatusNotFound)
		wantDrafts(t, c, "yun "+key)
		drop.Set("agency", "donghu-amr")
		c.post("yun", "/desk/drafts", drop).to(t, "/desk?agency=donghu-amr")
		wantDrafts(t, c)
		c.post("yun", "/desk/drafts", drop).is(t, http.StatusNotFound)
		c.get("yun", foodForm+"?draft="+key).is(t, http.StatusNotFound)
	})
}

// TestDraftsThatAreNotKept sends what is refused, and finds nothing written.
func TestDraftsThatAreNotKept(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		form := c.key("mu", foodForm)
		for _, tc := range []struct {
			name, who, at string
			form          url.Values
			status        int
		}{
			{"no key", "mu", foodForm, half(""), http.StatusBadRequest},
			{"a key that is not ours", "mu", foodForm, half("../../etc"), http.StatusBadRequest},
			{"a key with NUL", "mu", foodForm, half("\x00" + form), http.StatusBadRequest},
			{"a type that there is not", "mu", "/desk/no-such/new", half(form), http.StatusNotFound},
			{"a type for which the agency has no authority", "mu", "/desk/teacher/new", half(form), http.StatusForbidden},
			{"an agency where they do not work", "mu", foodForm, half(form, "agency", "xishan-amr"), http.StatusForbidden},
			{"nobody, who is led to sign in", "", foodForm, half(form), http.StatusSeeOther},
			{"longer than a form", "mu", foodForm, half(form, "trade_name", strings.Repeat("x", 64<<10)), http.StatusRequestEntityTooLarge},
			{"throwing away nothing", "mu", "/desk/drafts", url.Values{"drop": {"1"}}, http.StatusNotFound},
			{"throwing away NUL", "mu", "/desk/drafts", url.Values{"drop": {"1"}, "draft": {"\x00"}}, http.StatusNotFound},
			{"throwing away without the button", "mu", "/desk/drafts", url.Values{"draft": {form}}, http.StatusBadRequest},
		} {
			if got := c.post(tc.who, tc.at, tc.form); got.status != tc.status {
				t.Errorf("%s: status %d, want %d: %s", tc.name, got.status, tc.status, got.text)
			}
		}
		wantDrafts(t, c)
		for _, id := range []string{"", "x", "%00", form, strings.Repeat("0", 5000)} {
			c.get("mu", foodForm+"?draft="+id).is(t, http.StatusNotFound)
		}
		again := c.post("mu", foodForm, half("x"))
		again.has(t, "表单已失效")
		if !strings.Contains(again.body, `value="老灶"`) || strings.Contains(again.body, `name="key" value="x"`) {
			t.Errorf("a form with no key of ours is not drawn again with one:\n%s", again.body)
		}
	})
}

// TestWhatIsNotKeptIsSaid: a value that the form cannot hold is named, the others are
// kept.
func TestWhatIsNotKeptIsSaid(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := c.key("mu", foodForm)
		v := half(key, "premises", strings.Repeat("湖", 1366), "legal_representative", strings.Repeat("x", 4096), "supervisor", "周\u202e予安", "holder", strings.Repeat("\uFDFA", 1000))
		v["area_m2"] = []string{"1", "2"}
		page := c.post("mu", foodForm, v)
		page.is(t, http.StatusOK)
		page.has(t, "草稿已保存", "未能照原样保存", "经营场所内容过长", "统一社会信用代码内容过长", "含有不可见字符", "填写了多次")
		again := c.get("mu", foodForm+"?draft="+key)
		for _, want := range []string{`value="老灶"`, `value="` + strings.Repeat("x", 4096) + `"`, `value="周予安"`} {
			if !strings.Contains(again.body, want) {
				t.Errorf("not kept: %.40s", want)
			}
		}
		if strings.Contains(again.body, "湖湖") || strings.Contains(again.body, "صلى") {
			t.Error("what was too long is kept")
		}
		// An empty form is one too.
		empty := c.key("mu", foodForm)
		c.save("mu", foodForm, url.Values{"key": {empty}, "submit": {"save"}})
		wantDrafts(t, c, "mu "+key, "mu "+empty)
	})
}

// TestDraftsAreSealed: nothing that was typed stands in the table, and a body opens in
// no other row.
func TestDraftsAreSealed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := c.key("mu", foodForm)
		c.save("mu", foodForm, half(key, "trade_name", "plain-as-day", "holder", firmCode))
		c.save("wan", foodForm, half(key))
		var body []byte
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT body FROM license_drafts WHERE person = $1", c.ids["mu"]).Scan(&body)
		}))
		for _, plain := range []string{"plain-as-day", firmCode, "trade_name"} {
			if bytes.Contains(body, []byte(plain)) {
				t.Errorf("the table holds %s", plain)
			}
		}
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), "UPDATE license_drafts SET body = $1 WHERE person = $2", body, c.ids["wan"])
			return err
		}))
		if page := c.get("wan", foodForm+"?draft="+key); page.status != http.StatusInternalServerError || strings.Contains(page.body, "plain-as-day") {
			t.Errorf("another's body opens: status %d", page.status)
		}
	})
}

// TestFiftyDrafts: the fifty-first is refused with nothing lost from the page; the
// fifty can be saved again; one thrown away or submitted makes room.
func TestFiftyDrafts(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.now = c.clock()
		keys := make([]string, 50)
		for i := range keys {
			keys[i] = db.NewID()
			c.save("mu", foodForm, half(keys[i], "trade_name", fmt.Sprint("第", i)))
		}
		more := db.NewID()
		page := c.post("mu", foodForm, half(more))
		page.is(t, http.StatusBadRequest)
		page.has(t, "已有 50 份草稿")
		if !strings.Contains(page.body, `value="老灶"`) || !strings.Contains(page.body, more) {
			t.Error("the form is not drawn again as it was")
		}
		if n := len(c.drafts()); n != 50 {
			t.Errorf("%d drafts", n)
		}
		home := c.get("mu", "/desk")
		home.has(t, "更多草稿")
		for _, key := range keys {
			if !strings.Contains(home.body, "draft="+key) {
				t.Errorf("%s is not in the list", key)
			}
		}
		c.save("mu", foodForm, half(keys[7], "trade_name", "改过"))
		c.save("wan", foodForm, half(db.NewID())) // a colleague's are counted apart
		c.post("mu", "/desk/drafts", url.Values{"draft": {keys[0]}, "drop": {"1"}}).to(t, "/desk")
		c.save("mu", foodForm, half(more))
		c.post("mu", foodForm, half(db.NewID())).is(t, http.StatusBadRequest)
		c.post("mu", foodForm, food(keys[1])).to(t, "/desk/applications/")
		c.save("mu", foodForm, half(db.NewID()))
	})
}
