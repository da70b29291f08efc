package permit_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"hash/adler32"
	"io"

	"github.com/signet-city/signet/licenses/permit"
)

// The keys of the vectors. They are fixed and public, and sign nothing else.
var (
	p256Key    = mustKey(elliptic.P256(), "EL1 vectors P-256")
	otherKey   = mustKey(elliptic.P256(), "EL1 vectors, another P-256")
	p384Key    = mustKey(elliptic.P384(), "EL1 vectors P-384")
	ed25519Key = ed25519.NewKeyFromSeed(seed("EL1 vectors Ed25519", 32))
)

// signers gives each algorithm its key.
func signers() map[int64]permit.Signer {
	return map[int64]permit.Signer{
		permit.ES256: {KID: permit.KID([]byte("P-256")), Alg: permit.ES256, Key: steady{p256Key}},
		permit.ES384: {KID: permit.KID([]byte("P-384")), Alg: permit.ES384, Key: steady{p384Key}},
		permit.EdDSA: {KID: permit.KID([]byte("Ed25519")), Alg: permit.EdDSA, Key: steady{ed25519Key}},
	}
}

// steady signs the same message the same way each time (RFC 6979), so that the
// vectors stay as they are when they are made again.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

func seed(label string, n int) []byte {
	sum := sha256.Sum256([]byte(label))
	return append(make([]byte, n-len(sum)), sum[:]...)
}

func mustKey(curve elliptic.Curve, label string) *ecdsa.PrivateKey {
	k, err := ecdsa.ParseRawPrivateKey(curve, seed(label, (curve.Params().BitSize+7)/8))
	if err != nil {
		panic(err)
	}
	return k
}

func mustSPKI(pub crypto.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		panic(err)
	}
	return der
}

// find returns a dictionary lookup that knows these dictionaries.
func find(dictionaries ...[]byte) func(uint32) []byte {
	return func(id uint32) []byte {
		for _, d := range dictionaries {
			if adler32.Checksum(d) == id {
				return d
			}
		}
		return nil
	}
}

// foodDictionary is what a food-business type of the demo city would publish:
// the frame of the COSE_Sign1 and the words of its permits, the likeliest last.
var foodDictionary = []byte("大道小区号楼单元层室栋座街巷村镇" +
	"食堂便利店超市商贸副食品百货烘焙糕点饮品茶奶咖啡火锅烧烤面馆饭店酒楼小吃快餐" +
	"餐饮服务食品销售餐饮管理有限公司分公司个体工商户" +
	"江城市西山区江城市东湖区路号一层二层" +
	"JY1990102JY1990101JY2990102JY2990101001" +
	"92990102MA92990101MA91990102MA91990101MA4K" +
	"\x82\x01\x1a\x00:\x00\x01\x11p" +
	"\xd2\x84\x4d\xa2\x01\x26\x04\x48\xa0\x58\xa6\x04\x1a\x05\x1ai\x06\x1ai\x07\x50:\x00\x01\x11o\xac\x00\x01\x01p")

// foodLicence is a food-business licence with twelve fields of its own.
func foodLicence() permit.Claims {
	return permit.Claims{
		ID:         [16]byte{0x8f, 0x1b, 0x62, 0xd4, 0x03, 0x7a, 0x4e, 0xc9, 0xb5, 0x20, 0xe1, 0x96, 0x5d, 0x48, 0x7c, 0x31},
		IssuedAt:   1772416800, // 2026-03-02 10:00 +08:00
		NotBefore:  1772380800, // 2026-03-02 00:00 +08:00
		Expires:    1930147200, // 2031-03-01 24:00 +08:00
		Status:     permit.Ref{List: 1, Index: 735_201},
		Type:       1,
		Number:     "JY29901010012345",
		HolderName: "江城市东湖区荷塘餐饮管理有限公司",
		HolderID:   "91990101MA4KLJ2X7H",
		Fields: map[uint64]any{
			4:  "陈建国",                // legal representative
			5:  "江城市东湖区荷塘路88号一层102室", // registered address
			6:  "江城市东湖区荷塘路88号一层102室", // place of business
			7:  uint64(2),            // kind of business, a code
			8:  uint64(0x2b),         // what may be sold, codes as bits
			9:  uint64(14),           // supervising station, a code
			10: "李卫东",                // supervisor
			11: "周明",                 // signed off by
			12: uint64(12315),        // where to complain
		},
	}
}
