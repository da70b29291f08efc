package oidc_test

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

// sandbox is a town with a sandbox and a client of each profile in it.
type sandbox struct {
	*logoutTown
	basic string
	fapi  *site
}

func eachSandbox(t *testing.T, f func(t *testing.T, c *sandbox)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newSandbox(t, d)) })
}

func newSandbox(t testing.TB, d *db.DB) *sandbox {
	t.Helper()
	c := &sandbox{logoutTown: newLogoutTown(t, d)}
	c.options.Sandbox = true
	c.provider = c.replica(t, nil)
	c.mux = newMux(c.provider)
	c.basic = c.ask(t, `{"name":"我的应用","profile":"basic","redirect_uris":["`+callback+`"],"post_logout_redirect_uris":["`+bye+`"],"backchannel_logout_uri":"`+heard+`"}`)
	key := newP256(t)
	made := c.ask(t, `{"name":"FAPI","profile":"fapi2","redirect_uris":["`+callback+`"],"jwks":`+publicSet(t, key)+`}`)
	c.fapi = &site{town: c.town, id: made, key: key, alg: jose.ES256, at: c.mux}
	c.fapi.setKey(t, newP256(t))
	return c
}

func publicSet(t testing.TB, key any) string {
	t.Helper()
	b, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{(&jose.JSONWebKey{Key: key}).Public()}})
	check(t, err)
	return string(b)
}

func (c *sandbox) register(body, address string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/oidc/sandbox/clients", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.RemoteAddr = address
	return c.do(r)
}

// ask makes a client and returns its id.
func (c *sandbox) ask(t testing.TB, body string) string {
	t.Helper()
	answer := want(t, c.register(body, "192.0.2.1:1"), 201)
	id := answer["client_id"].(string)
	c.secrets[id], _ = answer["client_secret"].(string)
	return id
}

// page follows a request to the page of personas and returns its address.
func (b *browser) page(w *httptest.ResponseRecorder) (to string, page *httptest.ResponseRecorder) {
	b.t.Helper()
	to = w.Header().Get("Location")
	if w.Code != http.StatusSeeOther || !strings.HasPrefix(to, "/oidc/interaction/") {
		b.t.Fatalf("status %d to %q: %s", w.Code, to, text(w))
	}
	if page = b.get(to); page.Code != http.StatusOK {
		b.t.Fatalf("page: status %d to %q: %s", page.Code, page.Header().Get("Location"), text(page))
	}
	return to, page
}

// be signs a persona in at the sandbox's basic client, and returns the code.
func (c *sandbox) be(t testing.TB, b *browser, persona string, change url.Values) string {
	t.Helper()
	to, _ := b.page(b.authorize(merge(url.Values{"client_id": {c.basic}}, change)))
	return back(t, b.post(to, url.Values{"persona": {persona}, "allow": {"1"}})).Get("code")
}

func merge(a, b url.Values) url.Values {
	for k, v := range b {
		a[k] = v
	}
	return a
}

func (c *sandbox) signInAs(t testing.TB, b *browser, persona string, change url.Values) map[string]any {
	t.Helper()
	return c.redeem(t, c.basic, codeForm(c.be(t, b, persona, change)), 200)
}

