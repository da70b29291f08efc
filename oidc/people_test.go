package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc"
)

const (
	callback = "http://127.0.0.1:9001/callback"
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	firmA    = "91990101MA1F001175"
	firmB    = "91990101MA1F002017"
	acr      = "urn:signet:acr:phishing-resistant"
)

var challenge = challengeOf(verifier)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// sessions are those of the people who are signed in, in the test's hands: what
// oidc/login keeps in its tables. A browser's cookie "who" names one.
type sessions struct {
	mu       sync.Mutex
	live     map[string]*web.Identity
	registry *registry.Registry
	now      func() time.Time
}

func (s *sessions) identify(r *http.Request) (*web.Identity, error) {
	c, err := r.Cookie("who")
	if err != nil {
		return nil, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.live[c.Value]
	if id == nil {
		return nil, nil
	}
	copied := *id
	return &copied, nil
}

func (s *sessions) Live(_ context.Context, session string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[session] != nil, nil
}

func (s *sessions) ActFor(ctx context.Context, session, uscc string) error {
	s.mu.Lock()
	id := s.live[session]
	s.mu.Unlock()
	if id == nil {
		return fault.New(fault.Denied, "no such session")
	}
	name := ""
	if uscc != "" {
		may, err := s.registry.MayActFor(ctx, id.Person, uscc, s.now())
		if err != nil {
			return err
		}
		if !may {
			return fault.New(fault.Denied, "no delegation")
		}
		f, err := s.registry.FindFirm(ctx, uscc)
		if err != nil {
			return err
		}
		name = f.Name
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id.Firm, id.FirmName, id.Chosen = uscc, name, true
	return nil
}

func (s *sessions) end(session string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, session)
}

// ladder orders levels by where they stand.
type ladder []string

func (l ladder) Levels() []string { return l }

func (l ladder) Reaches(have, want string) bool {
	return slices.Contains(l, want) && slices.Index(l, have) >= slices.Index(l, want)
}

// town is a city with people in it, and clients that sign them in.
type town struct {
	*city
	registry *registry.Registry
	sessions *sessions
	wang, li registry.Person // wang acts for firmA and firmB, li for nobody
}

func eachTown(t *testing.T, f func(t *testing.T, c *town)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newTown(t, d)) })
}

func newTown(t testing.TB, d *db.DB) *town {
	t.Helper()
	c := &town{city: newCity(t, d)}
	ctx := t.Context()
	for _, secret := range []string{"registry.lookup", "registry.data"} {
		check(t, c.ring.MakeSecret(ctx, secret, actor))
	}
	var err error
	c.registry, err = registry.New(registry.Options{DB: d, Sealer: c.ring, Now: c.clock.Now})
	check(t, err)
	c.wang, _, err = c.registry.AddPerson(ctx, actor, registry.Person{Kind: registry.Resident, Number: "990101199003071237", Name: "王晓岚"})
	check(t, err)
	c.li, _, err = c.registry.AddPerson(ctx, actor, registry.Person{Kind: registry.Passport, Number: "E12345678", Name: "Li Ann"})
	check(t, err)
	_, err = c.registry.AddFirm(ctx, actor, registry.Firm{USCC: firmA, Name: "江城老灶餐饮有限公司", LegalRep: c.wang.ID})
	check(t, err)
	_, err = c.registry.AddFirm(ctx, actor, registry.Firm{USCC: firmB, Name: "江城湖畔书店有限公司", LegalRep: c.li.ID})
	check(t, err)
	_, err = c.registry.Delegate(ctx, actor, registry.Delegation{Firm: firmB, Person: c.wang.ID})
	check(t, err)
	c.sessions = &sessions{live: map[string]*web.Identity{}, registry: c.registry, now: c.clock.Now}
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务", EN: "Jiangcheng"}, Identify: c.sessions.identify, Logger: testkit.Logger(t)})
	check(t, err)
	c.options.Site, c.options.People, c.options.Firms, c.options.Sessions = site, c.registry, c.registry, c.sessions
	c.options.Assurance = ladder{"urn:signet:acr:declared", "urn:signet:acr:verified", acr}
	c.metrics = prometheus.NewRegistry()
	c.provider = c.replica(t, func(o *oidc.Options) { o.Registerer = c.metrics })
	c.mux = http.NewServeMux()
	c.provider.Mount(c.mux)
	all := []string{"openid", "profile", "firm", "resident", "offline_access"}
	c.add(t, oidc.Client{ID: "permits", Name: "食品经营许可网上办理", Agency: "donghu-amr", Scopes: all, Profile: oidc.ProfileBasic,
		RedirectURIs: []string{callback, "https://permits.example/cb?from=signet"}})
	c.add(t, oidc.Client{ID: "complaints", Name: "投诉举报", Agency: "donghu-amr", Scopes: all, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}})
	c.add(t, oidc.Client{ID: "library", Name: "City library", Scopes: []string{"openid", "profile"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}})
	return c
}

// browser is a visitor's: it keeps cookies and follows nothing.
type browser struct {
	t       testing.TB
	mux     http.Handler
	cookies map[string]string
}

// nobody is a browser in which nobody is signed in.
func (c *town) nobody(t testing.TB) *browser {
	return &browser{t: t, mux: c.mux, cookies: map[string]string{}}
}

// signIn makes a session of that name and a browser with it.
func (c *town) signIn(t testing.TB, session string, p registry.Person) *browser {
	b := c.nobody(t)
	c.enter(b, session, p)
	return b
}

// enter signs a person in with a browser.
func (c *town) enter(b *browser, session string, p registry.Person) {
	c.sessions.mu.Lock()
	defer c.sessions.mu.Unlock()
	c.sessions.live[session] = &web.Identity{Session: session, Person: p.ID, Name: p.Name, ACR: acr, AMR: []string{"hwk", "user"}, AuthTime: c.clock.now}
	b.cookies["who"] = session
}

