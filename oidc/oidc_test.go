package oidc_test

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	issuer = "http://localhost:8080"
	actor  = "ceremony"
	owner  = "city"
)

// clock is the time as a test sets it.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

// city is a provider with all that it stands on, and its clients' secrets.
type city struct {
	db       *db.DB
	ring     *keys.Ring
	provider *oidc.Provider
	mux      *http.ServeMux
	clock    *clock
	metrics  *prometheus.Registry
	key      string // the active token key
	options  oidc.Options
	secrets  map[string]string
}

func each(t *testing.T, f func(t *testing.T, c *city)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newCity(t, d)) })
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	ctx := t.Context()
	kek := make([]byte, 32)
	_, _ = rand.Read(kek)
	c := &city{db: d, clock: &clock{time.Now().Truncate(time.Second)}, mux: http.NewServeMux(),
		metrics: prometheus.NewRegistry(), secrets: map[string]string{}}
	var err error
	c.ring, err = keys.Open(ctx, keys.Options{DB: d, KEK: kek, Now: c.clock.Now, Logger: testkit.Logger(t)})
	check(t, err)
	t.Cleanup(func() { check(t, c.ring.Close()) })
	c.key = c.publish(t)
	_, _, err = c.ring.Promote(ctx, keys.PurposeToken, owner, actor)
	check(t, err)
	r, err := registry.New(registry.Options{DB: d, Sealer: c.ring, Now: c.clock.Now})
	check(t, err)
	_, err = r.AddAgency(ctx, actor, registry.Agency{ID: "donghu-amr", USCC: "11990101MB0000002C", NameZH: "东湖区市场监督管理局",
		NameEN: "Donghu Market Regulation", Level: registry.District, Area: "990101", Issuer: "donghu"})
	check(t, err)
	c.options = oidc.Options{DB: d, Keys: c.ring, Agencies: r, Issuer: issuer, KeyOwner: owner, Scopes: []string{"licenses", "registry", "clients"},
		Now: c.clock.Now, Logger: testkit.Logger(t), Registerer: c.metrics}
	c.provider, err = oidc.New(c.options)
	check(t, err)
	c.provider.Mount(c.mux)
	c.add(t, oidc.Client{ID: "donghu-api", Name: "东湖办证", Agency: "donghu-amr", Scopes: []string{"licenses"}, Profile: oidc.ProfileService})
	c.add(t, oidc.Client{ID: "console", Name: "Operators' console", Scopes: []string{"registry", "clients"}, Profile: oidc.ProfileService})
	return c
}

// publish makes a token key that is published, and returns its id.
func (c *city) publish(t testing.TB) string {
	t.Helper()
	key, err := c.ring.Create(t.Context(), keys.Spec{Purpose: keys.PurposeToken, Owner: owner, Alg: "ES256", Backend: "file", Actor: actor})
	check(t, err)
	check(t, c.ring.Move(t.Context(), key.ID, keys.Published, actor, "test"))
	return key.ID
}

// replica is another provider on the same database, with caches of its own.
func (c *city) replica(t testing.TB, change func(o *oidc.Options)) *oidc.Provider {
	t.Helper()
	o := c.options
	o.Registerer = nil
	if change != nil {
		change(&o)
	}
	p, err := oidc.New(o)
	check(t, err)
	return p
}

func (c *city) add(t testing.TB, client oidc.Client) {
	t.Helper()
	client, secret, err := c.provider.AddClient(t.Context(), actor, client)
	check(t, err)
	c.secrets[client.ID] = secret
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request is a token request as an honest client makes it.
func (c *city) request(client, form string) *http.Request {
	r := httptest.NewRequest("POST", "/oidc/token", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(client), url.QueryEscape(c.secrets[client]))
	return r
}

func (c *city) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	return w
}

