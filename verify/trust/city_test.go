package trust_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/verify/trust"
)

// The times of the vectors, seconds UTC.
const (
	day   = 86400
	begin = 1767196800 // 2026-01-01 00:00 +08:00
	made  = begin + 60*day
	now   = made + 3*day
)

const (
	es256 = -7
	es384 = -35
	edDSA = -8
)

// The keys of the vectors. They are fixed and public, and sign nothing else.
var (
	rootKey     = mustKey(elliptic.P256(), "trust vectors, root")
	nextRootKey = mustKey(elliptic.P384(), "trust vectors, next root")
	bundleKey   = mustKey(elliptic.P256(), "trust vectors, trust-list signer")
	laterKey    = mustKey(elliptic.P256(), "trust vectors, trust-list signer of later")
	statusKey   = mustKey(elliptic.P256(), "trust vectors, status signer")
	strangerKey = mustKey(elliptic.P256(), "trust vectors, stranger")
	permitKey   = mustKey(elliptic.P256(), "trust vectors, permit key")
	standbyKey  = mustKey(elliptic.P384(), "trust vectors, standby permit key")
	logKey      = ed25519.NewKeyFromSeed(seed("trust vectors, log", 32))
)

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

func spki(key crypto.Signer) []byte {
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		panic(err)
	}
	return der
}

func algOf(key crypto.Signer) int64 {
	switch k := key.Public().(type) {
	case ed25519.PublicKey:
		return edDSA
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P384() {
			return es384
		}
	}
	return es256
}

func signerOf(key crypto.Signer) trust.KeySigner {
	return trust.KeySigner{KID: trust.KIDOf(spki(key)), Alg: algOf(key), Key: steady{key}}
}

func permit(key crypto.Signer, from, until int64) trust.Signer {
	return trust.Signer{KID: trust.KIDOf(spki(key)), Alg: algOf(key), Public: spki(key), From: from, Until: until}
}

// rootStatement is the city's.
func rootStatement() trust.RootStatement {
	return trust.RootStatement{
		Version: 3, IssuedAt: begin, Expires: begin + 3650*day,
		Bundle: []trust.Signer{permit(bundleKey, begin, begin+730*day), permit(laterKey, begin+365*day, begin+1095*day)},
		Status: []trust.Signer{permit(statusKey, begin, begin+730*day)},
		Log:    []trust.Signer{permit(logKey, begin, begin+3650*day)},
	}
}

