package oidc

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// proofType is the type of a proof (RFC 9449 section 4.2).
const proofType = "dpop+jwt"

const (
	clientSkew = 30 * time.Second // by which a client's clock may be ahead (FAPI 2.0 Security Profile section 5.3.2.1)
	maxID      = 256              // bytes of a jti
)

// Why a proof is refused (RFC 9449 sections 5 and 8). All are answered to whoever sent
// it, who may be anybody: they tell nothing of clients.
var (
	errNonce       = &refusal{http.StatusBadRequest, "use_dpop_nonce", "the proof must carry the nonce of the header DPoP-Nonce"}
	errProofAgain  = badProof("the proof has been used: make one for every request")
	errProofNeeded = badProof("the client must send a proof in the header DPoP")
)

func badProof(description string) *refusal {
	return &refusal{http.StatusBadRequest, "invalid_dpop_proof", description}
}

// proof is a proof of a key that was checked, and must still be spent.
type proof struct {
	jkt  string // the key's thumbprint
	once once
}

// proofClaims are those of RFC 9449 section 4.2.
type proofClaims struct {
	ID       string   `json:"jti"`
	Method   string   `json:"htm"`
	Address  string   `json:"htu"`
	IssuedAt *float64 `json:"iat"`
	Nonce    string   `json:"nonce"`
	Hash     string   `json:"ath"`
}

// readProof checks the proof that came with a request to an address (RFC 9449 section
// 4.3). It returns nil if there is none. With an access token the proof must be one for
// that token.
func (p *Provider) readProof(ctx context.Context, r *http.Request, address, token string) (*proof, error) {
	headers := r.Header.Values("DPoP")
	if len(headers) == 0 {
		return nil, nil
	}
	if len(headers) > 1 {
		return nil, badProof("there must be one header DPoP")
	}
	s, err := parseClientJWS(headers[0])
	if err != nil || s.Typ != proofType {
		return nil, badProof("the proof must be a JWT of type dpop+jwt, signed with ES256, PS256 or EdDSA")
	}
	key, err := parseJWK(s.JWK)
	if err != nil {
		return nil, badProof("jwk must be a public key of P-256, RSA or Ed25519")
	}
	if !s.verifies(&key) {
		return nil, badProof("the signature does not verify")
	}
	var c proofClaims
	if json.Unmarshal(s.payload, &c) != nil {
		return nil, badProof("the claims are not those of a proof")
	}
	if problem := c.check(r.Method, address, token); problem != "" {
		return nil, badProof(problem)
	}
	now := p.o.Now()
	if at := seconds(*c.IssuedAt); at.After(now.Add(clientSkew)) || at.Before(now.Add(-nonceLife)) {
		return nil, badProof("iat is not now" + clockIs(now))
	}
	known, err := p.isNonce(ctx, c.Nonce)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, errNonce
	}
	jkt, err := thumbprint(&key)
	if err != nil {
		return nil, err
	}
	return &proof{jkt, newOnce("proof", jkt, c.ID, now.Add(nonceLife+2*nonceStep), errProofAgain)}, nil
}

// check says what is wrong with a proof's claims for a request, "" for nothing.
func (c *proofClaims) check(method, address, token string) string {
	switch {
	case c.ID == "" || len(c.ID) > maxID:
		return "jti must be 1 to 256 bytes"
	case c.IssuedAt == nil || !isDate(*c.IssuedAt):
		return "iat is missing or no time"
	case c.Method != method:
		return "htm is another method"
	case !sameAddress(c.Address, address):
		return "htu is another address"
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		if subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(c.Hash)) != 1 {
			return "ath is not the hash of the access token"
		}
	}
	return ""
}

// isDate reports whether n is a NumericDate of a time that can be counted with.
func isDate(n float64) bool { return n > 0 && n < 1<<36 }

func seconds(n float64) time.Time { return time.UnixMicro(int64(n * 1e6)) }

// sameAddress compares what a proof names with where it was sent, apart from query and
// fragment, by RFC 3986 sections 6.2.2 and 6.2.3: scheme and host in any case, the
// scheme's own port or none.
func sameAddress(named, sent string) bool {
	a, okA := plainAddress(named)
	b, okB := plainAddress(sent)
	return okA && okB && a == b
}

func plainAddress(address string) (string, bool) {
	u, err := url.Parse(address)
	if err != nil || u.User != nil || u.Host == "" || u.Opaque != "" {
		return "", false
	}
	host, scheme := strings.ToLower(u.Host), strings.ToLower(u.Scheme)
	if name, port, err := net.SplitHostPort(host); err == nil && (port == "443" && scheme == "https" || port == "80" && scheme == "http") {
		if host = name; strings.Contains(name, ":") {
			host = "[" + name + "]"
		}
	}
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, true
}
