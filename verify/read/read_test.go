package read_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/signet-city/signet/verify/read"
)

// permitText returns a text of a permit's look and of n characters.
func permitText(n int, seed uint64) string {
	const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	r := rand.New(rand.NewPCG(seed, 7))
	b := []byte("EL1:")
	for len(b) < n {
		b = append(b, alphabet[r.IntN(len(alphabet))])
	}
	b[n-1] = '0' // Base45 never ends in a space
	return string(b)
}

func TestPictures(t *testing.T) {
	short, usual, long := permitText(120, 1), permitText(382, 2), permitText(858, 3)
	colour := image.NewNRGBA(image.Rect(0, 0, 500, 500)) // transparent all over
	plain := code(t, usual, 5)
	for y := range plain.Rect.Dy() {
		for x := range plain.Rect.Dx() {
			if plain.GrayAt(x, y).Y == 0 {
				colour.Set(x+20, y+20, color.NRGBA{20, 30, 90, 255})
			}
		}
	}
	for _, c := range []struct {
		name string
		file []byte
		want []string
	}{
		{"png", pngOf(t, code(t, usual, 4)), []string{usual}},
		{"long permit", pngOf(t, code(t, long, 3)), []string{long}},
		{"longest permit", pngOf(t, code(t, permitText(3391, 4), 3)), []string{permitText(3391, 4)}},
		{"modules of one pixel", pngOf(t, code(t, short, 1)), []string{short}},
		{"modules of two pixels", pngOf(t, code(t, usual, 2)), []string{usual}},
		{"modules of fifteen pixels", pngOf(t, code(t, usual, 15)), []string{usual}},
		{"transparent, in colour", pngOf(t, colour), []string{usual}},
		{"jpeg", jpegOf(t, code(t, usual, 4), 50), []string{usual}},
		{"turned by 7 degrees", jpegOf(t, turn(code(t, usual, 5), 7), 80), []string{usual}},
		{"turned by 30 degrees", jpegOf(t, turn(code(t, usual, 5), 30), 80), []string{usual}},
		{"turned by 45 degrees", jpegOf(t, turn(code(t, usual, 5), 45), 80), []string{usual}},
		{"turned by 90 degrees", pngOf(t, turn(code(t, usual, 5), 90)), []string{usual}},
		{"upside down", pngOf(t, turn(code(t, usual, 5), 180)), []string{usual}},
		{"photograph", jpegOf(t, photograph(turn(code(t, usual, 7), 4)), 70), []string{usual}},
		{"two codes", pngOf(t, place(900, 500, []image.Point{{10, 20}, {480, 90}}, code(t, usual, 5), code(t, short, 5))), []string{usual, short}},
		{"three codes of three sizes", jpegOf(t, place(1400, 900, []image.Point{{10, 20}, {480, 300}, {1000, 30}},
			code(t, usual, 5), turn(code(t, long, 4), 12), code(t, short, 6)), 80), []string{usual, long, short}},
		{"the same code twice", pngOf(t, place(900, 500, []image.Point{{10, 20}, {480, 20}}, code(t, usual, 5), code(t, usual, 5))), []string{usual}},
		{"beside another code", pngOf(t, place(900, 500, []image.Point{{10, 20}, {480, 20}}, code(t, "https://city.example/", 5), code(t, usual, 5))), []string{usual}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read.Texts(c.file)
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// chunk is a PNG chunk.
func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// hugePNG says that it is of that size and holds next to nothing.
func hugePNG(w, h uint32) []byte {
	header := binary.BigEndian.AppendUint32(nil, w)
	header = binary.BigEndian.AppendUint32(header, h)
	b := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", append(header, 8, 0, 0, 0, 0))...)
	return append(append(b, chunk("IDAT", []byte{0x78, 0x9c, 0x03, 0, 0, 0, 0, 1})...), chunk("IEND", nil)...)
}

func TestRefusals(t *testing.T) {
	picture := pngOf(t, code(t, permitText(120, 1), 4))
	photo := jpegOf(t, code(t, permitText(120, 1), 4), 80)
	for _, c := range []struct {
		name string
		file []byte
		want error
	}{
		{"no bytes", nil, read.ErrNoCode},
		{"white space", []byte(" \r\n\t"), read.ErrNoCode},
		{"blank picture", pngOf(t, paper(300, 300)), read.ErrNoCode},
		{"picture of one pixel", pngOf(t, paper(1, 1)), read.ErrNoCode},
		{"another code", pngOf(t, code(t, "https://city.example/", 5)), read.ErrNoCode},
		{"code of a later format", pngOf(t, code(t, "EL2:ABC", 5)), read.ErrNoCode},
		{"truncated png", picture[:len(picture)/2], read.ErrUnreadable},
		{"damaged png", bytes.Replace(picture, []byte("IDAT"), []byte("IDAX"), 1), read.ErrUnreadable},
		{"truncated jpeg", photo[:100], read.ErrUnreadable},
		{"start of a png", picture[:8], read.ErrUnreadable},
		{"pdf", []byte("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n"), read.ErrUnreadable},
		{"binary", []byte("EL1:\x00ABC"), read.ErrUnreadable},
		{"not UTF-8", []byte("EL1:\xff\xfe"), read.ErrUnreadable},
		{"UTF-16", []byte("E\x00L\x001\x00"), read.ErrUnreadable},
		{"gif", []byte("GIF89a\x01\x00\x01\x00"), read.ErrUnreadable},
		{"too many bytes", make([]byte, read.MaxBytes+1), read.ErrTooLarge},
		{"too long a text", bytes.Repeat([]byte("A"), read.MaxText+1), read.ErrTooLarge},
		{"too many pixels", hugePNG(5001, 5000), read.ErrTooLarge},
		{"too wide", hugePNG(16385, 1), read.ErrTooLarge},
		{"too large by far", hugePNG(1<<20, 1<<20), read.ErrTooLarge},
		{"too many scans", append(slices.Clone(photo), bytes.Repeat([]byte{0xFF, 0xDA}, 64)...), read.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read.Texts(c.file)
			if !errors.Is(err, c.want) {
				t.Errorf("got %q, %v; want %v", got, err, c.want)
			}
		})
	}
}

func TestPlainText(t *testing.T) {
	text := permitText(200, 9)
	for _, c := range []struct{ name, file, want string }{
		{"bare", text, text},
		{"newline", text + "\n", text},
		{"white space around", " \r\n\t" + text + "  \r\n\r\n", text},
		{"byte order mark", "\ufeff" + text + "\r\n", text},
		{"longer than a permit", strings.Repeat("A", 5000), strings.Repeat("A", 5000)},
		{"something else", "hello", "hello"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read.From(strings.NewReader(c.file))
			if err != nil || !slices.Equal(got, []string{c.want}) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// endless is a standard input that never ends.
type endless struct{ given int }

func (e *endless) Read(b []byte) (int, error) {
	e.given += len(b)
	return len(b), nil
}

func TestFromIsBounded(t *testing.T) {
	var e endless
	if _, err := read.From(&e); !errors.Is(err, read.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
	if e.given > 2*read.MaxBytes {
		t.Errorf("read %d bytes", e.given)
	}
	if _, err := read.From(iotest.ErrReader(io.ErrUnexpectedEOF)); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want the reader's own error", err)
	}
}

// A page full of finder patterns must not keep the search busy.
func TestPatternFlood(t *testing.T) {
	page := paper(2100, 2100)
	for y := 0; y+9 < 2100; y += 14 {
		for x := 0; x+9 < 2100; x += 14 {
			for dy := range 7 {
				for dx := range 7 {
					d := max(abs(dx-3), abs(dy-3))
					if d != 2 {
						page.SetGray(x+dx, y+dy, color.Gray{})
					}
				}
			}
		}
	}
	start := time.Now()
	if got, err := read.Texts(pngOf(t, page)); !errors.Is(err, read.ErrNoCode) {
		t.Errorf("got %q, %v", got, err)
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("took %v", d)
	}
}

func abs(n int) int { return max(n, -n) }

func FuzzTexts(f *testing.F) {
	f.Add([]byte("EL1:ABC\n"))
	f.Add(pngOf(f, code(f, permitText(60, 1), 2)))
	f.Add(jpegOf(f, code(f, permitText(60, 1), 3), 60))
	f.Add(hugePNG(5001, 5000))
	f.Fuzz(func(t *testing.T, b []byte) {
		texts, err := read.Texts(b)
		switch {
		case err == nil && len(texts) == 0:
			t.Error("neither text nor error")
		case err != nil && texts != nil:
			t.Error("text and error")
		case err != nil && !errors.Is(err, read.ErrUnreadable) && !errors.Is(err, read.ErrNoCode) && !errors.Is(err, read.ErrTooLarge):
			t.Errorf("error of no kind: %v", err)
		}
	})
}
