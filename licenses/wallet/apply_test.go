package wallet_test

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/attachment"
)

// counter stands for the desk: it remembers what reached it.
type counter struct {
	file    licenses.File // that was attached last
	by      licenses.Applicant
	claims  []licenses.Claim
	applied []licenses.Applied
	said    []string // id and text of answers
	taken   []string // ids that were withdrawn
	drafts  map[string]licenses.Draft
	dropped []string
	err     error
}

func (f *counter) Offices(_ context.Context, licenseType string) ([]registry.Agency, error) {
	return []registry.Agency{{ID: "a-" + licenseType, NameZH: "甲局", NameEN: "First"}, {ID: "b-" + licenseType, NameZH: "乙局", NameEN: "Second"}}, nil
}

func (f *counter) Apply(_ context.Context, by licenses.Applicant, c licenses.Claim) (string, []licenses.Problem, error) {
	f.by = by
	f.claims = append(f.claims, c)
	if c.Data["subject"] == nil && c.Type == "teacher" {
		return "", []licenses.Problem{{Path: "/data/subject", Text: web.Text{ZH: "为必填项", EN: "is missing"}}}, f.err
	}
	if c.Wrong {
		return "", nil, f.err
	}
	return "new", nil, f.err
}

func (f *counter) AppliedFor(_ context.Context, by licenses.Applicant) ([]licenses.Applied, error) {
	f.by = by
	return f.applied, f.err
}

func (f *counter) Applied(_ context.Context, by licenses.Applicant, id string) (licenses.Applied, error) {
	f.by = by
	for _, a := range f.applied {
		if a.ID == id {
			return a, nil
		}
	}
	return licenses.Applied{}, fault.New(fault.NotFound, "no such application")
}

func (f *counter) Answer(_ context.Context, by licenses.Applicant, id, key, text string) error {
	f.by = by
	if text == "" {
		return web.Refuse(fault.Invalid, web.Text{ZH: "请填写内容", EN: "Write something"})
	}
	if utf8.RuneCountInString(text) > 1000 {
		return web.Refuse(fault.Invalid, web.Text{ZH: "内容不得超过 1000 个字", EN: "At most 1,000 characters"})
	}
	f.said = append(f.said, id+" "+key+" "+text)
	return f.err
}

func (f *counter) Attach(_ context.Context, by licenses.Applicant, id string, file licenses.File) error {
	f.by, f.file = by, file
	f.taken = append(f.taken, id)
	return f.err
}

func (f *counter) Attachment(_ context.Context, by licenses.Applicant, id, file string) (licenses.Attached, error) {
	f.by = by
	if id != "x" || file != "1" {
		return licenses.Attached{}, fault.New(fault.NotFound, "no such attachment")
	}
	return licenses.Attached{ID: file, Slot: "degree", Kind: attachment.PDF, Size: 4, Body: []byte("%PDF")}, nil
}

func (f *counter) Withdraw(_ context.Context, by licenses.Applicant, id string) error {
	f.by = by
	f.taken = append(f.taken, id)
	return f.err
}

// send posts a form and wants that status.
func (c *city) send(id *web.Identity, path string, form url.Values, want int) (string, http.Header) {
	c.t.Helper()
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b, err := json.Marshal(id)
	c.must(err)
	r.Header.Set("Test-Identity", string(b))
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	if w.Code != want {
		c.t.Fatalf("POST %s: status %d, want %d: %s", path, w.Code, want, w.Body)
	}
	return w.Body.String(), w.Header()
}

const claimAt = "/wallet/apply/new/teacher"

func claimForm(pairs ...string) url.Values {
	v := url.Values{"key": {"k"}, "agency": {"a-teacher"}, "kind": {"小学教师资格"}, "subject": {" 语文 "}, "granted": {"2026年6月30日"}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

// TestApplyingForWhomOneActs: the holder is who is signed in, whatever is typed.
func TestApplyingForWhomOneActs(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine, ours := as(c.lin, ""), as(c.lin, firmCode)
		page, _ := c.get(mine, "en", "/wallet/apply", 200)
		wantText(t, page, []string{"Teacher qualification", "/wallet/apply/new/taxi-driver"}, []string{"food-business", "doctor-practice"})
		page, _ = c.get(ours, "zh", "/wallet/apply", 200)
		wantText(t, page, []string{"food-business", "public-venue-hygiene"}, []string{"teacher", "business-license\""})
		page, _ = c.get(mine, "zh", claimAt, 200)
		wantText(t, page, []string{"甲局", "乙局", `name="subject"`}, []string{`name="holder"`, `name="not_after"`})
		_, header := c.send(mine, claimAt, claimForm("holder", c.zhou.Number, "not_after", "2099-01-01"), http.StatusSeeOther)
		if to := header.Get("Location"); to != "/wallet/apply/sent/new" {
			t.Errorf("led to %s", to)
		}
		want := licenses.Claim{Type: "teacher", Agency: "a-teacher", Key: "k", Data: map[string]any{"kind": "小学教师资格", "subject": "语文", "granted": "2026-06-30"}}
		if diff := cmp.Diff([]licenses.Claim{want}, c.desk.claims); diff != "" {
			t.Error(diff)
		}
		if c.desk.by != (licenses.Applicant{Person: c.lin.ID, Kind: licenses.HolderPerson, Holder: c.lin.ID}) {
			t.Errorf("by %+v", c.desk.by)
		}
		c.send(ours, "/wallet/apply/new/food-business", url.Values{"key": {"k"}, "agency": {"b-food-business"}}, http.StatusSeeOther)
		if c.desk.by != (licenses.Applicant{Person: c.lin.ID, Kind: licenses.HolderFirm, Holder: firmCode}) {
			t.Errorf("by %+v", c.desk.by)
		}
	})
}

