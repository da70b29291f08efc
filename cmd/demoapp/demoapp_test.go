package demoapp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/cmd/demoapp"
	"github.com/signet-city/signet/internal/web"
)

func wantText(t *testing.T, page string, says, not []string) {
	t.Helper()
	wrong := false
	for _, s := range says {
		if !strings.Contains(page, s) {
			wrong = true
			t.Errorf("the page does not say %q", s)
		}
	}
	for _, s := range not {
		if strings.Contains(page, s) {
			wrong = true
			t.Errorf("the page says %q", s)
		}
	}
	if wrong {
		t.Log(page)
	}
}

func TestNewRefuses(t *testing.T) {
	good := demoapp.Options{Name: web.Text{ZH: "a", EN: "a"}, Issuer: "http://localhost:1", ClientID: "a", ClientSecret: "b", Self: "http://127.0.0.1:1"}
	for name, change := range map[string]func(o *demoapp.Options){
		"no name":          func(o *demoapp.Options) { o.Name = web.Text{} },
		"no client":        func(o *demoapp.Options) { o.ClientID = "" },
		"no secret":        func(o *demoapp.Options) { o.ClientSecret = "" },
		"no issuer":        func(o *demoapp.Options) { o.Issuer = "" },
		"issuer of a kind": func(o *demoapp.Options) { o.Issuer = "javascript:alert(1)" },
		"no own address":   func(o *demoapp.Options) { o.Self = "127.0.0.1:80" },
	} {
		t.Run(name, func(t *testing.T) {
			o := good
			change(&o)
			if _, err := demoapp.New(o); err == nil {
				t.Error("made")
			}
		})
	}
	if _, err := demoapp.New(good); err != nil {
		t.Error(err)
	}
}

func TestSignIn(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	front := b.do("GET", s.URL+"/", nil)
	wantText(t, front.text, []string{"使用城市统一账号登录", `name="for" value="self" checked`, `name="for" value="firm"`, "江城市教育局·网上办事", "http://127.0.0.1:9"}, []string{"/logout"})
	if csp := front.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' "+i.URL+";") {
		t.Errorf("policy %s", csp)
	}
	asked, err := url.Parse(b.ask(s, "self"))
	if err != nil {
		t.Fatal(err)
	}
	if scope := asked.Query().Get("scope"); scope != "openid profile" {
		t.Errorf("scope %q", scope)
	}
	if lang := asked.Query().Get("ui_locales"); lang != "zh" {
		t.Errorf("language %q", lang)
	}
	back := b.do("GET", i.agree(asked.String()).String(), nil)
	if back.StatusCode != http.StatusSeeOther || back.Header.Get("Location") != "/" {
		t.Fatalf("status %d, to %q: %s", back.StatusCode, back.Header.Get("Location"), back.text)
	}
	wantText(t, b.home(s), []string{`data-sub="pair-1"`, "您好，周予安", "为本人办理", "密码、动态验证码", "中（密码加动态验证码）", "urn:signet:acr:verified", "sid", "退出本部门",
		"江城市教育局·网上办事", i.URL + "/account"}, []string{"老灶"})
	wantText(t, b.do("GET", s.URL+"/", nil, "Accept-Language", "en").text, []string{"Welcome, 周予安", "You act for yourself", "password, one-time code"}, nil)

	out := b.do("POST", s.URL+"/logout", url.Values{"signout": {"1"}})
	if out.StatusCode != http.StatusSeeOther || b.signedIn(s) {
		t.Errorf("status %d, signed in: %v", out.StatusCode, b.signedIn(s))
	}
}

func TestSignInForFirm(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	asked := b.ask(s, "firm")
	if !strings.Contains(asked, "scope=openid+profile+firm") {
		t.Errorf("asked %s", asked)
	}
	b.do("GET", i.agree(asked).String(), nil)
	wantText(t, b.home(s), []string{"您正在代表<strong>江城东湖老灶火锅餐饮有限公司</strong>", "91990101MA1F001175", "firm_uscc"}, nil)
}

