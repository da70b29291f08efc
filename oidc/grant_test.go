package oidc_test

import (
	"context"
	"crypto"
	"errors"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/oidc"
)

const otherVerifier = "wrongwrongwrongwrongwrongwrongwrongwrongwro"

// A code is presented once: whatever was wrong, it is of no use afterwards.
func TestCodeIsBurnt(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		b.code(nil)
		with := func(change url.Values) func(code string) url.Values {
			return func(code string) url.Values {
				form := codeForm(code)
				for name, list := range change {
					form[name] = list
				}
				return form
			}
		}
		for _, k := range []struct {
			name   string
			client string
			form   func(code string) url.Values
			want   string
			burnt  bool
		}{
			{"wrong verifier", "permits", with(url.Values{"code_verifier": {otherVerifier}}), "invalid_grant", true},
			{"no verifier", "permits", with(url.Values{"code_verifier": {}}), "invalid_grant", true},
			{"the challenge as verifier", "permits", with(url.Values{"code_verifier": {challenge}}), "invalid_grant", true},
			{"short verifier", "permits", with(url.Values{"code_verifier": {"abc"}}), "invalid_grant", true},
			{"long verifier", "permits", with(url.Values{"code_verifier": {strings.Repeat("a", 129)}}), "invalid_grant", true},
			{"odd verifier", "permits", with(url.Values{"code_verifier": {strings.Repeat("é", 43)}}), "invalid_grant", true},
			{"wrong redirect", "permits", with(url.Values{"redirect_uri": {"https://permits.example/cb?from=signet"}}), "invalid_grant", true},
			{"no redirect", "permits", with(url.Values{"redirect_uri": {}}), "invalid_grant", true},
			{"another client", "library", with(nil), "invalid_grant", true},
			{"a program", "donghu-api", with(nil), "unauthorized_client", false},
			{"parameter twice", "permits", with(url.Values{"code_verifier": {verifier, verifier}}), "invalid_request", false},
			{"other code of the same grant", "permits", func(code string) url.Values {
				return codeForm(code[:27] + strings.Repeat("A", 43))
			}, "invalid_grant", false},
			{"no code", "permits", with(url.Values{"code": {""}}), "invalid_request", false},
			{"no such code", "permits", with(url.Values{"code": {"x"}}), "invalid_grant", false},
			{"NUL in code", "permits", with(url.Values{"code": {"\x00.\x00"}}), "invalid_grant", false},
			{"as a refresh token", "permits", func(code string) url.Values { return refreshForm(code) }, "invalid_grant", false},
		} {
			t.Run(k.name, func(t *testing.T) {
				code := b.code(nil)
				c.refused(t, k.client, k.form(code), k.want)
				if !k.burnt {
					c.redeem(t, "permits", codeForm(code), 200)
					return
				}
				c.refused(t, "permits", codeForm(code), "invalid_grant")
				without := codeForm(code)
				without.Del("code_verifier")
				c.refused(t, "permits", without, "invalid_grant")
			})
		}
		if reasons := c.ends(t); len(reasons) != 9 || slices.ContainsFunc(reasons, func(r string) bool { return r != "misuse" }) {
			t.Errorf("ends %v", reasons)
		}
		code := b.code(nil)
		stranger := c.request("permits", codeForm(code).Encode())
		stranger.SetBasicAuth("permits", "guess")
		if w := c.do(stranger); w.Code != 401 {
			t.Errorf("a guessed secret: status %d", w.Code)
		}
		c.redeem(t, "permits", codeForm(code), 200)
	})
}

func TestCodeRunsOut(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		b.code(nil)
		first, second := b.code(nil), b.code(nil)
		c.clock.now = c.clock.now.Add(59 * time.Second)
		c.redeem(t, "permits", codeForm(first), 200)
		c.clock.now = c.clock.now.Add(time.Second)
		c.refused(t, "permits", codeForm(second), "invalid_grant")
	})
}

