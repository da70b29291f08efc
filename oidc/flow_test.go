package oidc_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	goidc "github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"

	"github.com/signet-city/signet/oidc"
)

// carrier sends a browser's cookies along on http, as browsers do on loopback.
type carrier struct {
	cookies map[string]string
}

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, value := range c.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err == nil {
		for _, cookie := range response.Cookies() {
			c.cookies[cookie.Name] = cookie.Value
		}
	}
	return response, err
}

// An outside client signs a person in, over sockets and by discovery alone.
func TestOutsideSite(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux)
		defer server.Close()
		provider := c.replica(t, func(o *oidc.Options) { o.Issuer = server.URL; o.Now = time.Now })
		provider.Mount(mux)
		ctx := t.Context()

		outside, err := goidc.NewProvider(ctx, server.URL)
		check(t, err)
		config := oauth2.Config{ClientID: "permits", ClientSecret: c.secrets["permits"], Endpoint: outside.Endpoint(), RedirectURL: callback,
			Scopes: []string{"openid", "profile", "firm", "resident", "offline_access"}}
		person := c.nobody(t)
		c.enter(person, "s1", c.wang)
		user := &http.Client{Transport: carrier{person.cookies}, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
			if !strings.HasPrefix(r.URL.String(), server.URL) {
				return http.ErrUseLastResponse
			}
			return nil
		}}
		check(t, c.sessions.ActFor(ctx, "s1", firmA))

		proof := oauth2.GenerateVerifier()
		page, err := user.Get(config.AuthCodeURL("a state", goidc.Nonce("a nonce"), oauth2.S256ChallengeOption(proof)))
		check(t, err)
		w := httptest.NewRecorder()
		_, err = w.Body.ReadFrom(page.Body)
		check(t, err)
		check(t, page.Body.Close())
		if page.StatusCode != 200 || !strings.Contains(text(w), "东湖区市场监督管理局") {
			t.Fatalf("status %d: %s", page.StatusCode, text(w))
		}
		response, err := user.PostForm(page.Request.URL.String(), url.Values{"allow": {"1"}, "key": {keyOf(t, w)}})
		check(t, err)
		check(t, response.Body.Close())
		answer, err := response.Location()
		check(t, err)
		if q := answer.Query(); q.Get("state") != "a state" || q.Get("iss") != server.URL {
			t.Fatalf("sent back with %v", q)
		}
		tokens, err := config.Exchange(ctx, answer.Query().Get("code"), oauth2.VerifierOption(proof))
		check(t, err)

		id, err := outside.Verifier(&goidc.Config{ClientID: "permits", SupportedSigningAlgs: []string{"ES256"}}).Verify(ctx, tokens.Extra("id_token").(string))
		check(t, err)
		check(t, id.VerifyAccessToken(tokens.AccessToken))
		if id.Nonce != "a nonce" {
			t.Errorf("nonce %q", id.Nonce)
		}
		info, err := outside.UserInfo(ctx, config.TokenSource(context.WithoutCancel(ctx), tokens))
		check(t, err)
		if info.Subject != id.Subject || len(id.Subject) < 22 {
			t.Errorf("subjects %q and %q", info.Subject, id.Subject)
		}
		var told map[string]any
		check(t, info.Claims(&told))
		want := map[string]any{"sub": id.Subject, "name": "王晓岚", "firm_uscc": firmA, "firm_name": "江城老灶餐饮有限公司",
			"document_kind": "resident", "document_number": c.wang.Number}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Error(diff)
		}
		stale := *tokens
		stale.Expiry = time.Now().Add(-time.Minute)
		fresh, err := config.TokenSource(ctx, &stale).Token()
		check(t, err)
		if fresh.AccessToken == tokens.AccessToken || fresh.RefreshToken == tokens.RefreshToken || fresh.RefreshToken == "" {
			t.Error("nothing was refreshed")
		}
	})
}

