package oidc_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	stdjson "encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc"
)

// jsonUnmarshal is for types that bring UnmarshalJSON of the first version.
func jsonUnmarshal(b []byte, v any) error { return stdjson.Unmarshal(b, v) }

func promote(t testing.TB, c *city) {
	t.Helper()
	_, _, err := c.ring.Promote(t.Context(), keys.PurposeToken, owner, actor)
	check(t, err)
}

func retire(t testing.TB, c *city, id string) {
	t.Helper()
	check(t, c.ring.Move(t.Context(), id, keys.Retired, actor, "test"))
}

// brokenKeys fails to give a signer, as a keyring whose HSM is away.
type brokenKeys struct {
	oidc.Keys
	cause error
}

func (b brokenKeys) Active(context.Context, string, string) (keys.Key, crypto.Signer, error) {
	return keys.Key{}, nil, b.cause
}

func TestCheckToken(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		token := c.token(t, "donghu-api")
		for range 2 { // verified, then remembered
			caller, err := c.provider.CheckToken(t.Context(), token)
			check(t, err)
			want := web.Caller{ClientID: "donghu-api", Agency: "donghu-amr", Scopes: []string{"licenses"}}
			if diff := cmp.Diff(want, caller); diff != "" {
				t.Error(diff)
			}
		}
		caller, err := c.replica(t, nil).CheckToken(t.Context(), c.token(t, "console"))
		check(t, err)
		if caller.Agency != "" || !caller.Has("clients") || caller.Has("licenses") {
			t.Errorf("caller %v", caller)
		}
	})
}

// What a verified token is remembered for never outlives it.
func TestRememberedTokensEnd(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		token := c.token(t, "console")
		accepted := func(want bool) {
			t.Helper()
			_, err := c.provider.CheckToken(ctx, token)
			if (err == nil) != want || err != nil && fault.KindOf(err) != fault.Denied {
				t.Errorf("got %v, want accepted %v", err, want)
			}
		}
		issued := c.clock.now
		accepted(true)
		c.clock.now = issued.Add(10*time.Minute - time.Second)
		accepted(true)
		c.clock.now = issued.Add(10 * time.Minute)
		accepted(false)
		c.clock.now = issued.Add(-61 * time.Second)
		accepted(false)
		c.clock.now = issued
		accepted(true)
	})
}

// A token outlives its key's promotion, but not its end.
func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		before := c.token(t, "console")
		next := c.publish(t)
		promote(t, c)
		after := c.token(t, "console")
		if !strings.Contains(header(t, after), next) {
			t.Errorf("signed with another key: %s", header(t, after))
		}
		old := c.replica(t, nil)
		for _, token := range []string{before, after} {
			for _, p := range []*oidc.Provider{c.provider, old} {
				if _, err := p.CheckToken(ctx, token); err != nil {
					t.Error(err)
				}
			}
		}
		retire(t, c, c.key)
		time.Sleep(1100 * time.Millisecond) // remembered keys are a second old at most
		if _, err := c.provider.CheckToken(ctx, before); fault.KindOf(err) != fault.Denied {
			t.Errorf("a retired key's token: %v", err)
		}
		if _, err := c.provider.CheckToken(ctx, after); err != nil {
			t.Error(err)
		}
	})
}

func header(t testing.TB, token string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[0])
	check(t, err)
	return string(b)
}

// sign makes a compact JWS of header and payload as they are, with any signer.
func sign(t testing.TB, header, payload string, signature func(input string) []byte) string {
	t.Helper()
	b64 := base64.RawURLEncoding
	input := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString([]byte(payload))
	return input + "." + b64.EncodeToString(signature(input))
}

// es256 signs as JWS does.
func es256(t testing.TB, key crypto.Signer) func(string) []byte {
	return func(input string) []byte {
		b, err := cryptosigner.Opaque(key).SignPayload([]byte(input), jose.ES256)
		check(t, err)
		return b
	}
}

// hs256 is the MAC with a public key as the secret, made by go-jose.
func hs256(t testing.TB, secret []byte) func(string) []byte {
	return func(input string) []byte {
		parts := strings.SplitN(input, ".", 2)
		payload, err := base64.RawURLEncoding.DecodeString(parts[1])
		check(t, err)
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, nil)
		check(t, err)
		signed, err := signer.Sign(payload)
		check(t, err)
		return signed.Signatures[0].Signature
	}
}

func nothing(string) []byte { return nil }

