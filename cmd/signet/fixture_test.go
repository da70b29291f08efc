package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// at is the moment of the scripts: signet verify --at 2027-03-01T12:00:00Z.
var at = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

// fixture is a small trust chain, made anew for each run: a root, its signers, two
// agencies with a key each, one of them stolen, and a type.
type fixture struct {
	t                    *testing.T
	dir                  string
	root, signer, status *ecdsa.PrivateKey
	agency, stolen       *ecdsa.PrivateKey
	statement            []byte
	genuine              []byte
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func spki(t *testing.T, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kid names an agency's key as if its certificate were its public half.
func kid(t *testing.T, k *ecdsa.PrivateKey) [8]byte { return permit.KID(spki(t, k)) }

func (f *fixture) keySigner(k *ecdsa.PrivateKey) trust.KeySigner {
	return trust.KeySigner{KID: trust.KIDOf(spki(f.t, k)), Alg: permit.ES256, Key: k}
}

func (f *fixture) write(name string, b []byte) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), b, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// must returns b, which was made without an error.
func (f *fixture) must(b []byte, err error) []byte {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
	return b
}

// writeFixture writes the files that the scripts of verify use.
func writeFixture(t *testing.T, dir string) {
	t.Helper()
	f := &fixture{t: t, dir: dir, root: newKey(t), signer: newKey(t), status: newKey(t), agency: newKey(t), stolen: newKey(t)}
	f.writeRoot()
	f.writePermits()
	f.writeTrust()
	f.writeStatus()
}

func (f *fixture) writeRoot() {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: at.Add(-day),
		NotAfter: at.Add(365 * day), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	cert := f.must(x509.CreateCertificate(rand.Reader, template, template, f.root.Public(), f.root))
	f.write("root.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	f.write("rootkey.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(f.t, f.root)}))
	other := newKey(f.t)
	f.write("otherroot.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki(f.t, other)}))
	f.statement = f.rootStatement(1)
	f.write("root.cbor", f.statement)
	f.write("root2.cbor", f.rootStatement(2))
}

func (f *fixture) rootStatement(version uint64) []byte {
	signer := func(k *ecdsa.PrivateKey) []trust.Signer {
		return []trust.Signer{{KID: trust.KIDOf(spki(f.t, k)), Alg: permit.ES256, Public: spki(f.t, k),
			From: at.Add(-100 * day).Unix(), Until: at.Add(300 * day).Unix()}}
	}
	return f.must(trust.SignRoot(trust.RootStatement{Version: version, IssuedAt: at.Add(-90 * day).Unix(), Expires: at.Add(300 * day).Unix(),
		Bundle: signer(f.signer), Status: signer(f.status)}, f.keySigner(f.root)))
}

// bundle returns the trust bundle with a sequence number, made so long before at.
func (f *fixture) bundle(seq uint64, age time.Duration, previous []byte) []byte {
	public := func(k *ecdsa.PrivateKey) trust.Key {
		return trust.Key{KID: kid(f.t, k), Alg: permit.ES256, Public: spki(f.t, k), CertHash: sha256.Sum256(spki(f.t, k)), State: trust.KeyActive,
			SignFrom: at.Add(-80 * day).Unix(), SignUntil: at.Add(80 * day).Unix(), VerifyUntil: at.Add(2000 * day).Unix()}
	}
	good, bad := public(f.agency), public(f.stolen)
	good.Agency, bad.Agency = "donghu-amr", "xishan-amr"
	genuine := trust.Hash(f.genuine)
	bad.State, bad.CompromisedAt, bad.Genuine = trust.KeyCompromised, at.Add(-5*day).Unix(), genuine[:]
	return f.must(trust.SignBundle(trust.Bundle{Seq: seq, IssuedAt: at.Add(-age).Unix(), Expires: at.Add(14*day - age).Unix(), Previous: previous,
		Agencies: []trust.Agency{
			{ID: "donghu-amr", Names: trust.Names{ZH: "东湖区市场监督管理局", EN: "Donghu AMR"}, Level: trust.LevelDistrict, Area: "990101"},
			{ID: "xishan-amr", Names: trust.Names{ZH: "西山区市场监督管理局", EN: "Xishan AMR"}, Level: trust.LevelDistrict, Area: "990102"},
		},
		Keys: []trust.Key{good, bad},
		Authority: []trust.Authority{
			{Agency: "donghu-amr", Type: "food-business", Area: "990101", From: at.Add(-80 * day).Unix()},
			{Agency: "xishan-amr", Type: "food-business", Area: "990102", From: at.Add(-80 * day).Unix()},
		},
		Types: []trust.Type{
			{Code: 1, ID: "food-business", Names: trust.Names{ZH: "食品经营许可证", EN: "Food business licence"}, HolderKind: trust.HolderFirm, MaxStatusAge: 7 * 86400,
				Fields: []trust.Field{{No: 4, Name: "category", Names: trust.Names{ZH: "主体业态", EN: "Category"}, List: "category"}},
				Lists:  []trust.CodeList{{ID: "category", Codes: []trust.Code{{Code: 1, Value: "canteen", Names: trust.Names{ZH: "单位食堂", EN: "Canteen"}}}}}},
			{Code: 2, ID: "teacher", Names: trust.Names{ZH: "教师资格证书", EN: "Teacher qualification"}, HolderKind: trust.HolderPerson, MaxStatusAge: 7 * 86400},
		},
		Root: f.statement,
	}, f.keySigner(f.signer)))
}

