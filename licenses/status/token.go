package status

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// The types of a Status List Token, one list for wallets and checks online
// (draft-ietf-oauth-status-list, the editors' text of 9 December 2025, sections 5.1
// and 5.2).
const (
	TypeJWT = "statuslist+jwt"
	TypeCWT = "application/statuslist+cwt"
)

// tokenBits is how many bits our lists give a status: 0 valid, 1 invalid, which is
// revoked, 2 suspended (section 7.1).
const tokenBits = 2

// maxToken is the longest token that is read, in bytes.
const maxToken = 1 << 20

// ErrToken says that bytes are not a Status List Token of this form.
var ErrToken = errors.New("malformed status list token")

// Token is a list as a Status List Token says it. Times are seconds UTC, TTL seconds.
type Token struct {
	Subject           string // the token's own address
	IssuedAt, Expires int64
	TTL               int64
	Bits              int    // 1, 2, 4 or 8 of each status
	Statuses          []byte // inflated: the first status in the lowest bits of the first byte
}

// Pack returns a list as the bytes of a token with 2 bits, ListSize / 4 of them.
func Pack(l List) []byte {
	b := make([]byte, ListSize*tokenBits/8)
	for _, index := range l.Revoked {
		b[index/4] |= byte(Revoked) << (index % 4 * 2)
	}
	for _, index := range l.Suspended {
		b[index/4] |= byte(Suspended) << (index % 4 * 2)
	}
	return b
}

// At returns the status of an index; ok is false where there is none.
func (t Token) At(index int) (value byte, ok bool) {
	if index < 0 || t.Bits < 1 || index >= len(t.Statuses)*8/t.Bits {
		return 0, false
	}
	at := index * t.Bits
	return t.Statuses[at/8] >> (at % 8) & (1<<t.Bits - 1), true
}

// NewToken returns the token of a list, and refuses indices that do not rise or are
// in both states.
func NewToken(l List, subject string, issuedAt, expires, ttl int64) (Token, error) {
	if !rises(l.Revoked) || !rises(l.Suspended) || !disjoint(l.Revoked, l.Suspended) {
		return Token{}, fmt.Errorf("new status list token: list %d: indices not in order, not in range or twice", l.No)
	}
	if subject == "" || issuedAt < 0 || expires <= issuedAt || expires > maxTime || ttl < 1 {
		return Token{}, errors.New("new status list token: subject or times")
	}
	return Token{subject, issuedAt, expires, ttl, tokenBits, Pack(l)}, nil
}