func TestTokens(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		check(t, c.sessions.ActFor(t.Context(), "s1", firmB))
		answer := c.tokens(t, b, url.Values{"scope": {"openid firm"}})
		if answer["token_type"] != "Bearer" || answer["expires_in"] != 600.0 || answer["scope"] != "openid firm" || answer["refresh_token"] != nil {
			t.Errorf("answered %v", answer)
		}
		now := float64(c.clock.now.Unix())
		id, access := payload(t, answer["id_token"]), payload(t, answer["access_token"])
		want := map[string]any{"iss": issuer, "sub": id["sub"], "aud": "permits", "iat": now, "exp": now + 600, "auth_time": now, "nonce": "n-1",
			"acr": acr, "amr": []any{"hwk", "user"}, "at_hash": id["at_hash"], "sid": id["sid"], "firm_uscc": firmB, "firm_name": "江城湖畔书店有限公司"}
		if diff := cmp.Diff(want, id); diff != "" {
			t.Error(diff)
		}
		want = map[string]any{"iss": issuer, "sub": id["sub"], "aud": issuer + "/oidc/userinfo", "client_id": "permits", "scope": "openid firm",
			"grant": access["grant"], "acr": acr, "auth_time": now, "iat": now, "exp": now + 600, "jti": access["jti"]}
		if diff := cmp.Diff(want, access); diff != "" {
			t.Error(diff)
		}
		if !strings.Contains(header(t, answer["access_token"].(string)), `"at+jwt"`) || !strings.Contains(header(t, answer["id_token"].(string)), `"ES256"`) {
			t.Error("wrong headers")
		}
		for name, value := range id {
			if s, ok := value.(string); ok && (strings.Contains(s, c.wang.ID) || s == "s1" || strings.Contains(s, c.wang.Number)) {
				t.Errorf("%s tells %q", name, s)
			}
		}
		events := c.events(t, "oidc.grant")
		if len(events) != 1 || events[0].Actor != "person:"+c.wang.ID || events[0].Data["client"] != "permits" || events[0].Data["firm"] != firmB {
			t.Errorf("events %v", events)
		}
	})
}

// A second site of another agency asks once, then nobody asks again; each knows the
// person by a number of its own, and an agency's sites by the same.
func TestSingleSignOn(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		subs, sids := map[string]any{}, map[string]any{}
		for _, client := range []string{"permits", "complaints", "library"} {
			first := c.redeem(t, client, codeForm(b.code(url.Values{"client_id": {client}})), 200)
			w := b.authorize(url.Values{"client_id": {client}, "prompt": {"none"}})
			again := c.redeem(t, client, codeForm(back(t, w).Get("code")), 200)
			if payload(t, first["id_token"])["sub"] != payload(t, again["id_token"])["sub"] {
				t.Error("another sub the second time")
			}
			subs[client], sids[client] = payload(t, first["id_token"])["sub"], payload(t, first["id_token"])["sid"]
		}
		if subs["permits"] != subs["complaints"] || subs["permits"] == subs["library"] {
			t.Errorf("subs %v", subs)
		}
		if sids["permits"] == sids["complaints"] || sids["permits"] == sids["library"] {
			t.Errorf("sids %v", sids)
		}
		other := c.signIn(t, "s2", c.li)
		if sub := payload(t, c.tokens(t, other, nil)["id_token"])["sub"]; sub == subs["permits"] {
			t.Error("two people have one sub")
		}
		if n := c.count(t, "oidc_interactions"); n != 4 {
			t.Errorf("%d interactions, want one for each consent", n)
		}
	})
}

func (c *town) count(t testing.TB, table string) (n int) {
	t.Helper()
	check(t, c.db.Read(t.Context(), func(tx dbTx) error {
		return tx.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n)
	}))
	return n
}

// Nobody signed in: the request is kept, the person signs in and comes back.
func TestSignInFirst(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.nobody(t)
		w := b.authorize(url.Values{"ui_locales": {"fr en-GB zh"}})
		to, err := url.Parse(w.Header().Get("Location"))
		check(t, err)
		q := to.Query()
		if to.Path != "/login" || q.Get("reauth") != "" || q.Get("lang") != "en" || !strings.HasPrefix(q.Get("next"), "/oidc/interaction/") {
			t.Fatalf("sent to %s", to)
		}
		if strings.Contains(w.Header().Get("Location"), "s-1") {
			t.Error("the address tells of the request")
		}
		next := q.Get("next")
		if got := c.provider.FormTo(t.Context(), next); got != "http://127.0.0.1:9001" {
			t.Errorf("form to %q", got)
		}
		if w := b.get(next); !strings.HasPrefix(w.Header().Get("Location"), "/login?") {
			t.Errorf("not signed in, and sent to %q", w.Header().Get("Location"))
		}
		stranger := c.signIn(t, "s2", c.li)
		if w := stranger.get(next); w.Code != 404 || !strings.Contains(text(w), "不是由本浏览器发起") {
			t.Errorf("another browser: status %d: %s", w.Code, text(w))
		}
		c.enter(b, "s1", c.wang)
		page := b.get(next)
		if csp := page.Header().Get("Content-Security-Policy"); page.Code != 200 || !strings.Contains(csp, "form-action 'self' http://127.0.0.1:9001;") {
			t.Fatalf("status %d, %s", page.Code, csp)
		}
		answer := back(t, b.post(next, url.Values{"allow": {"1"}, "key": {keyOf(t, page)}}))
		if answer.Get("state") != "s-1" {
			t.Errorf("sent back with %v", answer)
		}
		id := payload(t, c.redeem(t, "permits", codeForm(answer.Get("code")), 200)["id_token"])
		if id["nonce"] != "n-1" {
			t.Errorf("claims %v", id)
		}
		// The visitor's own choice of language is not overruled.
		b.cookies["signet-lang"] = "zh"
		delete(b.cookies, "who")
		if w := b.authorize(url.Values{"ui_locales": {"en"}}); strings.Contains(w.Header().Get("Location"), "lang=") {
			t.Errorf("sent to %q", w.Header().Get("Location"))
		}
	})
}

