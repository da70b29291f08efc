package demoapp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/cmd/demoapp"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

const (
	clientID = "jiangcheng-amr-site"
	secret   = "a secret: with / odd + characters%"
)

// issuer is a small OpenID provider made by hand, so that it can lie. What it says
// is right until a test changes it.
type issuer struct {
	*httptest.Server
	t   *testing.T
	key *ecdsa.PrivateKey

	mu        sync.Mutex
	codes     map[string]url.Values // the requests that codes answer
	header    map[string]any        // of ID tokens, over what is right
	claims    map[string]any        // of ID tokens, over what is right
	userinfo  map[string]any        // over what is right
	metadata  map[string]any        // over what is right
	sign      func(signed string) []byte
	token     func(w http.ResponseWriter, answer map[string]any) // nil: as it should be
	down      bool
	discovers int
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{t: t, key: key, codes: map[string]url.Values{}, header: map[string]any{}, claims: map[string]any{}, userinfo: map[string]any{}, metadata: map[string]any{}}
	i.sign = i.es256(key)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", i.serveMetadata)
	mux.HandleFunc("GET /jwks", i.serveKeys)
	mux.HandleFunc("POST /token", i.serveToken)
	mux.HandleFunc("GET /userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer access" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, 200, over(map[string]any{"sub": "pair-1", "name": "周予安"}, i.userinfo))
	})
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		defer i.mu.Unlock()
		if i.down {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	return i
}

// over returns base with the changes laid over it; nil takes away.
func over(base, changes map[string]any) map[string]any {
	for name, value := range changes {
		if base[name] = value; value == nil {
			delete(base, name)
		}
	}
	return base
}

func reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (i *issuer) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	i.discovers++
	reply(w, 200, over(map[string]any{"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token",
		"jwks_uri": i.URL + "/jwks", "userinfo_endpoint": i.URL + "/userinfo", "response_types_supported": []string{"code"},
		"id_token_signing_alg_values_supported": []string{"ES256"}, "authorization_response_iss_parameter_supported": true}, i.metadata))
}

func (i *issuer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	point, err := i.key.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	reply(w, 200, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "kid": "one", "use": "sig", "alg": "ES256",
		"x": b64(point[1:33]), "y": b64(point[33:])}}})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (i *issuer) es256(key *ecdsa.PrivateKey) func(string) []byte {
	return func(signed string) []byte {
		sum := sha256.Sum256([]byte(signed))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func hs256(key []byte) func(string) []byte {
	return func(signed string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(signed))
		return h.Sum(nil)
	}
}

// serveToken redeems a code as RFC 6749 and RFC 7636 have it.
func (i *issuer) serveToken(w http.ResponseWriter, r *http.Request) {
	id, pass, ok := r.BasicAuth()
	id, errID := url.QueryUnescape(id)
	pass, errPass := url.QueryUnescape(pass)
	if !ok || errID != nil || errPass != nil || id != clientID || pass != secret {
		reply(w, 401, map[string]any{"error": "invalid_client"})
		return
	}
	asked, known := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code"))
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || b64(sum[:]) != asked.Get("code_challenge") || asked.Get("code_challenge_method") != "S256" ||
		r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") || r.PostFormValue("grant_type") != "authorization_code" {
		reply(w, 400, map[string]any{"error": "invalid_grant", "error_description": "canary-description"})
		return
	}
	answer := map[string]any{"access_token": "access", "token_type": "Bearer", "expires_in": 60, "id_token": i.idToken(asked)}
	if i.token != nil {
		i.token(w, answer)
		return
	}
	reply(w, 200, answer)
}

func (i *issuer) idToken(asked url.Values) string {
	now := time.Now()
	hash := sha256.Sum256([]byte("access"))
	claims := map[string]any{"iss": i.URL, "sub": "pair-1", "aud": clientID, "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(), "nonce": asked.Get("nonce"),
		"acr": "urn:signet:acr:verified", "amr": []string{"pwd", "otp"}, "auth_time": now.Add(-time.Minute).Unix(), "at_hash": b64(hash[:16]), "sid": "s-1"}
	if strings.Contains(asked.Get("scope"), "firm") {
		claims["firm_uscc"], claims["firm_name"] = "91990101MA1F001175", "江城东湖老灶火锅餐饮有限公司"
	}
	header, err := json.Marshal(over(map[string]any{"alg": "ES256", "kid": "one", "typ": "JWT"}, i.header))
	if err != nil {
		panic(err)
	}
	body, err := json.Marshal(over(claims, i.claims))
	if err != nil {
		panic(err)
	}
	signed := b64(header) + "." + b64(body)
	return signed + "." + b64(i.sign(signed))
}

// agree is what the provider does with a request to authorize: where it sends the
// browser.
func (i *issuer) agree(authorize string) *url.URL {
	i.t.Helper()
	u, err := url.Parse(authorize)
	if err != nil {
		i.t.Fatal(err)
	}
	q := u.Query()
	if !strings.HasPrefix(authorize, i.URL+"/authorize?") || q.Get("response_type") != "code" || q.Get("client_id") != clientID ||
		len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("code_challenge_method") != "S256" {
		i.t.Fatalf("asked %s", authorize)
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = q
	i.mu.Unlock()
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		i.t.Fatal(err)
	}
	back.RawQuery = url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {i.URL}}.Encode()
	return back
}

// site is a relying party on a server of its own, with a clock to move.
type site struct {
	*httptest.Server
	t  *testing.T
	mu sync.Mutex
	at time.Duration
}

func newSite(t *testing.T, issuer, id string) *site {
	t.Helper()
	s := &site{t: t}
	s.Server = httptest.NewUnstartedServer(nil)
	self := "http://" + s.Listener.Addr().String()
	h, err := demoapp.New(demoapp.Options{Name: web.Text{ZH: "江城市市场监督管理局·网上办事", EN: "Market Regulation Online"}, Issuer: issuer, ClientID: id, ClientSecret: secret,
		Self: self, Other: []demoapp.Link{{Name: web.Text{ZH: "江城市教育局·网上办事", EN: "Education Online"}, URL: "http://127.0.0.1:9"}}, Now: s.now, Logger: testkit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.Config.Handler = h
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.at)
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at += d
}

// browser keeps cookies and follows nothing.
type browser struct {
	*http.Client
	t *testing.T
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t}
}

// answer is what a site said.
type answer struct {
	*http.Response
	text string
}

func (b *browser) do(method, address string, form url.Values, header ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := b.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp, string(text)}
}

// ask presses the button and returns where it leads.
func (b *browser) ask(s *site, whom string) string {
	b.t.Helper()
	a := b.do("POST", s.URL+"/signin", url.Values{"for": {whom}})
	if a.StatusCode != http.StatusSeeOther {
		b.t.Fatalf("sign in: status %d: %s", a.StatusCode, a.text)
	}
	return a.Header.Get("Location")
}

// home returns the home page.
func (b *browser) home(s *site) string {
	b.t.Helper()
	return b.do("GET", s.URL+"/", nil).text
}

// signedIn reports whether the home page is that of somebody signed in.
func (b *browser) signedIn(s *site) bool {
	b.t.Helper()
	return strings.Contains(b.home(s), `id="signed-in"`)
}