func (f *fixture) writeTrust() {
	before := make([]byte, 32)
	first := f.bundle(41, 3*day, before)
	hash := trust.Hash(first)
	current := f.bundle(42, day, hash[:])
	f.write("old.cbor", first)
	f.write("bundle.cbor", current)
	f.write("fork.cbor", f.bundle(42, day-time.Hour, hash[:]))
	f.write("expired.cbor", f.bundle(40, 20*day, before))
	f.write("cut.cbor", current[:len(current)-1])
}

// head signs a head that vouches for a bundle and a snapshot.
func (f *fixture) head(bundle, snapshot string, seq uint64, number uint64, expires time.Time) []byte {
	hash := func(name string) [32]byte {
		b, err := os.ReadFile(filepath.Join(f.dir, name))
		return trust.Hash(f.must(b, err))
	}
	return f.must(trust.SignHead(trust.Head{BundleSeq: seq, BundleHash: hash(bundle), SnapshotSeq: number, SnapshotHash: hash(snapshot),
		IssuedAt: expires.Add(-2 * day).Unix(), Expires: expires.Unix()}, f.keySigner(f.status)))
}

func (f *fixture) writeStatus() {
	kid := trust.KIDOf(spki(f.t, f.status))
	snapshot := func(seq uint64, age time.Duration, key *ecdsa.PrivateKey, lists ...status.List) []byte {
		return f.must(status.Encode(seq, at.Add(-age).Unix(), at.Add(3*day-age).Unix(), lists, status.Signer{KID: kid, Alg: permit.ES256, Key: key}))
	}
	lists := status.List{No: 0, Revoked: []uint32{7}, Suspended: []uint32{8}}
	current := snapshot(9, time.Hour, f.status, lists)
	f.write("snapshot.elr1", current)
	f.write("before.elr1", snapshot(8, 2*time.Hour, f.status, status.List{No: 0}))
	f.write("stale.elr1", snapshot(7, 8*day, f.status, lists))
	f.write("forged.elr1", snapshot(10, time.Hour, newKey(f.t), status.List{No: 0}))
	f.write("cut.elr1", current[:len(current)-1])
	f.write("head.cbor", f.head("bundle.cbor", "snapshot.elr1", 42, 9, at.Add(day)))
	f.write("oldhead.cbor", f.head("bundle.cbor", "snapshot.elr1", 42, 9, at.Add(-day)))
}

