package console_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/console"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	strong = "urn:signet:acr:phishing-resistant"
	weak   = "urn:signet:acr:verified"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lamp is what the tests' operation changes.
type lamp struct {
	mu     sync.Mutex
	colour string
	done   map[string]bool // by request
	away   bool
	failed bool
}

func (l *lamp) check(_ context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
	var p struct {
		To    string    `json:"to"`
		Since time.Time `json:"since,omitzero"`
		Note  []byte    `json:"note,omitempty"`
		List  []string  `json:"list,omitempty"`
		Loud  bool      `json:"loud,omitempty"`
		Times int64     `json:"times,omitempty"`
	}
	if err := json.Unmarshal(params, &p, json.RejectUnknownMembers(true)); err != nil || p.To == "" || p.To == "plaid" {
		return nil, nil, fault.InvalidInput("no such colour", fault.Problem{Path: "/to", Message: "is not a colour"})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, nil, fault.New(fault.Unavailable, "the lamp is away")
	}
	b, err := json.Marshal(map[string]any{"from": l.colour, "params": p}, json.Deterministic(true))
	return b, []approval.Line{{Label: web.Text{ZH: "新颜色", EN: "New colour"}, Value: p.To}}, err
}

func (l *lamp) run(_ context.Context, resolved jsontext.Value, by approval.Decision) error {
	var r struct {
		Params struct {
			To string `json:"to"`
		} `json:"params"`
	}
	if err := json.Unmarshal(resolved, &r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed {
		return fault.New(fault.Conflict, "the lamp is stuck")
	}
	l.colour, l.done[by.Request] = r.Params.To, true
	return nil
}

func (l *lamp) set(change func(l *lamp)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change(l)
}

func (l *lamp) runs() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.done)
}

// city is a console over HTTP with three officers, by the names that the cookie
// "who" bears: ann, bob and cai. dan is nobody.
type city struct {
	t         testing.TB
	db        *db.DB
	base      string
	ids       map[string]string // of people
	passkeys  map[string]*authenticator
	codes     map[string]string // that were not used
	approvals *approval.Service
	ring      *keys.Ring
	registry  *registry.Registry
	site      *web.Site
	metrics   *prometheus.Registry
	lamp      *lamp
	rootFile  []byte // of the act of the root that is under way
	mu        sync.Mutex
	ahead     time.Duration // of the clock
}

func (c *city) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *city) wait(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// OpenRootAct implements console.Root.
func (c *city) OpenRootAct(context.Context) ([]byte, error) {
	if c.rootFile == nil {
		return nil, fault.New(fault.NotFound, "no such act of the root is under way")
	}
	return c.rootFile, nil
}

func each(t *testing.T, f func(t *testing.T, c *city)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newCity(t, d)) })
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{t: t, db: d, metrics: prometheus.NewRegistry(), ids: map[string]string{}, passkeys: map[string]*authenticator{}, codes: map[string]string{},
		lamp: &lamp{colour: "green", done: map[string]bool{}}}
	ctx := t.Context()
	kek, err := keys.NewKEK(filepath.Join(t.TempDir(), "kek"))
	must(t, err)
	c.ring, err = keys.Open(ctx, keys.Options{DB: d, KEK: kek})
	must(t, err)
	for _, name := range []string{keys.SecretData, keys.SecretLookup} {
		must(t, c.ring.MakeSecret(ctx, name, "ceremony"))
	}
	c.registry, err = registry.New(registry.Options{DB: d, Sealer: c.ring})
	must(t, err)
	for i, who := range []string{"ann", "bob", "cai", "dan"} {
		p, _, err := c.registry.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Passport, Number: fmt.Sprintf("E%08d", i), Name: nameOf(who)})
		must(t, err)
		c.ids[who] = p.ID
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	c.base = "http://localhost:" + fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	c.approvals, err = approval.New(approval.Options{DB: d, People: c.registry, Issuer: c.base, Now: c.now, Logger: testkit.Logger(t),
		Operations: []approval.Operation{{Kind: "lamp.set", Title: web.Text{ZH: "设置灯", EN: "Set the lamp"}, Check: c.lamp.check, Run: c.lamp.run},
			{Kind: "root.apply", Title: web.Text{ZH: "上传根密钥的结果", EN: "Apply the root's response"}, Check: c.lamp.check, Run: c.lamp.run}}})
	must(t, err)
	c.found()
	c.serve(listener)
	return c
}

func nameOf(who string) string {
	return map[string]string{"ann": "宋晚晴", "bob": "白沐阳", "cai": "罗景行", "dan": "林若川"}[who]
}

