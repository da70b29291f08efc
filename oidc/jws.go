package oidc

import (
	"encoding/base64"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// jwsHeader is the header of what a client signs.
type jwsHeader struct {
	Alg  jose.SignatureAlgorithm `json:"alg"`
	Typ  string                  `json:"typ"`
	Kid  string                  `json:"kid"`
	JWK  jsontext.Value          `json:"jwk"`
	Crit jsontext.Value          `json:"crit"`
	B64  jsontext.Value          `json:"b64"`
}

// clientJWS is what a client has signed, not verified yet.
type clientJWS struct {
	jwsHeader
	payload   []byte // not verified
	signature *jose.JSONWebSignature
}

var errJWS = errors.New("no compact JWS with ES256, PS256 or EdDSA")

// parseClientJWS reads a compact JWS of a client (RFC 7515 section 7.1). It fails for
// every algorithm that clients must not use, for extensions that must be understood,
// and for members that stand twice, which two readers could understand differently.
func parseClientJWS(token string) (*clientJWS, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 || len(token) > maxToken {
		return nil, errJWS
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.Strict().DecodeString(part)
		if err != nil || len(b) == 0 || strings.ContainsAny(part, "\r\n") {
			return nil, errJWS
		}
		decoded[i] = b
	}
	s := &clientJWS{payload: decoded[1]}
	if json.Unmarshal(decoded[0], &s.jwsHeader) != nil || s.Crit != nil || s.B64 != nil || !slices.Contains(clientAlgs, s.Alg) {
		return nil, errJWS
	}
	var err error
	if s.signature, err = jose.ParseSignedCompact(token, clientAlgs); err != nil {
		return nil, errJWS
	}
	return s, nil
}

// verifies reports whether the key is one for the algorithm and made the signature.
func (s *clientJWS) verifies(k *jose.JSONWebKey) bool {
	if !fits(k, s.Alg) {
		return false
	}
	_, err := s.signature.Verify(k.Key)
	return err == nil
}
