package oidc_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc"
)

func TestConsentPage(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		open := func(change url.Values) string {
			t.Helper()
			to := b.authorize(change).Header().Get("Location")
			if !strings.HasPrefix(to, "/oidc/interaction/") {
				t.Fatalf("sent to %q", to)
			}
			return to
		}
		t.Run("says who asks for what", func(t *testing.T) {
			to := open(url.Values{"scope": {"openid resident"}})
			page := b.get(to)
			said := text(page)
			for _, want := range []string{"东湖区市场监督管理局", "Donghu Market Regulation", "食品经营许可网上办理", "您的证件类型和证件号码", "127.0.0.1:9001", "王晓岚"} {
				if !strings.Contains(said, want) {
					t.Errorf("does not say %q: %s", want, said)
				}
			}
			if strings.Contains(said, "您的姓名") || strings.Contains(page.Body.String(), c.wang.Number) {
				t.Error("says too much")
			}
			b.cookies["signet-lang"] = "en"
			defer delete(b.cookies, "signet-lang")
			if said := text(b.get(to)); !strings.Contains(said, "Donghu Market Regulation asks this service who you are") {
				t.Error(said)
			}
			w := b.get(open(url.Values{"client_id": {"library"}, "scope": {"openid"}}))
			if said := text(w); !strings.Contains(said, "The city's own services") && !strings.Contains(said, "The city&#39;s own services") {
				t.Error(said)
			}
		})
		t.Run("no", func(t *testing.T) {
			to := open(nil)
			for range 2 {
				got := back(t, b.post(to, url.Values{"deny": {"1"}}))
				if got.Get("error") != "access_denied" || got.Get("state") != "s-1" {
					t.Errorf("sent back with %v", got)
				}
			}
			if w := b.get(to); w.Code != 409 || !strings.Contains(text(w), "已经处理完毕") {
				t.Errorf("status %d: %s", w.Code, text(w))
			}
			if c.count(t, "oidc_consents") != 0 || c.count(t, "oidc_grants") != 0 {
				t.Error("something was given")
			}
		})
		t.Run("no, then yes", func(t *testing.T) {
			to := open(nil)
			key := keyOf(t, b.get(to))
			back(t, b.post(to, url.Values{"deny": {"1"}}))
			if w := b.post(to, url.Values{"allow": {"1"}, "key": {key}}); w.Code != 409 {
				t.Errorf("status %d", w.Code)
			}
			if c.count(t, "oidc_consents") != 0 {
				t.Error("consent stands although nothing came of it")
			}
		})
		t.Run("without a button, key or body", func(t *testing.T) {
			to := open(nil)
			key := keyOf(t, b.get(to))
			for name, form := range map[string]url.Values{"no button": {"key": {key}}, "no key": {"allow": {"1"}}, "another key": {"allow": {"1"}, "key": {"x"}}} {
				if w := b.post(to, form); w.Header().Get("Location") != to {
					t.Errorf("%s: status %d to %q", name, w.Code, w.Header().Get("Location"))
				}
			}
			r := httptest.NewRequest("POST", to, strings.NewReader("allow=1"))
			r.Header.Set("Content-Type", "text/plain")
			if w := b.do(r); w.Code != 400 {
				t.Errorf("another type: status %d", w.Code)
			}
			if w := b.post(to, url.Values{"allow": {"1", "1"}, "key": {key}, "x": {strings.Repeat("x", 9000)}}); w.Code != 413 {
				t.Errorf("large body: status %d", w.Code)
			}
		})
		t.Run("another browser, somebody else, nobody", func(t *testing.T) {
			to := open(nil)
			key := keyOf(t, b.get(to))
			form := url.Values{"allow": {"1"}, "key": {key}}
			if w := c.signIn(t, "s2", c.li).post(to, form); w.Code != 404 {
				t.Errorf("another browser: status %d", w.Code)
			}
			b.cookies["who"] = "s2"
			if w := b.post(to, form); w.Header().Get("Location") != to {
				t.Errorf("somebody else: status %d to %q", w.Code, w.Header().Get("Location"))
			}
			delete(b.cookies, "who")
			if w := b.post(to, form); w.Header().Get("Location") != to {
				t.Errorf("nobody: status %d to %q", w.Code, w.Header().Get("Location"))
			}
			b.cookies["who"] = "s1"
			back(t, b.post(to, form))
		})
		t.Run("too late, and no such thing", func(t *testing.T) {
			to := open(url.Values{"prompt": {"consent"}})
			c.clock.now = c.clock.now.Add(10 * time.Minute)
			for _, to := range []string{to, "/oidc/interaction/x", "/oidc/interaction/%00", "/oidc/interaction/" + strings.Repeat("0", 26)} {
				if w := b.get(to); w.Code != 404 {
					t.Errorf("%s: status %d", to, w.Code)
				}
				if w := b.post(to, allow); w.Code != 404 {
					t.Errorf("%s: status %d", to, w.Code)
				}
				if got := c.provider.FormTo(t.Context(), to); got != "" {
					t.Errorf("%s: form to %q", to, got)
				}
			}
		})
		t.Run("the client is disabled meanwhile", func(t *testing.T) {
			to := open(url.Values{"client_id": {"library"}})
			key := keyOf(t, b.get(to))
			check(t, c.provider.DisableClient(t.Context(), actor, "library"))
			if w := b.post(to, url.Values{"allow": {"1"}, "key": {key}}); w.Code != 400 || !strings.Contains(text(w), "停用") {
				t.Errorf("status %d: %s", w.Code, text(w))
			}
		})
	})
}