// A code that comes again ends what it was redeemed for, although the answer is an
// error.
func TestReplayedCode(t *testing.T) {
	for name, form := range map[string]func(code string) url.Values{
		"as it was": codeForm,
		"with a wrong verifier": func(code string) url.Values {
			form := codeForm(code)
			form.Set("code_verifier", otherVerifier)
			return form
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachTown(t, func(t *testing.T, c *town) {
				b := c.signIn(t, "s1", c.wang)
				code := b.code(url.Values{"scope": {"openid profile offline_access"}})
				tokens := c.redeem(t, "permits", codeForm(code), 200)
				c.userinfo(t, tokens, 200)
				c.refused(t, "permits", form(code), "invalid_grant")
				c.userinfo(t, tokens, 401)
				c.refused(t, "permits", refreshForm(tokens["refresh_token"].(string)), "invalid_grant")
				if diff := cmp.Diff([]string{"replay"}, c.ends(t)); diff != "" {
					t.Error(diff)
				}
				c.tokens(t, b, nil) // the person goes on
			})
		})
	}
}

func (c *town) offline(t testing.TB, b *browser) map[string]any {
	t.Helper()
	answer := c.tokens(t, b, url.Values{"scope": {"openid profile offline_access"}})
	if answer["refresh_token"] == nil {
		t.Fatal("no refresh token")
	}
	return answer
}

func TestRefresh(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		first := c.offline(t, b)
		c.clock.now = c.clock.now.Add(9 * time.Minute)
		second := c.redeem(t, "permits", refreshForm(first["refresh_token"].(string)), 200)
		old, id := payload(t, first["id_token"]), payload(t, second["id_token"])
		for _, same := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
			if old[same] != id[same] {
				t.Errorf("%s was %v, is %v", same, old[same], id[same])
			}
		}
		if id["nonce"] != nil || id["iat"] == old["iat"] || payload(t, second["access_token"])["jti"] == payload(t, first["access_token"])["jti"] {
			t.Errorf("claims %v", id)
		}
		c.userinfo(t, second, 200)

		token := second["refresh_token"].(string)
		narrow := refreshForm(token)
		narrow.Set("scope", "openid")
		third := c.redeem(t, "permits", narrow, 200)
		if info := c.userinfo(t, third, 200); third["scope"] != "openid" || info["name"] != nil {
			t.Errorf("scope %v, told %v", third["scope"], info)
		}
		wide := refreshForm(third["refresh_token"].(string))
		wide.Set("scope", "openid resident")
		c.refused(t, "permits", wide, "invalid_scope")
		fourth := c.redeem(t, "permits", refreshForm(third["refresh_token"].(string)), 200)
		if info := c.userinfo(t, fourth, 200); info["name"] != "王晓岚" {
			t.Errorf("told %v", info)
		}
		if n := len(c.events(t, "oidc.grant")); n != 1 {
			t.Errorf("%d events for one family", n)
		}
		c.clock.now = c.clock.now.Add(12 * time.Hour)
		c.refused(t, "permits", refreshForm(fourth["refresh_token"].(string)), "invalid_grant")
	})
}

// The token before the newest is accepted again for ten seconds, while the newest is
// unused; any other reuse ends the family.
func TestRefreshReuse(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		refresh := func(answer map[string]any) map[string]any {
			t.Helper()
			return c.redeem(t, "permits", refreshForm(answer["refresh_token"].(string)), 200)
		}
		dead := func(answers ...map[string]any) {
			t.Helper()
			for _, answer := range answers {
				c.refused(t, "permits", refreshForm(answer["refresh_token"].(string)), "invalid_grant")
				c.userinfo(t, answer, 401)
			}
		}
		t.Run("a moment later", func(t *testing.T) {
			first := c.offline(t, b)
			second := refresh(first)
			c.clock.now = c.clock.now.Add(10 * time.Second)
			twin := refresh(first)
			if twin["refresh_token"] == second["refresh_token"] {
				t.Error("the same token twice")
			}
			third := refresh(twin)
			// The twin that was not used has become the predecessor.
			refresh(second)
			c.clock.now = c.clock.now.Add(11 * time.Second)
			c.refused(t, "permits", refreshForm(second["refresh_token"].(string)), "invalid_grant")
			dead(first, second, twin, third)
		})
		t.Run("too late", func(t *testing.T) {
			first := c.offline(t, b)
			second := refresh(first)
			c.clock.now = c.clock.now.Add(10*time.Second + time.Microsecond)
			dead(first, second)
		})
		t.Run("after its successor was used", func(t *testing.T) {
			first := c.offline(t, b)
			third := refresh(refresh(first))
			dead(first, third)
		})
		t.Run("by another client", func(t *testing.T) {
			first := c.offline(t, b)
			c.refused(t, "complaints", refreshForm(first["refresh_token"].(string)), "invalid_grant")
			dead(first)
		})
		t.Run("by another client a moment later", func(t *testing.T) {
			first := c.offline(t, b)
			second := refresh(first)
			c.refused(t, "complaints", refreshForm(first["refresh_token"].(string)), "invalid_grant")
			dead(second)
		})
		t.Run("guessed", func(t *testing.T) {
			first := c.offline(t, b)
			token := first["refresh_token"].(string)
			for _, guess := range []string{"x", token[:27] + strings.Repeat("A", 43), token + "A", token[:26], strings.ToUpper(token), "\x00." + token} {
				c.refused(t, "permits", refreshForm(guess), "invalid_grant")
			}
			refresh(first)
		})
		if diff := cmp.Diff([]string{"misuse", "misuse", "replay", "replay", "replay"}, slices.Sorted(slices.Values(c.ends(t)))); diff != "" {
			t.Error(diff)
		}
	})
}