// Cookies name their site, are not for scripts and change when somebody signs in;
// what the browser brought before means nothing.
func TestCookies(t *testing.T) {
	i := newIssuer(t)
	one, two, b := newSite(t, i.URL, clientID), newSite(t, i.URL, "another-site"), newBrowser(t)
	collect := func(a answer) (names []string) {
		for _, c := range a.Cookies() {
			if !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
				t.Errorf("cookie %v", c)
			}
			names = append(names, c.Name)
		}
		return names
	}
	first := collect(b.do("POST", one.URL+"/signin", nil))
	second := collect(b.do("POST", two.URL+"/signin", nil))
	if len(first) != 1 || len(second) != 1 || first[0] == second[0] {
		t.Errorf("cookies %v and %v", first, second)
	}
	before := b.do("GET", i.agree(b.ask(one, "self")).String(), nil)
	names := collect(before)
	after := b.do("GET", i.agree(b.ask(one, "self")).String(), nil)
	if len(names) != 1 || before.Cookies()[0].Value == after.Cookies()[0].Value || len(after.Cookies()[0].Value) < 22 {
		t.Errorf("sessions %v and %v", before.Cookies(), after.Cookies())
	}
	old := newBrowser(t)
	u, err := url.Parse(one.URL)
	if err != nil {
		t.Fatal(err)
	}
	old.Jar.SetCookies(u, before.Cookies()) // the session that the second sign-in ended
	if old.signedIn(one) || !b.signedIn(one) || b.signedIn(two) {
		t.Errorf("signed in: old %v, new %v, at the other site %v", old.signedIn(one), b.signedIn(one), b.signedIn(two))
	}
	for _, value := range []string{"", "x", strings.Repeat("a", 5000), "' OR 1=1"} {
		old.Jar.SetCookies(u, []*http.Cookie{{Name: names[0], Value: value}})
		if old.signedIn(one) {
			t.Errorf("signed in by %q", value)
		}
	}
}

// A sign-in and a session end by themselves.
func TestAges(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	late := i.agree(b.ask(s, "self")).String()
	s.pass(10 * time.Minute)
	if a := b.do("GET", late, nil); a.StatusCode != http.StatusBadRequest || b.signedIn(s) {
		t.Errorf("late answer: status %d", a.StatusCode)
	}
	i.mu.Lock()
	i.claims["exp"] = time.Now().Add(time.Hour).Unix()
	i.mu.Unlock()
	b.do("GET", i.agree(b.ask(s, "self")).String(), nil)
	if !b.signedIn(s) {
		t.Fatal("not signed in")
	}
	s.pass(time.Hour)
	if b.signedIn(s) {
		t.Error("the session does not end")
	}
}