// forgeries are tokens that must all be refused, by name.
func forgeries(t testing.TB, c *city) map[string]string {
	t.Helper()
	ctx := t.Context()
	active, signer, err := c.ring.Active(ctx, keys.PurposeToken, owner)
	check(t, err)
	genuine := es256(t, signer)
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(active.Public)
	check(t, err)
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	staged, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: owner, Alg: "ES256", Backend: "file", Actor: actor})
	check(t, err)
	ahead, err := c.ring.Signer(ctx, staged.ID)
	check(t, err)

	now := c.clock.now.Unix()
	head := func(typ, alg, kid string) string { return fmt.Sprintf(`{"alg":%q,"kid":%q,"typ":%q}`, alg, kid, typ) }
	good := head("at+jwt", "ES256", active.ID)
	claims := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"console","client_id":"console","scope":"registry","iat":%d,"exp":%d,"jti":"0123456789"}`,
		issuer, issuer, now, now+600)
	without := func(member string) string { return edit(t, claims, func(m map[string]any) { delete(m, member) }) }
	with := func(member string, v any) string { return edit(t, claims, func(m map[string]any) { m[member] = v }) }
	dates := func(iat, exp any) string {
		return strings.NewReplacer(fmt.Sprint(now+600), fmt.Sprint(exp), fmt.Sprint(now), fmt.Sprint(iat)).Replace(claims)
	}
	honest := sign(t, good, claims, genuine)
	if _, err := c.provider.CheckToken(ctx, honest); err != nil {
		t.Fatalf("the forger's tools do not work: %v", err) // or nothing below could fail
	}
	parts := strings.Split(honest, ".")
	jwk, err := stdjson.Marshal(jose.JSONWebKey{Key: foreign.Public()})
	check(t, err)
	return map[string]string{
		"empty":                       "",
		"not a token":                 "guess",
		"two parts":                   parts[0] + "." + parts[1],
		"four parts":                  honest + ".a",
		"no signature":                parts[0] + "." + parts[1] + ".",
		"alg none":                    sign(t, head("at+jwt", "none", active.ID), claims, nothing),
		"alg None, with a signature":  sign(t, head("at+jwt", "None", active.ID), claims, genuine),
		"HS256 with the public DER":   sign(t, head("at+jwt", "HS256", active.ID), claims, hs256(t, der)),
		"HS256 with the public PEM":   sign(t, head("at+jwt", "HS256", active.ID), claims, hs256(t, asPEM)),
		"HS256, called ES256":         sign(t, good, claims, hs256(t, der)),
		"ES384":                       sign(t, head("at+jwt", "ES384", active.ID), claims, genuine),
		"RS256":                       sign(t, head("at+jwt", "RS256", active.ID), claims, genuine),
		"no alg":                      sign(t, fmt.Sprintf(`{"kid":%q,"typ":"at+jwt"}`, active.ID), claims, genuine),
		"JWT":                         sign(t, head("JWT", "ES256", active.ID), claims, genuine),
		"typ in another case":         sign(t, head("AT+JWT", "ES256", active.ID), claims, genuine),
		"typ as a media type":         sign(t, head("application/at+jwt", "ES256", active.ID), claims, genuine),
		"ID token":                    sign(t, head("", "ES256", active.ID), claims, genuine),
		"no typ":                      sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q}`, active.ID), claims, genuine),
		"no kid":                      sign(t, `{"alg":"ES256","typ":"at+jwt"}`, claims, genuine),
		"unknown kid":                 sign(t, head("at+jwt", "ES256", "nobody"), claims, genuine),
		"staged key":                  sign(t, head("at+jwt", "ES256", staged.ID), claims, es256(t, ahead)),
		"foreign key under our kid":   sign(t, good, claims, es256(t, foreign)),
		"foreign key in the header":   sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt","jwk":%s}`, active.ID, jwk), claims, es256(t, foreign)),
		"our key, jwk in the header":  sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt","jwk":%s}`, active.ID, jwk), claims, genuine),
		"jku":                         sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt","jku":"https://evil.example"}`, active.ID), claims, genuine),
		"unknown critical header":     sign(t, fmt.Sprintf(`{"alg":"ES256","kid":%q,"typ":"at+jwt","crit":["x"],"x":1}`, active.ID), claims, genuine),
		"kid twice":                   sign(t, fmt.Sprintf(`{"alg":"ES256","kid":"a","kid":%q,"typ":"at+jwt"}`, active.ID), claims, genuine),
		"header is no JSON":           sign(t, `alg`, claims, genuine),
		"another issuer":              sign(t, good, with("iss", "https://other.example"), genuine),
		"issuer with a slash":         sign(t, good, with("iss", issuer+"/"), genuine),
		"no issuer":                   sign(t, good, without("iss"), genuine),
		"another audience":            sign(t, good, with("aud", "https://bank.example"), genuine),
		"two audiences":               sign(t, good, with("aud", []string{issuer, "https://bank.example"}), genuine),
		"no audience":                 sign(t, good, without("aud"), genuine),
		"another subject":             sign(t, good, with("sub", "somebody"), genuine),
		"another client":              sign(t, good, with("client_id", "donghu-api"), genuine),
		"no jti":                      sign(t, good, without("jti"), genuine),
		"another agency":              sign(t, good, with("agency", "donghu-amr"), genuine),
		"expired":                     sign(t, good, dates(now-600, now), genuine),
		"no expiry":                   sign(t, good, without("exp"), genuine),
		"expiry as text":              sign(t, good, with("exp", fmt.Sprint(now+600)), genuine),
		"expiry with a fraction":      sign(t, good, with("exp", float64(now)+0.5), genuine),
		"lives too long":              sign(t, good, with("exp", now+601), genuine),
		"lives for ever":              sign(t, good, with("exp", int64(1)<<62), genuine),
		"expiry past every integer":   sign(t, good, strings.Replace(claims, fmt.Sprint(now+600), "1e400", 1), genuine),
		"span that overflows":         sign(t, good, dates("-9223372036854775808", "9223372036854775807"), genuine),
		"issued tomorrow":             sign(t, good, dates(now+86400, now+87000), genuine),
		"unknown claim":               sign(t, good, with("cnf", map[string]string{"jkt": "a"}), genuine),
		"claim twice":                 sign(t, good, strings.Replace(claims, `"scope":`, `"scope":"clients","scope":`, 1), genuine),
		"claim in another case":       sign(t, good, strings.Replace(claims, `"scope":`, `"Scope":`, 1), genuine),
		"more behind the claims":      sign(t, good, claims+"{}", genuine),
		"claims are no JSON":          sign(t, good, "hello", genuine),
		"no claims":                   sign(t, good, "", genuine),
		"unknown client":              sign(t, good, strings.ReplaceAll(claims, "console", "nobody"), genuine),
		"client that is no id":        sign(t, good, strings.ReplaceAll(claims, `console`, `\u0000`), genuine),
		"JSON serialization":          fmt.Sprintf(`{"protected":%q,"payload":%q,"signature":%q}`, parts[0], parts[1], parts[2]),
		"padded":                      honest + "==",
		"line break":                  parts[0] + "." + parts[1] + "\n." + parts[2],
		"space before":                " " + honest,
		"signature in DER":            parts[0] + "." + parts[1] + "." + derSignature(t, parts[2]),
		"signature of zeros":          parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64)),
		"signature with a zero ahead": parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 66)),
		"too long":                    sign(t, good, with("scope", strings.Repeat("registry ", 500)), genuine),
		"other claims":                parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(strings.Replace(claims, `"registry"`, `"clients"`, 1))) + "." + parts[2],
	}
}