func TestSandboxFlow(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		before := map[string]int{}
		tables := []string{"oidc_consents", "oidc_subjects"}
		for _, table := range tables {
			before[table] = c.count(t, table)
		}
		// Somebody real is signed in in this browser, which the sandbox does not look at.
		b := c.signIn(t, "s1", c.wang)
		_, page := b.page(b.authorize(url.Values{"client_id": {c.basic}}))
		if s := page.Body.String(); strings.Contains(s, "王晓岚") || !strings.Contains(s, `class="sandbox"`) || !strings.Contains(s, "𠮷白露") {
			t.Errorf("the page is %s", s)
		}
		all := url.Values{"scope": {"openid profile firm resident offline_access"}}
		tokens := c.signInAs(t, b, "delegate/91990101MA1F900018", all)
		access, id := payload(t, tokens["access_token"].(string)), payload(t, tokens["id_token"].(string))
		for name, m := range map[string]map[string]any{"access": access, "id": id} {
			if m["sandbox"] != true || m["acr"] != acr || m["sub"] != access["sub"] {
				t.Errorf("%s token %v", name, m)
			}
		}
		info := c.userinfo(t, tokens, 200)
		if info["name"] != "罗秋白" || info["firm_uscc"] != "91990101MA1F900018" || info["sandbox"] != true || info["document_kind"] != "resident" || info["sub"] != access["sub"] {
			t.Errorf("userinfo %v", info)
		}
		next := c.redeem(t, c.basic, refreshForm(tokens["refresh_token"].(string)), 200)
		if m := payload(t, next["access_token"].(string)); m["sandbox"] != true || m["sub"] != access["sub"] {
			t.Errorf("refreshed %v", m)
		}
		w := c.do(form(c.request(c.basic, url.Values{"token": {next["access_token"].(string)}}.Encode()), "/oidc/introspect"))
		if m := want(t, w, 200); m["active"] != true || m["sandbox"] != true {
			t.Errorf("introspected %v", m)
		}
		// The same persona is somebody else to another client.
		code := c.personaCode(t, b, "delegate", nil)
		w = c.fapi.post(t, "/oidc/token", codeForm(code), "")
		if m := payload(t, want(t, w, 200)["id_token"].(string)); m["sub"] == access["sub"] || m["sandbox"] != true {
			t.Errorf("at the other client %v", m)
		}
		w = c.do(form(c.request(c.basic, url.Values{"token": {next["refresh_token"].(string)}}.Encode()), "/oidc/revoke"))
		if w.Code != 200 {
			t.Errorf("revoke: status %d", w.Code)
		}
		c.userinfo(t, next, 401)
		for _, kind := range []string{"oidc.grant", "oidc.grant.end", "oidc.consent.give"} {
			if n := len(c.events(t, kind)); n != 0 {
				t.Errorf("%d events %s about people who do not exist", n, kind)
			}
		}
		for _, table := range tables {
			if n := c.count(t, table); n != before[table] {
				t.Errorf("%s has %d rows, %d before", table, n, before[table])
			}
		}
		if !c.live(t, "s1") {
			t.Error("the person was signed out")
		}
	})
}

// form sends a request elsewhere.
func form(r *http.Request, path string) *http.Request {
	r.URL.Path = path
	return r
}

// personaCode signs a persona in at the sandbox's client of fapi2.
func (c *sandbox) personaCode(t testing.TB, b *browser, persona string, change url.Values) string {
	t.Helper()
	to, _ := b.page(b.get(c.fapi.address(c.fapi.push(t, change))))
	return back(t, b.post(to, url.Values{"persona": {persona}, "allow": {"1"}})).Get("code")
}

func TestSandboxAnswers(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		essential := func(level string) url.Values {
			return url.Values{"claims": {`{"id_token":{"acr":{"essential":true,"value":"` + level + `"}}}`}}
		}
		for _, k := range []struct {
			name           string
			request        url.Values
			persona, level string
			want           string // an OAuth error, "" for a code, "page" for the page again
		}{
			{"citizen", nil, "citizen", "", ""},
			{"a level", nil, "citizen", "urn:signet:acr:verified", ""},
			{"says no", nil, "decliner", "", "access_denied"},
			{"nobody", nil, "", "", "page"},
			{"a real person", nil, c.wang.ID, "", "page"},
			{"unknown", nil, "sandbox:citizen", "", "page"},
			{"a firm that is not asked for", nil, "delegate/91990101MA1F900018", "", "page"},
			{"another's firm", url.Values{"scope": {"openid firm"}}, "citizen/91990101MA1F900018", "", "page"},
			{"a real firm", url.Values{"scope": {"openid firm"}}, "delegate/" + firmA, "", "page"},
			{"unknown level", nil, "citizen", "gold", "page"},
			{"a level out of reach", nil, "declared", "urn:signet:acr:verified", "page"},
			{"essential and reached", essential("urn:signet:acr:verified"), "citizen", "", ""},
			{"essential and out of reach", essential("urn:signet:acr:verified"), "declared", "", "unmet_authentication_requirements"},
			{"hinted at another", url.Values{"claims": {`{"id_token":{"sub":{"value":"X"}}}`}}, "citizen", "", "login_required"},
		} {
			b := c.nobody(t)
			to, _ := b.page(b.authorize(merge(url.Values{"client_id": {c.basic}}, k.request)))
			w := b.post(to, url.Values{"persona": {k.persona}, "acr": {k.level}, "allow": {"1"}})
			switch {
			case k.want == "page":
				if w.Code != 400 || !strings.Contains(w.Body.String(), `class="sandbox"`) {
					t.Errorf("%s: status %d: %s", k.name, w.Code, text(w))
				}
			case k.want == "":
				if q := back(t, w); q.Get("code") == "" {
					t.Errorf("%s: %v", k.name, q)
				}
			default:
				if q := back(t, w); q.Get("error") != k.want || q.Has("code") {
					t.Errorf("%s: %v", k.name, q)
				}
			}
		}
		b := c.nobody(t)
		to, _ := b.page(b.authorize(url.Values{"client_id": {c.basic}}))
		if q := back(t, b.post(to, url.Values{"persona": {"citizen"}, "deny": {"1"}})); q.Get("error") != "access_denied" {
			t.Errorf("denied: %v", q)
		}
		if w := b.post(to, url.Values{"persona": {"citizen"}, "allow": {"1"}}); w.Code != 409 {
			t.Errorf("after no: status %d", w.Code)
		}
		// Sent twice, an answer is one session; another browser has no answer to give.
		to, _ = b.page(b.authorize(url.Values{"client_id": {c.basic}}))
		if w := c.nobody(t).post(to, url.Values{"persona": {"citizen"}, "allow": {"1"}}); w.Code != 404 {
			t.Errorf("another browser: status %d", w.Code)
		}
		n := c.count(t, "oidc_sandbox_sessions")
		first := back(t, b.post(to, url.Values{"persona": {"citizen"}, "allow": {"1"}})).Get("code")
		second := back(t, b.post(to, url.Values{"persona": {"citizen"}, "allow": {"1"}})).Get("code")
		if w := b.post(to, url.Values{"persona": {"rare"}, "allow": {"1"}}); w.Code != 409 {
			t.Errorf("another persona: status %d", w.Code)
		}
		if m := c.count(t, "oidc_sandbox_sessions"); m != n+1 {
			t.Errorf("%d sessions, %d before", m, n)
		}
		c.refused(t, c.basic, codeForm(first), "invalid_grant")
		_ = second
	})
}

