package verify_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"testing"
	"time"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// The times of the vectors, seconds UTC.
const (
	day   = 86400
	begin = 1767196800     // 2026-01-01 00:00 +08:00
	made  = begin + 60*day // the bundle
	asOf  = made + day     // the snapshot
	now   = made + 2*day   // the check, unless a vector says another
)

const (
	es256 = -7
	es384 = -35
)

// The keys of the vectors. They are fixed and public, and sign nothing else.
var (
	rootKey     = mustKey(elliptic.P256(), "verdict vectors, root")
	otherRoot   = mustKey(elliptic.P256(), "verdict vectors, another root")
	bundleKey   = mustKey(elliptic.P256(), "verdict vectors, trust-list signer")
	statusKey   = mustKey(elliptic.P256(), "verdict vectors, status signer")
	strangerKey = mustKey(elliptic.P256(), "verdict vectors, stranger")
)

// steady signs the same message the same way each time (RFC 6979), so that the
// vectors stay as they are when they are made again.
type steady struct{ crypto.Signer }

func (s steady) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.Signer.Sign(nil, digest, opts)
}

func mustKey(curve elliptic.Curve, label string) *ecdsa.PrivateKey {
	sum := sha256.Sum256([]byte(label))
	size := (curve.Params().BitSize + 7) / 8
	k, err := ecdsa.ParseRawPrivateKey(curve, append(make([]byte, size-len(sum)), sum[:]...))
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

func trustSigner(key crypto.Signer) trust.KeySigner {
	return trust.KeySigner{KID: trust.KIDOf(spki(key)), Alg: es256, Key: steady{key}}
}

func statusSigner(key crypto.Signer) status.Signer {
	return status.Signer{KID: trust.KIDOf(spki(key)), Alg: es256, Key: steady{key}}
}

// agencyKey is a permit key of the city and its entry in the bundle.
type agencyKey struct {
	trust.Key
	signer permit.Signer
}

func newAgencyKey(label, agency, state string, edit func(k *trust.Key)) agencyKey {
	key := mustKey(elliptic.P256(), "verdict vectors, "+label)
	certificate := []byte("certificate of " + label)
	k := trust.Key{
		KID: permit.KID(certificate), Alg: es256, Public: spki(key), CertHash: sha256.Sum256(certificate),
		Agency: agency, State: state, SignFrom: begin, SignUntil: begin + 365*day, VerifyUntil: begin + 2200*day,
	}
	if edit != nil {
		edit(&k)
	}
	return agencyKey{k, permit.Signer{KID: k.KID, Alg: k.Alg, Key: steady{key}}}
}

var genuineFile = mustGenuine()

func mustGenuine() []byte {
	p, err := permit.Parse(mustPermit(honest(), newAgencyKey("xishan-amr, stolen", "", "", nil).signer, nil), nil)
	if err != nil {
		panic(err)
	}
	b, err := trust.EncodeGenuine([][16]byte{p.SigStructureHash(), {1}, {0xff}})
	if err != nil {
		panic(err)
	}
	return b
}

// stolenAt is when the stolen keys were stolen.
const stolenAt = begin + 50*day

var (
	donghu  = newAgencyKey("donghu-amr", "donghu-amr", trust.KeyActive, nil)
	standby = newAgencyKey("donghu-amr, standby", "donghu-amr", trust.KeyPublished, nil)
	retired = newAgencyKey("donghu-amr, retired", "donghu-amr", trust.KeyRetired, func(k *trust.Key) {
		k.SignUntil, k.VerifyUntil = begin+40*day, begin+400*day
	})
	shortLived = newAgencyKey("donghu-amr, verified for too short a time", "donghu-amr", trust.KeyRetired, func(k *trust.Key) {
		k.SignUntil, k.VerifyUntil = begin+40*day, now
	})
	xishan = newAgencyKey("xishan-amr", "xishan-amr", trust.KeyActive, nil)
	stolen = newAgencyKey("xishan-amr, stolen", "xishan-amr", trust.KeyCompromised, func(k *trust.Key) {
		hash := sha256.Sum256(genuineFile)
		k.CompromisedAt, k.Genuine = stolenAt, hash[:]
	})
	lost = newAgencyKey("xishan-amr, stolen and no list", "xishan-amr", trust.KeyCompromised, func(k *trust.Key) {
		k.CompromisedAt = stolenAt
	})
	city     = newAgencyKey("jiangcheng-amr", "jiangcheng-amr", trust.KeyActive, nil)
	school   = newAgencyKey("jiangcheng-edu", "jiangcheng-edu", trust.KeyActive, nil)
	stranger = newAgencyKey("an agency of another city", "", "", nil)
)

// cityRoot returns a root statement's file.
func cityRoot(t testing.TB, root crypto.Signer) []byte {
	t.Helper()
	permitted := func(key crypto.Signer) []trust.Signer {
		return []trust.Signer{{KID: trust.KIDOf(spki(key)), Alg: es256, Public: spki(key), From: begin, Until: begin + 730*day}}
	}
	b, err := trust.SignRoot(trust.RootStatement{
		Version: 1, IssuedAt: begin, Expires: begin + 3650*day, Bundle: permitted(bundleKey), Status: permitted(statusKey),
	}, trustSigner(root))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// foodDictionary is the food type's, noDictionary one that no type publishes.
var (
	foodDictionary = []byte("江城市西山区江城市东湖区餐饮管理有限公司JY2990101")
	noDictionary   = []byte("a dictionary that the bundle does not have")
)

func cityBundle(t testing.TB, root crypto.Signer) trust.Bundle {
	b := trust.Bundle{
		Seq: 1, IssuedAt: made, Expires: made + 30*day,
		Agencies: []trust.Agency{
			{ID: "jiangcheng-amr", Names: trust.Names{ZH: "江城市市场监督管理局", EN: "Jiangcheng Administration for Market Regulation"}, Level: trust.LevelCity, Area: "990100"},
			{ID: "jiangcheng-edu", Names: trust.Names{ZH: "江城市教育局", EN: "Jiangcheng Education Bureau"}, Level: trust.LevelCity, Area: "990100"},
			{ID: "donghu-amr", Names: trust.Names{ZH: "东湖区市场监督管理局", EN: "Donghu Administration for Market Regulation"}, Level: trust.LevelDistrict, Parent: "jiangcheng-amr", Area: "990101"},
			{ID: "xishan-amr", Names: trust.Names{ZH: "西山区市场监督管理局", EN: "Xishan Administration for Market Regulation"}, Level: trust.LevelDistrict, Parent: "jiangcheng-amr", Area: "990102"},
		},
		Authority: []trust.Authority{
			{Agency: "donghu-amr", Type: "food-business", Area: "990101", From: begin},
			{Agency: "xishan-amr", Type: "food-business", Area: "990102", From: begin},
			{Agency: "jiangcheng-amr", Type: "food-business", Area: "990101", From: begin}, // a city's agency in a district
			{Agency: "jiangcheng-edu", Type: "teacher", Area: "990100", From: begin + 20*day, Until: begin + 58*day},
			{Agency: "donghu-amr", Type: "teacher", Area: "990102", From: begin}, // not the agency's area
		},
		Types: []trust.Type{
			{
				Code: 1, ID: "food-business", Names: trust.Names{ZH: "食品经营许可证", EN: "Food business licence"},
				HolderKind: trust.HolderFirm, MaxStatusAge: 7 * day, Dictionary: foodDictionary,
				Fields: []trust.Field{
					{No: 4, Name: "premises", Names: trust.Names{ZH: "经营场所", EN: "Premises"}},
					{No: 5, Name: "category", Names: trust.Names{ZH: "主体业态", EN: "Category"}, List: "category"},
					{No: 6, Name: "seats", Names: trust.Names{ZH: "就餐座位", EN: "Seats"}},
				},
				Lists: []trust.CodeList{{ID: "category", Codes: []trust.Code{
					{Code: 1, Value: "餐饮服务经营者", Names: trust.Names{ZH: "餐饮服务经营者", EN: "Catering service"}},
					{Code: 2, Value: "食品销售经营者", Names: trust.Names{ZH: "食品销售经营者", EN: "Food retail"}},
				}}},
			},
			{
				Code: 2, ID: "teacher", Names: trust.Names{ZH: "教师资格证书", EN: "Teacher qualification"},
				HolderKind: trust.HolderPerson, MaxStatusAge: 30 * day,
				Fields: []trust.Field{{No: 4, Name: "subject", Names: trust.Names{ZH: "任教学科", EN: "Subject"}}},
			},
		},
		Lists: []trust.StatusList{{No: 1, URI: "http://localhost:8080/status/lists/1"}},
		Root:  cityRoot(t, root),
	}
	for _, k := range []agencyKey{donghu, standby, retired, shortLived, xishan, stolen, lost, city, school} {
		b.Keys = append(b.Keys, k.Key)
	}
	return b
}

func bundleFile(t testing.TB, b trust.Bundle) []byte {
	t.Helper()
	file, err := trust.SignBundle(b, trustSigner(bundleKey))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// Places in status list 1.
const (
	goodIndex      = 10
	revokedIndex   = 11
	suspendedIndex = 12
)

// snapshotFile is the city's snapshot: list 1, at that time, for 14 days.
func snapshotFile(t testing.TB, issuedAt int64, key crypto.Signer) []byte {
	t.Helper()
	b, err := status.Encode(7, issuedAt, issuedAt+14*day,
		[]status.List{{No: 1, Revoked: []uint32{revokedIndex, 500_000}, Suspended: []uint32{suspendedIndex}}}, statusSigner(key))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// fixtures returns the files that the vectors name.
func fixtures(t testing.TB) map[string][]byte {
	good := snapshotFile(t, asOf, statusKey)
	damaged := append([]byte(nil), good...)
	damaged[len(damaged)-1] ^= 1
	return map[string][]byte{
		"root.pem":              rootCertificate(t, rootKey),
		"root-other.pem":        rootCertificate(t, otherRoot),
		"bundle.cbor":           bundleFile(t, cityBundle(t, rootKey)),
		"status.elr1":           good,
		"status-damaged.elr1":   damaged,
		"status-stranger.elr1":  snapshotFile(t, asOf, strangerKey),
		"status-by-bundle.elr1": snapshotFile(t, asOf, bundleKey),
		"genuine.bin":           genuineFile,
		"genuine-other.bin":     genuineFile[:32],
	}
}

func rootCertificate(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Jiangcheng Root (vectors)"},
		NotBefore: time.Unix(begin, 0), NotAfter: time.Unix(begin+3650*day, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(nil, c, c, key.Public(), steady{key})
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// honest is a permit for food, issued by a district before the bundle was made.
func honest() permit.Claims {
	return permit.Claims{
		ID:       [16]byte{0x8f, 0x1b, 0x62, 0xd4, 0x03, 0x7a, 0x4e, 0xc9, 0xb5, 0x20, 0xe1, 0x96, 0x5d, 0x48, 0x7c, 0x31},
		IssuedAt: begin + 30*day + 36000, NotBefore: begin + 30*day, Expires: begin + 2130*day,
		Status: permit.Ref{List: 1, Index: goodIndex},
		Type:   1, Number: "JY29901010012345", HolderName: "江城市荷塘餐饮管理有限公司", HolderID: "91990101MA4KLJ2X7H",
		Fields: map[uint64]any{4: "江城市东湖区荷塘路88号", 5: uint64(1), 6: uint64(40)},
	}
}

// claims is honest but for an edit.
func claims(edit func(c *permit.Claims)) permit.Claims {
	c := honest()
	if edit != nil {
		edit(&c)
	}
	return c
}

// teacher is a person's permit.
func teacher(edit func(c *permit.Claims)) permit.Claims {
	c := honest()
	c.Type, c.Number, c.HolderName, c.HolderID = 2, "JS29901000004321", "陈建国", "9901**********1234"
	c.Fields = map[uint64]any{4: "数学"}
	if edit != nil {
		edit(&c)
	}
	return c
}

func mustPermit(c permit.Claims, s permit.Signer, dictionary []byte) string {
	text, _, err := permit.Encode(c, s, dictionary)
	if err != nil {
		panic(err)
	}
	return text
}

// phoneKey is the COSE_Key of a phone.
func phoneKey() []byte {
	point, err := strangerKey.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	b := append([]byte{0xA4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 32}, point[1:33]...)
	return append(append(b, 0x22, 0x58, 32), point[33:]...)
}