// edit changes a JSON object.
func edit(t testing.TB, object string, change func(m map[string]any)) string {
	t.Helper()
	m := decode(t, []byte(object))
	change(m)
	b, err := stdjson.Marshal(m)
	check(t, err)
	return string(b)
}

// derSignature turns r||s into ASN.1, the other common form.
func derSignature(t testing.TB, raw string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(raw)
	check(t, err)
	var out []byte
	for _, half := range [][]byte{b[:32], b[32:]} {
		n := append([]byte{0}, new(big.Int).SetBytes(half).Bytes()...)
		out = append(out, append([]byte{2, byte(len(n))}, n...)...)
	}
	return base64.RawURLEncoding.EncodeToString(append([]byte{0x30, byte(len(out))}, out...))
}

func TestForgeriesAreRefused(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		for name, token := range forgeries(t, c) {
			t.Run(name, func(t *testing.T) {
				for range 2 { // a refusal is not remembered as anything else
					caller, err := c.provider.CheckToken(t.Context(), token)
					if err == nil {
						t.Fatalf("accepted as %v", caller)
					}
					if fault.KindOf(err) != fault.Denied {
						t.Errorf("kind %v: %v", fault.KindOf(err), err)
					}
					if len(token) > 20 && strings.Contains(err.Error(), token) {
						t.Error("the error repeats the token")
					}
				}
			})
		}
	})
}

// Changing any one character of a token makes it another, refused one: there is
// one spelling of every token.
func TestEveryCharacterCounts(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	token := c.token(t, "console")
	if _, err := c.provider.CheckToken(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	for i := range token {
		for _, other := range []byte{'A', 'B', '_', '.', '\n', 0} {
			if token[i] == other {
				continue
			}
			changed := token[:i] + string(other) + token[i+1:]
			if _, err := c.provider.CheckToken(t.Context(), changed); fault.KindOf(err) != fault.Denied || err == nil {
				t.Fatalf("%q for character %d: %v", other, i, err)
			}
		}
	}
}

// What hinders checking is not the token's fault.
func TestCheckTokenFails(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	token := c.token(t, "console")
	p := c.replica(t, func(o *oidc.Options) { o.Keys = awayKeys{c.ring} })
	_, err := p.CheckToken(t.Context(), token)
	if fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	if _, err := web.Authorize(p, r, "clients"); web.Status(err) != http.StatusServiceUnavailable {
		t.Errorf("answered with status %d", web.Status(err))
	}
}

// awayKeys cannot list keys.
type awayKeys struct{ oidc.Keys }

func (awayKeys) List(context.Context, keys.Filter) ([]keys.Key, error) {
	return nil, fault.Wrap(fault.Unavailable, "the database does not answer", errors.New("test"))
}