// Neither does a client of the sandbox get a person, nor another a persona, by whatever
// of the one is brought to the other.
func TestSandboxApart(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		b := c.signIn(t, "s1", c.wang)
		real := c.tokens(t, b, url.Values{"scope": {"openid offline_access"}})
		fake := c.signInAs(t, b, "citizen", url.Values{"scope": {"openid offline_access"}})

		// Codes and refresh tokens.
		c.refused(t, c.basic, codeForm(b.code(nil)), "invalid_grant")
		c.refused(t, "permits", codeForm(c.be(t, b, "citizen", nil)), "invalid_grant")
		c.refused(t, c.basic, refreshForm(real["refresh_token"].(string)), "invalid_grant")
		c.refused(t, "permits", refreshForm(fake["refresh_token"].(string)), "invalid_grant")
		w := c.fapi.post(t, "/oidc/token", codeForm(b.code(nil)), "")
		wantError(t, w, 400, "invalid_grant")

		// Introspection tells neither of the other's tokens.
		for client, token := range map[string]any{c.basic: real["access_token"], "permits": fake["access_token"]} {
			w := c.do(form(c.request(client, url.Values{"token": {token.(string)}}.Encode()), "/oidc/introspect"))
			if m := want(t, w, 200); m["active"] != false || len(m) != 1 {
				t.Errorf("%s learns %v", client, m)
			}
		}

		// request_uris.
		strictSite := c.newSite(t, "strict")
		for _, k := range [][2]string{{c.fapi.push(t, nil), "strict"}, {strictSite.push(t, nil), c.fapi.id}, {strictSite.push(t, nil), c.basic}} {
			w := b.get("/oidc/authorize?" + url.Values{"client_id": {k[1]}, "request_uri": {k[0]}}.Encode())
			if w.Code != 400 || w.Header().Get("Location") != "" {
				t.Errorf("request_uri at %s: status %d to %q", k[1], w.Code, w.Header().Get("Location"))
			}
		}

		// Interactions: a persona on a real page, and the consent of a person in the sandbox.
		w = b.authorize(url.Values{"client_id": {"library"}})
		to := w.Header().Get("Location")
		w = b.post(to, url.Values{"persona": {"citizen"}, "allow": {"1"}})
		if loc := w.Header().Get("Location"); w.Code != 303 || !strings.HasPrefix(loc, "/oidc/interaction/") {
			t.Errorf("a persona at a real client: status %d to %q", w.Code, loc)
		}
		key := keyOf(t, b.get(to))
		to, _ = b.page(b.authorize(url.Values{"client_id": {c.basic}}))
		if w = b.post(to, url.Values{"allow": {"1"}, "firm": {"self"}, "key": {key}}); w.Code != 400 {
			t.Errorf("consent in the sandbox: status %d to %q", w.Code, w.Header().Get("Location"))
		}

		// A request that must not ask finds the real session neither, nor the persona's at another.
		if q := back(t, c.signIn(t, "s2", c.wang).authorize(url.Values{"client_id": {c.basic}, "prompt": {"none"}})); q.Get("error") != "login_required" {
			t.Errorf("prompt none: %v", q)
		}
		alone := c.nobody(t)
		c.be(t, alone, "citizen", nil)
		if q := back(t, alone.authorize(url.Values{"prompt": {"none"}})); q.Get("error") != "login_required" {
			t.Errorf("prompt none at a real client: %v", q)
		}
		// Rows that no code of ours would write are refused too: a person's grant that says it is
		// of a sandbox client, and a persona's of another.
		for _, k := range []struct {
			answer map[string]any
			client string
		}{{fake, "permits"}, {real, c.basic}} {
			grant := payload(t, k.answer["access_token"].(string))["grant"]
			c.exec(t, `UPDATE oidc_grants SET client = $1 WHERE id = $2`, k.client, grant)
			c.userinfo(t, k.answer, 401)
			c.refused(t, k.client, refreshForm(k.answer["refresh_token"].(string)), "invalid_grant")
			c.exec(t, `UPDATE oidc_grants SET client = $1, ended = 0 WHERE id = $2`, payload(t, k.answer["access_token"].(string))["client_id"], grant)
		}
		// So are the grants of a client that turns into one of the other kind.
		c.userinfo(t, fake, 200)
		c.userinfo(t, real, 200)
		c.exec(t, `UPDATE oidc_clients SET profile = 'basic' WHERE id = $1`, c.basic)
		c.exec(t, `UPDATE oidc_clients SET profile = 'sandbox-basic', expires = $1 WHERE id = 'permits'`, db.Micros(c.clock.now.Add(time.Hour)))
		c.provider = c.replica(t, nil)
		c.mux = newMux(c.provider)
		for client, answer := range map[string]map[string]any{c.basic: fake, "permits": real} {
			c.refused(t, client, refreshForm(answer["refresh_token"].(string)), "invalid_grant")
			c.userinfo(t, answer, 401)
		}
	})
}

