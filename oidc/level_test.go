package oidc_test

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"maps"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/oidc"
)

const (
	declared = "urn:signet:acr:declared"
	verified = "urn:signet:acr:verified"
)

// enterAs signs a person in with a level.
func (c *town) enterAs(b *browser, session string, p registry.Person, level string) {
	c.enter(b, session, p)
	c.sessions.live[session].ACR = level
}

func essential(values string) url.Values {
	return url.Values{"claims": {`{"id_token":{"acr":{"essential":true,` + values + `}}}`}}
}

// What a client is told of a sign-in is true, and what it insists on it gets or nothing.
func TestLevels(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.nobody(t)
		c.enterAs(b, "s1", c.wang, verified)
		b.code(nil) // consents
		told := func(change url.Values) any {
			t.Helper()
			return payload(t, c.redeem(t, "permits", codeForm(back(t, b.authorize(change)).Get("code")), 200)["id_token"])["acr"]
		}
		unmet := func(w *httptest.ResponseRecorder) {
			t.Helper()
			if got := back(t, w); got.Get("error") != "unmet_authentication_requirements" || got.Has("code") {
				t.Errorf("sent back with %v", got)
			}
		}
		toLogin := func(change url.Values, level string) (next string) {
			t.Helper()
			to, err := url.Parse(b.authorize(change).Header().Get("Location"))
			check(t, err)
			if q := to.Query(); to.Path != "/login" || q.Get("reauth") != "1" || q.Get("acr") != level {
				t.Fatalf("sent to %s", to)
			}
			return to.Query().Get("next")
		}
		for name, k := range map[string]struct {
			change url.Values
			want   string
		}{
			"nothing asked":               {nil, verified},
			"essential, any":              {url.Values{"claims": {`{"id_token":{"acr":{"essential":true}}}`}}, verified},
			"null":                        {url.Values{"claims": {`{"id_token":{"acr":null}}`}}, verified},
			"the same, by acr_values":     {url.Values{"acr_values": {verified}}, verified},
			"a lower one, by acr_values":  {url.Values{"acr_values": {declared}}, verified},
			"an unknown one":              {url.Values{"acr_values": {"urn:x"}}, verified},
			"essential, the same":         {essential(`"value":"` + verified + `"`), verified},
			"essential, lower":            {essential(`"value":"` + declared + `"`), declared},
			"essential, one of several":   {essential(`"values":["urn:x","` + acr + `","` + verified + `"]`), verified},
			"wished for, not to be asked": {url.Values{"acr_values": {acr}, "prompt": {"none"}}, verified},
			"wished for in claims":        {url.Values{"claims": {`{"id_token":{"acr":{"value":"` + acr + `"}}}`}, "prompt": {"none"}}, verified},
		} {
			if got := told(k.change); got != k.want {
				t.Errorf("%s: told %v, want %s", name, got, k.want)
			}
		}
		unmet(b.authorize(essential(`"value":"urn:mace:gold"`)))
		unmet(c.nobody(t).authorize(essential(`"value":"urn:mace:gold"`)))
		none := essential(`"value":"` + acr + `"`)
		none.Set("prompt", "none")
		unmet(b.authorize(none))

		// Wished for: asked for once, then what there is.
		next := toLogin(url.Values{"acr_values": {acr}}, acr)
		if w := b.get(next); !strings.HasPrefix(w.Header().Get("Location"), "/login?") {
			t.Errorf("not signed in anew, and sent to %q", w.Header().Get("Location"))
		}
		c.clock.now = c.clock.now.Add(time.Second)
		c.enterAs(b, "s1", c.wang, verified)
		if id := payload(t, c.redeem(t, "permits", codeForm(back(t, b.get(next)).Get("code")), 200)["id_token"]); id["acr"] != verified {
			t.Errorf("told %v", id["acr"])
		}
		// Essential: not reached once more, and then reached.
		insist := essential(`"values":["` + acr + `"]`)
		next = toLogin(insist, acr)
		c.clock.now = c.clock.now.Add(time.Second)
		c.enterAs(b, "s1", c.wang, verified)
		unmet(b.get(next))
		next = toLogin(insist, acr)
		c.clock.now = c.clock.now.Add(time.Second)
		c.enterAs(b, "s1", c.wang, acr)
		if id := payload(t, c.redeem(t, "permits", codeForm(back(t, b.get(next)).Get("code")), 200)["id_token"]); id["acr"] != acr {
			t.Errorf("told %v", id["acr"])
		}
		// Whoever is not signed in is asked for the level at once.
		to, err := url.Parse(c.nobody(t).authorize(insist).Header().Get("Location"))
		check(t, err)
		if q := to.Query(); to.Path != "/login" || q.Get("acr") != acr || q.Has("reauth") {
			t.Errorf("sent to %s", to)
		}
	})
}

