package permit_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/veraison/go-cose"

	"github.com/signet-city/signet/licenses/permit"
)

func mustEncode(t testing.TB, c permit.Claims, s permit.Signer, dictionary []byte) string {
	t.Helper()
	text, _, err := permit.Encode(c, s, dictionary)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func mustParse(t testing.TB, text string, dictionaries ...[]byte) *permit.Permit {
	t.Helper()
	p, err := permit.Parse(text, find(dictionaries...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	bound := foodLicence()
	bound.Confirmation = coseKeyP256()
	bare := foodLicence()
	bare.Fields = nil
	for name, c := range map[string]permit.Claims{"twelve fields": foodLicence(), "bound to a phone": bound, "no fields": bare} {
		for alg, s := range signers() {
			for _, dictionary := range [][]byte{nil, foodDictionary} {
				t.Run(fmt.Sprintf("%s, algorithm %d, dictionary of %d", name, alg, len(dictionary)), func(t *testing.T) {
					text, hash, err := permit.Encode(c, s, dictionary)
					if err != nil {
						t.Fatal(err)
					}
					p := mustParse(t, text, dictionary)
					if hash != p.SigStructureHash() {
						t.Errorf("Encode gives hash %x, the permit %x", hash, p.SigStructureHash())
					}
					if diff := cmp.Diff(c, p.Claims); diff != "" {
						t.Errorf("claims (-want +got):\n%s", diff)
					}
					if p.KID != s.KID || p.Alg != alg {
						t.Errorf("got kid %x and alg %d, want %x and %d", p.KID, p.Alg, s.KID, alg)
					}
					if err := p.Verify(alg, s.Key.Public()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

// TestSize holds the permit to the size that it was designed for.
func TestSize(t *testing.T) {
	for _, test := range []struct {
		name       string
		dictionary []byte
		limit      int
	}{
		{"no dictionary", nil, 560},
		{"dictionary", foodDictionary, 400},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := mustEncode(t, foodLicence(), signers()[permit.ES256], test.dictionary)
			t.Logf("%d characters, %d bytes of COSE", len(text), len(mustParse(t, text, test.dictionary).COSE()))
			if len(text) > test.limit {
				t.Errorf("%d characters, want at most %d", len(text), test.limit)
			}
		})
	}
}

func coseVerifier(t testing.TB, s permit.Signer) cose.Verifier {
	t.Helper()
	v, err := cose.NewVerifier(cose.Algorithm(s.Alg), s.Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestAnotherImplementationVerifies shows go-cose our bytes. A Sig_structure in
// which a nil slice had become null would verify here and nowhere else.
func TestAnotherImplementationVerifies(t *testing.T) {
	for alg, s := range signers() {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			p := mustParse(t, mustEncode(t, foodLicence(), s, nil))
			var m cose.Sign1Message
			if err := m.UnmarshalCBOR(p.COSE()); err != nil {
				t.Fatal(err)
			}
			if err := m.Verify([]byte(permit.Prefix), coseVerifier(t, s)); err != nil {
				t.Errorf("with the prefix: %v", err)
			}
			for name, aad := range map[string][]byte{"nil": nil, "empty": {}, "another prefix": []byte("EL2:")} {
				if m.Verify(aad, coseVerifier(t, s)) == nil {
					t.Errorf("verifies with %s as external_aad", name)
				}
			}
			if kid, ok := m.Headers.Protected[cose.HeaderLabelKeyID].([]byte); !ok || !bytes.Equal(kid, s.KID[:]) {
				t.Errorf("kid: got %x, want %x", kid, s.KID)
			}
			if len(m.Headers.Protected) != 2 || len(m.Headers.Unprotected) != 0 {
				t.Errorf("headers: got %v", m.Headers)
			}
		})
	}
}

// TestAnotherImplementationSigns parses and verifies what go-cose signed.
func TestAnotherImplementationSigns(t *testing.T) {
	for alg, s := range signers() {
		t.Run(fmt.Sprint(alg), func(t *testing.T) {
			signer, err := cose.NewSigner(cose.Algorithm(alg), s.Key.(steady).Signer)
			if err != nil {
				t.Fatal(err)
			}
			m := cose.NewSign1Message()
			m.Headers.Protected.SetAlgorithm(cose.Algorithm(alg))
			m.Headers.Protected[cose.HeaderLabelKeyID] = s.KID[:]
			m.Payload = encodePairs(plain())
			if err := m.Sign(nil, []byte(permit.Prefix), signer); err != nil {
				t.Fatal(err)
			}
			b, err := m.MarshalCBOR()
			if err != nil {
				t.Fatal(err)
			}
			p := mustParse(t, armor(deflate(b, levelStored, nil)))
			if err := p.Verify(alg, s.Key.Public()); err != nil {
				t.Error(err)
			}
			if !bytes.Equal(p.COSE(), b) {
				t.Error("COSE() is not what was signed")
			}
		})
	}
}

// TestPayloadIsDeterministic compares our payload with that of a library in its
// mode for RFC 8949 section 4.2.
func TestPayloadIsDeterministic(t *testing.T) {
	c := foodLicence()
	fields := map[int64]any{0: c.Type, 1: c.Number, 2: c.HolderName, 3: c.HolderID}
	for no, v := range c.Fields {
		fields[int64(no)] = v
	}
	want := mustCBOR(map[int64]any{
		4: c.Expires, 5: c.NotBefore, 6: c.IssuedAt, 7: c.ID[:],
		-70000: fields, -70001: []uint32{c.Status.List, c.Status.Index},
	})
	var m cose.Sign1Message
	if err := m.UnmarshalCBOR(mustParse(t, mustEncode(t, c, signers()[permit.ES256], nil)).COSE()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(m.Payload, want) {
		t.Errorf("payload:\n got %x\nwant %x", m.Payload, want)
	}
}

// TestForgeriesAreSigned shows that nothing but our rules refuses a payload
// that breaks one: another implementation finds each well signed.
func TestForgeriesAreSigned(t *testing.T) {
	s := signers()[permit.ES256]
	for _, group := range []map[string]vector{payloadVectors(), confirmationVectors(), fieldVectors()} {
		for name, v := range group {
			t.Run(name, func(t *testing.T) {
				var m cose.Sign1Message
				if err := m.UnmarshalCBOR(inflateText(t, v.text)); err != nil {
					t.Fatal(err)
				}
				if err := m.Verify([]byte(permit.Prefix), coseVerifier(t, s)); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestTwin shows that both signatures of an ECDSA pair verify and that what
// names the permit is the same for both.
func TestTwin(t *testing.T) {
	one, two := mustParse(t, forge{}.text()), mustParse(t, forge{resign: twin}.text())
	if bytes.Equal(one.COSE(), two.COSE()) {
		t.Fatal("the twin is the same")
	}
	for _, p := range []*permit.Permit{one, two} {
		if err := p.Verify(permit.ES256, p256Key.Public()); err != nil {
			t.Error(err)
		}
	}
	if one.SigStructureHash() != two.SigStructureHash() || one.ID != two.ID {
		t.Error("twins have different names")
	}
}

func TestAlgorithm(t *testing.T) {
	for name, want := range map[string]int64{"ES256": permit.ES256, "ES384": permit.ES384, "Ed25519": permit.EdDSA} {
		if got, err := permit.Algorithm(name); err != nil || got != want {
			t.Errorf("%s: got %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"", "es256", "RS256", "none"} {
		if got, err := permit.Algorithm(name); err == nil {
			t.Errorf("%q: got %d", name, got)
		}
	}
}

func TestKID(t *testing.T) {
	// SHA-256 of "abc", FIPS 180-2 appendix B.1.
	if got := fmt.Sprintf("%x", permit.KID([]byte("abc"))); got != "ba7816bf8f01cfea" {
		t.Errorf("got %s", got)
	}
}

func TestVerifyRefusesKeys(t *testing.T) {
	p := mustParse(t, forge{}.text())
	other, err := ecdsa.GenerateKey(elliptic.P224(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		alg int64
		pub crypto.PublicKey
	}{
		"no key":               {permit.ES256, nil},
		"nil ECDSA key":        {permit.ES256, (*ecdsa.PublicKey)(nil)},
		"ECDSA key of nothing": {permit.ES256, &ecdsa.PublicKey{}},
		"another curve":        {permit.ES256, other.Public()},
		"P-384":                {permit.ES256, p384Key.Public()},
		"Ed25519":              {permit.ES256, ed25519Key.Public()},
		"private key":          {permit.ES256, p256Key},
		"another algorithm":    {permit.ES384, p256Key.Public()},
		"unknown algorithm":    {-999, p256Key.Public()},
		"no algorithm":         {0, p256Key.Public()},
	} {
		t.Run(name, func(t *testing.T) {
			if err := p.Verify(test.alg, test.pub); !errors.Is(err, permit.ErrSignature) {
				t.Errorf("got %v", err)
			}
		})
	}
	p = mustParse(t, mustEncode(t, foodLicence(), signers()[permit.EdDSA], nil))
	if err := p.Verify(permit.EdDSA, ed25519.PublicKey{1, 2, 3}); !errors.Is(err, permit.ErrSignature) {
		t.Errorf("Ed25519 key of three bytes: got %v", err)
	}
}

func TestValidate(t *testing.T) {
	const secret = "陈建国"
	field := func(no uint64, v any) func(*permit.Claims) {
		return func(c *permit.Claims) { c.Fields = map[uint64]any{no: v} }
	}
	for name, edit := range map[string]func(*permit.Claims){
		"negative iat":            func(c *permit.Claims) { c.IssuedAt = -1 },
		"negative nbf":            func(c *permit.Claims) { c.NotBefore = -1 },
		"year 10000":              func(c *permit.Claims) { c.Expires = 253402300800 },
		"expires as it begins":    func(c *permit.Claims) { c.Expires = c.NotBefore },
		"status index":            func(c *permit.Claims) { c.Status.Index = 1 << 20 },
		"type code":               func(c *permit.Claims) { c.Type = 1 << 53 },
		"no number":               func(c *permit.Claims) { c.Number = "" },
		"long number":             func(c *permit.Claims) { c.Number = strings.Repeat("1", 129) },
		"no holder name":          func(c *permit.Claims) { c.HolderName = "" },
		"long holder name":        func(c *permit.Claims) { c.HolderName = strings.Repeat("长", 171) },
		"holder name in two":      func(c *permit.Claims) { c.HolderName = secret + "\n" },
		"no holder id":            func(c *permit.Claims) { c.HolderID = "" },
		"long holder id":          func(c *permit.Claims) { c.HolderID = strings.Repeat("9", 65) },
		"empty confirmation":      func(c *permit.Claims) { c.Confirmation = []byte{} },
		"confirmation cut short":  func(c *permit.Claims) { c.Confirmation = coseKeyP256()[:40] },
		"confirmation cut early":  func(c *permit.Claims) { c.Confirmation = coseKeyP256()[:20] },
		"confirmation and more":   func(c *permit.Claims) { c.Confirmation = append(coseKeyP256(), 0) },
		"confirmation of nothing": func(c *permit.Claims) { c.Confirmation = []byte{0xA0} },
		"sixty-one fields": func(c *permit.Claims) {
			for no := range uint64(61) {
				c.Fields[4+no] = no
			}
		},
		"field number below 4":     field(3, secret),
		"field number over 65535":  field(65536, secret),
		"field empty":              field(4, ""),
		"field long":               field(4, strings.Repeat("x", 2049)),
		"field not UTF-8":          field(4, secret+"\xff"),
		"field with override":      field(4, secret+"\u202e"),
		"field of a wrong kind":    field(4, []byte(secret)),
		"field of int":             field(4, 7),
		"field of int64 over zero": field(4, int64(7)),
		"field of float":           field(4, 7.5),
		"field nil":                field(4, nil),
		"field too big":            field(4, uint64(1<<53)),
		"field too small":          field(4, int64(-1<<53)),
	} {
		t.Run(name, func(t *testing.T) {
			c := foodLicence()
			edit(&c)
			_, _, err := permit.Encode(c, signers()[permit.ES256], nil)
			if err == nil || c.Validate() == nil {
				t.Fatalf("accepted: Encode says %v, Validate %v", err, c.Validate())
			}
			if strings.Contains(err.Error()+c.Validate().Error(), secret) {
				t.Errorf("quotes the claims: %v", err)
			}
		})
	}
	if err := foodLicence().Validate(); err != nil {
		t.Errorf("refuses a good licence: %v", err)
	}
}

// TestWhatValidatesFits fills permits with text that does not compress, up to
// the byte at which Validate begins to refuse.
func TestWhatValidatesFits(t *testing.T) {
	c := foodLicence()
	c.Confirmation = coseKeyP256()
	random := permit.EncodeBase45(noise(1600))
	fits := 0
	for n := 1000; n < 2048; n++ {
		c.Fields = map[uint64]any{4: random[:n]}
		if err := c.Validate(); err != nil {
			if !errors.Is(err, permit.ErrTooLarge) {
				t.Fatal(err)
			}
			break
		}
		fits = n
	}
	if fits == 0 || fits == 2047 {
		t.Fatalf("Validate never changed its mind, at %d", fits)
	}
	c.Fields[4] = random[:fits]
	s := signers()[permit.ES384]
	stored := armor(deflate(mustParse(t, mustEncode(t, c, s, nil)).COSE(), levelStored, nil))
	mustParse(t, stored)
	mustParse(t, mustEncode(t, c, s, foodDictionary), foodDictionary)
	c.Fields[4] = random[:fits+1]
	if _, _, err := permit.Encode(c, s, nil); !errors.Is(err, permit.ErrTooLarge) {
		t.Errorf("Encode beyond: got %v", err)
	}
}

// signerFunc is a key whose signatures go wrong.
type signerFunc func() ([]byte, error)

func (signerFunc) Public() crypto.PublicKey { return p256Key.Public() }

func (f signerFunc) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return f() }

// ed25519Short is an Ed25519 key whose signatures are cut short.
type ed25519Short struct{ ed25519.PrivateKey }

func (ed25519Short) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 63), nil
}

func TestEncodeRefusesSigners(t *testing.T) {
	gone := errors.New("token removed")
	answer := func(b []byte, err error) crypto.Signer {
		return signerFunc(func() ([]byte, error) { return b, err })
	}
	long := append([]byte{0x30, 0x26, 0x02, 0x21, 0x7F}, append(make([]byte, 32), 0x02, 0x01, 0x01)...)
	for name, s := range map[string]permit.Signer{
		"unknown algorithm":    {Alg: -999, Key: p256Key},
		"no key":               {Alg: permit.ES256},
		"key of another kind":  {Alg: permit.EdDSA, Key: p256Key},
		"key of another curve": {Alg: permit.ES256, Key: p384Key},
		"key signs elsewhere":  {Alg: permit.ES384, Key: answer([]byte{0x30, 6, 2, 1, 1, 2, 1, 1}, nil)},
		"signer fails":         {Alg: permit.ES256, Key: answer(nil, gone)},
		"signature not DER":    {Alg: permit.ES256, Key: answer(make([]byte, 64), nil)},
		"signature and more":   {Alg: permit.ES256, Key: answer([]byte{0x30, 6, 2, 1, 1, 2, 1, 1, 0}, nil)},
		"signature negative":   {Alg: permit.ES256, Key: answer([]byte{0x30, 6, 2, 1, 0xFF, 2, 1, 1}, nil)},
		"signature too long":   {Alg: permit.ES256, Key: answer(long, nil)},
		"Ed25519 cut short":    {Alg: permit.EdDSA, Key: ed25519Short{ed25519Key}},
	} {
		t.Run(name, func(t *testing.T) {
			text, _, err := permit.Encode(foodLicence(), s, nil)
			if err == nil || text != "" {
				t.Fatalf("got %q and %v", text, err)
			}
			if name == "signer fails" && !errors.Is(err, gone) {
				t.Errorf("cause lost: %v", err)
			}
		})
	}
	if _, _, err := permit.Encode(foodLicence(), signers()[permit.ES256], make([]byte, permit.MaxDictionary+1)); err == nil {
		t.Error("accepts a dictionary that is too long")
	}
}

// TestShortSignatureParts pads r and s: one signature in 128 has one that is
// shorter than the order.
func TestShortSignatureParts(t *testing.T) {
	der := []byte{0x30, 6, 0x02, 1, 5, 0x02, 1, 7}
	s := permit.Signer{Alg: permit.ES256, Key: signerFunc(func() ([]byte, error) { return der, nil })}
	b := mustParse(t, mustEncode(t, foodLicence(), s, nil)).COSE()
	want := make([]byte, 64)
	want[31], want[63] = 5, 7
	if got := b[len(b)-64:]; !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestDictionariesSideBySide encodes and parses with more dictionaries than are
// pooled, from several goroutines: no writer or reader may keep another's.
func TestDictionariesSideBySide(t *testing.T) {
	text := make([]string, 300)
	dictionary := func(i int) []byte {
		if i%3 == 0 {
			return nil
		}
		return fmt.Appendf(bytes.Clone(foodDictionary), "%d", i)
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := worker; i < len(text); i += 4 {
				c := foodLicence()
				c.Type = uint64(i)
				var err error
				if text[i], _, err = permit.Encode(c, signers()[permit.EdDSA], dictionary(i)); err != nil {
					t.Error(err)
				}
				p, err := permit.Parse(text[i], find(dictionary(i)))
				if err != nil || p.Type != uint64(i) {
					t.Errorf("permit %d: got %v", i, err)
				}
				if _, err := permit.Parse(text[i], nil); (err == nil) != (i%3 == 0) {
					t.Errorf("permit %d without dictionaries: got %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestLookupAnswersWrong gives a dictionary that is not the one asked for.
func TestLookupAnswersWrong(t *testing.T) {
	text := forge{dictionary: foodDictionary}.text()
	_, err := permit.Parse(text, func(uint32) []byte { return []byte("another") })
	if !errors.Is(err, permit.ErrDictionary) {
		t.Errorf("got %v", err)
	}
}

func TestParseKeepsNothing(t *testing.T) {
	one := mustParse(t, mustEncode(t, foodLicence(), signers()[permit.ES256], foodDictionary), foodDictionary)
	before := *one
	cose := bytes.Clone(one.COSE())
	fields := maps.Clone(one.Fields)
	for range 100 {
		mustParse(t, forge{claims: field(manyFields(60)...)}.text())
	}
	if !bytes.Equal(cose, one.COSE()) || !cmp.Equal(fields, one.Fields) ||
		!cmp.Equal(before, *one, cmpopts.IgnoreUnexported(permit.Permit{})) {
		t.Error("a parsed permit changed when others were parsed")
	}
	if err := one.Verify(permit.ES256, p256Key.Public()); err != nil {
		t.Error(err)
	}
}