// found makes three officers; ann and bob have passkeys for approvals.
func (c *city) found() {
	f := approval.Founding{Officers: []string{c.ids["ann"], c.ids["bob"], c.ids["cai"]}, Actor: "ceremony", Quorum: approval.Quorum{Need: 2}}
	for range 3 {
		_, der := newKey(c.t)
		f.Quorum.Keys = append(f.Quorum.Keys, der)
	}
	codes, err := c.approvals.Found(c.t.Context(), f)
	must(c.t, err)
	for _, code := range codes {
		for who, id := range c.ids {
			if id == code.Person {
				c.codes[who] = code.Code
			}
		}
	}
	for _, who := range []string{"ann", "bob"} {
		a := newAuthenticator(c.t, c.base)
		o, err := c.approvals.BeginPasskey(c.t.Context(), c.ids[who], c.codes[who])
		must(c.t, err)
		_, err = c.approvals.FinishPasskey(c.t.Context(), c.ids[who], c.codes[who], a.create(c.t, o))
		must(c.t, err)
		c.passkeys[who] = a
	}
}

func newKey(t testing.TB) (*ecdsa.PrivateKey, []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	must(t, err)
	return k, der
}

func (c *city) options() console.Options {
	colours := []web.Option{{Value: "red", Label: web.Text{ZH: "红", EN: "Red"}}, {Value: "blue", Label: web.Text{ZH: "蓝", EN: "Blue"}}, {Value: "plaid", Label: web.Text{ZH: "格子", EN: "Plaid"}}}
	label := func(s string) web.Text { return web.Text{ZH: s, EN: s} }
	return console.Options{Site: c.site, Approvals: c.approvals, People: c.registry, Root: c, ACR: strong, Now: c.now, Logger: testkit.Logger(c.t),
		Registerer: c.metrics, Pause: c.ring.Pause, Resume: c.ring.Resume,
		Keys: func(ctx context.Context) ([]keys.Key, error) { return c.ring.List(ctx, keys.Filter{}) },
		Calendar: func(ctx context.Context) ([]keys.Step, error) {
			list, err := c.ring.List(ctx, keys.Filter{})
			return keys.Calendar(list, map[string]keys.Policy{keys.PurposeToken: {Alg: keys.ES256, Life: 20 * 24 * time.Hour, Standby: 1}},
				[]keys.Place{{Purpose: keys.PurposeToken, Owner: "city"}}, c.now()), err
		},
		Events: c.events,
		History: func(ctx context.Context, object string) (list []audit.Record, err error) {
			err = c.db.Read(ctx, func(tx db.Tx) (err error) {
				list, err = audit.Find(ctx, tx, audit.EventFilter{Object: object})
				return err
			})
			return list, err
		},
		Caller: func(r *http.Request) (string, error) {
			who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			if c.ids[who] == "" {
				return "", web.Unauthorized("", nil)
			}
			return c.ids[who], nil
		},
		Forms: []console.Form{
			{Kind: "lamp.set", ForKey: func(k keys.Key) (map[string]string, bool) {
				return map[string]string{"to": "red", "list": k.ID}, k.State == keys.Active
			}, Fields: []console.Field{
				{Name: "to", Type: console.Choice, Label: label("to"), Options: colours, Required: true},
				{Name: "since", Type: console.Time, Label: label("since")},
				{Name: "note", Type: console.File, Label: label("note"), Max: 10},
				{Name: "list", Type: console.List, Label: label("list"), Max: 2},
				{Name: "loud", Type: console.YesNo, Label: label("loud")},
				{Name: "times", Type: console.Whole, Label: label("times")}}},
			{Kind: "root.apply", Fields: []console.Field{{Name: "to", Label: label("to"), Required: true, Max: 10}}}},
	}
}

// events is the log from its end.
func (c *city) events(ctx context.Context, before string, limit int) (list []audit.Record, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = audit.Find(ctx, tx, audit.EventFilter{})
		return err
	})
	slices.Reverse(list)
	list = slices.DeleteFunc(list, func(e audit.Record) bool { return before != "" && e.ID >= before })
	return list[:min(limit, len(list))], err
}

func (c *city) serve(l net.Listener) {
	var err error
	c.site, err = web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Logger: testkit.Logger(c.t), Identify: func(r *http.Request) (*web.Identity, error) {
		cookie, err := r.Cookie("who")
		if err != nil {
			return nil, nil
		}
		who, isWeak := strings.CutSuffix(cookie.Value, "-weak")
		id := &web.Identity{Session: "s", Person: c.ids[who], Name: nameOf(who), ACR: strong}
		if isWeak {
			id.ACR = weak
		}
		return id, nil
	}})
	must(c.t, err)
	s, err := console.New(c.options())
	must(c.t, err)
	mux := http.NewServeMux()
	c.site.Mount(mux)
	s.Mount(mux)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: web.Protect(c.site.Cover(mux), 8<<20, c.site.Stranger())}}
	server.Start()
	c.t.Cleanup(server.Close)
}