// A client's own level is asked for when the request names none.
func TestDefaultLevel(t *testing.T) {
	c := newTown(t, testSQLite(t))
	c.add(t, oidc.Client{ID: "careful", Name: "x", Agency: "donghu-amr", Scopes: []string{"openid"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}, DefaultACR: acr})
	b := c.nobody(t)
	c.enterAs(b, "s1", c.wang, verified)
	if to := b.authorize(url.Values{"client_id": {"careful"}, "scope": {"openid"}}).Header().Get("Location"); !strings.Contains(to, "acr="+url.QueryEscape(acr)) {
		t.Errorf("sent to %q", to)
	}
	if to := b.authorize(url.Values{"client_id": {"careful"}, "scope": {"openid"}, "acr_values": {verified}}).Header().Get("Location"); !strings.HasPrefix(to, "/oidc/interaction/") {
		t.Errorf("sent to %q", to)
	}
}

// The number of a document is told to those who were proved surely enough (RFC 9470).
func TestStepUpAtUserinfo(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		mux := newMux(c.replica(t, func(o *oidc.Options) { o.NumberACR = verified }))
		b := c.nobody(t)
		ask := func(session, level, scope string) *httptest.ResponseRecorder {
			c.enterAs(b, session, c.wang, level)
			token := c.redeem(t, "permits", codeForm(b.code(url.Values{"scope": {scope}})), 200)["access_token"].(string)
			r := httptest.NewRequest("GET", "/oidc/userinfo", nil)
			r.Header.Set("Authorization", "Bearer "+token)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		w := ask("s1", declared, "openid resident")
		if h := w.Header().Get("WWW-Authenticate"); w.Code != 401 || !strings.Contains(h, `error="insufficient_user_authentication"`) || !strings.Contains(h, `acr_values="`+verified+`"`) ||
			strings.Contains(w.Body.String(), c.wang.Number) {
			t.Errorf("status %d, %s: %s", w.Code, h, w.Body)
		}
		want(t, ask("s1", declared, "openid profile"), 200)
		if told := want(t, ask("s2", verified, "openid resident"), 200); told["document_number"] != c.wang.Number {
			t.Errorf("told %v", told)
		}
	})
}

// Claims one by one need the same consent as their scope, and go where they were asked.
func TestClaims(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		b := c.signIn(t, "s1", c.wang)
		ask := func(claims string) (id, info map[string]any) {
			t.Helper()
			answer := c.redeem(t, "permits", codeForm(b.code(url.Values{"scope": {"openid"}, "claims": {claims}})), 200)
			if answer["scope"] != "openid" {
				t.Errorf("scope %v", answer["scope"])
			}
			return payload(t, answer["id_token"]), c.userinfo(t, answer, 200)
		}
		names := func(m map[string]any) (list []string) {
			for _, n := range []string{"name", "firm_uscc", "firm_name", "document_kind", "document_number"} {
				if m[n] != nil {
					list = append(list, n)
				}
			}
			return list
		}
		page := b.get(b.authorize(url.Values{"scope": {"openid"}, "claims": {`{"userinfo":{"name":null}}`}}).Header().Get("Location"))
		if !strings.Contains(text(page), "您的姓名") {
			t.Errorf("the page does not ask: %s", text(page))
		}
		check(t, c.sessions.ActFor(t.Context(), "s1", firmA))
		for _, k := range []struct {
			claims   string
			id, info []string
		}{
			{`{}`, nil, nil},
			{`{"userinfo":{"name":null}}`, nil, []string{"name"}},
			{`{"id_token":{"name":{"essential":true}}}`, []string{"name"}, nil},
			{`{"id_token":{"firm_uscc":null},"userinfo":{"firm_name":null}}`, []string{"firm_uscc", "firm_name"}, []string{"firm_name"}},
			{`{"userinfo":{"document_number":null}}`, nil, []string{"document_number"}},
			{`{"id_token":{"document_number":{"essential":true}}}`, nil, nil},
			{`{"userinfo":{"email":null,"picture":{"essential":true}},"x":{"y":1}}`, nil, nil},
			{`{"userinfo":null,"id_token":null}`, nil, nil},
		} {
			id, info := ask(k.claims)
			if k.id != nil && slices.Contains(k.id, "firm_uscc") != (id["firm_uscc"] != nil) || !slices.Equal(names(info), k.info) {
				t.Errorf("%s: told %v and %v", k.claims, names(id), names(info))
			}
			if slices.Contains(k.id, "name") != (id["name"] != nil) || id["document_number"] != nil {
				t.Errorf("%s: ID token %v", k.claims, names(id))
			}
		}
		// A client that may not have the scope does not get the claim.
		answer := c.redeem(t, "library", codeForm(b.code(url.Values{"client_id": {"library"}, "scope": {"openid"}, "claims": {`{"userinfo":{"document_number":null}}`}})), 200)
		if info := c.userinfo(t, answer, 200); len(info) != 1 {
			t.Errorf("told %v", info)
		}
		// A certain person.
		sub := c.userinfo(t, c.tokens(t, b, nil), 200)["sub"].(string)
		for _, member := range []string{"id_token", "userinfo"} {
			want := func(value string) string { return `{"` + member + `":{"sub":{"value":"` + value + `"}}}` }
			if got := back(t, b.authorize(url.Values{"claims": {want(sub)}, "prompt": {"none"}})); !got.Has("code") {
				t.Errorf("the right person: %v", got)
			}
			if got := back(t, b.authorize(url.Values{"claims": {want("x")}, "prompt": {"none"}})); got.Get("error") != "login_required" {
				t.Errorf("another person: %v", got)
			}
		}
		for _, bad := range []string{`x`, `[]`, `"x"`, `1`, `{"id_token":1}`, `{"id_token":{"acr":1}}`, `{"id_token":{},"id_token":{}}`, `{"id_token":{"acr":{"value":1}}}`,
			`{"id_token":{"acr":{"essential":"yes"}}}`, `{"userinfo":{"sub":{"values":["a","b"]}}}`, `{"id_token":{"acr":{"values":[` + strings.Repeat(`"a",`, 16) + `"a"]}}}`,
			`{"x":"` + strings.Repeat("x", 4<<10) + `"}`, `{"x":"名"}`} {
			if got := back(t, b.authorize(url.Values{"claims": {bad}})); got.Get("error") != "invalid_request" {
				t.Errorf("%.40s: %v", bad, got)
			}
		}
	})
}

