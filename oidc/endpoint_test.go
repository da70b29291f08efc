package oidc_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc"
)

// A client that knows the issuer alone gets a token over real sockets and any
// resource can check it with the published keys.
func TestOutsideClient(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		server := httptest.NewServer(c.mux)
		defer server.Close()
		metadata := fetch(t, server, "/.well-known/openid-configuration")
		if twin := fetch(t, server, "/.well-known/oauth-authorization-server"); !bytes.Equal(metadata, twin) {
			t.Error("the two documents differ")
		}
		document := decode(t, metadata)
		if document["issuer"] != issuer || document["authorization_endpoint"] != nil || len(document["response_types_supported"].([]any)) != 0 {
			t.Errorf("metadata %s", metadata)
		}
		address := func(member string) string {
			return server.URL + strings.TrimPrefix(document[member].(string), issuer)
		}
		config := clientcredentials.Config{ClientID: "donghu-api", ClientSecret: c.secrets["donghu-api"], TokenURL: address("token_endpoint"),
			Scopes: []string{"licenses"}, AuthStyle: oauth2.AuthStyleInHeader}
		token, err := config.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left := time.Until(token.Expiry); token.Type() != "Bearer" || left < 9*time.Minute || left > 10*time.Minute {
			t.Errorf("type %s, %v left", token.Type(), left)
		}
		claims := verifyOutside(t, fetch(t, server, strings.TrimPrefix(address("jwks_uri"), server.URL)), token.AccessToken, c.key)
		now := float64(c.clock.now.Unix())
		for member, want := range map[string]any{"iss": issuer, "aud": issuer, "sub": "donghu-api", "client_id": "donghu-api",
			"scope": "licenses", "agency": "donghu-amr", "iat": now, "exp": now + 600} {
			if claims[member] != want {
				t.Errorf("%s is %v, want %v", member, claims[member], want)
			}
		}
		if len(claims) != 9 || len(claims["jti"].(string)) < 22 {
			t.Errorf("claims %v", claims)
		}
		wrong := config
		wrong.ClientSecret += "x"
		if _, err = wrong.Token(t.Context()); err == nil {
			t.Error("a wrong secret got a token")
		}
		var answer *oauth2.RetrieveError
		if !errors.As(err, &answer) || answer.ErrorCode != "invalid_client" || answer.Response.Header.Get("WWW-Authenticate") == "" {
			t.Errorf("wrong secret: %v", err)
		}
	})
}

func fetch(t *testing.T, server *httptest.Server, path string) []byte {
	t.Helper()
	response, err := server.Client().Get(server.URL + path)
	check(t, err)
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	check(t, err)
	if response.StatusCode != 200 || !strings.Contains(response.Header.Get("Cache-Control"), "max-age") {
		t.Fatalf("%s: status %d, %v", path, response.StatusCode, response.Header)
	}
	return body
}

// verifyOutside checks a token by RFC 9068 with go-jose alone.
func verifyOutside(t *testing.T, jwks []byte, token, kid string) map[string]any {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := jsonUnmarshal(jwks, &set); err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256})
	check(t, err)
	header := signed.Signatures[0].Protected
	if header.KeyID != kid || header.ExtraHeaders["typ"] != "at+jwt" || header.Algorithm != "ES256" {
		t.Errorf("header %v", header)
	}
	found := set.Key(header.KeyID)
	if len(found) != 1 || found[0].Use != "sig" || found[0].Algorithm != "ES256" || !found[0].IsPublic() {
		t.Fatalf("key %v", found)
	}
	payload, err := signed.Verify(found[0].Key.(*ecdsa.PublicKey))
	check(t, err)
	return decode(t, payload)
}

func TestTokenRequests(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		secret := c.secrets["console"]
		basic := func(user, password string) func(*http.Request) {
			return func(r *http.Request) { r.SetBasicAuth(user, password) }
		}
		header := func(name string, values ...string) func(*http.Request) {
			return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
		}
		const good = "grant_type=client_credentials"
		for _, k := range []struct {
			name, form string
			change     func(r *http.Request)
			status     int
			code       string
		}{
			{"all scopes", good, nil, 200, "registry clients"},
			{"one scope", good + "&scope=registry", nil, 200, "registry"},
			{"scopes twice the same", good + "&scope=registry+registry", nil, 200, "registry"},
			{"empty scope", good + "&scope=", nil, 200, "registry clients"},
			{"unknown parameter", good + "&color=red", nil, 200, "registry clients"},
			{"same client_id in the body", good + "&client_id=console", nil, 200, "registry clients"},
			{"charset", good, header("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8"), 200, "registry clients"},
			{"scheme in lower case", good, header("Authorization", "basic "+base64.StdEncoding.EncodeToString([]byte("console:"+secret))), 200, "registry clients"},

			{"scope of others", good + "&scope=licenses", nil, 400, "invalid_scope"},
			{"one scope too many", good + "&scope=registry+licenses", nil, 400, "invalid_scope"},
			{"scope in another case", good + "&scope=Registry", nil, 400, "invalid_scope"},
			{"scope that is a prefix", good + "&scope=registry.read", nil, 400, "invalid_scope"},
			{"scope that is no token", good + "&scope=%22%00", nil, 400, "invalid_scope"},
			{"audience", good + "&audience=https://bank.example", nil, 400, "invalid_request"},

			{"no grant type", "scope=registry", nil, 400, "invalid_request"},
			{"empty grant type", "grant_type=", nil, 400, "invalid_request"},
			{"empty body", "", nil, 400, "invalid_request"},
			{"password", "grant_type=password&username=a&password=b", nil, 400, "unsupported_grant_type"},
			{"authorization code", "grant_type=authorization_code&code=a", nil, 400, "unsupported_grant_type"},
			{"refresh token", "grant_type=refresh_token&refresh_token=a", nil, 400, "unsupported_grant_type"},
			{"two grant types in one", "grant_type=client_credentials+password", nil, 400, "unsupported_grant_type"},
			{"space behind", "grant_type=client_credentials+", nil, 400, "unsupported_grant_type"},
			{"another case", "grant_type=Client_Credentials", nil, 400, "unsupported_grant_type"},
			{"grant type twice", good + "&" + good, nil, 400, "invalid_request"},
			{"scope twice", good + "&scope=registry&scope=clients", nil, 400, "invalid_request"},
			{"scope twice, once empty", good + "&scope=&scope=clients", nil, 400, "invalid_request"},
			{"unknown parameter twice", good + "&a=1&a=2", nil, 400, "invalid_request"},
			{"bad escape", good + "&scope=%zz", nil, 400, "invalid_request"},
			{"semicolon", good + ";scope=registry", nil, 400, "invalid_request"},
			{"JSON", `{"grant_type":"client_credentials"}`, header("Content-Type", "application/json"), 400, "invalid_request"},
			{"multipart", good, header("Content-Type", "multipart/form-data; boundary=a"), 400, "invalid_request"},
			{"no content type", good, header("Content-Type"), 400, "invalid_request"},
			{"plain text", good, header("Content-Type", "text/plain"), 400, "invalid_request"},
			{"parameters in the address", good, func(r *http.Request) { r.URL.RawQuery = good }, 400, "invalid_request"},
			{"too large", good + "&a=" + strings.Repeat("a", 8<<10), nil, 413, "invalid_request"},
			{"too large, unannounced", good + "&a=" + strings.Repeat("a", 8<<10), func(r *http.Request) { r.ContentLength = -1 }, 413, "invalid_request"},
			{"too many parameters", good + strings.Repeat("&a", 5000), nil, 413, "invalid_request"},

			{"no authentication", good, header("Authorization"), 401, "invalid_client"},
			{"client_id alone", good + "&client_id=console", header("Authorization"), 401, "invalid_client"},
			{"wrong secret", good, basic("console", "guess"), 401, "invalid_client"},
			{"empty secret", good, basic("console", ""), 401, "invalid_client"},
			{"the hash as secret", good, basic("console", strings.Repeat("0", 64)), 401, "invalid_client"},
			{"another client's secret", good, basic("donghu-api", secret), 401, "invalid_client"},
			{"unknown client", good, basic("nobody", secret), 401, "invalid_client"},
			{"NUL in the id", good, basic("\x00", secret), 401, "invalid_client"},
			{"long id", good, basic(strings.Repeat("a", 5000), secret), 401, "invalid_client"},
			{"bad escape in the id", good, basic("%zz", secret), 401, "invalid_client"},
			{"bad base64", good, header("Authorization", "Basic ???"), 401, "invalid_client"},
			{"no colon", good, header("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("console"))), 401, "invalid_client"},
			{"bearer", good, header("Authorization", "Bearer "+secret), 401, "invalid_client"},
			{"two headers", good, header("Authorization", "Basic a", "Basic b"), 400, "invalid_request"},
			{"another client_id in the body", good + "&client_id=donghu-api", nil, 400, "invalid_request"},
			{"secret in header and body", good + "&client_id=console&client_secret=" + secret, nil, 400, "invalid_request"},
			{"secret in the body", good + "&client_id=console&client_secret=" + secret, header("Authorization"), 401, "invalid_client"},
			{"assertion", good + "&client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion=a.b.c", header("Authorization"), 401, "invalid_client"},
		} {
			t.Run(k.name, func(t *testing.T) {
				r := c.request("console", k.form)
				if k.change != nil {
					k.change(r)
				}
				wantAnswer(t, c.do(r), k.status, k.code)
			})
		}
		if w := c.do(httptest.NewRequest("GET", "/oidc/token", nil)); w.Code != 405 {
			t.Errorf("GET: status %d", w.Code)
		}
	})
}

// wantAnswer checks a success or a refusal against RFC 6749 sections 5.1 and 5.2.
func wantAnswer(t *testing.T, w *httptest.ResponseRecorder, status int, code string) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	body, h := decode(t, w.Body.Bytes()), w.Header()
	if h.Get("Cache-Control") != "no-store" || h.Get("Pragma") != "no-cache" || h.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", h)
	}
	if status == 200 {
		if body["scope"] != code || body["token_type"] != "Bearer" || body["expires_in"] != 600.0 {
			t.Errorf("answered %v, want scope %q", body, code)
		}
		return
	}
	if body["error"] != code || body["access_token"] != nil {
		t.Errorf("answered %v, want %s", body, code)
	}
	for _, c := range body["error_description"].(string) {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			t.Errorf("description holds %q", c)
		}
	}
	if (status == 401) != strings.HasPrefix(h.Get("WWW-Authenticate"), "Basic realm=") {
		t.Errorf("status %d with challenge %q", status, h.Get("WWW-Authenticate"))
	}
}

func TestSecretInBody(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p := c.replica(t, func(o *oidc.Options) { o.ClientSecretPost = true })
		mux := http.NewServeMux()
		p.Mount(mux)
		post := func(form url.Values) *httptest.ResponseRecorder {
			r := httptest.NewRequest("POST", "/oidc/token", strings.NewReader(form.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		form := url.Values{"grant_type": {"client_credentials"}, "client_id": {"console"}, "client_secret": {c.secrets["console"]}}
		wantAnswer(t, post(form), 200, "registry clients")
		form.Set("client_secret", "guess")
		wantAnswer(t, post(form), 401, "invalid_client")
		form.Del("client_id")
		wantAnswer(t, post(form), 401, "invalid_client")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
		if !strings.Contains(w.Body.String(), "client_secret_post") {
			t.Error("not advertised")
		}
	})
}

// A failure of our own is a reference number to the client and a cause to us, and
// names no secret to either.
func TestOwnFailures(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		var log bytes.Buffer
		for _, k := range []struct {
			name   string
			cause  error
			status int
			code   string
		}{
			{"no key", errors.New("no active key"), 500, "server_error"},
			{"key store away", fault.New(fault.Unavailable, "the HSM is away"), 503, "temporarily_unavailable"},
			{"too slow", context.DeadlineExceeded, 503, "temporarily_unavailable"},
		} {
			t.Run(k.name, func(t *testing.T) {
				p := c.replica(t, func(o *oidc.Options) {
					o.Keys = brokenKeys{c.ring, k.cause}
					o.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				mux := http.NewServeMux()
				p.Mount(mux)
				w := httptest.NewRecorder()
				mux.ServeHTTP(w, c.request("console", "grant_type=client_credentials"))
				wantAnswer(t, w, k.status, k.code)
				if strings.Contains(w.Body.String(), k.cause.Error()) {
					t.Errorf("the answer tells the cause: %s", w.Body)
				}
				if !strings.Contains(log.String(), k.cause.Error()) {
					t.Errorf("the log does not: %s", &log)
				}
			})
		}
		if strings.Contains(log.String(), c.secrets["console"]) {
			t.Error("the log holds a secret")
		}
	})
}

func TestMetrics(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	token := c.token(t, "console")
	for range 2 {
		if _, err := c.provider.CheckToken(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.provider.CheckToken(t.Context(), "guess"); err == nil {
		t.Fatal("accepted")
	}
	c.do(c.request("console", "grant_type=password"))
	families, err := c.metrics.Gather()
	check(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			got[f.GetName()+" "+m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"signet_oidc_tokens_total client_credentials":             1,
		"signet_oidc_token_refusals_total unsupported_grant_type": 1,
		"signet_oidc_token_checks_total accepted":                 2,
		"signet_oidc_token_checks_total refused":                  1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Keys appear while they may have signed, and a kept copy is told apart.
func TestJWKS(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		get := func(etag string) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", "/oidc/jwks", nil)
			if etag != "" {
				r.Header.Set("If-None-Match", etag)
			}
			w := httptest.NewRecorder()
			p := c.replica(t, nil) // its keys are of now
			mux := http.NewServeMux()
			p.Mount(mux)
			mux.ServeHTTP(w, r)
			return w
		}
		kids := func() (list []string) {
			w := get("")
			if strings.Contains(w.Body.String(), `"d"`) || w.Header().Get("Content-Type") != "application/jwk-set+json" {
				t.Fatalf("%v %s", w.Header(), w.Body)
			}
			for _, k := range decode(t, w.Body.Bytes())["keys"].([]any) {
				list = append(list, k.(map[string]any)["kid"].(string))
			}
			slices.Sort(list)
			return list
		}
		wantKids := func(step string, want ...string) {
			t.Helper()
			slices.Sort(want)
			if got := kids(); !slices.Equal(got, want) {
				t.Errorf("%s: %v, want %v", step, got, want)
			}
		}
		wantKids("at first", c.key)
		etag := get("").Header().Get("ETag")
		if w := get(etag); w.Code != 304 || w.Body.Len() != 0 {
			t.Errorf("status %d", w.Code)
		}
		next := c.publish(t)
		wantKids("published", c.key, next)
		if w := get(etag); w.Code != 200 {
			t.Errorf("changed: status %d", w.Code)
		}
		promote(t, c)
		wantKids("promoted", c.key, next)
		retire(t, c, c.key)
		wantKids("retired", next)
	})
}