func TestSandboxSilently(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		b, silent := c.nobody(t), url.Values{"client_id": {c.basic}, "prompt": {"none"}, "scope": {"openid"}}
		if q := back(t, b.authorize(silent)); q.Get("error") != "login_required" {
			t.Fatalf("before: %v", q)
		}
		first := c.signInAs(t, b, "rare", nil)
		again := c.redeem(t, c.basic, codeForm(back(t, b.authorize(silent)).Get("code")), 200)
		one, two := payload(t, first["id_token"].(string)), payload(t, again["id_token"].(string))
		if one["sub"] != two["sub"] || one["sid"] != two["sid"] || one["auth_time"] != two["auth_time"] {
			t.Errorf("%v and then %v", one, two)
		}
		if q := back(t, c.nobody(t).authorize(silent)); q.Get("error") != "login_required" {
			t.Errorf("another browser: %v", q)
		}
		if q := back(t, b.get(c.fapi.address(c.fapi.push(t, url.Values{"prompt": {"none"}})))); q.Get("error") != "login_required" {
			t.Errorf("another client: %v", q)
		}
		c.clock.now = c.clock.now.Add(5 * time.Minute)
		if q := back(t, b.authorize(merge(url.Values{"max_age": {"60"}}, silent))); q.Get("error") != "login_required" {
			t.Errorf("too long ago: %v", q)
		}
		c.clock.now = c.clock.now.Add(time.Hour)
		if q := back(t, b.authorize(silent)); q.Get("error") != "login_required" {
			t.Errorf("after its end: %v", q)
		}
	})
}

func TestSandboxLogout(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		b := c.signIn(t, "s1", c.wang)
		real := c.tokens(t, b, url.Values{"scope": {"openid offline_access"}})
		tokens := c.signInAs(t, b, "citizen", url.Values{"scope": {"openid offline_access"}})
		w := b.get(logoutURL("id_token_hint", tokens["id_token"].(string), "post_logout_redirect_uri", bye, "state", "x"))
		if to := w.Header().Get("Location"); w.Code != 303 || to != bye+"&state=x" {
			t.Fatalf("status %d to %q", w.Code, to)
		}
		c.refused(t, c.basic, refreshForm(tokens["refresh_token"].(string)), "invalid_grant")
		list := c.messages(t)
		if len(list) != 1 || !bytes.Contains(list[0].Body, []byte(c.basic)) {
			t.Fatalf("messages %s", list)
		}
		sent, err := c.send(t, "m1", list[0].Body, 200, nil)
		check(t, err)
		if m := payload(t, sent.token); m["sandbox"] != true || m["sid"] != payload(t, tokens["id_token"].(string))["sid"] {
			t.Errorf("logout token %v", m)
		}
		// Without a hint those of this browser end, and no real one does.
		tokens = c.signInAs(t, b, "citizen", url.Values{"scope": {"openid offline_access"}})
		other := c.signInAs(t, c.nobody(t), "rare", url.Values{"scope": {"openid offline_access"}})
		if w := b.get(logoutURL("client_id", c.basic)); w.Code != 200 || !strings.Contains(w.Body.String(), `class="sandbox"`) || strings.Contains(w.Body.String(), "王晓岚") {
			t.Errorf("status %d: %s", w.Code, text(w))
		}
		c.refused(t, c.basic, refreshForm(tokens["refresh_token"].(string)), "invalid_grant")
		c.redeem(t, c.basic, refreshForm(other["refresh_token"].(string)), 200)
		if w := b.get(logoutURL("client_id", c.basic, "id_token_hint", real["id_token"].(string))); w.Code != 400 {
			t.Errorf("another's hint: status %d", w.Code)
		}
		if w := b.get(logoutURL("client_id", c.basic, "post_logout_redirect_uri", outside)); w.Code != 400 {
			t.Errorf("another address: status %d", w.Code)
		}
		if !c.live(t, "s1") {
			t.Error("the person was signed out")
		}
		c.redeem(t, "permits", refreshForm(real["refresh_token"].(string)), 200)
	})
}