// token returns a fresh access token of a client.
func (c *city) token(t testing.TB, client string) string {
	t.Helper()
	w := c.do(c.request(client, "grant_type=client_credentials"))
	if w.Code != http.StatusOK {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return decode(t, w.Body.Bytes())["access_token"].(string)
}

func decode(t testing.TB, b []byte) (m map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return m
}

func TestNewRefuses(t *testing.T) {
	d := testkit.SQLite(t)
	c := newCity(t, d)
	for _, k := range []struct {
		name   string
		change func(o *oidc.Options)
	}{
		{"no database", func(o *oidc.Options) { o.DB = nil }},
		{"no keys", func(o *oidc.Options) { o.Keys = nil }},
		{"no owner", func(o *oidc.Options) { o.KeyOwner = "" }},
		{"no issuer", func(o *oidc.Options) { o.Issuer = "" }},
		{"issuer without scheme", func(o *oidc.Options) { o.Issuer = "localhost:8080" }},
		{"issuer with path", func(o *oidc.Options) { o.Issuer = "https://city.example/" }},
		{"issuer with query", func(o *oidc.Options) { o.Issuer = "https://city.example?a" }},
		{"issuer with user", func(o *oidc.Options) { o.Issuer = "https://me@city.example" }},
		{"http beyond loopback", func(o *oidc.Options) { o.Issuer = "http://city.example" }},
		{"http on a lookalike", func(o *oidc.Options) { o.Issuer = "http://localhost.example" }},
		{"long life", func(o *oidc.Options) { o.Lifetime = 11 * time.Minute }},
		{"negative life", func(o *oidc.Options) { o.Lifetime = -time.Minute }},
		{"scope with a space", func(o *oidc.Options) { o.Scopes = []string{"a b"} }},
	} {
		t.Run(k.name, func(t *testing.T) {
			o := c.options
			o.Registerer = nil
			k.change(&o)
			if _, err := oidc.New(o); err == nil {
				t.Error("accepted")
			}
		})
	}
	for _, ok := range []string{"https://city.example", "https://city.example:8443", "http://127.0.0.1:8080", "http://[::1]:8080"} {
		c.replica(t, func(o *oidc.Options) { o.Issuer = ok })
	}
}

func TestClients(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		made, secret, err := c.provider.AddClient(ctx, actor, oidc.Client{Name: "机器", Scopes: []string{"licenses", "registry"}, Profile: oidc.ProfileService})
		check(t, err)
		if b, err := base64.RawURLEncoding.DecodeString(secret); err != nil || len(b) != 32 || made.ID == "" {
			t.Errorf("id %q, secret of %d bytes, %v", made.ID, len(b), err)
		}
		list, err := c.provider.ListClients(ctx)
		check(t, err)
		if len(list) != 3 {
			t.Fatalf("listed %v", list)
		}
		i := slices.IndexFunc(list, func(l oidc.Client) bool { return l.ID == made.ID })
		if diff := cmp.Diff(made, list[i]); diff != "" {
			t.Error(diff)
		}
		if n := len(c.events(t, "oidc.client.add")); n != 3 {
			t.Errorf("%d events", n)
		}
		for range 2 {
			check(t, c.provider.DisableClient(ctx, actor, made.ID))
		}
		for _, id := range []string{"nobody", "", "\x00", "' OR 1=1"} {
			if err := c.provider.DisableClient(ctx, actor, id); !errors.Is(err, oidc.ErrClient) {
				t.Errorf("%q: %v", id, err)
			}
		}
		if n := len(c.events(t, "oidc.client.disable")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

func (c *city) events(t testing.TB, kind string) (list []audit.Record) {
	t.Helper()
	check(t, c.db.Read(t.Context(), func(tx db.Tx) (err error) {
		list, err = audit.Find(t.Context(), tx, audit.EventFilter{Kind: kind})
		return err
	}))
	return list
}

func TestAddClientRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		for _, k := range []struct {
			name   string
			change func(c *oidc.Client)
			kind   fault.Kind
			path   string
		}{
			{"id taken", func(c *oidc.Client) { c.ID = "console" }, fault.Conflict, ""},
			{"capital id", func(c *oidc.Client) { c.ID = "Console" }, fault.Invalid, "/id"},
			{"the desk's id", func(c *oidc.Client) { c.ID = "desk" }, fault.Invalid, "/id"},
			{"colon in id", func(c *oidc.Client) { c.ID = "a:b" }, fault.Invalid, "/id"},
			{"no name", func(c *oidc.Client) { c.Name = "" }, fault.Invalid, "/name"},
			{"NUL in name", func(c *oidc.Client) { c.Name = "a\x00b" }, fault.Invalid, "/name"},
			{"no scopes", func(c *oidc.Client) { c.Scopes = nil }, fault.Invalid, "/scopes"},
			{"unknown scope", func(c *oidc.Client) { c.Scopes = []string{"root"} }, fault.Invalid, "/scopes"},
			{"scope twice", func(c *oidc.Client) { c.Scopes = []string{"licenses", "licenses"} }, fault.Invalid, "/scopes"},
			{"scope with space", func(c *oidc.Client) { c.Scopes = []string{"licenses registry"} }, fault.Invalid, "/scopes"},
			{"no profile", func(c *oidc.Client) { c.Profile = "" }, fault.Invalid, "/profile"},
			{"unknown agency", func(c *oidc.Client) { c.Agency = "nobody" }, fault.Invalid, "/agency"},
			{"own date", func(c *oidc.Client) { c.Created = time.Now() }, fault.Invalid, "/created"},
		} {
			t.Run(k.name, func(t *testing.T) {
				client := oidc.Client{ID: "new", Name: "new", Scopes: []string{"licenses"}, Profile: oidc.ProfileService}
				k.change(&client)
				_, secret, err := c.provider.AddClient(t.Context(), actor, client)
				if fault.KindOf(err) != k.kind || err == nil || secret != "" {
					t.Fatalf("got %v and secret %q", err, secret)
				}
				if k.path != "" && !slices.ContainsFunc(fault.Problems(err), func(p fault.Problem) bool { return p.Path == k.path }) {
					t.Errorf("problems %v", fault.Problems(err))
				}
			})
		}
	})
}