// lies are answers that no site may believe.
var lies = []struct {
	name string
	lie  func(i *issuer)
	says string
	want int
}{
	{"wrong nonce", func(i *issuer) { i.claims["nonce"] = "another" }, "未通过安全核验", 400},
	{"no nonce", func(i *issuer) { i.claims["nonce"] = nil }, "未通过安全核验", 400},
	{"another issuer", func(i *issuer) { i.claims["iss"] = "https://evil.example" }, "未通过安全核验", 400},
	{"expired", func(i *issuer) { i.claims["exp"] = time.Now().Add(-time.Minute).Unix() }, "未通过安全核验", 400},
	{"no end", func(i *issuer) { i.claims["exp"] = nil }, "未通过安全核验", 400},
	{"for another client", func(i *issuer) { i.claims["aud"] = "somebody-else" }, "未通过安全核验", 400},
	{"for nobody", func(i *issuer) { i.claims["aud"] = nil }, "未通过安全核验", 400},
	{"algorithm none", func(i *issuer) {
		i.header["alg"] = "none"
		i.sign = func(string) []byte { return nil }
	}, "未通过安全核验", 400},
	{"signed with the client's secret", func(i *issuer) {
		i.header["alg"] = "HS256"
		i.sign = hs256([]byte(secret))
	}, "未通过安全核验", 400},
	{"another key", func(i *issuer) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		i.sign = i.es256(key)
	}, "未通过安全核验", 400},
	{"unknown key", func(i *issuer) { i.header["kid"] = "two" }, "未通过安全核验", 400},
	{"no ID token", func(i *issuer) {
		i.token = func(w http.ResponseWriter, answer map[string]any) {
			reply(w, 200, over(answer, map[string]any{"id_token": nil}))
		}
	}, "未通过安全核验", 400},
	{"ID token is no text", func(i *issuer) {
		i.token = func(w http.ResponseWriter, answer map[string]any) {
			reply(w, 200, over(answer, map[string]any{"id_token": 1}))
		}
	}, "未通过安全核验", 400},
	{"another access token", func(i *issuer) {
		i.token = func(w http.ResponseWriter, answer map[string]any) {
			reply(w, 200, over(answer, map[string]any{"access_token": "other"}))
		}
	}, "未通过安全核验", 400},
	{"userinfo of somebody else", func(i *issuer) { i.userinfo["sub"] = "pair-2" }, "未通过安全核验", 400},
	{"userinfo of nobody", func(i *issuer) { i.userinfo["sub"] = nil }, "未通过安全核验", 400},
	{"no subject", func(i *issuer) { i.claims["sub"], i.userinfo["sub"] = "", "" }, "未通过安全核验", 400},
	{"a name without measure", func(i *issuer) { i.userinfo["name"] = strings.Repeat("a", 5000) }, "未通过安全核验", 400},
	{"a name that is a number", func(i *issuer) { i.claims["name"] = 17 }, "未通过安全核验", 400},
	{"time before time", func(i *issuer) { i.claims["auth_time"] = -5 }, "未通过安全核验", 400},
	{"token not JSON", func(i *issuer) {
		i.token = func(w http.ResponseWriter, _ map[string]any) { _, _ = w.Write([]byte("canary-body")) }
	}, "未通过安全核验", 400},
	{"token without end", func(i *issuer) {
		i.token = func(w http.ResponseWriter, _ map[string]any) { _, _ = w.Write(make([]byte, 8<<20)) }
	}, "未通过安全核验", 400},
	{"token redirects", func(i *issuer) {
		i.token = func(w http.ResponseWriter, _ map[string]any) {
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}
	}, "暂时无法连接", 502},
	{"code not taken", func(i *issuer) { clear(i.codes) }, "登录请求已失效", 400},
	{"token unavailable", func(i *issuer) {
		i.token = func(w http.ResponseWriter, _ map[string]any) {
			reply(w, 503, map[string]any{"error": "temporarily_unavailable"})
		}
	}, "暂时无法连接", 502},
	{"an error nobody knows", func(i *issuer) {
		i.token = func(w http.ResponseWriter, _ map[string]any) { reply(w, 400, map[string]any{"error": "canary-code"}) }
	}, "登录没有完成", 502},
}

func TestLies(t *testing.T) {
	i := newIssuer(t)
	s := newSite(t, i.URL, clientID)
	for _, l := range lies {
		t.Run(l.name, func(t *testing.T) {
			b := newBrowser(t)
			back := i.agree(b.ask(s, "firm")).String()
			i.mu.Lock()
			l.lie(i)
			i.mu.Unlock()
			a := b.do("GET", back, nil)
			i.mu.Lock()
			clear(i.header)
			clear(i.claims)
			clear(i.userinfo)
			i.token, i.sign = nil, i.es256(i.key)
			i.mu.Unlock()
			if a.StatusCode != l.want {
				t.Errorf("status %d, want %d", a.StatusCode, l.want)
			}
			// The button begins again what was begun.
			wantText(t, a.text, []string{l.says, `action="/signin"`, `name="for" value="firm"`}, []string{"canary"})
			if b.signedIn(s) {
				t.Error("signed in")
			}
		})
	}
}

