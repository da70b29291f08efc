package oidc

import "github.com/go-jose/go-jose/v4"

// ParseJWKS is parseJWKS.
func ParseJWKS(b []byte) ([]jose.JSONWebKey, error) { return parseJWKS(b) }

// ParseClientJWS is parseClientJWS, and returns what it has read.
func ParseClientJWS(token string) (alg, typ string, payload []byte, err error) {
	s, err := parseClientJWS(token)
	if err != nil {
		return "", "", nil, err
	}
	return string(s.Alg), s.Typ, s.payload, nil
}

// SameAddress is sameAddress.
func SameAddress(named, sent string) bool { return sameAddress(named, sent) }
