package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

const (
	keysFresh   = time.Second           // how old the known keys may be
	keysUnknown = 50 * time.Millisecond // how old they may be when a token names another
)

// keyset is every key whose tokens count: published ones too, since another
// replica may have promoted one a moment ago.
type keyset struct {
	loaded time.Time // by the monotonic clock
	byID   map[string]crypto.PublicKey
	jwks   []byte
	etag   string
}

// keyCache holds the newest keyset.
type keyCache struct {
	mu      sync.Mutex // held while loading
	current atomic.Pointer[keyset]
}

// keyset returns the keys as they were at most age ago.
func (p *Provider) keyset(ctx context.Context, age time.Duration) (*keyset, error) {
	if k := p.keys.current.Load(); k != nil && time.Since(k.loaded) < age {
		return k, nil
	}
	p.keys.mu.Lock()
	defer p.keys.mu.Unlock()
	if k := p.keys.current.Load(); k != nil && time.Since(k.loaded) < age {
		return k, nil
	}
	k, err := p.loadKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list token keys: %w", err)
	}
	p.keys.current.Store(k)
	return k, nil
}

func (p *Provider) loadKeys(ctx context.Context) (*keyset, error) {
	k := &keyset{loaded: time.Now(), byID: map[string]crypto.PublicKey{}}
	list, err := p.o.Keys.List(ctx, keys.Filter{Purpose: keys.PurposeToken,
		States: []keys.State{keys.Published, keys.Active, keys.Retiring}})
	if err != nil {
		return nil, err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range list {
		if !slices.ContainsFunc(tokenAlgs, func(a jose.SignatureAlgorithm) bool { return key.Owner == KeyOwnerFor(p.o.KeyOwner, string(a)) }) {
			continue
		}
		alg, err := algOf(key.Public)
		if err != nil {
			return nil, err
		}
		if key.Owner != KeyOwnerFor(p.o.KeyOwner, string(alg)) {
			return nil, fmt.Errorf("the token key %s is for %s and not its owner's", key.ID, alg)
		}
		k.byID[key.ID] = key.Public
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: key.Public, KeyID: key.ID, Algorithm: string(alg), Use: "sig"})
	}
	if k.jwks, err = json.Marshal(set); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(k.jwks)
	k.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	return k, nil
}

// tokenAlgs are what tokens are signed with: ES256, and for clients that want another
// ID token, EdDSA or, for those of the profile basic alone, RS256.
var tokenAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA, jose.RS256}

// KeyOwnerFor returns the owner of the keys that sign with alg, a name of RFC 7518, beside an owner of keys
// for ES256.
func KeyOwnerFor(owner, alg string) string {
	if alg == string(jose.ES256) {
		return owner
	}
	return owner + "-" + strings.ToLower(alg)
}

// algOf returns what a token key signs with.
func algOf(public crypto.PublicKey) (jose.SignatureAlgorithm, error) {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() {
			return jose.ES256, nil
		}
	case ed25519.PublicKey:
		return jose.EdDSA, nil
	case *rsa.PublicKey:
		return jose.RS256, nil
	}
	return "", errors.New("a token key is neither on P-256 nor on Ed25519, nor of RSA")
}

// needKeys makes sure that somebody's tokens can be signed with alg. It fails with kind
// Invalid where there are no keys for it and none can be made.
func (p *Provider) needKeys(ctx context.Context, alg, actor string) error {
	if alg == "" || alg == string(jose.ES256) {
		return nil
	}
	owner := KeyOwnerFor(p.o.KeyOwner, alg)
	if _, _, err := p.o.Keys.Active(ctx, keys.PurposeToken, owner); err == nil {
		return nil
	}
	if p.o.MakeKeys == nil {
		return fault.InvalidInput("the client is not as it should be",
			fault.Problem{Path: "/id_token_signed_response_alg", Message: "has no keys here: the tokens of this service are signed with ES256"})
	}
	if err := p.o.MakeKeys(ctx, owner, actor); err != nil {
		return fmt.Errorf("make keys: %w", err)
	}
	return nil
}

// tokenKey returns the public key with that id, nil if no token of it counts.
func (p *Provider) tokenKey(ctx context.Context, kid string) (crypto.PublicKey, error) {
	k, err := p.keyset(ctx, keysFresh)
	if err != nil {
		return nil, err
	}
	if public := k.byID[kid]; public != nil {
		return public, nil
	}
	if k, err = p.keyset(ctx, keysUnknown); err != nil {
		return nil, err
	}
	return k.byID[kid], nil
}

// serveJWKS serves the public keys (RFC 7517). Keys are published long before
// they sign, so whoever keeps them for some minutes misses none.
func (p *Provider) serveJWKS(w http.ResponseWriter, r *http.Request) error {
	k, err := p.keyset(r.Context(), keysFresh)
	if err != nil {
		return err
	}
	servePublic(w, r, "application/jwk-set+json", k.etag, k.jwks)
	return nil
}

// servePublic answers with a document that may be kept for five minutes.
func servePublic(w http.ResponseWriter, r *http.Request, contentType, etag string, body []byte) {
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(body)
}