func TestSandboxRefuses(t *testing.T) {
	c := newSandbox(t, testkit.SQLite(t))
	set := publicSet(t, newP256(t))
	private, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: newP256(t)}}})
	check(t, err)
	for i, k := range []struct {
		body  string
		paths []string
	}{
		{`{}`, []string{"/name", "/profile"}},
		{`{"name":"x","profile":"service","redirect_uris":["` + callback + `"]}`, []string{"/profile", "/redirect_uris", "/scopes"}},
		{`{"name":"x","profile":"basic","redirect_uris":[]}`, []string{"/redirect_uris"}},
		{`{"name":"x","profile":"basic","redirect_uris":["https://site.example/cb"]}`, []string{"/redirect_uris/0"}},
		{`{"name":"x","profile":"basic","redirect_uris":["http://192.168.0.1/cb"]}`, []string{"/redirect_uris/0"}},
		{`{"name":"x","profile":"basic","redirect_uris":["http://localhost.example/cb"]}`, []string{"/redirect_uris/0"}},
		{`{"name":"x","profile":"basic","redirect_uris":["` + callback + `"],"post_logout_redirect_uris":["https://site.example/bye"],"backchannel_logout_uri":"https://site.example/x"}`,
			[]string{"/backchannel_logout_uri", "/post_logout_redirect_uris/0"}},
		{`{"name":"x","profile":"basic","redirect_uris":["` + callback + `"],"jwks":` + set + `}`, []string{"/jwks"}},
		{`{"name":"","profile":"fapi2","redirect_uris":["` + callback + `","nowhere"]}`, []string{"/jwks", "/name", "/redirect_uris/1"}},
		{`{"name":"x","profile":"fapi2","redirect_uris":["` + callback + `"],"jwks":` + string(private) + `}`, []string{"/jwks"}},
		{`{"name":"x","profile":"basic","redirect_uris":["` + callback + `"],"scopes":["openid","licenses"]}`, []string{"/scopes"}},
		{`{"name":"x","profile":"basic","redirect_uris":["` + callback + `"],"client_id":"mine"}`, nil},
		{`{"name":"x","profile":"fapi2","redirect_uris":["` + callback + `"],"jwks_uri":"https://site.example/jwks"}`, nil},
		{`[]`, nil}, {``, nil}, {`{"name":"` + strings.Repeat("x", 20<<10) + `"}`, nil},
	} {
		w := c.register(k.body, fmt.Sprintf("198.51.100.%d:1", i))
		if w.Code < 400 || w.Code > 499 {
			t.Errorf("%.60s: status %d: %s", k.body, w.Code, w.Body)
		}
		for _, path := range k.paths {
			if !strings.Contains(w.Body.String(), `"`+path+`"`) {
				t.Errorf("%.60s: nothing about %s in %s", k.body, path, w.Body)
			}
		}
	}
	if n := c.count(t, "oidc_clients WHERE expires > 0"); n != 2 {
		t.Errorf("%d clients", n)
	}
	ctx := t.Context()
	if _, _, err := c.provider.AddClient(ctx, actor, oidc.Client{ID: "sandbox-x", Name: "x", Profile: oidc.ProfileBasic, Scopes: []string{"openid"}, RedirectURIs: []string{callback}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a client that looks like one of the sandbox: %v", err)
	}
	if _, _, err := c.provider.AddClient(ctx, actor, oidc.Client{Sandbox: true, Name: "x", Profile: oidc.ProfileBasic, Scopes: []string{"openid"}, RedirectURIs: []string{callback}}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a client of the sandbox by the operator's door: %v", err)
	}
	found, err := c.provider.FindClient(ctx, c.basic)
	check(t, err)
	if !found.Sandbox || found.Profile != oidc.ProfileBasic || found.Expires.Sub(found.Created) != 30*24*time.Hour {
		t.Errorf("found %+v", found)
	}
	found.Name, found.RedirectURIs = "y", []string{"https://site.example/cb"}
	if _, err := c.provider.UpdateClient(ctx, actor, found); fault.KindOf(err) != fault.Conflict {
		t.Errorf("changed: %v", err)
	}
	wantError(t, c.do(c.request(c.basic, "grant_type=client_credentials")), 400, "unauthorized_client")
}