// What a grant stands on is looked at whenever its client asks for something.
func TestGrantEnds(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		ctx := t.Context()
		for _, k := range []struct {
			name, reason string
			end          func()
		}{
			{"session", "session", func() { c.sessions.end("s1") }},
			{"consent", "consent", func() {
				for range 2 {
					check(t, c.provider.WithdrawConsent(ctx, "person:"+c.wang.ID, c.wang.ID, "permits"))
				}
			}},
			{"delegation", "delegation", func() { check(t, c.registry.Withdraw(ctx, actor, firmB, c.wang.ID)) }},
			{"client", "", func() { check(t, c.provider.DisableClient(ctx, actor, "permits")) }},
		} {
			t.Run(k.name, func(t *testing.T) {
				b := c.signIn(t, "s1", c.wang)
				firm := firmB
				if k.name == "client" { // the delegation for the other has been withdrawn
					firm = firmA
				}
				check(t, c.sessions.ActFor(ctx, "s1", firm))
				scope := url.Values{"scope": {"openid profile firm offline_access"}}
				first, second, third := c.tokens(t, b, scope), c.tokens(t, b, scope), b.code(scope)
				if info := c.userinfo(t, first, 200); info["firm_uscc"] != firm {
					t.Errorf("told %v", info)
				}
				k.end()
				c.userinfo(t, first, 401)
				want := "invalid_grant"
				if k.name == "client" {
					want = "invalid_client"
				}
				c.refused(t, "permits", refreshForm(first["refresh_token"].(string)), want)
				c.refused(t, "permits", refreshForm(second["refresh_token"].(string)), want)
				c.refused(t, "permits", codeForm(third), want)
				if k.reason == "consent" { // given again, it does not bring anything back
					b.code(scope)
					c.refused(t, "permits", refreshForm(second["refresh_token"].(string)), want)
					c.userinfo(t, second, 401)
				}
				if k.reason == "client" {
					if w := b.authorize(scope); w.Code != 400 {
						t.Errorf("status %d", w.Code)
					}
				}
				reasons := c.ends(t)
				if n := len(slices.DeleteFunc(reasons, func(r string) bool { return r != k.reason })); k.reason != "" && n != 3 {
					t.Errorf("%d ended by %s", n, k.reason)
				}
			})
		}
	})
}