// A request in a form comes without cookies from another site.
func TestPostedRequest(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		b.code(nil)
		who := b.cookies["who"]
		delete(b.cookies, "who")
		w := b.post("/oidc/authorize", authorization(url.Values{"prompt": {"none"}}))
		to := w.Header().Get("Location")
		if w.Code != 303 || !strings.HasPrefix(to, "/oidc/interaction/") {
			t.Fatalf("status %d to %q", w.Code, to)
		}
		b.cookies["who"] = who
		c.redeem(t, "permits", codeForm(back(t, b.get(to)).Get("code")), 200)
		for name, w := range map[string]func() int{
			"another type": func() int {
				r := httptest.NewRequest("POST", "/oidc/authorize", strings.NewReader(`{}`))
				r.Header.Set("Content-Type", "application/json")
				return b.do(r).Code
			},
			"a query too": func() int { return b.post("/oidc/authorize?a=b", authorization(nil)).Code },
			"too large":   func() int { return b.post("/oidc/authorize", url.Values{"a": {strings.Repeat("x", 9<<10)}}).Code },
		} {
			if code := w(); code != 400 && code != 413 {
				t.Errorf("%s: status %d", name, code)
			}
		}
	})
}

func TestPrompt(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		nobody, b := c.nobody(t), c.signIn(t, "s1", c.wang)
		expectError := func(b *browser, change url.Values, want string) {
			t.Helper()
			if got := back(t, b.authorize(change)); got.Get("error") != want || got.Get("state") != "s-1" || got.Has("code") {
				t.Errorf("sent back with %v, want %s", got, want)
			}
		}
		expectLogin := func(b *browser, change url.Values) (next string) {
			t.Helper()
			w := b.authorize(change)
			to, err := url.Parse(w.Header().Get("Location"))
			check(t, err)
			if to.Path != "/login" || to.Query().Get("reauth") != "1" {
				t.Fatalf("sent to %s", to)
			}
			return to.Query().Get("next")
		}
		none := url.Values{"prompt": {"none"}}
		expectError(nobody, none, "login_required")
		expectError(b, none, "consent_required")
		if n := c.count(t, "oidc_interactions"); n != 0 {
			t.Errorf("prompt=none left %d interactions", n)
		}
		b.code(nil)
		if !back(t, b.authorize(none)).Has("code") {
			t.Error("prompt=none gave no code")
		}
		expectError(b, url.Values{"prompt": {"none"}, "scope": {"openid profile resident"}}, "consent_required")
		expectError(b, url.Values{"prompt": {"none"}, "max_age": {"0"}}, "login_required")
		c.redeem(t, "permits", codeForm(back(t, b.consent(b.authorize(url.Values{"prompt": {"consent"}}), allow)).Get("code")), 200)

		// max_age counts from the sign-in.
		c.clock.now = c.clock.now.Add(time.Minute)
		if !back(t, b.authorize(url.Values{"max_age": {"60"}})).Has("code") {
			t.Error("max_age=60 after 60 s gave no code")
		}
		c.clock.now = c.clock.now.Add(time.Second)
		expectError(b, url.Values{"prompt": {"none"}, "max_age": {"60"}}, "login_required")
		for _, again := range []url.Values{{"max_age": {"60"}}, {"max_age": {"0"}}, {"prompt": {"login"}}, {"prompt": {"login consent"}}} {
			next := expectLogin(b, again)
			if w := b.get(next); !strings.Contains(w.Header().Get("Location"), "reauth=1") {
				t.Errorf("%v: went on without a new sign-in to %q", again, w.Header().Get("Location"))
			}
			c.clock.now = c.clock.now.Add(5 * time.Second)
			c.enter(b, "s1", c.wang)
			w := b.get(next)
			if strings.Contains(again.Get("prompt"), "consent") {
				if w.Code != 200 {
					t.Fatalf("no consent page: status %d", w.Code)
				}
				w = b.post(next, url.Values{"allow": {"1"}, "key": {keyOf(t, w)}})
			}
			id := payload(t, c.redeem(t, "permits", codeForm(back(t, w).Get("code")), 200)["id_token"])
			if id["auth_time"] != float64(c.clock.now.Unix()) {
				t.Errorf("%v: auth_time %v", again, id["auth_time"])
			}
			c.clock.now = c.clock.now.Add(2 * time.Minute)
		}
	})
}