// answer is what came back.
type answer struct {
	t        testing.TB
	status   int
	location string
	header   http.Header
	body     string
	text     string // without tags
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
	if r.Header.Get("Accept-Language") == "" {
		r.Header.Set("Accept-Language", "en")
	}
	r.Header.Set("Accept", "text/html")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	must(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	must(c.t, err)
	if resp.StatusCode >= 500 && resp.StatusCode != http.StatusServiceUnavailable {
		c.t.Errorf("%s %s: status %d", r.Method, r.URL.Path, resp.StatusCode)
	}
	text := html.UnescapeString(spaces.ReplaceAllString(tags.ReplaceAllString(string(b), " "), " "))
	return answer{c.t, resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(b), text}
}

func (c *city) request(method, path string, body io.Reader) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, c.base+path, body)
	must(c.t, err)
	return r
}

func (c *city) get(who, path string) answer {
	c.t.Helper()
	return c.send(who, c.request(http.MethodGet, path, nil))
}

// post sends a form: pairs of names and values.
func (c *city) post(who, path string, pairs ...string) answer {
	c.t.Helper()
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	r := c.request(http.MethodPost, path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.send(who, r)
}

// script sends what the pages' script does.
func (c *city) script(who, path string, v any) answer {
	c.t.Helper()
	b, err := json.Marshal(v)
	must(c.t, err)
	r := c.request(http.MethodPost, path, strings.NewReader(string(b)))
	r.Header.Set("Content-Type", "application/json")
	return c.send(who, r)
}

// api calls the API as who. Pairs of headers may follow.
func (c *city) api(who, method, path string, v any, header ...string) answer {
	c.t.Helper()
	var body io.Reader
	if v != nil {
		b, err := json.Marshal(v)
		must(c.t, err)
		body = strings.NewReader(string(b))
	}
	r := c.request(method, "/security/v1/"+path, body)
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return c.send("", r)
}

// want fails the test unless the answer has that status and says all of it.
func (a answer) want(status int, says ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d:\n%s", a.status, status, a.text)
	}
	for _, s := range says {
		if !strings.Contains(a.text, s) {
			a.t.Errorf("does not say %q:\n%s", s, a.text)
		}
	}
	return a
}

// lacks fails the test if the answer says any of it.
func (a answer) lacks(says ...string) answer {
	a.t.Helper()
	for _, s := range says {
		if strings.Contains(a.text, s) {
			a.t.Errorf("says %q:\n%s", s, a.text)
		}
	}
	return a
}

// to fails the test unless the answer leads to an address with that beginning.
func (a answer) to(prefix string) string {
	a.t.Helper()
	if a.status != http.StatusSeeOther || !strings.HasPrefix(a.location, prefix) {
		a.t.Fatalf("status %d to %q, want to %s:\n%s", a.status, a.location, prefix, a.text)
	}
	return a.location
}

func (a answer) decode(v any) {
	a.t.Helper()
	if err := json.Unmarshal([]byte(a.body), v, json.MatchCaseInsensitiveNames(true)); err != nil {
		a.t.Fatalf("decode %.200q: %v", a.body, err)
	}
}

var hiddenValue = regexp.MustCompile(`name="(request-key|seen)" value="([^"]*)"`)

// hidden returns the hidden value of a page's form.
func (a answer) hidden() string {
	a.t.Helper()
	m := hiddenValue.FindStringSubmatch(a.body)
	if m == nil {
		a.t.Fatalf("there is no hidden value: status %d\n%s", a.status, a.text)
	}
	return html.UnescapeString(m[2])
}

const lampForm = "/security/requests/new/lamp.set"

// ask asks for a colour as who on the pages and returns the request's id.
func (c *city) ask(who, colour string) string {
	c.t.Helper()
	key := c.get(who, lampForm).want(200).hidden()
	to := c.post(who, lampForm, "request-key", key, "request-reason", "it is time", "to", colour).to("/security/requests/")
	id, _, _ := strings.Cut(strings.TrimPrefix(to, "/security/requests/"), "?")
	return id
}

// approve approves a request on the pages with the passkey of who.
func (c *city) approve(who, id string) answer {
	c.t.Helper()
	var o approval.ApprovalOptions
	c.script(who, "/security/requests/"+id+"/begin", struct{}{}).want(200).decode(&o)
	return c.script(who, "/security/requests/"+id+"/finish", c.passkeys[who].get(c.t, o.Challenge))
}

// token makes a key for tokens and puts it into use.
func (c *city) token() keys.Key {
	c.t.Helper()
	ctx := c.t.Context()
	k, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: "city", Alg: keys.ES256, Backend: keys.BackendFile, Actor: "ceremony"})
	must(c.t, err)
	must(c.t, c.ring.Move(ctx, k.ID, keys.Published, "ceremony", "test"))
	_, _, err = c.ring.Promote(ctx, keys.PurposeToken, "city", "ceremony")
	must(c.t, err)
	k, err = c.ring.Find(ctx, k.ID)
	must(c.t, err)
	return k
}

func (c *city) wantState(id string, want approval.State) approval.Request {
	c.t.Helper()
	q, err := c.approvals.Find(c.t.Context(), id)
	must(c.t, err)
	if q.State != want {
		c.t.Errorf("the request is %s (%s), want %s", q.State, q.Note, want)
	}
	return q
}