// TestSwitchedInBetween: a form that was opened for one holder is not sent in for another,
// for whom the session has come to act in the meantime.
func TestSwitchedInBetween(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, x := range []struct {
			at, firm, shown string
		}{{claimAt, "", "self"}, {"/wallet/apply/new/food-business", firmCode, firmCode}} {
			c.desk.by = licenses.Applicant{}
			who := as(c.lin, x.firm)
			page, _ := c.get(who, "zh", x.at, 200)
			wantText(t, page, []string{`name="wallet-for" value="` + x.shown + `"`}, nil)
			other := claimForm("wallet-for", "91990101MA1F001183") // as it stands in a form for that firm
			twice := claimForm("wallet-for", x.shown)
			twice.Add("wallet-for", "91990101MA1F001183")
			for _, form := range []url.Values{other, twice} {
				page, _ = c.send(who, x.at, form, http.StatusConflict)
				wantText(t, page, []string{"已切换"}, nil)
			}
			if c.desk.by.Person != "" {
				t.Fatalf("applied by %+v", c.desk.by)
			}
			c.send(who, x.at, claimForm("agency", "a-"+path.Base(x.at), "wallet-for", x.shown), http.StatusSeeOther)
		}
	})
}

// TestClaimsThatAreWrong: every error at once, and nothing of another's.
func TestClaimsThatAreWrong(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine := as(c.lin, "")
		page, _ := c.send(mine, claimAt, claimForm("agency", "none", "subject", "", "kind", "a\u202e"), 400)
		wantText(t, page, []string{"请选择发证机关", "为必填项", "含有不可见字符"}, nil)
		for name, form := range map[string]url.Values{"agency of another type": claimForm("agency", "a-food-business"), "no agency": claimForm("agency", ""),
			"two agencies": func() url.Values { v := claimForm(); v.Add("agency", "b-teacher"); return v }()} {
			c.desk.claims = nil
			c.send(mine, claimAt, form, 400)
			if len(c.desk.claims) != 1 || !c.desk.claims[0].Wrong {
				t.Errorf("%s: reached the desk as %+v", name, c.desk.claims)
			}
		}
		c.desk.claims = nil
		c.send(mine, "/wallet/apply/new/food-business", claimForm(), 404)
		c.send(mine, "/wallet/apply/new/doctor-practice", claimForm(), 404)
		c.send(as(c.lin, firmCode), claimAt, claimForm(), 404)
		c.send(as(c.zhou, firmCode), "/wallet/apply/new/food-business", claimForm(), 403) // does not act for it
		c.get(as(c.zhou, firmCode), "zh", "/wallet/apply", 403)
		c.get(mine, "zh", "/wallet/apply/sent/none", 404)
		c.send(mine, claimAt, claimForm("subject", string(bytes.Repeat([]byte("a"), 65<<10))), 413)
		if len(c.desk.claims) > 0 {
			t.Errorf("reached the desk: %+v", c.desk.claims)
		}
		c.get(nil, "zh", "/wallet/apply", http.StatusSeeOther)
	})
}

// TestAnsweringAndWithdrawing goes by the button that was pressed: exactly one.
func TestAnsweringAndWithdrawing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine := as(c.lin, "")
		c.desk.applied = []licenses.Applied{{ID: "x", Type: "teacher", Agency: "jiangcheng-edu", State: "submitted", Asked: true, Created: c.now,
			Messages: []licenses.Message{{Text: "为什么<b>", At: c.now}}}, {ID: "y", Type: "teacher", Agency: "gone", State: "second", Created: c.now}}
		page, _ := c.get(mine, "en", "/wallet/apply", 200)
		wantText(t, page, []string{"Please answer", "/wallet/apply/sent/x", "Jiangcheng Education Bureau"}, nil)
		page, _ = c.get(mine, "zh", "/wallet/apply/sent/x", 200)
		wantText(t, page, []string{"为什么&lt;b&gt;", `name="answer"`, `name="withdraw"`}, nil)
		page, _ = c.get(mine, "zh", "/wallet/apply/sent/y", 200)
		wantText(t, page, []string{"待审核"}, []string{`name="answer"`, `name="withdraw"`})
		at := "/wallet/apply/sent/x"
		c.send(mine, at, url.Values{"answer": {"1"}, "key": {"k"}, "message": {"因为"}}, http.StatusSeeOther)
		page, _ = c.send(mine, at, url.Values{"answer": {"1"}, "key": {"k"}, "message": {""}}, 400)
		wantText(t, page, []string{"请填写内容", `name="answer"`}, nil)
		page, _ = c.send(mine, at, url.Values{"answer": {"1"}, "key": {"k"}, "message": {"很长的\u202e答复" + strings.Repeat("长", 1000)}}, 400)
		wantText(t, page, []string{"不得超过 1000 个字", "很长的答复长长"}, nil) // and nobody types it once more
		c.send(mine, at, url.Values{"answer": {"1"}, "withdraw": {"1"}}, 400)
		c.send(mine, at, url.Values{}, 400)
		if len(c.desk.taken) > 0 {
			t.Error("withdrawn by mistake")
		}
		c.send(mine, at, url.Values{"withdraw": {"1"}}, http.StatusSeeOther)
		if diff := cmp.Diff([][]string{{"x k 因为"}, {"x"}}, [][]string{c.desk.said, c.desk.taken}); diff != "" {
			t.Error(diff)
		}
		c.desk.err = web.Refuse(fault.Conflict, web.Text{ZH: "该申请已经处理", EN: "It has been dealt with"})
		page, _ = c.send(mine, at, url.Values{"withdraw": {"1"}}, 409)
		wantText(t, page, []string{"该申请已经处理"}, nil)
	})
}

