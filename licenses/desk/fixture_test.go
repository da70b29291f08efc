package desk_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"html"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/desk"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	firmCode = "91990101MA1F001175"
	firmName = "江城东湖老灶火锅餐饮有限公司"
	resident = "990101198503120117"
)

// people are those of the fixture, by the name that the cookie "who" bears, with
// the agencies at whose desks they work.
var people = map[string]struct {
	name, number string
	agencies     []string
}{
	"mu":   {"白沐阳", "99010119930811041X", []string{"donghu-amr"}},
	"wan":  {"宋晚晴", "990101198802170528", []string{"donghu-amr"}},
	"jing": {"罗景行", "990101197901130199", []string{"donghu-amr"}},
	"chen": {"江逸尘", "990102199406290617", []string{"xishan-amr"}},
	"yun":  {"谢云舒", "990101198705140829", []string{"jiangcheng-edu", "donghu-amr"}},
	"an":   {"钟离安", "990102199209300935", []string{"jiangcheng-edu"}},
	"lin":  {"林若川", resident, nil}, // a citizen
}

// city is a small city with a desk, served over HTTP.
type city struct {
	*desk.Service
	t        testing.TB
	db       *db.DB
	ring     *keys.Ring
	reg      *registry.Registry
	licenses *licenses.Service
	site     *web.Site
	metrics  *prometheus.Registry
	ids      map[string]string // of the people
	base     string
	now      time.Time // zero: the real one
	reviewer string    // who has that post too, where they are a clerk
}

func (c *city) clock() time.Time {
	if c.now.IsZero() {
		return time.Now()
	}
	return c.now
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	ctx := t.Context()
	kek, err := keys.NewKEK(filepath.Join(t.TempDir(), "kek"))
	must(t, err)
	c := &city{t: t, db: d, ids: map[string]string{}, metrics: prometheus.NewRegistry()}
	c.ring, err = keys.Open(ctx, keys.Options{DB: d, KEK: kek})
	must(t, err)
	for _, name := range []string{keys.SecretData, keys.SecretLookup, licenses.PermutationSecret} {
		must(t, c.ring.MakeSecret(ctx, name, "ceremony"))
	}
	c.reg, err = registry.New(registry.Options{DB: d, Sealer: c.ring})
	must(t, err)
	c.populate()
	types, err := licenses.ShippedTypes()
	must(t, err)
	c.licenses, err = licenses.New(ctx, licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: types, Orders: orders{}, Now: c.clock})
	must(t, err)
	c.site, err = web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Identify: c.identify, Logger: testkit.Logger(t)})
	must(t, err)
	c.Service, err = desk.New(desk.Options{DB: d, Licenses: c.licenses, Registry: c.reg, Sealer: c.ring, Site: c.site, Now: c.clock,
		Logger: testkit.Logger(t), Registerer: c.metrics})
	must(t, err)
	mux := http.NewServeMux()
	c.site.Mount(mux)
	c.Mount(mux)
	server := httptest.NewServer(web.Protect(mux, 8<<20, nil))
	t.Cleanup(server.Close)
	c.base = server.URL
	return c
}

func (c *city) populate() {
	ctx := c.t.Context()
	for who, p := range people {
		added, _, err := c.reg.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: p.number, Name: p.name})
		must(c.t, err)
		c.ids[who] = added.ID
	}
	_, err := c.reg.AddFirm(ctx, "ceremony", registry.Firm{USCC: firmCode, Name: firmName, LegalRep: c.ids["lin"]})
	must(c.t, err)
	for _, a := range []struct{ id, uscc, zh, en, area, level, licenseType string }{
		{"donghu-amr", "11990101MB0000027X", "江城市东湖区市场监督管理局", "Donghu Market Regulation", "990101", "district", "food-business"},
		{"xishan-amr", "11990102MB00000357", "江城市西山区市场监督管理局", "Xishan Market Regulation", "990102", "district", "food-business"},
		{"jiangcheng-edu", "11990100MB00000435", "江城市教育局", "Jiangcheng Education", "990100", "city", "teacher"},
	} {
		_, err := c.reg.AddAgency(ctx, "ceremony", registry.Agency{ID: a.id, USCC: a.uscc, NameZH: a.zh, NameEN: a.en,
			Level: registry.Level(a.level), Area: a.area, Issuer: "city"})
		must(c.t, err)
		_, err = c.reg.Authorize(ctx, "ceremony", registry.Authority{Agency: a.id, Type: a.licenseType, Area: a.area,
			From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(4, 0, 0).Truncate(time.Second)})
		must(c.t, err)
		if a.id != "xishan-amr" {
			c.newKey(a.id)
		}
	}
}

// newKey puts a fresh certified permit key into use.
func (c *city) newKey(agency string) {
	ctx := c.t.Context()
	k, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: agency, Alg: "ES256", Backend: "file", Actor: "ceremony"})
	must(c.t, err)
	signer, err := c.ring.Signer(ctx, k.ID)
	must(c.t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: agency},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(20, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	must(c.t, err)
	must(c.t, c.ring.Certify(ctx, k.ID, der, "ceremony"))
	must(c.t, c.ring.Move(ctx, k.ID, keys.Published, "ceremony", "test"))
	_, _, err = c.ring.Promote(ctx, keys.PurposePermit, agency, "ceremony")
	must(c.t, err)
}