func TestFormTo(t *testing.T) {
	c := newTown(t, testSQLite(t))
	b := c.nobody(t)
	to, err := url.Parse(b.authorize(url.Values{"redirect_uri": {"https://permits.example/cb?from=signet"}}).Header().Get("Location"))
	check(t, err)
	next := to.Query().Get("next")
	for in, want := range map[string]string{next: "https://permits.example", next + "?lang=en": "https://permits.example", "/": "", "": "", "/wallet": "",
		"%": "", "https://evil.example" + next + "x": "", "/oidc/interaction/": ""} {
		if got := c.provider.FormTo(t.Context(), in); got != want {
			t.Errorf("%q: form to %q, want %q", in, got, want)
		}
	}
	plain := newCity(t, testSQLite(t))
	if got := plain.provider.FormTo(t.Context(), next); got != "" {
		t.Errorf("without a site: %q", got)
	}
}

// Whom the person acts for is asked once in a session, where it matters.
func TestActingFor(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		scope := url.Values{"scope": {"openid firm"}}
		b := c.signIn(t, "s1", c.wang)
		to := b.authorize(scope).Header().Get("Location")
		page := b.get(to)
		for _, want := range []string{`value="self"`, `value="` + firmA + `"`, `value="` + firmB + `"`, "江城湖畔书店有限公司"} {
			if !strings.Contains(page.Body.String(), want) {
				t.Errorf("does not offer %s", want)
			}
		}
		key := keyOf(t, page)
		for firm, want := range map[string]string{"": "请选择以谁的身份办理", "91990101MA1F003001": "没有代表该企业的授权", "\x00": "没有代表该企业的授权"} {
			w := b.post(to, url.Values{"allow": {"1"}, "key": {key}, "firm": {firm}})
			if w.Code != 400 || !strings.Contains(text(w), want) || !strings.Contains(w.Body.String(), "错误：") {
				t.Errorf("%q: status %d: %s", firm, w.Code, text(w))
			}
		}
		answer := back(t, b.post(to, url.Values{"allow": {"1"}, "key": {key}, "firm": {firmB}}))
		id := payload(t, c.redeem(t, "permits", codeForm(answer.Get("code")), 200)["id_token"])
		if id["firm_uscc"] != firmB || id["firm_name"] != "江城湖畔书店有限公司" {
			t.Errorf("claims %v", id)
		}
		// The next site, and this one, do not ask again.
		if !back(t, b.authorize(scope)).Has("code") {
			t.Error("asked again")
		}
		w := b.get(b.authorize(url.Values{"client_id": {"complaints"}, "scope": {"openid firm"}}).Header().Get("Location"))
		if said := text(w); strings.Contains(w.Body.String(), `name="firm"`) || !strings.Contains(said, "代表 江城湖畔书店有限公司") {
			t.Error(said)
		}
		// In a new session the consent is remembered, but not whom they act for.
		again := c.signIn(t, "s2", c.wang)
		if got := back(t, again.authorize(url.Values{"scope": {"openid firm"}, "prompt": {"none"}})); got.Get("error") != "interaction_required" {
			t.Errorf("prompt=none: %v", got)
		}
		answer = back(t, again.consent(again.authorize(scope), allow)) // self
		tokens := c.redeem(t, "permits", codeForm(answer.Get("code")), 200)
		if info := c.userinfo(t, tokens, 200); info["firm_uscc"] != nil {
			t.Errorf("told %v", info)
		}
		// A client that does not ask for it is not told.
		if id := payload(t, c.tokens(t, b, url.Values{"scope": {"openid"}})["id_token"]); id["firm_uscc"] != nil {
			t.Errorf("claims %v", id)
		}
		// Whoever acts for nobody is not asked.
		stranger, _, err := c.registry.AddPerson(t.Context(), actor, registry.Person{Kind: registry.Passport, Number: "X1234567", Name: "Kim"})
		check(t, err)
		third := c.signIn(t, "s3", stranger)
		if w := third.get(third.authorize(scope).Header().Get("Location")); strings.Contains(w.Body.String(), `name="firm"`) {
			t.Error("asked whom they act for")
		}
	})
}

// TestPages draws the consent page in each state and has it checked in a browser.
func TestPages(t *testing.T) {
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务服务", EN: "Jiangcheng services"}})
	check(t, err)
	pages, fixtures, err := oidc.Fixtures(site)
	check(t, err)
	list := make([]testkit.Fixture, len(fixtures))
	for i, f := range fixtures {
		list[i] = testkit.Fixture{Name: f.Name, Identity: f.Identity, Page: f.Page}
	}
	testkit.CheckPages(t, site, pages, list)
}