func TestSandboxBounds(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		good := `{"name":"x","profile":"basic","redirect_uris":["` + callback + `"]}`
		for i := range oidc.SandboxPerHour + 1 {
			w := c.register(`{}`, fmt.Sprintf("[2001:db8::%x]:1", i+1))
			if want := map[bool]int{true: 400, false: 503}[i < oidc.SandboxPerHour]; w.Code != want {
				t.Fatalf("try %d: status %d, want %d", i, w.Code, want)
			}
		}
		if w := c.register(good, "[2001:db8:1::1]:1"); w.Code != 201 {
			t.Errorf("another address: status %d", w.Code)
		}
		c.clock.now = c.clock.now.Add(time.Hour)
		want(t, c.register(good, "[2001:db8::1]:1"), 201)
		c.exec(t, `UPDATE oidc_sandbox_room SET taken = $1`, oidc.SandboxMost-1)
		want(t, c.register(good, "192.0.2.9:1"), 201)
		if w := c.register(good, "192.0.2.9:1"); w.Code != 503 {
			t.Errorf("one too many: status %d: %s", w.Code, w.Body)
		}
		c.exec(t, `UPDATE oidc_sandbox_room SET taken = 5`)

		// Personas are signed in at one client so often and no more, until they are signed out.
		c.exec(t, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
			INSERT INTO oidc_sandbox_sessions (id, client, persona, firm, acr, browser, sid, created, expires)
			SELECT 'full' || CAST(i AS TEXT), $2, 'citizen', '', '', $3, 'full' || CAST(i AS TEXT), 1, $4 FROM n`,
			oidc.SandboxSessions, c.basic, []byte("x"), db.Micros(c.clock.now.Add(time.Hour)))
		busy := c.nobody(t)
		at, _ := busy.page(busy.authorize(url.Values{"client_id": {c.basic}}))
		if w := busy.post(at, url.Values{"persona": {"citizen"}, "allow": {"1"}}); w.Code != 503 {
			t.Errorf("one too many: status %d to %q", w.Code, w.Header().Get("Location"))
		}
		c.exec(t, `DELETE FROM oidc_sandbox_sessions WHERE id LIKE 'full%'`)

		// At their end they are unknown at once, and gone with the next sweep.
		b := c.nobody(t)
		tokens := c.signInAs(t, b, "citizen", url.Values{"scope": {"openid offline_access"}})
		to, _ := b.page(b.authorize(url.Values{"client_id": {c.basic}}))
		c.exec(t, `UPDATE oidc_clients SET expires = $1 WHERE id = $2`, db.Micros(c.clock.now), c.basic)
		c.provider = c.replica(t, nil)
		c.mux = newMux(c.provider)
		b.mux = c.mux
		if w := b.post(to, url.Values{"persona": {"citizen"}}); w.Code != 400 {
			t.Errorf("interaction: status %d", w.Code)
		}
		if w := b.authorize(url.Values{"client_id": {c.basic}}); w.Code != 400 {
			t.Errorf("request: status %d", w.Code)
		}
		c.refused(t, c.basic, refreshForm(tokens["refresh_token"].(string)), "invalid_client")
		c.userinfo(t, tokens, 401)
		check(t, c.provider.Sweep(t.Context()))
		if n := c.count(t, "oidc_clients WHERE id = '"+c.basic+"'"); n != 0 {
			t.Error("not swept")
		}
		if n := c.count(t, "oidc_sandbox_room WHERE taken = 4"); n != 1 {
			t.Error("its place was not given back")
		}
		if n := c.count(t, "oidc_clients WHERE id = 'permits'"); n != 1 {
			t.Error("a real client was swept")
		}
		if n := len(c.events(t, "oidc.sandbox.end")); n != 1 {
			t.Errorf("%d events", n)
		}
	})
}

// Where there is no sandbox, or no longer, there are neither its address nor its clients.
func TestSandboxOff(t *testing.T) {
	c := newSandbox(t, testkit.SQLite(t))
	b := c.nobody(t)
	tokens := c.signInAs(t, b, "citizen", url.Values{"scope": {"openid offline_access"}})
	c.provider = c.replica(t, func(o *oidc.Options) { o.Sandbox = false })
	c.mux = newMux(c.provider)
	b.mux = c.mux
	if w := c.register(`{}`, "192.0.2.1:1"); w.Code != 404 {
		t.Errorf("status %d", w.Code)
	}
	if w := b.authorize(url.Values{"client_id": {c.basic}}); w.Code != 400 {
		t.Errorf("request: status %d", w.Code)
	}
	c.refused(t, c.basic, refreshForm(tokens["refresh_token"].(string)), "invalid_client")
	c.userinfo(t, tokens, 401)
}

func TestPersonas(t *testing.T) {
	const good = "- {id: a, name: 甲, about: {zh: 甲, en: A}, document: {kind: resident, number: '1'}}\n"
	if n, err := oidc.ParsePersonas([]byte(good)); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	for _, bad := range []string{"", "[]", "a: b", good + good, "- {id: A}", "- {id: a, name: 甲}", strings.Replace(good, "name", "names", 1),
		strings.Replace(good, "id: a", "id: a, firms: [{uscc: x}]", 1)} {
		if _, err := oidc.ParsePersonas([]byte(bad)); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

// What beginners do wrong is answered by what to do.
func TestBeginners(t *testing.T) {
	eachSandbox(t, func(t *testing.T, c *sandbox) {
		b := c.nobody(t)
		w := b.authorize(url.Values{"client_id": {c.basic}, "redirect_uri": {callback + "/"}})
		if w.Code != 400 || w.Header().Get("Location") != "" || !strings.Contains(text(w), callback+" ") && !strings.Contains(text(w), callback) {
			t.Errorf("redirect: status %d: %s", w.Code, text(w))
		}
		if w := b.authorize(url.Values{"redirect_uri": {outside}}); w.Code != 400 || strings.Contains(text(w), "permits.example") {
			t.Errorf("addresses of a real client: status %d: %s", w.Code, text(w))
		}
		if q := back(t, b.authorize(url.Values{"client_id": {c.basic}, "code_challenge": {""}})); !strings.Contains(q.Get("error_description"), "PKCE") {
			t.Errorf("no PKCE: %v", q)
		}
		code := c.be(t, b, "citizen", nil)
		c.redeem(t, c.basic, codeForm(code), 200)
		says := func(name string, w *httptest.ResponseRecorder, code, part string) {
			t.Helper()
			if m := decode(t, w.Body.Bytes()); m["error"] != code || !strings.Contains(m["error_description"].(string), part) {
				t.Errorf("%s: status %d: %v", name, w.Code, m)
			}
		}
		says("a code again", c.do(c.request(c.basic, codeForm(code).Encode())), "invalid_grant", "good once")
		r := c.request(c.basic, merge(codeForm(code), url.Values{"client_id": {c.basic}, "client_secret": {c.secrets[c.basic]}}).Encode())
		r.Header.Del("Authorization")
		says("a secret in the body", c.do(r), "invalid_client", "Authorization header")
		unknown := c.request("nobody", codeForm(code).Encode())
		wrong := c.request(c.basic, codeForm(code).Encode())
		wrong.SetBasicAuth(c.basic, "x")
		if one, two := c.do(unknown), c.do(wrong); one.Body.String() != two.Body.String() || one.Code != 401 {
			t.Errorf("an unknown client: %s, a wrong secret: %s", one.Body, two.Body)
		}
		for _, off := range []int64{-600, 600} {
			now := c.clock.now.Unix() + off
			form := c.fapi.request(url.Values{"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion": {c.fapi.assertion(t, map[string]any{"iat": now, "exp": now + 60})}})
			says("an assertion by another clock", c.fapi.post(t, "/oidc/par", form, "-"), "invalid_client", "compare your clock")
			w := c.fapi.post(t, "/oidc/par", c.fapi.request(nil), c.fapi.proof(t, "POST", issuer+"/oidc/par", "", map[string]any{"iat": now}))
			says("a proof by another clock", w, "invalid_dpop_proof", "compare your clock")
		}
	})
}