func (c *city) identify(r *http.Request) (*web.Identity, error) {
	cookie, err := r.Cookie("who")
	if err != nil {
		return nil, nil
	}
	return c.identity(cookie.Value), nil
}

func (c *city) identity(who string) *web.Identity {
	id := &web.Identity{Session: "s", Person: c.ids[who], Name: people[who].name, Chosen: true}
	for _, a := range people[who].agencies {
		id.Roles = append(id.Roles, web.Role{Agency: a, Name: web.RoleClerk})
		if who == c.reviewer {
			id.Roles = append(id.Roles, web.Role{Agency: a, Name: web.RoleReviewer})
		}
	}
	return id
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// answer is what a page was.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
	text     string // of the body, without markup
}

// has fails the test unless the page says all of it.
func (a answer) has(t testing.TB, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(a.text, w) {
			t.Errorf("the page (status %d, to %q) does not say %q:\n%s", a.status, a.location, w, a.text)
		}
	}
}

// is fails the test unless the page has the status.
func (a answer) is(t testing.TB, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d, to %q:\n%s", a.status, status, a.location, a.text)
	}
}

// to fails the test unless the page leads to an address with that beginning.
func (a answer) to(t testing.TB, prefix string) string {
	t.Helper()
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, prefix) {
		t.Fatalf("status %d to %q, want to %s:\n%s", a.status, a.location, prefix, a.text)
	}
	return a.location
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

func (c *city) send(who string, r *http.Request) answer {
	c.t.Helper()
	if who != "" {
		r.AddCookie(&http.Cookie{Name: "who", Value: who})
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	must(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(c.t, err)
	text := html.UnescapeString(spaces.ReplaceAllString(tags.ReplaceAllString(string(b), " "), " "))
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(b), text}
}

func (c *city) get(who, path string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, c.base+path, nil)
	must(c.t, err)
	return c.send(who, r)
}

func (c *city) post(who, path string, form url.Values) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, c.base+path, strings.NewReader(form.Encode()))
	must(c.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.send(who, r)
}

var hiddenKey = regexp.MustCompile(`name="key" value="([^"]+)"`)

// key returns the hidden key of a page's form.
func (c *city) key(who, path string) string {
	c.t.Helper()
	a := c.get(who, path)
	m := hiddenKey.FindStringSubmatch(a.body)
	if m == nil {
		c.t.Fatalf("%s has no key: status %d\n%s", path, a.status, a.text)
	}
	return m[1]
}

// food is a form that is right; pairs of names and values change it.
func food(key string, pairs ...string) url.Values {
	v := url.Values{"key": {key}, "submit": {"1"}, "holder": {firmCode}, "trade_name": {"老灶火锅"}, "premises": {"江城市东湖区湖滨路18号2幢101室"},
		"legal_representative": {"林若川"}, "category": {"餐饮服务经营者"}, "scope": {"热食类食品制售"}, "seats": {"86"}, "area_m2": {""},
		"supervisor": {""}, "online": {"是"}, "not_before": {""}, "not_after": {""}}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

const foodForm = "/desk/food-business/new"

// apply submits the form and returns the application's address.
func (c *city) apply(who string, pairs ...string) string {
	c.t.Helper()
	to := c.post(who, foodForm, food(c.key(who, foodForm), pairs...)).to(c.t, "/desk/applications/")
	path, _, _ := strings.Cut(to, "?")
	return path
}

// issue applies as mu, approves as wan and returns the licence's address.
func (c *city) issue(pairs ...string) string {
	c.t.Helper()
	to := c.post("wan", c.apply("mu", pairs...), url.Values{"approve": {"1"}}).to(c.t, "/desk/licenses/")
	path, _, _ := strings.Cut(to, "?")
	return path
}

// events returns the kinds of what the log says of an object, in order, with the
// actors.
func (c *city) events(object string) (list []string) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) error {
		found, err := audit.Find(c.t.Context(), tx, audit.EventFilter{Object: object})
		for _, e := range found {
			list = append(list, e.Kind+" "+c.who(e.Actor))
		}
		return err
	}))
	return list
}

// who is an actor by the fixture's name.
func (c *city) who(actor string) string {
	for who, id := range c.ids {
		if actor == "person:"+id {
			return who
		}
	}
	return actor
}

func callerOf(agency string) web.Caller { return web.Caller{ClientID: agency + "-api", Agency: agency} }

var (
	hrefs      = regexp.MustCompile(`href="([^"?]+)`)
	nextPage   = regexp.MustCompile(`href="([^"]+)">下一页`)
	afterField = regexp.MustCompile(`name="after" value="([^"]+)"`)
)

// last is the last part of an address.
func last(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }
