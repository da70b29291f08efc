package login_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base32"
	"encoding/json/v2"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	actor    = "ceremony"
	password = "correct horse battery"
)

// clock is the time as a test sets it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// person is somebody with an account.
type person struct {
	id, username, password string
	totp                   []byte
}

// city is a service behind a real server on localhost.
type city struct {
	db       *db.DB
	registry *registry.Registry
	service  *login.Service
	issuer   string
	clock    *clock
	metrics  *prometheus.Registry
	options  login.Options
	people   int
	last     *login.Service // the replica that was started last
	firm     registry.Firm  // with a legal representative who is nobody here
	agency   registry.Agency
}

func each(t *testing.T, f func(t *testing.T, c *city)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newCity(t, d)) })
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	ctx := t.Context()
	c := &city{db: d, clock: &clock{now: time.Now().Truncate(time.Second)}, metrics: prometheus.NewRegistry()}
	kek := make([]byte, 32)
	_, _ = rand.Read(kek)
	ring, err := keys.Open(ctx, keys.Options{DB: d, KEK: kek, Logger: testkit.Logger(t)})
	check(t, err)
	t.Cleanup(func() { check(t, ring.Close()) })
	for _, name := range []string{keys.SecretData, keys.SecretLookup} {
		check(t, ring.MakeSecret(ctx, name, actor))
	}
	c.registry, err = registry.New(registry.Options{DB: d, Sealer: ring, Now: c.clock.Now})
	check(t, err)
	c.agency = registry.Agency{ID: "donghu-amr", USCC: "11990101MB0000002C", NameZH: "东湖区市场监督管理局",
		NameEN: "Donghu Market Regulation", Level: registry.District, Area: "990101", Issuer: "donghu"}
	_, err = c.registry.AddAgency(ctx, actor, c.agency)
	check(t, err)
	boss := c.addPerson(t, "老板")
	c.firm = registry.Firm{USCC: completeUSCC("91990101MA0000001"), Name: "东湖面馆有限公司", LegalRep: boss}
	_, err = c.registry.AddFirm(ctx, actor, c.firm)
	check(t, err)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	c.issuer = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	c.options = login.Options{DB: d, Sealer: ring, Registry: c.registry, Issuer: c.issuer, Now: c.clock.Now, Logger: testkit.Logger(t), Registerer: c.metrics}
	c.service = c.serve(t, listener)
	return c
}

// serve starts a replica with the city's options on a listener.
func (c *city) serve(t testing.TB, listener net.Listener) *login.Service {
	t.Helper()
	mux := http.NewServeMux()
	var service *login.Service
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城市政务信任服务", EN: "Jiangcheng Trust Services"}, Logger: testkit.Logger(t), Demo: true,
		Identify: func(r *http.Request) (*web.Identity, error) { return service.Identify(r) }})
	check(t, err)
	o := c.options
	o.Site = site
	service, err = login.New(o)
	check(t, err)
	service.Mount(mux)
	site.Mount(mux)
	server := &httptest.Server{Listener: listener, Config: web.Server(web.Protect(mux, 1<<20, nil), nil)}
	server.Start()
	t.Cleanup(server.Close)
	c.options.Registerer = nil
	return service
}

// replica starts another server on the same database and returns its address.
func (c *city) replica(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	c.last = c.serve(t, listener)
	return fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
}

func sqlite(t testing.TB) *db.DB { t.Helper(); return testkit.SQLite(t) }

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	check(t, err)
	return u
}

func (c *city) addPerson(t testing.TB, name string) string {
	t.Helper()
	c.people++
	p, _, err := c.registry.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Passport, Number: fmt.Sprintf("E%08d", c.people), Name: name})
	check(t, err)
	return p.ID
}

// citizen is a person with an account.
func (c *city) citizen(t testing.TB, username string) *person {
	t.Helper()
	p := &person{id: c.addPerson(t, "王小明"), username: username, password: password}
	secret, err := c.service.AddAccount(t.Context(), actor, login.Account{Person: p.id, Username: p.username, Password: p.password})
	check(t, err)
	p.totp, err = base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret.TOTP)
	check(t, err)
	return p
}

// code returns the person's code that many steps from now.
func (c *city) code(p *person, offset int64) string {
	return login.TOTPCode(p.totp, c.clock.Now().Unix()/30+offset)
}