func TestHint(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, li := c.signIn(t, "s1", c.wang), c.signIn(t, "s2", c.li)
		tokens := c.tokens(t, b, nil)
		hint, _ := tokens["id_token"].(string)
		li.code(nil)
		c.clock.now = c.clock.now.Add(time.Hour) // it has expired, and may
		if !back(t, b.authorize(url.Values{"id_token_hint": {hint}, "prompt": {"none"}})).Has("code") {
			t.Error("no code for the right person")
		}
		if got := back(t, li.authorize(url.Values{"id_token_hint": {hint}, "prompt": {"none"}})); got.Get("error") != "login_required" {
			t.Errorf("another person: %v", got)
		}
		w := li.authorize(url.Values{"id_token_hint": {hint}})
		to, err := url.Parse(w.Header().Get("Location"))
		check(t, err)
		if to.Path != "/login" {
			t.Fatalf("sent to %s", to)
		}
		c.clock.now = c.clock.now.Add(time.Second)
		c.enter(li, "s3", c.li)
		if got := back(t, li.get(to.Query().Get("next"))); got.Get("error") != "login_required" {
			t.Errorf("another person again: %v", got)
		}
		for name, hint := range map[string]string{"an access token": tokens["access_token"].(string), "another client's": hint + "x", "no token": "abc"} {
			if got := back(t, b.authorize(url.Values{"id_token_hint": {hint}})); got.Get("error") != "invalid_request" {
				t.Errorf("%s: %v", name, got)
			}
		}
		if got := back(t, b.authorize(url.Values{"id_token_hint": {hint}, "client_id": {"library"}})); got.Get("error") != "invalid_request" {
			t.Errorf("another client: %v", got)
		}
	})
}

