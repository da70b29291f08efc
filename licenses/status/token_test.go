package status_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/signet-city/signet/licenses/status"
)

const subject = "https://city.example/status/lists/3"

func token(t testing.TB, l status.List) status.Token {
	t.Helper()
	tok, err := status.NewToken(l, subject, 1000, 2000, 300)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// TestDraftVectors reads the vectors of the draft: each value, and 0 for every other
// index.
func TestDraftVectors(t *testing.T) {
	b, err := os.ReadFile("testdata/tsl/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Lst  string
		Bits, Size int
		Values     map[string]byte
	}
	if err := json.Unmarshal(b, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 4 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		lst, err := hex.DecodeString(v.Lst)
		if err != nil {
			t.Fatal(err)
		}
		list, err := status.Inflate(lst, v.Bits)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		tok := status.Token{Bits: v.Bits, Statuses: list}
		for i := range v.Size {
			if got, ok := tok.At(i); !ok || got != v.Values[strconv.Itoa(i)] {
				t.Fatalf("%s: index %d is %d", v.Name, i, got)
			}
		}
		if _, ok := tok.At(v.Size); ok {
			t.Errorf("%s: an index past the end", v.Name)
		}
	}
	// Ours of the two bits' vector, where its statuses are among our three.
	l := status.List{Revoked: []uint32{0, 25460, 495669, 554353, 723232, 854545}, Suspended: []uint32{1993, 645645, 934534}}
	lst, _ := hex.DecodeString(vectors[2].Lst)
	want, err := status.Inflate(lst, 2)
	if err != nil {
		t.Fatal(err)
	}
	for _, application := range []int{159495, 1000345} { // status 3, which we do not give
		want[application/4] &^= 3 << (application % 4 * 2)
	}
	if !bytes.Equal(status.Pack(l), want) {
		t.Error("the list is packed otherwise than in the draft")
	}
}

func TestTokens(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for alg, s := range signers() {
		for _, l := range []status.List{{}, {Revoked: []uint32{0}, Suspended: []uint32{status.ListSize - 1}}, draw(r, 3, 8000, 2000)} {
			tok := token(t, l)
			for name, form := range map[string]struct {
				sign func(status.Signer) ([]byte, error)
				open func([]byte) (status.Token, error)
			}{
				"JWT": {tok.SignJWT, func(b []byte) (status.Token, error) { return status.OpenJWT(b, alg, s.Key.Public()) }},
				"CWT": {tok.SignCWT, func(b []byte) (status.Token, error) { return status.OpenCWT(b, alg, s.Key.Public()) }},
			} {
				b, err := form.sign(s)
				if err != nil {
					t.Fatal(err)
				}
				got, err := form.open(b)
				if err != nil {
					t.Fatalf("%s, algorithm %d: %v", name, alg, err)
				}
				if got.Subject != subject || got.IssuedAt != 1000 || got.Expires != 2000 || got.TTL != 300 || got.Bits != 2 {
					t.Errorf("%s: %s %d %d %d %d", name, got.Subject, got.IssuedAt, got.Expires, got.TTL, got.Bits)
				}
				for i := range status.ListSize {
					want := status.Valid
					if _, ok := slices.BinarySearch(l.Revoked, uint32(i)); ok {
						want = status.Revoked
					} else if _, ok := slices.BinarySearch(l.Suspended, uint32(i)); ok {
						want = status.Suspended
					}
					if v, ok := got.At(i); !ok || v != byte(want) {
						t.Fatalf("%s: index %d is %d, want %d", name, i, v, want)
					}
				}
			}
		}
	}
}

// jwt puts a token together by hand and signs it.
func jwt(t testing.TB, header, claims string) []byte {
	t.Helper()
	e := base64.RawURLEncoding
	text := e.EncodeToString([]byte(header)) + "." + e.EncodeToString([]byte(claims))
	return []byte(text + "." + e.EncodeToString(rawSignature(t, []byte(text))))
}

func zipped(t testing.TB, b []byte) string {
	t.Helper()
	var out bytes.Buffer
	w := zlib.NewWriter(&out)
	_, err := w.Write(b)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(out.Bytes())
}

func TestHostileJWT(t *testing.T) {
	const header = `{"alg":"ES256","kid":"1","typ":"statuslist+jwt"}`
	claims := func(bits, lst string) string {
		return `{"sub":"x","iat":1,"exp":2,"ttl":3,"status_list":{"bits":` + bits + `,"lst":"` + lst + `"}}`
	}
	small := zipped(t, []byte{0xC9, 0x44, 0xF9})
	good := jwt(t, header, claims("2", small))
	if _, err := status.OpenJWT(good, -7, p256Key.Public()); err != nil {
		t.Fatal(err)
	}
	bomb := zipped(t, make([]byte, 64<<20))
	parts := strings.Split(string(good), ".")
	for name, c := range map[string]struct {
		token []byte
		want  error
	}{
		"no parts":           {[]byte("x"), status.ErrToken},
		"two parts":          {[]byte(parts[0] + "." + parts[1]), status.ErrToken},
		"four parts":         {append(slices.Clone(good), ".AA"...), status.ErrToken},
		"padded":             {append(slices.Clone(good), '='), status.ErrToken},
		"too large":          {make([]byte, 1<<20+1), status.ErrToken},
		"another typ":        {jwt(t, `{"alg":"ES256","kid":"1","typ":"JWT"}`, claims("2", small)), status.ErrToken},
		"alg none":           {jwt(t, `{"alg":"none","kid":"1","typ":"statuslist+jwt"}`, claims("2", small)), status.ErrSignature},
		"no alg":             {jwt(t, `{"kid":"1","typ":"statuslist+jwt"}`, claims("2", small)), status.ErrSignature},
		"alg twice":          {jwt(t, `{"alg":"none","alg":"ES256","typ":"statuslist+jwt"}`, claims("2", small)), status.ErrToken},
		"HMAC":               {jwt(t, `{"alg":"HS256","kid":"1","typ":"statuslist+jwt"}`, claims("2", small)), status.ErrSignature},
		"claims changed":     {[]byte(parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(claims("1", small))) + "." + parts[2]), status.ErrSignature},
		"no signature":       {[]byte(parts[0] + "." + parts[1] + "."), status.ErrSignature},
		"three bits":         {jwt(t, header, claims("3", small)), status.ErrToken},
		"no bits":            {jwt(t, header, claims("0", small)), status.ErrToken},
		"bits below":         {jwt(t, header, claims("-2", small)), status.ErrToken},
		"list not zlib":      {jwt(t, header, claims("2", "AAAA")), status.ErrToken},
		"list cut":           {jwt(t, header, claims("2", small[:len(small)-4])), status.ErrToken},
		"list with a tail":   {jwt(t, header, claims("2", base64.RawURLEncoding.EncodeToString(append(unb64(t, small), 0)))), status.ErrToken},
		"bomb":               {jwt(t, header, claims("2", bomb)), status.ErrToken},
		"no subject":         {jwt(t, header, strings.Replace(claims("2", small), `"x"`, `""`, 1)), status.ErrToken},
		"no ttl":             {jwt(t, header, strings.Replace(claims("2", small), `"ttl":3,`, ``, 1)), status.ErrToken},
		"expires before":     {jwt(t, header, strings.Replace(claims("2", small), `"exp":2`, `"exp":1`, 1)), status.ErrToken},
		"claims are no JSON": {jwt(t, header, "x"), status.ErrToken},
	} {
		if _, err := status.OpenJWT(c.token, -7, p256Key.Public()); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	if _, err := status.OpenJWT(good, -7, otherKey.Public()); !errors.Is(err, status.ErrSignature) {
		t.Errorf("another key: %v", err)
	}
	if _, err := status.OpenJWT(good, -35, p384Key.Public()); !errors.Is(err, status.ErrSignature) {
		t.Errorf("another algorithm: %v", err)
	}
}

func unb64(t testing.TB, s string) []byte {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestCWTSeesEveryBit turns each bit of a token: none of the mutants opens as
// anything else.
func TestCWTSeesEveryBit(t *testing.T) {
	b, err := token(t, status.List{Revoked: []uint32{5}}).SignCWT(p256Signer())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(b) {
		mutant := slices.Clone(b)
		mutant[i/8] ^= 0x80 >> (i % 8)
		if _, err := status.OpenCWT(mutant, -7, p256Key.Public()); err == nil {
			t.Errorf("bit %d turned: no error", i)
		}
	}
	if _, err := status.OpenCWT(append([]byte{0xd2}, b...), -7, p256Key.Public()); !errors.Is(err, status.ErrToken) {
		t.Errorf("tagged: %v", err)
	}
	snapshot := encode(t)
	if _, err := status.OpenCWT(snapshot, -7, p256Key.Public()); !errors.Is(err, status.ErrToken) {
		t.Errorf("a snapshot: %v", err)
	}
}

func TestNewTokenRefuses(t *testing.T) {
	ok := status.List{Revoked: []uint32{1, 2}}
	for name, f := range map[string]func() (status.Token, error){
		"falling": func() (status.Token, error) {
			return status.NewToken(status.List{Revoked: []uint32{2, 1}}, subject, 1, 2, 3)
		},
		"out of range": func() (status.Token, error) {
			return status.NewToken(status.List{Suspended: []uint32{status.ListSize}}, subject, 1, 2, 3)
		},
		"both": func() (status.Token, error) {
			return status.NewToken(status.List{Revoked: []uint32{1}, Suspended: []uint32{1}}, subject, 1, 2, 3)
		},
		"nameless": func() (status.Token, error) { return status.NewToken(ok, "", 1, 2, 3) },
		"no life":  func() (status.Token, error) { return status.NewToken(ok, subject, 2, 2, 3) },
		"no ttl":   func() (status.Token, error) { return status.NewToken(ok, subject, 1, 2, 0) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := token(t, ok).SignJWT(status.Signer{Alg: -7, Key: p384Key}); err == nil {
		t.Error("a key of another algorithm signs")
	}
}

func BenchmarkSignJWT(b *testing.B) {
	lists, _, _ := city(200)
	for b.Loop() {
		if _, err := token(b, lists[0]).SignJWT(p256Signer()); err != nil {
			b.Fatal(err)
		}
	}
}