// events returns the kinds of the events that have one of those, in order.
func (c *city) events(t testing.TB, kinds ...string) []string {
	t.Helper()
	var list []string
	for _, kind := range kinds {
		check(t, c.db.Read(t.Context(), func(tx db.Tx) error {
			found, err := audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
			for _, e := range found {
				list = append(list, e.Kind)
				if line := fmt.Sprint(e); strings.Contains(line, "wang") || strings.Contains(line, "王") {
					t.Errorf("an event names the person: %v", line)
				}
			}
			return err
		}))
	}
	slices.Sort(list)
	return list
}

func (c *city) count(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	check(t, c.db.Read(t.Context(), func(tx db.Tx) error { return tx.QueryRowContext(t.Context(), query, args...).Scan(&n) }))
	return n
}

func (c *city) exec(t testing.TB, query string, args ...any) {
	t.Helper()
	check(t, c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	}))
}

// metric returns the sum of a counter's values whose labels include all given.
func (c *city) metric(t testing.TB, name string, labels ...string) (sum float64) {
	t.Helper()
	families, err := c.metrics.Gather()
	check(t, err)
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			var have []string
			for _, l := range m.GetLabel() {
				have = append(have, l.GetValue())
			}
			if !slices.ContainsFunc(labels, func(l string) bool { return !slices.Contains(have, l) }) {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// client is a browser without a screen: a Go client with its cookies.
type client struct {
	*http.Client
	t    testing.TB
	base string
	jar  http.CookieJar
	from string // what a browser says in Sec-Fetch-Site
}

func (c *city) client(t testing.TB) *client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	check(t, err)
	return &client{t: t, base: c.issuer, jar: jar, from: "same-origin", Client: &http.Client{Jar: jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is a response with its body read.
type answer struct {
	status     int
	header     http.Header
	body, next string
}

func (c *client) do(method, path, contentType, body string) answer {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	check(c.t, err)
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	r.Header.Set("Sec-Fetch-Site", c.from)
	r.Header.Set("Accept-Language", "en")
	w, err := c.Do(r)
	check(c.t, err)
	defer func() { _ = w.Body.Close() }()
	b, err := io.ReadAll(w.Body)
	check(c.t, err)
	return answer{status: w.StatusCode, header: w.Header, body: string(b), next: w.Header.Get("Location")}
}

func (c *client) get(path string) answer { c.t.Helper(); return c.do("GET", path, "", "") }

func (c *client) post(path string, form ...string) answer {
	c.t.Helper()
	v := url.Values{}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	return c.do("POST", path, "application/x-www-form-urlencoded", v.Encode())
}

func (c *client) json(path string, body any) answer {
	c.t.Helper()
	b, err := json.Marshal(body)
	check(c.t, err)
	return c.do("POST", path, "application/json", string(b))
}

// signIn signs a person in by password.
func (c *client) signIn(p *person, code string, more ...string) answer {
	c.t.Helper()
	return c.post("/login", append([]string{"username", p.username, "password", p.password, "otp", code}, more...)...)
}

func (c *client) cookie(name string) string {
	u, err := url.Parse(c.base)
	check(c.t, err)
	for _, k := range c.jar.Cookies(u) {
		if k.Name == name {
			return k.Value
		}
	}
	return ""
}

// identity returns who the client is to the service.
func (c *city) identity(t testing.TB, cl *client) *web.Identity {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-signet", Value: cl.cookie("__Host-signet")})
	id, err := c.service.Identify(r)
	check(t, err)
	return id
}

func want(t testing.TB, a answer, status int, parts ...string) {
	t.Helper()
	if a.status != status {
		t.Fatalf("status %d, want %d: %s", a.status, status, text(a.body))
	}
	for _, part := range parts {
		if !strings.Contains(a.body, part) && a.next != part {
			t.Fatalf("%q is not in the answer (to %q): %s", part, a.next, text(a.body))
		}
	}
}

// text returns the main part of a page.
func text(body string) string {
	if _, main, ok := strings.Cut(body, "<main"); ok {
		return main
	}
	return body
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func decode(t testing.TB, body string, v any) {
	t.Helper()
	check(t, json.UnmarshalRead(bytes.NewReader([]byte(body)), v))
}

// completeUSCC adds the check character to 17 characters.
func completeUSCC(body string) string {
	const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for _, c := range body {
		sum += strings.IndexRune(alphabet, c) * weight
		weight = weight * 3 % 31
	}
	return body + string(alphabet[(31-sum%31)%31])
}