// What is wrong with a request is told to its client, with its state and our name.
func TestAuthorizeErrors(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		b.code(url.Values{"scope": {"openid profile firm resident offline_access"}, "prompt": {"consent"}})
		for _, k := range []struct {
			name   string
			change url.Values
			want   string
		}{
			{"no response type", url.Values{"response_type": {""}}, "invalid_request"},
			{"token", url.Values{"response_type": {"token"}}, "unsupported_response_type"},
			{"id_token", url.Values{"response_type": {"id_token"}}, "unsupported_response_type"},
			{"hybrid", url.Values{"response_type": {"code id_token"}}, "unsupported_response_type"},
			{"response type twice", url.Values{"response_type": {"code", "code"}}, "invalid_request"},
			{"fragment", url.Values{"response_mode": {"fragment"}}, "invalid_request"},
			{"form_post", url.Values{"response_mode": {"form_post"}}, "invalid_request"},
			{"jwt", url.Values{"response_mode": {"jwt"}}, "invalid_request"},
			{"no scope", url.Values{"scope": {""}}, "invalid_scope"},
			{"no openid", url.Values{"scope": {"profile"}}, "invalid_scope"},
			{"a scope it may not have", url.Values{"client_id": {"library"}, "scope": {"openid resident"}}, "invalid_scope"},
			{"a scope for programs", url.Values{"scope": {"openid licenses"}}, "invalid_scope"},
			{"scope in capitals", url.Values{"scope": {"OpenID"}}, "invalid_scope"},
			{"scope twice", url.Values{"scope": {"openid", "profile"}}, "invalid_request"},
			{"NUL in scope", url.Values{"scope": {"openid\x00"}}, "invalid_request"},
			{"no challenge", url.Values{"code_challenge": {""}}, "invalid_request"},
			{"no method", url.Values{"code_challenge_method": {""}}, "invalid_request"},
			{"plain", url.Values{"code_challenge_method": {"plain"}, "code_challenge": {verifier}}, "invalid_request"},
			{"another method", url.Values{"code_challenge_method": {"S512"}}, "invalid_request"},
			{"short challenge", url.Values{"code_challenge": {challenge[:42]}}, "invalid_request"},
			{"padded challenge", url.Values{"code_challenge": {challenge + "="}}, "invalid_request"},
			{"challenge twice", url.Values{"code_challenge": {challenge, challenge}}, "invalid_request"},
			{"prompt none and login", url.Values{"prompt": {"none login"}}, "invalid_request"},
			{"unknown prompt", url.Values{"prompt": {"select_account"}}, "invalid_request"},
			{"prompt in capitals", url.Values{"prompt": {"None"}}, "invalid_request"},
			{"negative max_age", url.Values{"max_age": {"-1"}}, "invalid_request"},
			{"max_age in words", url.Values{"max_age": {"ten"}}, "invalid_request"},
			{"max_age for ever", url.Values{"max_age": {"99999999999999999999"}}, "invalid_request"},
			{"request", url.Values{"request": {"eyJhbGciOiJub25lIn0.e30."}}, "request_not_supported"},
			{"request_uri", url.Values{"request_uri": {"https://rp.example/r"}}, "request_uri_not_supported"},
			{"registration", url.Values{"registration": {"{}"}}, "registration_not_supported"},
			{"long nonce", url.Values{"nonce": {strings.Repeat("n", 513)}}, "invalid_request"},
			{"nonce beyond ASCII", url.Values{"nonce": {"现在"}}, "invalid_request"},
			{"unknown parameter twice", url.Values{"x": {"1", "2"}}, "invalid_request"},
		} {
			t.Run(k.name, func(t *testing.T) {
				got := back(t, b.authorize(k.change))
				if got.Get("error") != k.want || got.Get("error_description") == "" || got.Has("code") || got.Get("state") != "s-1" {
					t.Errorf("sent back with %v, want %s", got, k.want)
				}
			})
		}
		for _, k := range []struct{ name, state string }{{"state twice", "a\tb"}, {"state beyond ASCII", "状态"}, {"long state", strings.Repeat("s", 2049)}} {
			if got := back(t, b.authorize(url.Values{"state": {k.state}})); got.Get("error") != "invalid_request" || got.Has("state") {
				t.Errorf("%s: %v", k.name, got)
			}
		}
		if got := back(t, b.authorize(url.Values{"state": {"a", "b"}})); got.Get("error") != "invalid_request" || got.Has("state") {
			t.Errorf("two states: %v", got)
		}
	})
}

// What may vary, and what is ignored.
func TestAuthorizeAccepts(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		b.code(nil)
		for name, change := range map[string]url.Values{
			"no state":          {"state": {""}},
			"a short state":     {"state": {"1"}},
			"a state to escape": {"state": {"a&b=c d%20'\"<>"}},
			"no nonce":          {"nonce": {""}},
			"an empty prompt":   {"prompt": {" "}},
			"query":             {"response_mode": {"query"}},
			"hints":             {"login_hint": {"王晓岚\x00<script>"}, "acr_values": {"urn:x urn:y"}, "display": {"popup"}, "claims_locales": {"xx"}},
			"claims":            {"claims": {`{"id_token":{"acr":{"essential":true}}}`}},
			"the unknown":       {"utm": {"1"}},
			"scope with spaces": {"scope": {"openid  profile openid "}},
			"openid last":       {"scope": {"profile openid"}},
		} {
			got := back(t, b.authorize(change))
			if want := authorization(change).Get("state"); !got.Has("code") || got.Get("state") != want {
				t.Errorf("%s: sent back with %v", name, got)
			}
		}
		w := b.authorize(url.Values{"redirect_uri": {"https://permits.example/cb?from=signet"}})
		if to := w.Header().Get("Location"); !strings.HasPrefix(to, "https://permits.example/cb?from=signet&code=") {
			t.Errorf("sent to %q", to)
		}
	})
}

