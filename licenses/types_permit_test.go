package licenses_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"hash/adler32"
	"maps"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"rsc.io/qr"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/verify/trust"
)

// TestShippedSamplesAreIssued issues every sample of every type, and reads the data
// back from its permit by what the trust bundle says of the type.
func TestShippedSamplesAreIssued(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.authorizeAll(t)
		issued := 0
		for _, ty := range shipped(t) {
			var asked []licenses.Keyed
			list := samples(t, ty.ID)
			for i, s := range list {
				asked = append(asked, licenses.Keyed{Key: fmt.Sprintf("%s-%d", ty.ID, i), Request: requestFor(ty, s.Data)})
			}
			results, err := c.Issue(t.Context(), callers[by[ty.ID]], asked)
			must(t, err)
			for i, r := range results {
				must(t, r.Err)
				issued++
				l := r.License
				if l.Status != licenses.Issued || !strings.HasPrefix(l.Number, ty.NumberPrefix) || !strings.Contains(l.Identifier, "."+ty.Identifier+".") {
					t.Errorf("%s: status %s, number %s, identifier %s", ty.ID, l.Status, l.Number, l.Identifier)
				}
				if end := l.NotBefore.AddDate(ty.Years, 0, 0); !l.NotAfter.Equal(end) {
					t.Errorf("%s: valid until %s, want %s", ty.ID, l.NotAfter, end)
				}
				wantPermit(t, ty, l, list[i].Data)
			}
		}
		c.wantClean(t, issued)
	})
}

// wantPermit compares a permit with the data that it was made of.
func wantPermit(t *testing.T, ty *licenses.Type, l *licenses.License, data map[string]any) {
	t.Helper()
	p, err := permit.Parse(l.Permit, only(ty.Dictionary))
	must(t, err)
	if p.Type != ty.Code || p.Number != l.Number {
		t.Errorf("%s: permit of type %d, number %s", ty.ID, p.Type, p.Number)
	}
	if diff := cmp.Diff(data, decoded(t, ty.Trust(), p.Fields)); diff != "" {
		t.Errorf("%s: data and permit differ:\n%s", ty.ID, diff)
	}
	if _, err := permit.Parse(l.Permit, nil); err == nil {
		t.Errorf("%s: the permit does without the dictionary", ty.ID)
	}
}

// only finds one dictionary.
func only(dictionary string) func(uint32) []byte {
	return func(sum uint32) []byte {
		if adler32.Checksum([]byte(dictionary)) != sum {
			return nil
		}
		return []byte(dictionary)
	}
}

// decoded turns a permit's fields into data as a verifier would.
func decoded(t *testing.T, ty trust.Type, fields map[uint64]any) map[string]any {
	t.Helper()
	data := map[string]any{}
	for _, f := range ty.Fields {
		v, ok := fields[f.No]
		if !ok {
			continue
		}
		if n, ok := v.(uint64); ok && f.List == "" {
			v = float64(n)
		}
		for _, l := range ty.Lists {
			for _, code := range l.Codes {
				if l.ID == f.List && code.Code == v {
					data[f.Name] = code.Value
				}
			}
		}
		if f.List == "" {
			data[f.Name] = v
		}
	}
	if len(data) != len(fields) {
		t.Errorf("%d of %d fields have a meaning", len(data), len(fields))
	}
	return data
}

// TestLargestDataFit: what the schema lets pass can be signed and drawn, even where
// every text is as long as may be.
func TestLargestDataFit(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	by := c.authorizeAll(t)
	for _, ty := range shipped(t) {
		data := maps.Clone(samples(t, ty.ID)[0].Data)
		for name, p := range properties(t, ty) {
			if n, ok := p["maxLength"].(float64); ok {
				data[name] = strings.Repeat("镇", int(n))
			}
			if n, ok := p["maximum"].(float64); ok {
				data[name] = n
			}
			if p["format"] == "date" {
				data[name] = "2026-11-28"
			}
			if list, ok := p["enum"].([]any); ok {
				data[name] = list[len(list)-1]
			}
		}
		if _, ok := data["category"]; ok {
			complete(data, "category", data["category"])
		}
		l := c.issue(t, by[ty.ID], "largest-"+ty.ID, requestFor(ty, data))
		_, err := licenses.PNG(l.Permit)
		must(t, err)
		p, err := permit.Parse(l.Permit, only(ty.Dictionary))
		must(t, err)
		p.HolderName = strings.Repeat("江", 100) // longer than any name in the register
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", ty.ID, err)
		}
	}
}

// measured is what a dictionary does for samples of a type.
type measured struct {
	with, without float64 // characters, added up
	n             float64
	most, version int // characters of the longest with the dictionary, version of its QR code
}

func (m measured) mean() (without, with float64) { return m.without / m.n, m.with / m.n }

func (m measured) saved() float64 { return math.Round(100 - 100*m.with/m.without) }