func TestClientAPI(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		call := func(token, method, path, body string, want int) map[string]any {
			t.Helper()
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			w := c.do(r)
			if w.Code != want {
				t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
			}
			if w.Body.Len() == 0 {
				return nil
			}
			return decode(t, w.Body.Bytes())
		}
		console, agency := c.token(t, "console"), c.token(t, "donghu-api")
		body := `{"id":"xishan-api","name":"西山办证","scopes":["licenses"],"profile":"service"}`
		added := call(console, "POST", "/oidc/v1/clients", body, 201)
		c.secrets["xishan-api"] = added["client_secret"].(string)
		call(console, "POST", "/oidc/v1/clients", body, 409)
		call(console, "POST", "/oidc/v1/clients", `{"id":"x","secret_hash":""}`, 400)
		call(console, "POST", "/oidc/v1/clients", `{"name":"`+strings.Repeat("a", 97<<10)+`"}`, 413)
		call(agency, "POST", "/oidc/v1/clients", body, 403)
		call("guess", "GET", "/oidc/v1/clients", "", 401)
		list := call(console, "GET", "/oidc/v1/clients", "", 200)["clients"].([]any)
		for _, l := range list {
			if m := l.(map[string]any); m["client_secret"] != nil || m["hash"] != nil {
				t.Errorf("a list shows secrets: %v", m)
			}
		}
		if len(list) != 3 {
			t.Errorf("listed %v", list)
		}
		fresh := c.token(t, "xishan-api")
		if _, err := c.provider.CheckToken(t.Context(), fresh); err != nil {
			t.Error(err)
		}
		call(console, "POST", "/oidc/v1/clients/xishan-api/disable", "", 204)
		call(console, "POST", "/oidc/v1/clients/xishan-api/disable", "", 204)
		call(console, "POST", "/oidc/v1/clients/nobody/disable", "", 404)
		call(console, "POST", "/oidc/v1/clients/%00/disable", "", 404)
		if w := c.do(c.request("xishan-api", "grant_type=client_credentials")); w.Code != 401 {
			t.Errorf("a disabled client got status %d", w.Code)
		}
		// An agency's client manages nobody, even with the scope.
		c.add(t, oidc.Client{ID: "sly", Name: "sly", Agency: "donghu-amr", Scopes: []string{"clients"}, Profile: oidc.ProfileService})
		call(c.token(t, "sly"), "GET", "/oidc/v1/clients", "", 403)
	})
}

// Another replica refuses a disabled client's tokens within two seconds.
func TestDisabledEverywhere(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		other := c.replica(t, nil)
		token := c.token(t, "donghu-api")
		if _, err := other.CheckToken(ctx, token); err != nil {
			t.Fatal(err)
		}
		check(t, c.provider.DisableClient(ctx, actor, "donghu-api"))
		begun := time.Now()
		for {
			_, err := other.CheckToken(ctx, token)
			if fault.KindOf(err) == fault.Denied {
				break
			}
			check(t, err)
			if time.Since(begun) > 2*time.Second {
				t.Fatal("still accepted after two seconds")
			}
			time.Sleep(20 * time.Millisecond)
		}
		if _, err := c.provider.CheckToken(ctx, token); fault.KindOf(err) != fault.Denied {
			t.Errorf("here: %v", err)
		}
	})
}

type dbTx = db.Tx

func testSQLite(t testing.TB) *db.DB { return testkit.SQLite(t) }