// Where the sender is not known for sure there is a page, in the visitor's language,
// and no redirect.
func TestAuthorizePages(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		check(t, c.provider.DisableClient(t.Context(), actor, "complaints"))
		b := c.signIn(t, "s1", c.wang)
		for _, k := range []struct {
			name   string
			query  string
			zh, en string
		}{
			{"no client", authorization(url.Values{"client_id": {""}}).Encode(), "格式不正确", "malformed"},
			{"client twice", authorization(url.Values{"client_id": {"permits", "permits"}}).Encode(), "格式不正确", "malformed"},
			{"unknown client", authorization(url.Values{"client_id": {"nobody"}}).Encode(), "未在本平台登记", "not registered"},
			{"NUL in client", authorization(url.Values{"client_id": {"a\x00"}}).Encode(), "未在本平台登记", "not registered"},
			{"disabled client", authorization(url.Values{"client_id": {"complaints"}}).Encode(), "未在本平台登记", "not registered"},
			{"a program", authorization(url.Values{"client_id": {"donghu-api"}}).Encode(), "未在本平台登记", "not registered"},
			{"no redirect", authorization(url.Values{"redirect_uri": {""}}).Encode(), "格式不正确", "malformed"},
			{"redirect twice", authorization(url.Values{"redirect_uri": {callback, callback}}).Encode(), "格式不正确", "malformed"},
			{"another port", authorization(url.Values{"redirect_uri": {"http://127.0.0.1:9002/callback"}}).Encode(), "未经登记", "not registered"},
			{"another host", authorization(url.Values{"redirect_uri": {"https://evil.example/"}}).Encode(), "未经登记", "not registered"},
			{"longer path", authorization(url.Values{"redirect_uri": {callback + "/x"}}).Encode(), "未经登记", "not registered"},
			{"a query more", authorization(url.Values{"redirect_uri": {callback + "?x=1"}}).Encode(), "未经登记", "not registered"},
			{"capitals", authorization(url.Values{"redirect_uri": {"HTTP://127.0.0.1:9001/callback"}}).Encode(), "未经登记", "not registered"},
			{"script", authorization(url.Values{"redirect_uri": {"javascript:alert(1)"}}).Encode(), "未经登记", "not registered"},
			{"broken escape", authorization(nil).Encode() + "&a=%zz", "格式不正确", "malformed"},
			{"semicolon", authorization(nil).Encode() + ";a=b", "格式不正确", "malformed"},
			{"too long", authorization(nil).Encode() + "&a=" + strings.Repeat("x", 9000), "格式不正确", "malformed"},
		} {
			t.Run(k.name, func(t *testing.T) {
				for lang, want := range map[string]string{"zh": k.zh, "en": k.en} {
					r := httptest.NewRequest("GET", "/oidc/authorize?"+k.query, nil)
					r.Header.Set("Accept-Language", lang)
					w := b.do(r)
					if w.Code != 400 || w.Header().Get("Location") != "" || !strings.Contains(text(w), want) {
						t.Errorf("%s: status %d to %q: %s", lang, w.Code, w.Header().Get("Location"), text(w))
					}
				}
			})
		}
	})
}

func TestRedirectURIs(t *testing.T) {
	c := newCity(t, testSQLite(t))
	add := func(uris ...string) error {
		_, _, err := c.provider.AddClient(t.Context(), actor, oidc.Client{Name: "x", Scopes: []string{"openid"}, Profile: oidc.ProfileBasic, RedirectURIs: uris})
		return err
	}
	for _, good := range []string{"https://rp.example/", "https://rp.example:8443/a/b?x=1", "http://localhost:3000/cb", "http://127.0.0.1/cb", "https://xn--fiq228c.example/cb"} {
		if err := add(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "https://rp.example", "http://rp.example/cb", "http://localhost.example/cb", "http://[::1]:3000/cb", "//rp.example/cb", "/cb",
		"https:rp.example/cb", "https://rp.example/cb#f", "https://rp.example/cb#", "https://u:p@rp.example/cb", "https://u@rp.example/cb", "HTTPS://rp.example/cb",
		"https://RP.example/cb", "https://*.rp.example/cb", "https://rp.example/c b", "https://rp.example/\x00", "https://rp.example/主页", "javascript:alert(1)",
		"custom.app:/cb", "https://rp.example/cb?code=1", "https://rp.example/cb?a=%zz", "https://rp.example/cb?state=1", "https://rp.example;x/cb",
		"https:///cb", "https://:443/cb", "https://rp.example/" + strings.Repeat("a", 512), "data:text/html,x", "https://rp.example\\@evil.example/"} {
		if err := add(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if add() == nil || add("https://rp.example/", "https://rp.example/") == nil || add(slices.Repeat([]string{"https://rp.example/"}, 17)...) == nil {
		t.Error("none, a repeated one or too many were accepted")
	}
}