// Tokens that are encrypted for a client open with its key, and hold what is signed.
func TestEncrypted(t *testing.T) {
	eachTown(t, func(t *testing.T, c *town) {
		elliptic := newP256(t)
		factors, err := rsa.GenerateKey(rand.Reader, 2048)
		check(t, err)
		for _, k := range []struct {
			alg, enc string
			public   any
			private  any
		}{
			{"ECDH-ES+A128KW", "A128GCM", &elliptic.PublicKey, elliptic}, {"ECDH-ES+A256KW", "A256GCM", &elliptic.PublicKey, elliptic}, {"RSA-OAEP-256", "A256GCM", &factors.PublicKey, factors},
		} {
			s := &site{town: c, id: "sealed-" + strings.ToLower(strings.NewReplacer("+", "-").Replace(k.alg)), key: newP256(t), alg: jose.ES256, at: c.mux}
			s.setKey(t, newP256(t))
			client := strict(t, s.id, s.key.(*ecdsa.PrivateKey))
			client.IDTokenKeyAlg, client.IDTokenEnc, client.UserinfoKeyAlg, client.UserinfoEnc = k.alg, k.enc, k.alg, k.enc
			client.JWKS = jwks(t, public(s.key.(*ecdsa.PrivateKey), "s"), jose.JSONWebKey{Key: k.public, KeyID: "e", Use: "enc"})
			_, _, err := c.provider.AddClient(t.Context(), actor, client)
			check(t, err)
			open := func(text string) map[string]any {
				t.Helper()
				sealed, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.KeyAlgorithm(k.alg)}, []jose.ContentEncryption{jose.ContentEncryption(k.enc)})
				check(t, err)
				if h := sealed.Header; h.KeyID != "e" || h.ExtraHeaders["cty"] != "JWT" {
					t.Errorf("header %v", h)
				}
				b, err := sealed.Decrypt(k.private)
				check(t, err)
				return payload(t, string(b))
			}
			b := c.signIn(t, "s1", c.wang)
			answer := want(t, s.post(t, "/oidc/token", codeForm(s.code(t, b, nil)), ""), 200)
			id := open(answer["id_token"].(string))
			if id["aud"] != s.id || id["nonce"] != "n-1" || id["sub"] == "" {
				t.Errorf("ID token %v", id)
			}
			access := answer["access_token"].(string)
			w := s.userinfoWith(t, "DPoP", access, s.proof(t, "GET", userinfoAddress, access, nil))
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/jwt" || w.Header().Get("Cache-Control") != "no-store" {
				t.Fatalf("status %d, %v", w.Code, w.Header())
			}
			info := open(w.Body.String())
			want := map[string]any{"iss": issuer, "aud": s.id, "sub": id["sub"], "name": "王晓岚", "iat": float64(c.clock.now.Unix())}
			if diff := cmp.Diff(want, info); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// Clients with one sector identifier know a person by one sub, whatever their agency;
// those that were there before keep theirs.
func TestSectors(t *testing.T) {
	c := newTown(t, testSQLite(t))
	site := oidc.Client{Name: "x", Agency: "donghu-amr", Scopes: []string{"openid"}, Profile: oidc.ProfileBasic, RedirectURIs: []string{callback}}
	subs := map[string]any{}
	b := c.signIn(t, "s1", c.wang)
	for id, sector := range map[string]string{"one": "", "two": "tax.example", "three": "tax.example", "four": "donghu-amr"} {
		client := site
		client.ID, client.SectorIdentifier = id, sector
		if id == "three" {
			client.Agency = ""
		}
		c.add(t, client)
	}
	for _, id := range []string{"one", "two", "three", "four", "permits"} {
		subs[id] = payload(t, c.redeem(t, id, codeForm(b.code(url.Values{"client_id": {id}, "scope": {"openid"}})), 200)["id_token"])["sub"]
	}
	if subs["two"] != subs["three"] || subs["one"] != subs["permits"] || subs["one"] == subs["two"] || subs["four"] == subs["one"] || subs["four"] == subs["two"] {
		t.Errorf("subs %v", maps.Clone(subs))
	}
}