// permit encodes a permit; change alters the valid one.
func (f *fixture) permit(k *ecdsa.PrivateKey, change func(*permit.Claims, *permit.Signer)) (string, [16]byte) {
	c := permit.Claims{ID: [16]byte{1}, IssuedAt: at.Add(-10 * day).Unix(), NotBefore: at.Add(-10 * day).Unix(), Expires: at.Add(100 * day).Unix(),
		Status: permit.Ref{List: 0, Index: 1}, Type: 1, Number: "JY990101000001", HolderName: "江城东湖老灶火锅餐饮有限公司", HolderID: "91990101MA1F001175",
		Fields: map[uint64]any{4: uint64(1)}}
	s := permit.Signer{KID: kid(f.t, k), Alg: permit.ES256, Key: k}
	if change != nil {
		change(&c, &s)
	}
	text, hash, err := permit.Encode(c, s, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return text, hash
}

func (f *fixture) writePermits() {
	other := newKey(f.t)
	for name, change := range map[string]func(*permit.Claims, *permit.Signer){
		"valid":              nil,
		"expired":            func(c *permit.Claims, _ *permit.Signer) { c.Expires = at.Unix() },
		"not_yet_valid":      func(c *permit.Claims, _ *permit.Signer) { c.NotBefore = at.Unix() + 1 },
		"revoked":            func(c *permit.Claims, _ *permit.Signer) { c.Status.Index = 7 },
		"suspended":          func(c *permit.Claims, _ *permit.Signer) { c.Status.Index = 8 },
		"undetermined":       func(c *permit.Claims, _ *permit.Signer) { c.Status.List = 5 },
		"unknown_issuer":     func(_ *permit.Claims, s *permit.Signer) { s.KID, s.Key = kid(f.t, other), other },
		"issuer_not_allowed": func(c *permit.Claims, _ *permit.Signer) { c.Type, c.Fields = 2, nil },
		"bad_signature":      func(_ *permit.Claims, s *permit.Signer) { s.Key = crypto.Signer(other) },
		"live_copy":          func(c *permit.Claims, _ *permit.Signer) { c.Confirmation = deviceKey(other) },
	} {
		text, _ := f.permit(f.agency, change)
		f.write(name+".txt", []byte(text+"\n"))
	}
	f.writeStolen()
	f.write("malformed.txt", []byte("EL1:NOT A PERMIT"))
	f.write("too_large.txt", []byte(permit.Prefix+strings.Repeat("0", 200_000)))
	f.writePictures()
}

// writeStolen writes the permits of the stolen key: one from before the theft that
// the list of genuine ones has, and one that a thief dated back.
func (f *fixture) writeStolen() {
	honest, hash := f.permit(f.stolen, nil)
	f.write("genuine.txt", []byte(honest))
	f.genuine = f.must(trust.EncodeGenuine([][16]byte{hash}))
	f.write("genuine.bin", f.genuine)
	f.write("stranger.bin", f.must(trust.EncodeGenuine([][16]byte{{1}, {2}})))
	forged, _ := f.permit(f.stolen, func(c *permit.Claims, _ *permit.Signer) { c.ID[0] = 2 })
	f.write("key_compromised.txt", []byte(forged))
}

// deviceKey returns a COSE_Key, as a live permit carries it: {1: 2, -1: 1, -2: x,
// -3: y}.
func deviceKey(k *ecdsa.PrivateKey) []byte {
	b := append([]byte{0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20}, k.X.FillBytes(make([]byte, 32))...)
	return append(append(b, 0x22, 0x58, 0x20), k.Y.FillBytes(make([]byte, 32))...)
}

// writePictures writes what a phone or a printer makes of permits.
func (f *fixture) writePictures() {
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(f.dir, name))
		return strings.TrimSpace(string(f.must(b, err)))
	}
	valid := f.must(licenses.PNG(text("valid.txt")))
	f.write("valid.png", valid)
	f.write("revoked.png", f.must(licenses.PNG(text("revoked.txt"))))
	f.write("address.png", f.must(licenses.PNG("HTTPS://EXAMPLE.ORG/")))
	f.write("cut.png", valid[:len(valid)/2])
	f.write("noise.bin", []byte{0, 1, 2, 3, 0xff})
	f.write("empty.txt", nil)
	left, right := f.picture(valid), f.picture(f.must(licenses.PNG(text("revoked.txt"))))
	both := image.NewGray(image.Rect(0, 0, left.Bounds().Dx()+right.Bounds().Dx(), max(left.Bounds().Dy(), right.Bounds().Dy())))
	draw.Draw(both, both.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(both, left.Bounds(), left, image.Point{}, draw.Src)
	draw.Draw(both, right.Bounds().Add(image.Pt(left.Bounds().Dx(), 0)), right, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := png.Encode(&b, both); err != nil {
		f.t.Fatal(err)
	}
	f.write("two.png", b.Bytes())
	b.Reset()
	if err := jpeg.Encode(&b, left, nil); err != nil {
		f.t.Fatal(err)
	}
	f.write("valid.jpg", b.Bytes())
}

func (f *fixture) picture(b []byte) image.Image {
	f.t.Helper()
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		f.t.Fatal(err)
	}
	return img
}
