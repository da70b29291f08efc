package main

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"io"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

const (
	day   = 86400
	begin = 1767196800 // 2026-01-01 00:00 +08:00
	now   = begin + 62*day
)

// steady signs the same message the same way each time (RFC 6979).
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

// The keys are fixed and public, and sign nothing else.
func key(label string) *ecdsa.PrivateKey {
	sum := sha256.Sum256([]byte("certs-test/vectors, " + label))
	return must(ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:]))
}

var (
	rootKey, nextKey, bundleKey, statusKey, agencyKey, stolenKey, phoneKey = key("root"), key("next root"), key("trust-list signer"), key("status signer"), key("agency"), key("stolen"), key("phone")
	agencyCert, stolenCert                                                 = []byte("certificate of an agency"), []byte("certificate of a stolen key")
	dictionary                                                             = []byte("江城市西山区江城市东湖区餐饮管理有限公司JY2990101")
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func spki(k crypto.Signer) []byte { return must(x509.MarshalPKIXPublicKey(k.Public())) }

func trustSigner(k crypto.Signer) trust.KeySigner {
	return trust.KeySigner{KID: trust.KIDOf(spki(k)), Alg: permit.ES256, Key: steady{k}}
}

// city is the files of a small city.
type city struct {
	root, bundle, head, snapshot []byte
	permits                      map[string]string
}

func newCity() city {
	permitted := func(k crypto.Signer) []trust.Signer {
		return []trust.Signer{{KID: trust.KIDOf(spki(k)), Alg: permit.ES256, Public: spki(k), From: begin, Until: begin + 700*day}}
	}
	c := city{permits: map[string]string{}}
	c.root = must(trust.SignRoot(trust.RootStatement{Version: 3, IssuedAt: begin, Expires: begin + 3000*day, Bundle: permitted(bundleKey), Status: permitted(statusKey),
		Log: permitted(phoneKey), Next: spki(nextKey)}, trustSigner(rootKey), trustSigner(nextKey)))
	permitKey := func(k crypto.Signer, cert []byte) trust.Key {
		return trust.Key{KID: permit.KID(cert), Alg: permit.ES256, Public: spki(k), CertHash: sha256.Sum256(cert), Agency: "donghu-amr", State: trust.KeyActive,
			SignFrom: begin, SignUntil: begin + 365*day, VerifyUntil: begin + 2500*day}
	}
	stolen := permitKey(stolenKey, stolenCert)
	genuine := sha256.Sum256(nil)
	stolen.State, stolen.CompromisedAt, stolen.Genuine = trust.KeyCompromised, begin+50*day, genuine[:]
	names := func(zh, en string) trust.Names { return trust.Names{ZH: zh, EN: en} }
	c.bundle = must(trust.SignBundle(trust.Bundle{
		Seq: 2, IssuedAt: now - 2*day, Expires: now + 20*day, Root: c.root, Previous: genuine[:],
		Agencies: []trust.Agency{
			{ID: "jiangcheng-amr", USCC: "11990100MB1234567X", Names: names("江城市市场监督管理局", "Jiangcheng"), Level: trust.LevelCity, Area: "990100"},
			{ID: "donghu-amr", Names: names("东湖区市场监督管理局", "Donghu"), Level: trust.LevelDistrict, Area: "990101", Parent: "jiangcheng-amr", Successor: "jiangcheng-amr"},
		},
		Keys:      []trust.Key{permitKey(agencyKey, agencyCert), stolen},
		Authority: []trust.Authority{{Agency: "donghu-amr", Type: "food", Area: "990101", From: begin}, {Agency: "donghu-amr", Type: "teacher", Area: "990101", From: begin, Until: begin + 40*day}},
		Types: []trust.Type{
			{Code: 1, ID: "food", Names: names("食品经营许可证", "Food"), HolderKind: trust.HolderFirm, MaxStatusAge: 7 * day, Dictionary: dictionary,
				Fields: []trust.Field{{No: 4, Name: "premises", Names: names("经营场所", "Premises")}, {No: 5, Name: "category", Names: names("主体业态", "Category"), List: "category"}},
				Lists:  []trust.CodeList{{ID: "category", Codes: []trust.Code{{Code: 1, Value: "餐饮", Names: names("餐饮", "Catering")}, {Code: 2, Value: "销售", Names: names("销售", "Retail")}}}}},
			{Code: 2, ID: "teacher", Names: names("教师资格证书", "Teacher"), HolderKind: trust.HolderPerson, MaxStatusAge: 30 * day, Reissue: 365 * day},
		},
		Lists: []trust.StatusList{{No: 1, URI: "http://localhost:8080/status/lists/1"}},
	}, trustSigner(bundleKey)))
	revoked := []uint32{}
	for i := range uint32(40) {
		revoked = append(revoked, 11+i*i*613)
	}
	c.snapshot = must(status.Encode(5, now-day, now+13*day, []status.List{{No: 1, Revoked: revoked, Suspended: []uint32{3, 500_000, 500_001}}, {No: 9}},
		status.Signer{KID: trust.KIDOf(spki(statusKey)), Alg: permit.ES256, Key: steady{statusKey}}))
	c.head = must(trust.SignHead(trust.Head{BundleSeq: 2, BundleHash: trust.Hash(c.bundle), SnapshotSeq: 5, SnapshotHash: trust.Hash(c.snapshot), Checkpoint: []byte("log\n1\nhash\n"),
		IssuedAt: now - 60, Expires: now + day}, trustSigner(statusKey)))
	for name, p := range map[string]struct {
		edit func(*permit.Claims)
		key  crypto.Signer
		cert []byte
		dict []byte
	}{
		"valid":      {nil, agencyKey, agencyCert, nil},
		"dictionary": {nil, agencyKey, agencyCert, dictionary},
		"revoked":    {func(c *permit.Claims) { c.Status.Index = 11 }, agencyKey, agencyCert, nil},
		"teacher":    {func(c *permit.Claims) { c.Type, c.Fields = 2, nil }, agencyKey, agencyCert, nil},
		"stolen":     {nil, stolenKey, stolenCert, nil},
		"live":       {func(c *permit.Claims) { c.Confirmation = phone() }, agencyKey, agencyCert, nil},
	} {
		claims := permit.Claims{ID: [16]byte{1, 2, 3}, IssuedAt: begin + 30*day + 100, NotBefore: begin + 30*day, Expires: begin + 2100*day, Status: permit.Ref{List: 1, Index: 10},
			Type: 1, Number: "JY29901010012345", HolderName: "江城市荷塘餐饮管理有限公司", HolderID: "91990101MA4KLJ2X7H", Fields: map[uint64]any{4: "江城市东湖区荷塘路88号", 5: uint64(1), 9: int64(-7)}}
		if p.edit != nil {
			p.edit(&claims)
		}
		text, _, err := permit.Encode(claims, permit.Signer{KID: permit.KID(p.cert), Alg: permit.ES256, Key: steady{p.key}}, p.dict)
		if err != nil {
			panic(err)
		}
		c.permits[name] = text
	}
	return c
}

// phone is the COSE_Key of a phone.
func phone() []byte {
	point := must(phoneKey.PublicKey.Bytes())
	b := append([]byte{0xA4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(b, 0x22, 0x58, 32), point[33:]...)
}

func (c city) basis() basis {
	return basis{Pin: b64(spki(rootKey)), Bundle: b64(c.bundle), Status: b64(c.snapshot), Permit: c.permits["valid"], Now: now}
}

func bstr(b []byte) *item { return &item{major: 2, text: b} }

// signature signs as COSE does (RFC 9052 section 4.4).
func signature(k *ecdsa.PrivateKey, protected, aad, payload []byte) []byte {
	s := &item{major: 4, kids: []*item{{major: 3, text: []byte("Signature1")}, bstr(protected), bstr(aad), bstr(payload)}}
	sum := sha256.Sum256(s.append(nil))
	der := must(steady{k}.Sign(nil, sum[:], crypto.SHA256))
	// SEQUENCE { INTEGER r, INTEGER s }, both short.
	raw := make([]byte, 64)
	at := 2
	for half := range 2 {
		n := der[at+1]
		v := bytes.TrimLeft(der[at+2:at+2+int(n)], "\x00")
		copy(raw[32*half+32-len(v):], v)
		at += 2 + int(n)
	}
	return raw
}

// armor makes a permit's text of a COSE_Sign1.
func armor(cose, dict []byte) []byte {
	var b bytes.Buffer
	z, err := zlib.NewWriterLevel(&b, zlib.DefaultCompression)
	if dict != nil {
		z, err = zlib.NewWriterLevelDict(&b, zlib.DefaultCompression, dict)
	}
	if err != nil {
		panic(err)
	}
	must(z.Write(cose))
	if err := z.Close(); err != nil {
		panic(err)
	}
	return base45(b.Bytes())
}

const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

func base45(b []byte) []byte {
	text := []byte("EL1:")
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		text = append(text, alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/2025])
	}
	if len(b) == 1 {
		text = append(text, alphabet45[int(b[0])%45], alphabet45[int(b[0])/45])
	}
	return text
}

// unpack returns the zlib stream of a permit's text and, where it can be inflated,
// what is in it; nil where it is not even Base45.
func unpack(text, dict []byte) (packed, cose []byte) {
	body, ok := bytes.CutPrefix(text, []byte("EL1:"))
	if !ok || len(body)%3 == 1 {
		return nil, nil
	}
	for ; len(body) >= 2; body = body[min(3, len(body)):] {
		n := 0
		for i := min(3, len(body)) - 1; i >= 0; i-- {
			v := bytes.IndexByte([]byte(alphabet45), body[i])
			if v < 0 {
				return nil, nil
			}
			n = n*45 + v
		}
		if len(body) >= 3 {
			packed = append(packed, byte(n>>8))
		}
		packed = append(packed, byte(n))
	}
	z, err := zlib.NewReaderDict(bytes.NewReader(packed), dict)
	if err != nil {
		return packed, nil
	}
	cose, err = io.ReadAll(io.LimitReader(z, 1<<16))
	if err != nil {
		return packed, nil
	}
	return packed, cose
}
