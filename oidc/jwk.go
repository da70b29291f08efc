package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of a client's key set.
const (
	maxJWKS = 64 << 10
	maxKeys = 16
	maxKey  = 4 << 10 // of one key
)

// clientAlgs are what clients sign with (FAPI 2.0 Security Profile section 5.4).
var clientAlgs = []jose.SignatureAlgorithm{jose.ES256, jose.PS256, jose.EdDSA}

// secretMembers are those of private and of symmetric keys (RFC 7518 section 6).
var secretMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"}

var (
	errPrivateKey = errors.New("holds a private or symmetric key: whoever has seen it must not be trusted with it; make a new one, and register the public half alone")
	errNoKey      = errors.New("holds no public key for ES256, PS256, EdDSA, ECDH-ES or RSA-OAEP-256")
)

// parseJWK reads one public key (RFC 7517 section 4): EC on P-256, RSA of 2048 to
// 4096 bits, or Ed25519.
func parseJWK(b []byte) (k jose.JSONWebKey, err error) {
	var members map[string]jsontext.Value
	if len(b) > maxKey || json.Unmarshal(b, &members) != nil { // a repeated name is an error
		return k, errNoKey
	}
	for _, name := range secretMembers {
		if _, ok := members[name]; ok {
			return k, errPrivateKey
		}
	}
	if err := k.UnmarshalJSON(b); err != nil || !k.Valid() || !k.IsPublic() {
		return k, errNoKey
	}
	switch public := k.Key.(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return k, errNoKey
		}
	case *rsa.PublicKey:
		if n := public.N.BitLen(); n < 2048 || n > 4096 || public.E < 3 || public.E&1 == 0 {
			return k, errNoKey
		}
	case ed25519.PublicKey:
	default:
		return k, errNoKey
	}
	return k, nil
}

// parseJWKS reads a client's key set. Keys of kinds that we do not know are left out
// (RFC 7517 section 5), but one that is not for others to see spoils the set.
func parseJWKS(b []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if len(b) > maxJWKS {
		return nil, errors.New("must have at most 64 kB")
	}
	if json.Unmarshal(b, &set) != nil {
		return nil, errors.New("must be a JWK Set")
	}
	if len(set.Keys) > maxKeys {
		return nil, errors.New("must have at most 16 keys")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		if errors.Is(err, errPrivateKey) {
			return nil, err
		}
		if err == nil {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	return keys, nil
}

// fits reports whether a public key is one for the algorithm. What a key set says of
// its key's use and algorithm counts too (RFC 7517 sections 4.2 and 4.4).
func fits(k *jose.JSONWebKey, alg jose.SignatureAlgorithm) bool {
	if k.Use != "" && k.Use != "sig" || k.Algorithm != "" && k.Algorithm != string(alg) && !(alg == jose.EdDSA && k.Algorithm == "Ed25519") {
		return false
	}
	switch public := k.Key.(type) {
	case *ecdsa.PublicKey:
		return alg == jose.ES256 && public.Curve == elliptic.P256()
	case *rsa.PublicKey:
		return alg == jose.PS256
	case ed25519.PublicKey:
		return alg == jose.EdDSA
	}
	return false
}

// thumbprint is that of RFC 7638 with SHA-256, in base64url.
func thumbprint(k *jose.JSONWebKey) (string, error) {
	sum, err := k.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// thumbprints lists those of a key set, separated by spaces.
func thumbprints(jwks []byte) string {
	keys, err := parseJWKS(jwks)
	if err != nil {
		return ""
	}
	var list []string
	for i := range keys {
		if t, err := thumbprint(&keys[i]); err == nil {
			list = append(list, t)
		}
	}
	return strings.Join(list, " ")
}