// What comes through the browser is not believed either.
func TestAnswers(t *testing.T) {
	i := newIssuer(t)
	s := newSite(t, i.URL, clientID)
	for _, c := range []struct {
		name   string
		change func(q url.Values)
		says   string
		want   int
	}{
		{"another state", func(q url.Values) { q.Set("state", rand.Text()) }, "登录请求已失效", 400},
		{"no state", func(q url.Values) { q.Del("state") }, "登录请求已失效", 400},
		{"state twice", func(q url.Values) { q.Add("state", q.Get("state")) }, "登录请求已失效", 400},
		{"long state", func(q url.Values) { q.Set("state", strings.Repeat("a", 9000)) }, "登录请求已失效", 400},
		{"another issuer", func(q url.Values) { q.Set("iss", "https://evil.example") }, "未通过安全核验", 400},
		{"no issuer", func(q url.Values) { q.Del("iss") }, "未通过安全核验", 400},
		{"issuer twice", func(q url.Values) { q.Add("iss", q.Get("iss")) }, "未通过安全核验", 400},
		{"issuer with a slash", func(q url.Values) { q.Set("iss", i.URL+"/") }, "未通过安全核验", 400},
		{"no code", func(q url.Values) { q.Del("code") }, "未通过安全核验", 400},
		{"code twice", func(q url.Values) { q.Add("code", "x") }, "未通过安全核验", 400},
		{"long code", func(q url.Values) { q.Set("code", strings.Repeat("a", 3000)) }, "未通过安全核验", 400},
		{"guessed code", func(q url.Values) { q.Set("code", "canary") }, "登录请求已失效", 400},
		{"refused", func(q url.Values) { q.Set("error", "access_denied"); q.Set("error_description", "canary") }, "您没有同意登录", 403},
		{"refused by another", func(q url.Values) { q.Set("error", "access_denied"); q.Set("iss", "https://evil.example") }, "未通过安全核验", 400},
		{"provider in trouble", func(q url.Values) { q.Set("error", "server_error") }, "暂时无法连接", 502},
		{"nobody at home", func(q url.Values) { q.Set("error", "login_required") }, "登录没有完成", 403},
		{"our fault", func(q url.Values) { q.Set("error", "invalid_scope") }, "登录没有完成", 502},
		{"error with markup", func(q url.Values) { q.Set("error", "<script>canary</script>") }, "登录没有完成", 502},
		{"empty error", func(q url.Values) { q.Set("error", "") }, "登录没有完成", 502},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBrowser(t)
			back := i.agree(b.ask(s, "self"))
			q := back.Query()
			c.change(q)
			back.RawQuery = q.Encode()
			a := b.do("GET", back.String(), nil)
			if a.StatusCode != c.want {
				t.Errorf("status %d, want %d", a.StatusCode, c.want)
			}
			text := a.text
			if at := strings.Index(text, "<main"); at > 0 {
				text = text[at:] // the head's links repeat the page's own address
			}
			wantText(t, text, []string{c.says, `action="/signin"`}, []string{"canary"})
			if b.signedIn(s) {
				t.Error("signed in")
			}
		})
	}
}

// An answer counts in the browser that asked, and once.
func TestAnswersCountOnce(t *testing.T) {
	i := newIssuer(t)
	s, victim, attacker := newSite(t, i.URL, clientID), newBrowser(t), newBrowser(t)
	back := i.agree(attacker.ask(s, "self")).String()
	victim.ask(s, "self") // has a cookie of its own
	if a := victim.do("GET", back, nil); a.StatusCode != 400 || victim.signedIn(s) {
		t.Errorf("signed in as the attacker: status %d", a.StatusCode)
	}
	if a := attacker.do("GET", back, nil); a.StatusCode != 303 || !attacker.signedIn(s) {
		t.Errorf("another browser used it up: status %d", a.StatusCode)
	}
	// Reloaded by who is signed in, it leads home; for anybody else it is stale.
	if a := attacker.do("GET", back, nil); a.StatusCode != 303 || a.Header.Get("Location") != "/" {
		t.Errorf("reloaded: status %d", a.StatusCode)
	}
	attacker.do("POST", s.URL+"/logout", nil)
	if a := attacker.do("GET", back, nil); a.StatusCode != 400 || attacker.signedIn(s) {
		t.Errorf("replayed: status %d", a.StatusCode)
	}

	// Many at once: one of them redeems it.
	back = i.agree(victim.ask(s, "self")).String()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var cookies []string
	for range 8 {
		wg.Go(func() {
			a := victim.do("GET", back, nil)
			mu.Lock()
			defer mu.Unlock()
			for _, c := range a.Cookies() {
				cookies = append(cookies, c.Value)
			}
		})
	}
	wg.Wait()
	if len(cookies) != 1 {
		t.Errorf("%d sessions", len(cookies))
	}
}

