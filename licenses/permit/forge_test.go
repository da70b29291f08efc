package permit_test

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/licenses/permit"
)

// raw is CBOR that stands as it is, well formed or not.
type raw []byte

// pairs is a CBOR map in the order given: key, value, key, value.
type pairs []any

// with returns p with the value of a key replaced.
func (p pairs) with(key, value any) pairs {
	p = append(pairs{}, p...)
	for i := 0; i < len(p); i += 2 {
		if p[i] == key {
			p[i+1] = value
			return p
		}
	}
	panic("forge: no such key")
}

// without returns p without a key.
func (p pairs) without(key any) pairs {
	for i := 0; i < len(p); i += 2 {
		if p[i] == key {
			return append(append(pairs{}, p[:i]...), p[i+2:]...)
		}
	}
	panic("forge: no such key")
}

// and returns p with more at its end.
func (p pairs) and(more ...any) pairs { return append(append(pairs{}, p...), more...) }

func encodePairs(p pairs) []byte {
	var out bytes.Buffer
	out.Write(head(5, len(p)/2))
	for _, v := range p {
		switch v := v.(type) {
		case raw:
			out.Write(v)
		case pairs:
			out.Write(encodePairs(v))
		default:
			out.Write(mustCBOR(v))
		}
	}
	return out.Bytes()
}

// head is the shortest CBOR head for a small count.
func head(major byte, n int) []byte {
	switch {
	case n < 24:
		return []byte{major<<5 | byte(n)}
	case n < 256:
		return []byte{major<<5 | 24, byte(n)}
	}
	return []byte{major<<5 | 25, byte(n >> 8), byte(n)}
}

func mustCBOR(v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// forge makes a permit by hand, right in all but what a vector sets wrong. The
// signature is over what is then there, so that nothing but the rule that the
// vector is about can refuse it.
type forge struct {
	key         crypto.Signer // otherwise the P-256 key
	aad         []byte        // item in the Sig_structure, otherwise "EL1:" in bytes
	start       []byte        // otherwise tag 18 and array of 4
	protected   []byte        // item, otherwise that of ES256
	unprotected []byte        // item, otherwise an empty map
	payload     []byte        // item, otherwise that of plain()
	claims      pairs         // instead of payload
	resign      func(sig []byte) []byte
	sigItem     []byte // item, otherwise the signature in bytes
	tail        []byte // after the COSE_Sign1
	dictionary  []byte
	level       int // of zlib, otherwise its default
}

// levelStored stands for zlib's level 0.
const levelStored = -9

// plain is the payload of the smallest permit.
func plain() pairs {
	return pairs{
		4, 1930147200, 5, 1772380800, 6, 1772416800,
		7, unhex("00112233445566778899aabbccddeeff"),
		-70000, fields(), -70001, []int{1, 735201},
	}
}

func fields() pairs {
	return pairs{0, 1, 1, "JY29901010012345", 2, "荷塘小馆", 3, "91990101MA4KLJ2X7H"}
}

// field is plain with more fields behind the four.
func field(more ...any) pairs { return plain().with(-70000, fields().and(more...)) }

func protectedHeader(alg int64) []byte {
	kid := signers()[alg].KID
	return mustCBOR(encodePairs(pairs{1, alg, 4, kid[:]}))
}

func (f forge) cose() []byte {
	or := func(v, otherwise []byte) []byte {
		if v == nil {
			return otherwise
		}
		return v
	}
	if f.claims == nil {
		f.claims = plain()
	}
	protected := or(f.protected, protectedHeader(permit.ES256))
	payload := or(f.payload, mustCBOR(encodePairs(f.claims)))
	aad := or(f.aad, mustCBOR([]byte("EL1:")))
	message := bytes.Join([][]byte{{0x84}, mustCBOR("Signature1"), protected, aad, payload}, nil)
	sig := sign(f.key, message)
	if f.resign != nil {
		sig = f.resign(sig)
	}
	return bytes.Join([][]byte{or(f.start, []byte{0xD2, 0x84}), protected, or(f.unprotected, []byte{0xA0}),
		payload, or(f.sigItem, mustCBOR(sig)), f.tail}, nil)
}

func (f forge) zlib() []byte {
	if f.level == 0 {
		f.level = zlib.DefaultCompression
	}
	return deflate(f.cose(), f.level, f.dictionary)
}

func (f forge) text() string { return armor(f.zlib()) }

func armor(packed []byte) string { return "EL1:" + permit.EncodeBase45(packed) }

func deflate(b []byte, level int, dictionary []byte) []byte {
	var out bytes.Buffer
	if level == levelStored {
		level = zlib.NoCompression
	}
	z, err := zlib.NewWriterLevelDict(&out, level, dictionary)
	if err != nil {
		panic(err)
	}
	if _, err := z.Write(b); err != nil {
		panic(err)
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// sign returns the raw signature of a vector key, by another road than package
// permit takes.
func sign(key crypto.Signer, message []byte) []byte {
	if key == nil {
		key = p256Key
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(k, message)
	case *ecdsa.PrivateKey:
		hash, size := crypto.SHA256, 32
		if k.Curve.Params().BitSize == 384 {
			hash, size = crypto.SHA384, 48
		}
		r, s := signECDSA(k, hash, message)
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...)
	}
	panic("forge: no such key")
}

func signECDSA(k *ecdsa.PrivateKey, hash crypto.Hash, message []byte) (r, s *big.Int) {
	h := hash.New()
	h.Write(message)
	der, err := k.Sign(nil, h.Sum(nil), hash)
	if err != nil {
		panic(err)
	}
	var v struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &v); err != nil {
		panic(err)
	}
	return v.R, v.S
}

// derSignature is the signature in the form that COSE does not use.
func derSignature(sig []byte) []byte {
	r, s := new(big.Int).SetBytes(sig[:len(sig)/2]), new(big.Int).SetBytes(sig[len(sig)/2:])
	der, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
	if err != nil {
		panic(err)
	}
	return der
}

// twin is the other signature that ECDSA accepts for the same message.
func twin(sig []byte) []byte {
	n := p256Key.Curve.Params().N
	s := new(big.Int).SetBytes(sig[32:])
	return append(bytes.Clone(sig[:32]), s.Sub(n, s).FillBytes(make([]byte, 32))...)
}

// noise returns n bytes that do not compress, the same each time.
func noise(n int) []byte {
	var out []byte
	for sum := sha512.Sum512([]byte("noise")); len(out) < n; sum = sha512.Sum512(sum[:]) {
		out = append(out, sum[:]...)
	}
	return out[:n]
}
