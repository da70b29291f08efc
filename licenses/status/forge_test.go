package status_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

// forgery is a snapshot made by hand, without package status, so that each part
// of it can be wrong. Its parts are CBOR where they are []byte fields of type raw.
type forgery struct {
	tag         uint64
	protected   any // encoded, then wrapped in a byte string
	unprotected any
	header      map[int]any // 5 is filled in with the hash of the body when absent
	payload     []byte      // instead of the header
	body        any
	signature   []byte // instead of a real one
	cut         int    // bytes off the signature
	tail        []byte // after the whole
}

// plain is a valid forgery: list 3 with index 5 revoked and 77 suspended. One
// index has the parameter 726817, so 321759 remainders take 19 bits and the rest
// 20.
func plain() forgery {
	signer := p256Signer()
	return forgery{
		tag:         18,
		protected:   map[int]any{1: signer.Alg, 4: signer.KID[:], 16: "application/elr1+cose"},
		unprotected: map[int]any{},
		header:      map[int]any{1: 7, 2: 1000, 3: 2000, 4: []any{[]any{3, 1, 1}}},
		body:        bitString("1 0000000000000000101 0000", "1 0000000000001001101 0000"),
	}
}

func (f forgery) encode(t testing.TB) []byte {
	t.Helper()
	body, _ := f.body.([]byte)
	if _, ok := f.header[5]; !ok && f.header != nil {
		sum := sha256.Sum256(body)
		f.header[5] = sum[:]
	}
	payload := f.payload
	if payload == nil {
		payload = marshal(t, f.header)
	}
	protected := marshal(t, f.protected)
	signature := f.signature
	if signature == nil {
		signature = sign(t, marshal(t, []any{"Signature1", protected, []byte{}, payload}))
	}
	signature = signature[:len(signature)-f.cut]
	signed := cbor.Tag{Number: f.tag, Content: []any{protected, f.unprotected, payload, signature}}
	return append(marshal(t, []any{signed, f.body}), f.tail...)
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	if raw, ok := v.(cbor.RawMessage); ok {
		return raw
	}
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		t.Fatal(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sign returns r and s side by side of the vectors' P-256 key.
func sign(t testing.TB, message []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(message)
	der, err := p256Key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	r, s := rs(t, der)
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	if !ecdsa.Verify(&p256Key.PublicKey, digest[:], r, s) {
		t.Fatal("own signature does not verify")
	}
	return raw
}

// bitString packs zeros and ones; each argument must be whole bytes.
func bitString(parts ...string) []byte {
	var b []byte
	for _, part := range parts {
		digits := strings.ReplaceAll(part, " ", "")
		if len(digits)%8 != 0 {
			panic("bits of a vector are not whole bytes: " + part)
		}
		for i := 0; i < len(digits); i += 8 {
			var v byte
			for _, d := range digits[i : i+8] {
				v = v<<1 | byte(d-'0')
			}
			b = append(b, v)
		}
	}
	return b
}