// Two tabs of one browser do not disturb each other.
func TestTabs(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	first, second := i.agree(b.ask(s, "self")).String(), i.agree(b.ask(s, "firm")).String()
	for _, back := range []string{second, first} {
		if a := b.do("GET", back, nil); a.StatusCode != 303 || !b.signedIn(s) {
			t.Errorf("status %d: %s", a.StatusCode, a.text)
		}
	}
}

// A provider that is away is said so, and asked again; not by everybody at once.
func TestProviderAway(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	i.down = true
	for range 5 {
		a := b.do("POST", s.URL+"/signin", url.Values{"for": {"firm"}})
		if a.StatusCode != 502 {
			t.Fatalf("status %d", a.StatusCode)
		}
		wantText(t, a.text, []string{"暂时无法连接城市统一账号", "重新登录", `name="for" value="firm"`}, nil)
	}
	i.mu.Lock()
	i.down = false
	i.mu.Unlock()
	s.pass(time.Second)
	b.do("GET", i.agree(b.ask(s, "self")).String(), nil)
	if !b.signedIn(s) {
		t.Error("does not recover")
	}
	if i.discovers != 1 {
		t.Errorf("discovered %d times", i.discovers)
	}
}

func TestProviderIsAnother(t *testing.T) {
	for name, metadata := range map[string]map[string]any{
		"another issuer":   {"issuer": "https://evil.example"},
		"slash":            {"issuer": "http://127.0.0.1/"},
		"odd kind of flag": {"authorization_response_iss_parameter_supported": "maybe"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			i.metadata = metadata
			a := newBrowser(t).do("POST", newSite(t, i.URL, clientID).URL+"/signin", nil)
			if a.StatusCode != 502 {
				t.Errorf("status %d", a.StatusCode)
			}
		})
	}
}

// Issuers of before RFC 9207 do not name themselves; if one does, it is compared.
func TestIssuerNotNamed(t *testing.T) {
	i := newIssuer(t)
	i.metadata["authorization_response_iss_parameter_supported"] = nil
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	back := i.agree(b.ask(s, "self"))
	q := back.Query()
	q.Set("iss", "https://evil.example")
	back.RawQuery = q.Encode()
	if a := b.do("GET", back.String(), nil); a.StatusCode != 400 {
		t.Errorf("status %d", a.StatusCode)
	}
	back = i.agree(b.ask(s, "self"))
	q = back.Query()
	q.Del("iss")
	back.RawQuery = q.Encode()
	if a := b.do("GET", back.String(), nil); a.StatusCode != 303 || !b.signedIn(s) {
		t.Errorf("status %d", a.StatusCode)
	}
}

// Forms of other sites change nothing, and addresses that change something are
// not for reading.
func TestForeignForms(t *testing.T) {
	i := newIssuer(t)
	s, b := newSite(t, i.URL, clientID), newBrowser(t)
	b.do("GET", i.agree(b.ask(s, "self")).String(), nil)
	for _, path := range []string{"/signin", "/logout"} {
		a := b.do("POST", s.URL+path, nil, "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Accept", "text/html")
		if a.StatusCode != 403 || !b.signedIn(s) {
			t.Errorf("%s: status %d", path, a.StatusCode)
		}
		wantText(t, a.text, []string{"来自其他网站"}, nil)
		if a := b.do("GET", s.URL+path, nil); !slices.Contains([]int{404, 405}, a.StatusCode) {
			t.Errorf("GET %s: status %d", path, a.StatusCode)
		}
	}
	if a := b.do("POST", s.URL+"/signin", url.Values{"for": {strings.Repeat("a", 20<<10)}}); a.StatusCode == 500 {
		t.Errorf("large form: status %d", a.StatusCode)
	}
	if a := b.do("GET", s.URL+"/nowhere", nil); a.StatusCode != 404 {
		t.Errorf("status %d", a.StatusCode)
	}
	home := b.do("GET", s.URL+"/", nil)
	if home.Header.Get("Cache-Control") != "no-store" || home.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", home.Header)
	}
}