// deflate compresses as section 4.1 recommends, as far as it goes.
func deflate(b []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := zlib.NewWriterLevel(&out, zlib.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(b); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// inflate reads a compressed list of at most ListSize statuses.
func inflate(b []byte, bits int) ([]byte, error) {
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 {
		return nil, fmt.Errorf("%w: %d bits", ErrToken, bits)
	}
	in := bytes.NewReader(b)
	r, err := zlib.NewReader(in)
	if err != nil {
		return nil, fmt.Errorf("%w: list is not zlib", ErrToken)
	}
	list, err := io.ReadAll(io.LimitReader(r, int64(ListSize*bits/8+1)))
	if err != nil || len(list) > ListSize*bits/8 || in.Len() > 0 {
		return nil, fmt.Errorf("%w: list is damaged or longer than %d statuses", ErrToken, ListSize)
	}
	return list, nil
}

// The JSON of a JWT and the CBOR of a CWT.
type (
	jwtHeader struct {
		Alg string `json:"alg"`
		KID string `json:"kid"`
		Typ string `json:"typ"`
	}
	jwtClaims struct {
		Sub  string  `json:"sub"`
		Iat  int64   `json:"iat"`
		Exp  int64   `json:"exp"`
		TTL  int64   `json:"ttl"`
		List jwtList `json:"status_list"`
	}
	jwtList struct {
		Bits int    `json:"bits"`
		Lst  string `json:"lst"`
	}
	cwtClaims struct {
		Sub  string  `cbor:"2,keyasint"`
		Exp  int64   `cbor:"4,keyasint"`
		Iat  int64   `cbor:"6,keyasint"`
		List cwtList `cbor:"65533,keyasint"`
		TTL  int64   `cbor:"65534,keyasint"`
	}
	cwtList struct {
		Bits int    `cbor:"bits"`
		Lst  []byte `cbor:"lst"`
	}
)

// joseNames gives the COSE algorithms their names in JOSE (RFC 7518, RFC 8037).
var joseNames = map[int64]string{int64(cose.AlgorithmES256): "ES256", int64(cose.AlgorithmES384): "ES384", int64(cose.AlgorithmEdDSA): "EdDSA"}

// NameKey returns what a JWT calls the key: its kid in hexadecimal.
func NameKey(kid [8]byte) string { return hex.EncodeToString(kid[:]) }

// NameAlg returns what a JWT calls a COSE algorithm, "" for one that signs no list.
func NameAlg(alg int64) string { return joseNames[alg] }

// SignJWT returns the token as a JWT (section 5.1).
func (t Token) SignJWT(s Signer) ([]byte, error) {
	lst, err := deflate(t.Statuses)
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	signer, err := tokenSigner(s)
	if err != nil {
		return nil, err
	}
	header, err := json.Marshal(jwtHeader{joseNames[s.Alg], NameKey(s.KID), TypeJWT})
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	claims, err := json.Marshal(jwtClaims{t.Subject, t.IssuedAt, t.Expires, t.TTL, jwtList{t.Bits, base64.RawURLEncoding.EncodeToString(lst)}})
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	b := base64.RawURLEncoding.AppendEncode(nil, header)
	b = base64.RawURLEncoding.AppendEncode(append(b, '.'), claims)
	signature, err := signer.Sign(rand.Reader, b) // the same bytes as in JOSE (RFC 9053 section 2, RFC 7518 section 3.4)
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	return base64.RawURLEncoding.AppendEncode(append(b, '.'), signature), nil
}

// SignCWT returns the token as an untagged CWT (section 5.2).
func (t Token) SignCWT(s Signer) ([]byte, error) {
	lst, err := deflate(t.Statuses)
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	signer, err := tokenSigner(s)
	if err != nil {
		return nil, err
	}
	payload, err := encMode.Marshal(cwtClaims{t.Subject, t.Expires, t.IssuedAt, cwtList{t.Bits, lst}, t.TTL})
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	m := message(s.Alg, s.KID, payload)
	m.Headers.Protected[cose.HeaderLabelType] = TypeCWT
	if err := m.Sign(rand.Reader, nil, signer); err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	b, err := (*cose.UntaggedSign1Message)(m).MarshalCBOR()
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	return b, nil
}

func tokenSigner(s Signer) (cose.Signer, error) {
	if s.Key == nil || !fits(s.Alg, s.Key.Public()) {
		return nil, errors.New("sign status list: key of another kind than the algorithm")
	}
	signer, err := cose.NewSigner(cose.Algorithm(s.Alg), hashed{s.Key, s.Alg})
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	return signer, nil
}

// OpenJWT reads a JWT that the key signed. The error wraps ErrToken or ErrSignature.
func OpenJWT(b []byte, alg int64, pub crypto.PublicKey) (Token, error) {
	parts := strings.Split(string(b), ".")
	if len(b) > maxToken || len(parts) != 3 {
		return Token{}, fmt.Errorf("open status list: %w: not a JWT", ErrToken)
	}
	var raw [3][]byte
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return Token{}, fmt.Errorf("open status list: %w: not base64url", ErrToken)
		}
	}
	var h jwtHeader
	if err := json.Unmarshal(raw[0], &h); err != nil || h.Typ != TypeJWT {
		return Token{}, fmt.Errorf("open status list: %w: header", ErrToken)
	}
	if h.Alg == "" || h.Alg != joseNames[alg] || !fits(alg, pub) {
		return Token{}, fmt.Errorf("open status list: %w: another algorithm", ErrSignature)
	}
	verifier, err := cose.NewVerifier(cose.Algorithm(alg), pub)
	if err != nil || verifier.Verify([]byte(parts[0]+"."+parts[1]), raw[2]) != nil {
		return Token{}, fmt.Errorf("open status list: %w", ErrSignature)
	}
	var c jwtClaims
	if err := json.Unmarshal(raw[1], &c); err != nil {
		return Token{}, fmt.Errorf("open status list: %w: claims", ErrToken)
	}
	lst, err := base64.RawURLEncoding.Strict().DecodeString(c.List.Lst)
	if err != nil {
		return Token{}, fmt.Errorf("open status list: %w: list", ErrToken)
	}
	return opened(c.Sub, c.Iat, c.Exp, c.TTL, c.List.Bits, lst)
}

// OpenCWT reads an untagged CWT that the key signed. The error wraps ErrToken or
// ErrSignature.
func OpenCWT(b []byte, alg int64, pub crypto.PublicKey) (Token, error) {
	var m cose.UntaggedSign1Message
	if len(b) > maxToken || m.UnmarshalCBOR(b) != nil {
		return Token{}, fmt.Errorf("open status list: %w: not a CWT", ErrToken)
	}
	if typ, _ := m.Headers.Protected[cose.HeaderLabelType].(string); typ != TypeCWT {
		return Token{}, fmt.Errorf("open status list: %w: typ", ErrToken)
	}
	if got, err := m.Headers.Protected.Algorithm(); err != nil || int64(got) != alg || !fits(alg, pub) {
		return Token{}, fmt.Errorf("open status list: %w: another algorithm", ErrSignature)
	}
	verifier, err := cose.NewVerifier(cose.Algorithm(alg), pub)
	if err != nil || m.Verify(nil, verifier) != nil {
		return Token{}, fmt.Errorf("open status list: %w", ErrSignature)
	}
	var c cwtClaims
	if err := cbor.Unmarshal(m.Payload, &c); err != nil {
		return Token{}, fmt.Errorf("open status list: %w: claims", ErrToken)
	}
	return opened(c.Sub, c.Iat, c.Exp, c.TTL, c.List.Bits, c.List.Lst)
}

func opened(sub string, iat, exp, ttl int64, bits int, lst []byte) (Token, error) {
	list, err := inflate(lst, bits)
	if err != nil {
		return Token{}, fmt.Errorf("open status list: %w", err)
	}
	if sub == "" || iat < 0 || exp <= iat || exp > maxTime || ttl < 1 {
		return Token{}, fmt.Errorf("open status list: %w: subject or times", ErrToken)
	}
	return Token{sub, iat, exp, ttl, bits, list}, nil
}