// A failure of ours spends nothing: the same code works when it is over.
func TestHalfDone(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		code := b.code(url.Values{"scope": {"openid profile offline_access"}})
		form := codeForm(code).Encode()
		send := func(p *oidc.Provider, ctx context.Context) int {
			mux := newMux(p)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, c.request("permits", form).WithContext(ctx))
			return w.Code
		}
		for name, cause := range map[string]struct {
			err  error
			want int
		}{"no key": {errors.New("hsm"), 500}, "key away": {fault.New(fault.Unavailable, "hsm"), 503}} {
			p := c.replica(t, func(o *oidc.Options) { o.Keys = brokenKeys{c.ring, cause.err} })
			if got := send(p, t.Context()); got != cause.want {
				t.Errorf("%s: status %d", name, got)
			}
		}
		// The second signature, that of the ID token, fails.
		p := c.replica(t, func(o *oidc.Options) { o.Keys = &failingKeys{Ring: c.ring, good: 1} })
		if got := send(p, t.Context()); got != 500 {
			t.Errorf("status %d", got)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if got := send(c.provider, gone); got != 503 {
			t.Errorf("status %d", got)
		}
		if c.count(t, "oidc_refresh_tokens") != 0 || len(c.events(t, "oidc.grant")) != 0 || len(c.ends(t)) != 0 {
			t.Error("something was written")
		}
		answer := c.redeem(t, "permits", codeForm(code), 200)
		p = c.replica(t, func(o *oidc.Options) { o.Keys = &failingKeys{Ring: c.ring, good: 1} })
		form = refreshForm(answer["refresh_token"].(string)).Encode()
		if got := send(p, t.Context()); got != 500 {
			t.Errorf("status %d", got)
		}
		c.redeem(t, "permits", refreshForm(answer["refresh_token"].(string)), 200)
	})
}

// failingKeys give a signer so many times.
type failingKeys struct {
	*keys.Ring
	good int
}

func (f *failingKeys) Active(ctx context.Context, purpose, owner string) (keys.Key, crypto.Signer, error) {
	if f.good--; f.good < 0 {
		return keys.Key{}, nil, errors.New("hsm")
	}
	return f.Ring.Active(ctx, purpose, owner)
}

func TestRevoke(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		revoke := func(client, token string, want int) {
			t.Helper()
			r := c.request(client, url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}.Encode())
			r.URL.Path = "/oidc/revoke"
			if w := c.do(r); w.Code != want {
				t.Errorf("status %d, want %d: %s", w.Code, want, w.Body)
			}
		}
		for _, name := range []string{"refresh_token", "access_token"} {
			answer := c.offline(t, b)
			revoke("complaints", answer[name].(string), 200)
			revoke("permits", answer["id_token"].(string), 200)
			revoke("permits", c.token(t, "donghu-api"), 200)
			revoke("permits", "x", 200)
			c.userinfo(t, answer, 200)
			for range 2 {
				revoke("permits", answer[name].(string), 200)
			}
			c.userinfo(t, answer, 401)
			c.refused(t, "permits", refreshForm(answer["refresh_token"].(string)), "invalid_grant")
		}
		if diff := cmp.Diff([]string{"client", "client"}, c.ends(t)); diff != "" {
			t.Error(diff)
		}
		revoke("permits", "", 400)
		r := c.request("permits", "token=x")
		r.URL.Path = "/oidc/revoke"
		r.SetBasicAuth("permits", "guess")
		if w := c.do(r); w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("status %d", w.Code)
		}
	})
}