func rootFile(t testing.TB, s trust.RootStatement, signers ...crypto.Signer) []byte {
	t.Helper()
	b, err := trust.SignRoot(s, signersOf(signers)...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signersOf(keys []crypto.Signer) (s []trust.KeySigner) {
	for _, k := range keys {
		s = append(s, signerOf(k))
	}
	return s
}

func permitKeyOf(key crypto.Signer, label, agency, state string) trust.Key {
	hash := sha256.Sum256([]byte(label))
	return trust.Key{
		KID: [8]byte(hash[:8]), Alg: algOf(key), Public: spki(key), CertHash: hash, Agency: agency, State: state,
		SignFrom: begin, SignUntil: begin + 365*day, VerifyUntil: begin + 2200*day,
	}
}

// bundle is a small city's.
func bundle(t testing.TB) trust.Bundle {
	return trust.Bundle{
		Seq: 41, IssuedAt: made, Expires: made + 30*day, Previous: seed("the bundle before", 32),
		Agencies: []trust.Agency{
			{ID: "jiangcheng-amr", USCC: "11990100MB0000001X", Names: trust.Names{ZH: "江城市市场监督管理局", EN: "Jiangcheng Administration for Market Regulation"}, Level: trust.LevelCity, Area: "990100"},
			{ID: "donghu-amr", Names: trust.Names{ZH: "东湖区市场监督管理局", EN: "Donghu Administration for Market Regulation"}, Level: trust.LevelDistrict, Parent: "jiangcheng-amr", Area: "990101"},
		},
		Keys: []trust.Key{
			permitKeyOf(permitKey, "certificate of the permit key", "donghu-amr", trust.KeyActive),
			permitKeyOf(standbyKey, "certificate of the standby key", "donghu-amr", trust.KeyPublished),
		},
		Authority: []trust.Authority{
			{Agency: "donghu-amr", Type: "food-business", Area: "990101", From: begin},
			{Agency: "jiangcheng-amr", Type: "food-business", Area: "990100", From: begin, Until: begin + 365*day},
		},
		Types: []trust.Type{{
			Code: 1, ID: "food-business", Names: trust.Names{ZH: "食品经营许可证", EN: "Food business licence"},
			HolderKind: trust.HolderFirm, MaxStatusAge: 7 * day, Dictionary: []byte("餐饮服务食品销售有限公司"),
			Fields: []trust.Field{
				{No: 4, Name: "premises", Names: trust.Names{ZH: "经营场所", EN: "Premises"}},
				{No: 5, Name: "category", Names: trust.Names{ZH: "主体业态", EN: "Category"}, List: "category"},
			},
			Lists: []trust.CodeList{{ID: "category", Codes: []trust.Code{
				{Code: 1, Value: "餐饮服务经营者", Names: trust.Names{ZH: "餐饮服务经营者", EN: "Catering service"}},
				{Code: 2, Value: "食品销售经营者", Names: trust.Names{ZH: "食品销售经营者", EN: "Food retail"}},
			}}},
		}},
		Lists: []trust.StatusList{{No: 1, URI: "http://localhost:8080/status/lists/1"}},
		Root:  rootFile(t, rootStatement(), rootKey),
	}
}

func bundleFile(t testing.TB, b trust.Bundle, signers ...crypto.Signer) []byte {
	t.Helper()
	file, err := trust.SignBundle(b, signersOf(signers)...)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func head() trust.Head {
	return trust.Head{
		BundleSeq: 41, BundleHash: sha256.Sum256([]byte("bundle")), SnapshotSeq: 900, SnapshotHash: sha256.Sum256([]byte("snapshot")),
		Checkpoint: []byte("localhost:8080/log\n7\nqINS1GRFR1hGMV7jh8iRMAyBkVZ2VW8eR5p0TF1hWyo=\n"),
		IssuedAt:   made, Expires: made + 7*day,
	}
}

func headFile(t testing.TB, h trust.Head, signers ...crypto.Signer) []byte {
	t.Helper()
	b, err := trust.SignHead(h, signersOf(signers)...)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forgery assembles a file without package trust, so that it can be wrong in one
// place and is right, and signed, in all others.
type forgery struct {
	typ     string
	payload []byte
	keys    []crypto.Signer

	protected map[int]any               // members to set; nil removes
	external  []byte                    // external_aad
	sign1     func(parts []any) any     // the COSE_Sign1's four members
	file      func(p, sigs any) any     // the outer array
	tag       uint64                    // 0 is 18
	signature func(sig []byte) []byte   // after signing
	signed    func(structure []any) any // the Sig_structure
	bytes     func(file []byte) []byte  // at the end
}

func enc(v any) []byte {
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

func (f forgery) make() []byte {
	sigs := []any{}
	for _, k := range f.keys {
		sigs = append(sigs, f.one(k))
	}
	var v any = []any{f.payload, sigs}
	if f.file != nil {
		v = f.file(f.payload, sigs)
	}
	b := enc(v)
	if f.bytes != nil {
		b = f.bytes(b)
	}
	return b
}

func (f forgery) one(k crypto.Signer) any {
	kid := trust.KIDOf(spki(k))
	header := map[int]any{1: algOf(k), 4: kid[:], 16: f.typ}
	for no, v := range f.protected {
		header[no] = v
		if v == nil {
			delete(header, no)
		}
	}
	protected := enc(header)
	external := f.external
	if external == nil {
		external = []byte{}
	}
	structure := []any{"Signature1", protected, external, f.payload}
	var signed any = structure
	if f.signed != nil {
		signed = f.signed(structure)
	}
	sig := rawSign(k, enc(signed))
	if f.signature != nil {
		sig = f.signature(sig)
	}
	parts := []any{protected, map[int]any{}, nil, sig}
	var content any = parts
	if f.sign1 != nil {
		content = f.sign1(parts)
	}
	tag := f.tag
	if tag == 0 {
		tag = 18
	}
	return cbor.Tag{Number: tag, Content: content}
}

func rawSign(k crypto.Signer, message []byte) []byte {
	if e, ok := k.(ed25519.PrivateKey); ok {
		return ed25519.Sign(e, message)
	}
	hash, size := crypto.SHA256, 32
	if algOf(k) == es384 {
		hash, size = crypto.SHA384, 48
	}
	h := hash.New()
	h.Write(message)
	der, err := k.Sign(nil, h.Sum(nil), hash)
	if err != nil {
		panic(err)
	}
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &rs); err != nil {
		panic(err)
	}
	return append(rs.R.FillBytes(make([]byte, size)), rs.S.FillBytes(make([]byte, size))...)
}

// payloadOf takes the payload out of a file.
func payloadOf(file []byte) []byte {
	var outer []cbor.RawMessage
	var payload []byte
	if err := cbor.Unmarshal(file, &outer); err != nil {
		panic(err)
	}
	if err := cbor.Unmarshal(outer[0], &payload); err != nil {
		panic(err)
	}
	return payload
}

// tree is a payload taken apart: maps by number, arrays, values.
type tree = map[any]any

// change takes a payload apart, lets edit change it, and puts it together.
func change(payload []byte, edit func(m tree)) []byte {
	var m tree
	if err := cbor.Unmarshal(payload, &m); err != nil {
		panic(err)
	}
	edit(m)
	return enc(m)
}

// at walks into a tree: a number is a key of a map, an index{} one of an array.
func at(v any, path ...any) tree {
	for _, p := range path {
		switch p := p.(type) {
		case int:
			v = v.(tree)[uint64(p)]
		case index:
			v = v.([]any)[p]
		}
	}
	return v.(tree)
}

type index int

func k(n int) any { return uint64(n) }

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
