package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	maxToken    = 4 << 10
	clockSkew   = 60 // seconds by which another replica's clock may be ahead
	maxVerified = 4096
)

// Why a token is refused. The reasons go to the log at most.
var (
	errForm      = errors.New("not a compact JWS of ours")
	errHeader    = errors.New("not ES256, the right type and a kid")
	errKey       = errors.New("signed with no key of ours")
	errSignature = errors.New("signature does not verify")
	errClaims    = errors.New("claims are not ours")
	errBound     = errors.New("bound to another key, or shown without a proof of its own")
	errExpired   = errors.New("expired or not yet issued")
	errDisabled  = errors.New("client is unknown or disabled")
)

// CheckToken returns the caller of an access token that this service issued and
// that is in force. The error is a fault of kind Denied for every other text; any
// other error says that checking did not work.
func (p *Provider) CheckToken(ctx context.Context, token string) (web.Caller, error) {
	return p.countCheck(p.checkToken(ctx, token, ""))
}

// CheckProof is CheckToken for a token that came with a proof of the key that it is
// bound to (RFC 9449 section 7). It implements web.ProofChecker.
func (p *Provider) CheckProof(r *http.Request, token string) (web.Caller, error) {
	ctx := r.Context()
	shown, err := p.proofOf(r, token)
	if err != nil {
		return p.countCheck(web.Caller{}, err)
	}
	caller, err := p.checkToken(ctx, token, shown.jkt)
	if err == nil { // only the holder of a token that counts makes a row
		err = p.challenge(ctx, p.spendNow(ctx, shown.once))
	}
	return p.countCheck(caller, err)
}

// countCheck counts what came of checking a token.
func (p *Provider) countCheck(caller web.Caller, err error) (web.Caller, error) {
	switch fault.KindOf(err) {
	case fault.Denied:
		p.metrics.checks.WithLabelValues("refused").Inc()
		caller = web.Caller{}
	default:
		if err != nil {
			p.metrics.checks.WithLabelValues("failed").Inc()
			return web.Caller{}, fmt.Errorf("check token: %w", err)
		}
		p.metrics.checks.WithLabelValues("accepted").Inc()
	}
	return caller, err
}

func refused(why error) error {
	return fault.Wrap(fault.Denied, "the access token is not valid", why)
}

// checkToken returns the caller of a token that was shown with a proof of the key jkt,
// or with none.
func (p *Provider) checkToken(ctx context.Context, token, jkt string) (web.Caller, error) {
	c, err := p.readToken(ctx, token)
	if err != nil {
		return web.Caller{}, err
	}
	if !c.Key.is(jkt) {
		return web.Caller{}, refused(errBound)
	}
	return p.callerOf(ctx, c)
}

// readToken verifies the signature once per token and, every time, what time can
// change of key and dates.
func (p *Provider) readToken(ctx context.Context, token string) (claims, error) {
	if len(token) > maxToken {
		return claims{}, refused(errForm)
	}
	hash := sha256.Sum256([]byte(token))
	v, known := p.verified.get(hash)
	var signature *jose.JSONWebSignature
	if !known {
		var err error
		if signature, v.kid, err = parseToken(token, tokenType, jose.ES256); err != nil {
			return claims{}, refused(err)
		}
	}
	public, err := p.tokenKey(ctx, v.kid)
	if err != nil {
		return claims{}, err
	}
	if public == nil {
		return claims{}, refused(errKey)
	}
	if !known {
		payload, err := signature.Verify(public)
		if err != nil {
			return claims{}, refused(errSignature)
		}
		if err := json.Unmarshal(payload, &v.claims, json.RejectUnknownMembers(true)); err != nil {
			return claims{}, refused(errClaims)
		}
	}
	if err := p.checkClaims(v.claims); err != nil {
		return claims{}, refused(err)
	}
	if !known {
		p.verified.put(hash, v)
	}
	return v.claims, nil
}

// parseToken checks the form and the header of a token of that type (RFC 9068
// section 4). Only the one spelling of a token that we write is accepted.
func parseToken(token, kind string, algs ...jose.SignatureAlgorithm) (*jose.JSONWebSignature, string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || strings.ContainsAny(token, "\r\n") {
		return nil, "", errForm
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || part == "" {
			return nil, "", errForm
		}
	}
	signature, err := jose.ParseSignedCompact(token, algs)
	if err != nil || len(signature.Signatures) != 1 {
		return nil, "", errHeader
	}
	h := signature.Signatures[0].Protected
	if h.KeyID == "" || h.JSONWebKey != nil || h.Nonce != "" || len(h.ExtraHeaders) != 1 || h.ExtraHeaders[jose.HeaderType] != kind {
		return nil, "", errHeader
	}
	return signature, h.KeyID, nil
}

func (p *Provider) checkClaims(c claims) error {
	if c.Issuer != p.o.Issuer || c.Audience != p.o.Issuer || c.ClientID == "" || c.Subject != c.ClientID ||
		c.ID == "" || c.Expires-c.IssuedAt <= 0 || c.Expires-c.IssuedAt > int64(maxLifetime/time.Second) {
		return errClaims
	}
	if now := p.o.Now().Unix(); now >= c.Expires || c.IssuedAt > now+clockSkew {
		return errExpired
	}
	return nil
}

// callerOf finds the client, which must not have been disabled and must still be
// what the token says.
func (p *Provider) callerOf(ctx context.Context, c claims) (web.Caller, error) {
	client, err := p.findClient(ctx, c.ClientID)
	if fault.KindOf(err) == fault.NotFound || err == nil && (!client.Disabled.IsZero() || client.Agency != c.Agency) {
		return web.Caller{}, refused(errDisabled)
	}
	if err != nil {
		return web.Caller{}, err
	}
	return web.Caller{ClientID: c.ClientID, Agency: c.Agency, Scopes: strings.Fields(c.Scope)}, nil
}

// verified is a token whose signature has been checked.
type verified struct {
	kid    string
	claims claims
}

// verifiedCache remembers the last few thousand tokens by their hash. When one
// half is full it becomes the old half, and the old half is forgotten.
type verifiedCache struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]verified
}

func (c *verifiedCache) get(hash [sha256.Size]byte) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, ok := c.young[hash]
	if !ok {
		v, ok = c.old[hash]
	}
	return v, ok
}

func (c *verifiedCache) put(hash [sha256.Size]byte, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= maxVerified/2 || c.young == nil {
		c.young, c.old = make(map[[sha256.Size]byte]verified), c.young
	}
	c.young[hash] = v
}
