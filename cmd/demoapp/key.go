package demoapp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"math/big"
)

// jwk is a key on P-256 (RFC 7518 section 6.2).
type jwk struct {
	Type    string `json:"kty"`
	Curve   string `json:"crv"`
	X       string `json:"x"`
	Y       string `json:"y"`
	Private string `json:"d,omitzero"`
	ID      string `json:"kid,omitzero"`
	Use     string `json:"use,omitzero"`
	Alg     string `json:"alg,omitzero"`
}

var b64 = base64.RawURLEncoding

// key signs for a relying party with ES256.
type key struct {
	private *ecdsa.PrivateKey
	public  jwk // without private, use, alg and kid: what a proof shows
	id      string
}

// NewKey makes a key for Options.PrivateJWK, and the key set with its public half that
// the provider is given.
func NewKey() (private, set []byte, err error) {
	k, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	d, err := k.private.Bytes()
	if err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	half := k.public
	half.ID, half.Use, half.Alg = k.id, "sig", "ES256"
	if set, err = json.Marshal(map[string][]jwk{"keys": {half}}); err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	half.Private = b64.EncodeToString(d)
	if private, err = json.Marshal(half); err != nil {
		return nil, nil, fmt.Errorf("make key: %w", err)
	}
	return private, set, nil
}

func newKey() (*key, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	return keyOf(private, rand.Text())
}

func keyOf(private *ecdsa.PrivateKey, id string) (*key, error) {
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return &key{private, jwk{Type: "EC", Curve: "P-256", X: b64.EncodeToString(point[1:33]), Y: b64.EncodeToString(point[33:])}, id}, nil
}

// parseKey reads what NewKey has made.
func parseKey(text []byte) (*key, error) {
	var j jwk
	if json.Unmarshal(text, &j) != nil || j.Type != "EC" || j.Curve != "P-256" {
		return nil, errors.New("parse key: want a private JWK on P-256")
	}
	d, err := b64.DecodeString(j.Private)
	if err != nil {
		return nil, errors.New("parse key: d is not base64url")
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		return nil, errors.New("parse key: d is no private key")
	}
	k, err := keyOf(private, j.ID)
	if err == nil && (k.public.X != j.X || k.public.Y != j.Y) {
		return nil, errors.New("parse key: x and y are another key's")
	}
	return k, err
}

// sign makes a JWT (RFC 7515 section 7.1, RFC 7518 section 3.4).
func (k *key) sign(header, claims map[string]any) (string, error) {
	header["alg"] = "ES256"
	var parts [2]string
	for i, part := range []map[string]any{header, claims} {
		b, err := json.Marshal(part, json.Deterministic(true))
		if err != nil {
			return "", fmt.Errorf("sign: %w", err)
		}
		parts[i] = b64.EncodeToString(b)
	}
	text := parts[0] + "." + parts[1]
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, k.private, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign: %w", err)
	}
	return text + "." + b64.EncodeToString(append(pad(r), pad(s)...)), nil
}

func pad(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }
