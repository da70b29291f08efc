package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"fmt"
)

// clientKey is a key on P-256 as a JWK (RFC 7518 section 6.2). Its members stand in the
// order of RFC 7638, by which a key is named.
type clientKey struct {
	Curve   string `json:"crv"`
	Type    string `json:"kty"`
	X       string `json:"x"`
	Y       string `json:"y"`
	Private string `json:"d,omitzero"`
	ID      string `json:"kid,omitzero"`
	Use     string `json:"use,omitzero"`
	Alg     string `json:"alg,omitzero"`
}

// newClientKey makes a key that signs a client's assertions, and the JWK Set with its
// public half. It is named by its thumbprint.
func newClientKey() (private, set []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	d, err := k.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	point, err := k.PublicKey.Bytes() // 4, x and y
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	b64 := base64.RawURLEncoding.EncodeToString
	j := clientKey{Curve: "P-256", Type: "EC", X: b64(point[1:33]), Y: b64(point[33:])}
	name, err := json.Marshal(j)
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	sum := sha256.Sum256(name)
	j.ID, j.Use, j.Alg = b64(sum[:]), "sig", "ES256"
	if set, err = json.Marshal(map[string][]clientKey{"keys": {j}}); err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	j.Private = b64(d)
	if private, err = json.Marshal(j); err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	return private, set, nil
}
