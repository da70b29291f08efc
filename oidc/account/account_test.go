package account_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/account"
	"github.com/signet-city/signet/oidc/login"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var at = time.Date(2026, 3, 1, 1, 30, 0, 0, time.UTC)

// office stands for oidc/login and the provider: it notes what the pages ask of them.
type office struct {
	did  []string
	fail error
}

func (o *office) Sessions(_ context.Context, person string) ([]login.Session, error) {
	o.did = append(o.did, "sessions "+person)
	return []login.Session{{ID: "s2", AuthTime: at, Seen: at, Browser: "Firefox, Windows", Network: "203.0.113.0/24"}, {ID: "s1", AuthTime: at, Seen: at}}, o.fail
}

func (o *office) EndSession(_ context.Context, person, session string) error {
	o.did = append(o.did, "end "+person+" "+session)
	return o.fail
}

func (o *office) SignOutAll(_ context.Context, id *web.Identity) error {
	o.did = append(o.did, "end all "+id.Person+" "+id.Session)
	return o.fail
}

func (o *office) History(_ context.Context, person, session string) ([]login.Entry, error) {
	o.did = append(o.did, "history "+person+" "+session)
	return entries, o.fail
}

func (o *office) List(_ context.Context, person string) ([]account.Site, error) {
	o.did = append(o.did, "sites "+person)
	return []account.Site{site}, o.fail
}

func (o *office) Withdraw(_ context.Context, person, client string) error {
	o.did = append(o.did, "withdraw "+person+" "+client)
	return o.fail
}

var (
	site = account.Site{Client: "permits", Name: "食品经营许可网上办理", Agency: web.Text{ZH: "东湖区市场监督管理局", EN: "Donghu Market Regulation"},
		Learns: []web.Text{{ZH: "您的姓名", EN: "Your name"}, {ZH: "您代表的企业", EN: "The firm that you act for"}}, Since: at}
	entries = []login.Entry{{ID: "e3", At: at, Kind: login.PasskeyAdded, Browser: "Firefox, Windows", Network: "203.0.113.0/24", Here: true},
		{ID: "e2", At: at, Kind: login.Disabled}, {ID: "e1", At: at, Kind: "something new"}}
)

type fixture struct {
	office *office
	mux    http.Handler
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{office: &office{}}
	s, err := web.NewSite(web.SiteOptions{Logger: testkit.Logger(t), Identify: func(r *http.Request) (*web.Identity, error) {
		if who := r.Header.Get("Who"); who != "" {
			return &web.Identity{Person: who, Session: "s1", Name: "王小明"}, nil
		}
		return nil, nil
	}})
	check(t, err)
	service, err := account.New(account.Options{Site: s, Logins: f.office, Consents: f.office})
	check(t, err)
	mux := http.NewServeMux()
	service.Mount(mux)
	f.mux = web.Protect(mux, 1<<20, nil)
	return f
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (f *fixture) do(method, target, who, from string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, strings.NewReader(url.Values{"x": {"y"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", from)
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Who", who)
	w := httptest.NewRecorder()
	f.mux.ServeHTTP(w, r)
	return w
}

// every is every address, with what it asks of whom and where it leads.
var every = []struct{ target, asks, leads, says string }{
	{"GET /account/sessions", "sessions wang", "", "Firefox, Windows"},
	{"POST /account/sessions/s2/end", "end wang s2", "/account/sessions?done=ended", ""},
	{"POST /account/sessions/end", "end all wang s1", "/logout", ""},
	{"GET /account/sites", "sites wang", "", "Donghu Market Regulation"},
	{"GET /account/sites/permits/withdraw", "sites wang", "", "Do you want to withdraw"},
	{"GET /account/sites/gone/withdraw", "sites wang", "/account/sites", ""},
	{"POST /account/sites/permits/withdraw", "withdraw wang permits", "/account/sites?done=withdrawn", ""},
	{"GET /account/history", "history wang s1", "", "A passkey was added (this sign-in)"},
}

// TestPeople: everything is about the person at the browser, nobody else gets
// anywhere, and no other site's form does.
func TestPeople(t *testing.T) {
	for _, k := range every {
		t.Run(k.target, func(t *testing.T) {
			f := newFixture(t)
			method, target, _ := strings.Cut(k.target, " ")
			w := f.do(method, target, "wang", "same-origin")
			status := 200
			if k.leads != "" {
				status = 303
			}
			if w.Code != status || w.Header().Get("Location") != k.leads || !strings.Contains(w.Body.String(), k.says) {
				t.Errorf("status %d to %q: %s", w.Code, w.Header().Get("Location"), w.Body)
			}
			if diff := cmp.Diff([]string{k.asks}, f.office.did); diff != "" {
				t.Error(diff)
			}
			f.office.did = nil
			if w := f.do(method, target, "", "same-origin"); w.Code != 303 || !strings.HasPrefix(w.Header().Get("Location"), "/login?next=") || f.office.did != nil {
				t.Errorf("nobody: status %d, did %v", w.Code, f.office.did)
			}
			if w := f.do(method, target, "wang", "cross-site"); method == "POST" && (w.Code != 403 || f.office.did != nil) {
				t.Errorf("another site: status %d, did %v", w.Code, f.office.did)
			}
			f.office.fail = errors.New("away: secret detail")
			if w := f.do(method, target, "wang", "same-origin"); w.Code != 500 || strings.Contains(w.Body.String(), "secret detail") {
				t.Errorf("failing: status %d: %s", w.Code, w.Body)
			}
		})
	}
	f := newFixture(t)
	f.office.fail = fault.New(fault.Invalid, "this is no client")
	if w := f.do("POST", "/account/sites/~/withdraw", "wang", "same-origin"); w.Code != 400 {
		t.Errorf("status %d", w.Code)
	}
}

func TestNewRefuses(t *testing.T) {
	s, err := web.NewSite(web.SiteOptions{})
	check(t, err)
	for name, o := range map[string]account.Options{"nothing": {}, "no logins": {Site: s, Consents: &office{}}, "no consents": {Site: s, Logins: &office{}},
		"no site": {Logins: &office{}, Consents: &office{}}} {
		if _, err := account.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestPages draws every page in every state and looks at it in a browser.
func TestPages(t *testing.T) {
	s, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城市政务信任服务", EN: "Jiangcheng Trust Services"}})
	check(t, err)
	pages, fixtures, err := account.Fixtures(s, site, entries)
	check(t, err)
	testkit.CheckPages(t, s, pages, fixtures)
}
