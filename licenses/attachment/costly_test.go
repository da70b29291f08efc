package attachment_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/licenses/attachment"
)

// segment is one of a JPEG's.
func segment(mark byte, data ...byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0xff, mark}, uint16(len(data)+2))
	return append(b, data...)
}

// scans is a progressive picture of one colour that is 8n pixels wide and high, with that many scans
// of a few bytes, each of which goes over every block of it.
func scans(n, count int) []byte {
	size := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, uint16(8*n)), uint16(8*n))
	b := []byte("\xff\xd8")
	b = append(b, segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)...)
	b = append(b, segment(0xc2, append(append([]byte{8}, size...), 1, 1, 0x11, 0)...)...)
	// One code of two bits for a run of 2^14 blocks and more without anything in them.
	b = append(b, segment(0xc4, append(append([]byte{0x10, 0, 2}, make([]byte, 14)...), 0xe0, 0x00)...)...)
	var run []byte
	bits, held := uint32(0), 0
	put := func(v uint32, n int) {
		for n--; n >= 0; n-- {
			bits, held = bits<<1|v>>n&1, held+1
			if held == 8 {
				if run = append(run, byte(bits)); byte(bits) == 0xff {
					run = append(run, 0)
				}
				bits, held = 0, 0
			}
		}
	}
	for left := n * n; left > 0; {
		if left >= 1<<14 {
			more := min(left-1<<14, 1<<14-1)
			put(0, 2)
			put(uint32(more), 14)
			left -= 1<<14 + more
			continue
		}
		put(1, 2)
		left--
	}
	for held > 0 {
		put(1, 1)
	}
	for i := range count {
		k := byte(1 + i%63)
		b = append(b, segment(0xda, 1, 1, 0, k, k, 0)...)
		b = append(b, run...)
	}
	return append(b, 0xff, 0xd9)
}

// TestCostly sends small files that would take minutes to look at, or more memory than the
// limit.
func TestCostly(t *testing.T) {
	wide := image.NewGray16(image.Rect(0, 0, 4000, 4000))
	wide.SetGray16(1, 1, color.Gray16{Y: 7})
	var deep bytes.Buffer
	if err := png.Encode(&deep, wide); err != nil {
		t.Fatal(err)
	}
	head := len("\x89PNG\r\n\x1a\n")
	cases := map[string]struct {
		file []byte
		want error
	}{
		"scans":      {scans(600, 3000), attachment.ErrBroken},
		"types":      {pdf(strings.Repeat("/ObjStm ", 600_000), packed("1 0 << >>", "/ObjStm")), attachment.ErrBroken},
		"streams":    {pdf(strings.Repeat("/ObjStm>>stream\n\x78\x9c\x03\x00\x00\x00\x00\x01\n", 100_000)), attachment.ErrBroken},
		"far stream": {pdf(strings.Repeat("/ObjStm ", 500)+strings.Repeat("a", 4<<20), packed("1 0 << >>", "/ObjStm")), attachment.ErrBroken},
		"held":       {scans(450, 1), attachment.ErrPixels},
		"deep":       {bytes.Join([][]byte{deep.Bytes()[:head], chunk("tEXt", "Comment\x00x"), deep.Bytes()[head:]}, nil), attachment.ErrPixels},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if len(c.file) > attachment.MaxSize {
				t.Fatalf("the file has %d bytes", len(c.file))
			}
			began := time.Now()
			_, _, err := attachment.Check(c.file)
			t.Logf("%d bytes, %v", len(c.file), time.Since(began))
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
		})
	}
}

// TestProgressive takes pictures that programs save, of several scans.
func TestProgressive(t *testing.T) {
	for _, b := range [][]byte{scans(30, 63), scans(440, 2)} {
		kind, kept, err := attachment.Check(b)
		if err != nil || kind != attachment.JPEG || !bytes.Equal(kept, b) {
			t.Errorf("%v %v, %d bytes of %d", kind, err, len(kept), len(b))
		}
	}
}