// TestAttaching sends files in, and gets them back as nothing that runs.
func TestAttaching(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mine := as(c.lin, "")
		c.desk.applied = []licenses.Applied{{ID: "x", Type: "taxi-driver", Agency: "jiangcheng-edu", State: "submitted", Created: c.now,
			Attached: []licenses.Attached{{ID: "1", Slot: "driving-licence", Kind: attachment.PDF, Size: 2049, At: c.now}}},
			{ID: "y", Type: "taxi-driver", Agency: "jiangcheng-edu", State: "issued", Created: c.now}}
		page, _ := c.get(mine, "en", "/wallet/apply/sent/x", 200)
		wantText(t, page, []string{"The agency needs these", "Recent photograph", "/wallet/apply/sent/x/attachments/1", "3 kB", `enctype="multipart/form-data"`}, nil)
		page, _ = c.get(mine, "zh", "/wallet/apply/sent/y", 200)
		wantText(t, page, nil, []string{"multipart", "上传"})
		const at = "/wallet/apply/sent/x/attachments"
		c.upload(mine, at, map[string]string{"key": "k", "slot": "photo"}, []string{"a picture"}, 303)
		if f := c.desk.file; f.Key != "k" || f.Slot != "photo" || string(f.Body) != "a picture" || c.desk.by.Person != c.lin.ID {
			t.Errorf("%+v of %+v", f, c.desk.by)
		}
		page = c.upload(mine, at, map[string]string{"key": "k", "slot": "photo"}, []string{"a", "b"}, 400)
		wantText(t, page, []string{"一次选择一个文件"}, nil)
		c.desk.err = web.Refuse(fault.Invalid, web.Text{ZH: "只接受", EN: "Only"})
		page = c.upload(mine, at, nil, nil, 400)
		wantText(t, page, []string{"只接受", "驾驶证"}, nil)
		if len(c.desk.file.Body) != 0 {
			t.Error("no file has bytes")
		}
		c.desk.err = nil
		c.upload(mine, at, nil, []string{strings.Repeat("x", attachment.MaxSize+1)}, 303) // the desk says that it is too large
		if len(c.desk.file.Body) != attachment.MaxSize+1 {
			t.Errorf("%d bytes of a file that is too large", len(c.desk.file.Body))
		}
		c.upload(mine, at, nil, []string{strings.Repeat("x", attachment.MaxSize+128<<10)}, 413)
		c.upload(nil, at, nil, []string{"x"}, 303) // to the sign-in
		body, header := c.get(mine, "zh", at+"/1", 200)
		if body != "%PDF" || header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(header.Get("Content-Disposition"), "attachment;") ||
			header.Get("Content-Security-Policy") != "sandbox; default-src 'none'" || header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q %v", body, header)
		}
		c.get(mine, "zh", at+"/2", 404)
	})
}

// upload posts a form with files and wants that status.
func (c *city) upload(id *web.Identity, path string, fields map[string]string, files []string, want int) string {
	c.t.Helper()
	var b bytes.Buffer
	m := multipart.NewWriter(&b)
	for name, v := range fields {
		c.must(m.WriteField(name, v))
	}
	for _, f := range files {
		w, err := m.CreateFormFile("file", "../x.exe")
		c.must(err)
		_, err = w.Write([]byte(f))
		c.must(err)
	}
	c.must(m.Close())
	r := httptest.NewRequest("POST", path, &b)
	r.Header.Set("Content-Type", m.FormDataContentType())
	if id != nil {
		j, err := json.Marshal(id)
		c.must(err)
		r.Header.Set("Test-Identity", string(j))
	}
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	if w.Code != want {
		c.t.Fatalf("POST %s: status %d, want %d: %s", path, w.Code, want, w.Body)
	}
	return w.Body.String()
}
