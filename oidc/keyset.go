package oidc

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"

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
	byID   map[string]*ecdsa.PublicKey
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
	k := &keyset{loaded: time.Now(), byID: map[string]*ecdsa.PublicKey{}}
	list, err := p.o.Keys.List(ctx, keys.Filter{Purpose: keys.PurposeToken, Owner: p.o.KeyOwner,
		States: []keys.State{keys.Published, keys.Active, keys.Retiring}})
	if err != nil {
		return nil, err
	}
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, key := range list {
		public, ok := key.Public.(*ecdsa.PublicKey)
		if !ok || public.Curve != elliptic.P256() {
			return nil, errors.New("a token key is not on P-256")
		}
		k.byID[key.ID] = public
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: public, KeyID: key.ID, Algorithm: string(jose.ES256), Use: "sig"})
	}
	if k.jwks, err = json.Marshal(set); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(k.jwks)
	k.etag = `"` + hex.EncodeToString(sum[:16]) + `"`
	return k, nil
}

// tokenKey returns the public key with that id, nil if no token of it counts.
func (p *Provider) tokenKey(ctx context.Context, kid string) (*ecdsa.PublicKey, error) {
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