func TestUserinfo(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b, li := c.signIn(t, "s1", c.wang), c.signIn(t, "s2", c.li)
		answer := c.tokens(t, li, url.Values{"scope": {"openid resident firm"}})
		sub := payload(t, answer["id_token"])["sub"]
		want := map[string]any{"sub": sub, "document_kind": "passport", "document_number": "E12345678", "firm_uscc": firmB, "firm_name": "江城湖畔书店有限公司"}
		delete(want, "firm_uscc")
		delete(want, "firm_name") // the button "myself"
		if diff := cmp.Diff(want, c.userinfo(t, answer, 200)); diff != "" {
			t.Error(diff)
		}
		person := c.tokens(t, b, url.Values{"scope": {"openid"}})
		if diff := cmp.Diff(map[string]any{"sub": payload(t, person["id_token"])["sub"]}, c.userinfo(t, person, 200)); diff != "" {
			t.Error(diff)
		}
		token := person["access_token"].(string)
		call := func(method, target, authorization, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, target, strings.NewReader(body))
			if authorization != "" {
				r.Header.Set("Authorization", authorization)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return c.do(r)
		}
		if w := call("POST", "/oidc/userinfo", "Bearer "+token, ""); w.Code != 200 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("status %d", w.Code)
		}
		for _, k := range []struct {
			name, target, authorization, body, want string
		}{
			{"no token", "/oidc/userinfo", "", "", `Bearer realm="signet"`},
			{"in the query", "/oidc/userinfo?access_token=" + token, "", "", `Bearer realm="signet"`},
			{"in the body", "/oidc/userinfo", "", "access_token=" + token, `Bearer realm="signet"`},
			{"basic", "/oidc/userinfo", "Basic " + token, "", `Bearer realm="signet"`},
			{"garbage", "/oidc/userinfo", "Bearer x", "", `error="invalid_token"`},
			{"a program's token", "/oidc/userinfo", "Bearer " + c.token(t, "donghu-api"), "", `error="invalid_token"`},
			{"an ID token", "/oidc/userinfo", "Bearer " + person["id_token"].(string), "", `error="invalid_token"`},
			{"another signature", "/oidc/userinfo", "Bearer " + token[:len(token)-8] + "AAAAAAAA", "", `error="invalid_token"`},
		} {
			w := call("POST", k.target, k.authorization, k.body)
			if w.Code != 401 || !strings.Contains(w.Header().Get("WWW-Authenticate"), k.want) {
				t.Errorf("%s: status %d, %s", k.name, w.Code, w.Header().Get("WWW-Authenticate"))
			}
		}
		for name, token := range map[string]any{"access token": token, "ID token": person["id_token"]} {
			if _, err := c.provider.CheckToken(t.Context(), token.(string)); fault.KindOf(err) != fault.Denied {
				t.Errorf("a person's %s passes as a program's: %v", name, err)
			}
		}
		c.clock.now = c.clock.now.Add(10 * time.Minute)
		c.userinfo(t, person, 401)
	})
}

func TestConsents(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		ctx := t.Context()
		b := c.signIn(t, "s1", c.wang)
		b.code(nil)
		b.code(url.Values{"scope": {"openid resident"}})
		b.code(url.Values{"client_id": {"library"}, "scope": {"openid"}})
		b.code(url.Values{"scope": {"openid profile resident"}, "prompt": {"none"}})
		list, err := c.provider.ListConsents(ctx, c.wang.ID)
		check(t, err)
		want := []oidc.Consent{{Client: "library", Scopes: []string{"openid"}, Created: c.clock.now.UTC()},
			{Client: "permits", Scopes: []string{"openid", "profile", "resident"}, Created: c.clock.now.UTC()}}
		if diff := cmp.Diff(want, list); diff != "" {
			t.Error(diff)
		}
		check(t, c.provider.WithdrawConsent(ctx, "person:"+c.wang.ID, c.wang.ID, "library"))
		check(t, c.provider.WithdrawConsent(ctx, "person:"+c.wang.ID, c.wang.ID, "nobody"))
		if err := c.provider.WithdrawConsent(ctx, actor, c.wang.ID, "\x00"); fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		if got := back(t, b.authorize(url.Values{"client_id": {"library"}, "scope": {"openid"}, "prompt": {"none"}})); got.Get("error") != "consent_required" {
			t.Errorf("after withdrawal: %v", got)
		}
		if g, w := len(c.events(t, "oidc.consent.give")), len(c.events(t, "oidc.consent.withdraw")); g != 3 || w != 1 {
			t.Errorf("%d given, %d withdrawn", g, w)
		}
	})
}

func TestSweep(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		answer := c.offline(t, b)
		b.code(nil)
		c.nobody(t).authorize(nil)
		sweep := func(after time.Duration, interactions, grants, tokens int) {
			t.Helper()
			c.clock.now = c.clock.now.Add(after)
			check(t, c.provider.Sweep(t.Context()))
			if i, g, r := c.count(t, "oidc_interactions"), c.count(t, "oidc_grants"), c.count(t, "oidc_refresh_tokens"); i != interactions || g != grants || r != tokens {
				t.Errorf("%d interactions, %d grants, %d refresh tokens", i, g, r)
			}
		}
		sweep(0, 2, 2, 1)
		sweep(11*time.Minute+time.Second, 0, 1, 1)
		c.redeem(t, "permits", refreshForm(answer["refresh_token"].(string)), 200)
		sweep(0, 0, 1, 2)
		sweep(12*time.Hour, 0, 0, 0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, c.provider.Run(ctx))
	})
}