func (b *browser) do(r *http.Request) *httptest.ResponseRecorder {
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	w := httptest.NewRecorder()
	b.mux.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookies[c.Name] = c.Value
	}
	return w
}

func (b *browser) get(target string) *httptest.ResponseRecorder {
	return b.do(httptest.NewRequest("GET", target, nil))
}

func (b *browser) post(target string, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", target, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return b.do(r)
}

// authorization is an honest request of the client permits; change adds to it, and
// removes what it sets to "".
func authorization(change url.Values) url.Values {
	v := url.Values{"client_id": {"permits"}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {"openid profile"},
		"state": {"s-1"}, "nonce": {"n-1"}, "code_challenge": {challenge}, "code_challenge_method": {"S256"}}
	maps.Copy(v, change)
	for name, list := range v {
		if len(list) == 1 && list[0] == "" {
			delete(v, name)
		}
	}
	return v
}

func (b *browser) authorize(change url.Values) *httptest.ResponseRecorder {
	return b.get("/oidc/authorize?" + authorization(change).Encode())
}

// back returns the parameters with which the browser was sent to the redirect URI.
func back(t testing.TB, w *httptest.ResponseRecorder) url.Values {
	t.Helper()
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, callback+"?") {
		t.Fatalf("status %d to %q: %s", w.Code, to, text(w))
	}
	u, err := url.Parse(to)
	check(t, err)
	q := u.Query()
	if q.Get("iss") != issuer || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("sent back with %v, %v", q, w.Header())
	}
	return q
}

// consent goes to the consent page that a request has led to, and answers it.
func (b *browser) consent(w *httptest.ResponseRecorder, answer url.Values) *httptest.ResponseRecorder {
	b.t.Helper()
	to := w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/oidc/interaction/") {
		b.t.Fatalf("status %d to %q: %s", w.Code, to, text(w))
	}
	page := b.get(to)
	if page.Code != http.StatusOK {
		b.t.Fatalf("consent page: status %d to %q: %s", page.Code, page.Header().Get("Location"), text(page))
	}
	form := maps.Clone(answer)
	form.Set("key", keyOf(b.t, page))
	return b.post(to, form)
}

var keyField = regexp.MustCompile(`name="key" value="([^"]+)"`)

func keyOf(t testing.TB, page *httptest.ResponseRecorder) string {
	t.Helper()
	m := keyField.FindStringSubmatch(page.Body.String())
	if m == nil {
		t.Fatalf("no key in %s", page.Body)
	}
	return m[1]
}

// allow presses the button; firm, where it is not asked for, is ignored.
var allow = url.Values{"allow": {"1"}, "firm": {"self"}}

// code returns a fresh code of a signed-in person, with consent where it is asked for.
func (b *browser) code(change url.Values) string {
	b.t.Helper()
	w := b.authorize(change)
	if strings.HasPrefix(w.Header().Get("Location"), "/oidc/interaction/") {
		w = b.consent(w, allow)
	}
	code := back(b.t, w).Get("code")
	if code == "" {
		b.t.Fatalf("no code: %s", w.Header().Get("Location"))
	}
	return code
}

func codeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func refreshForm(token string) url.Values {
	return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
}

// redeem sends a token request and returns the answer, which must have that status.
func (c *city) redeem(t testing.TB, client string, form url.Values, want int) map[string]any {
	t.Helper()
	w := c.do(c.request(client, form.Encode()))
	answer := decode(t, w.Body.Bytes())
	if w.Code != want {
		t.Fatalf("status %d, want %d: %s", w.Code, want, w.Body)
	}
	return answer
}

// refused expects an error of the token endpoint.
func (c *city) refused(t testing.TB, client string, form url.Values, code string) {
	t.Helper()
	w := c.do(c.request(client, form.Encode()))
	if answer := decode(t, w.Body.Bytes()); answer["error"] != code || answer["access_token"] != nil {
		t.Fatalf("status %d, want %s: %s", w.Code, code, w.Body)
	}
}

// tokens returns what a fresh code is redeemed for.
func (c *town) tokens(t testing.TB, b *browser, change url.Values) map[string]any {
	t.Helper()
	return c.redeem(t, "permits", codeForm(b.code(change)), http.StatusOK)
}

// userinfo asks with a token of an answer and expects that status.
func (c *town) userinfo(t testing.TB, answer map[string]any, want int) map[string]any {
	t.Helper()
	r := httptest.NewRequest("GET", "/oidc/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+answer["access_token"].(string))
	w := c.do(r)
	if w.Code != want {
		t.Fatalf("status %d, want %d: %s", w.Code, want, w.Body)
	}
	return decode(t, w.Body.Bytes())
}

// payload returns the claims of a JWT.
func payload(t testing.TB, token any) map[string]any {
	t.Helper()
	parts := strings.Split(token.(string), ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %v", token)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[1])
	check(t, err)
	return decode(t, b)
}

var tags = regexp.MustCompile(`(?s)(?:<head>.*</head>|<[^>]*>|\s)+`)

// text returns what a page says.
func text(w *httptest.ResponseRecorder) string {
	return tags.ReplaceAllString(w.Body.String(), " ")
}

// ends returns why grants have ended, in order.
func (c *town) ends(t testing.TB) (reasons []string) {
	t.Helper()
	for _, e := range c.events(t, "oidc.grant.end") {
		reasons = append(reasons, e.Data["reason"].(string))
	}
	return reasons
}

func newMux(p *oidc.Provider) *http.ServeMux {
	mux := http.NewServeMux()
	p.Mount(mux)
	return mux
}