// measure signs a sample some times: the same claims give a character or two more or
// less with each signature.
func (m *measured) measure(t *testing.T, ty *licenses.Type, s sample, by permit.Signer) {
	t.Helper()
	for range 5 {
		c := claimsOf(t, ty, s)
		bare, _, err := permit.Encode(c, by, nil)
		must(t, err)
		text, _, err := permit.Encode(c, by, []byte(ty.Dictionary))
		must(t, err)
		if len(text) >= len(bare) {
			t.Errorf("%s, %s: %d characters with the dictionary, %d without", ty.ID, s.Holder, len(text), len(bare))
		}
		code, err := qr.Encode(text, qr.M)
		must(t, err)
		m.with, m.without, m.n = m.with+float64(len(text)), m.without+float64(len(bare)), m.n+1
		m.most, m.version = max(m.most, len(text)), max(m.version, (code.Size-17)/4)
	}
}

// TestDictionaries measures each type's dictionary and prints a table. The last
// sample of a file was written after the dictionary and has had no part in it.
func TestDictionaries(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	signer := permit.Signer{KID: [8]byte{0x5f, 0xd4, 0x17, 0x02, 0x9e, 0xa1, 0x3b, 0xc8}, Alg: permit.ES256, Key: key}
	sums := map[uint32]string{}
	t.Logf("%-22s %10s %8s %5s %6s %12s %5s %s", "type", "dictionary", "without", "with", "saved", "saved unseen", "most", "QR")
	for _, ty := range shipped(t) {
		sum := adler32.Checksum([]byte(ty.Dictionary))
		if n := len(ty.Dictionary); n == 0 || n > permit.MaxDictionary || !utf8.ValidString(ty.Dictionary) || sums[sum] != "" {
			t.Errorf("%s: a dictionary of %d bytes, with the checksum of %q", ty.ID, n, sums[sum])
		}
		sums[sum] = ty.ID
		var all, unseen measured
		list := samples(t, ty.ID)
		for i, s := range list {
			all.measure(t, ty, s, signer)
			if i == len(list)-1 {
				unseen.measure(t, ty, s, signer)
			}
		}
		if all.version > 20 || all.saved() < 5 || unseen.saved() < 2 {
			t.Errorf("%s: a QR code of version %d; the dictionary saves %.0f%%, unseen %.0f%%", ty.ID, all.version, all.saved(), unseen.saved())
		}
		without, with := all.mean()
		t.Logf("%-22s %10d %8.0f %5.0f %5.0f%% %11.0f%% %5d v%d-M", ty.ID, len(ty.Dictionary), without, with, all.saved(), unseen.saved(), all.most, all.version)
	}
}

// claimsOf makes the claims of a sample as the service would, with random values
// where the service has them.
func claimsOf(t *testing.T, ty *licenses.Type, s sample) permit.Claims {
	t.Helper()
	at := time.Date(2026, 11, 28, 2, 30, 0, 0, time.UTC).Unix()
	c := permit.Claims{IssuedAt: at, NotBefore: at - at%86400 - 8*3600, Status: permit.Ref{Index: 735_201}, Type: ty.Code,
		Number: ty.NumberPrefix + "99010020260004711", HolderName: s.Holder, HolderID: "91990101MA1F00127T", Fields: map[uint64]any{}}
	c.Expires = time.Unix(c.NotBefore, 0).AddDate(ty.Years, 0, 0).Unix()
	if ty.Holder == licenses.HolderPerson {
		c.HolderID = "990***********0117"
	}
	if strings.HasSuffix(ty.ID, "business") || ty.ID == "business-license" {
		c.Number = ty.NumberPrefix + "99010120260004711" // a district's
	}
	random := make([]byte, len(c.ID))
	_, _ = rand.Read(random) // never fails
	copy(c.ID[:], random)
	for _, f := range ty.Fields {
		v, ok := s.Data[f.Property]
		if !ok {
			continue
		}
		if n, ok := v.(float64); ok {
			v = uint64(n)
		}
		for _, l := range ty.Lists {
			for _, code := range l.Codes {
				if l.ID == f.List && code.Value == v {
					v = code.Code
				}
			}
		}
		c.Fields[f.No] = v
	}
	return c
}

// TestDictionaryIsFramed: the dictionaries made after the first two end with the
// bytes before the number of a licence, which a permit of the type has too.
func TestDictionaryIsFramed(t *testing.T) {
	for _, ty := range shipped(t) {
		if ty.Code <= 2 {
			continue
		}
		frame := append([]byte(":\x00\x01\x11o\x00"), byte(ty.Code), 1, 's')
		if !bytes.Contains([]byte(ty.Dictionary), append(frame, ty.NumberPrefix+"9901"...)) {
			t.Errorf("%s: the dictionary lacks %q", ty.ID, frame)
		}
	}
}
