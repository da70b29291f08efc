package attachment_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"strings"
	"testing"

	"github.com/signet-city/signet/licenses/attachment"
)

func picture(t testing.TB, kind attachment.Kind) []byte {
	t.Helper()
	var b bytes.Buffer
	m := image.NewRGBA(image.Rect(0, 0, 40, 30))
	for i := range m.Pix {
		m.Pix[i] = byte(i * 7)
	}
	err := png.Encode(&b, m)
	if kind == attachment.JPEG {
		b.Reset()
		err = jpeg.Encode(&b, m, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pdf is a small file with these objects.
func pdf(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n")
	for _, o := range objects {
		b.WriteString(o + "\n")
	}
	at := b.Len()
	fmt.Fprintf(&b, "xref\n0 1\n0000000000 65535 f \ntrailer\n<< /Size 1 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n", at)
	return b.Bytes()
}

// packed is a stream of objects with that text.
func packed(text, typ string) string {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	_, _ = z.Write([]byte(text + strings.Repeat(" ", 1000))) // what is short may be stored as it is
	_ = z.Close()
	return fmt.Sprintf("5 0 obj\n<< /Type %s /N 1 /First 4 /Filter /FlateDecode /Length %d >>\nstream\n%s\nendstream\nendobj", typ, b.Len(), b.String())
}

func chunk(name, data string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(b, name+data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE([]byte(name+data)))
}

// header is a PNG that says it has that many pixels.
func header(width, height uint32, depth byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(nil, width)
	ihdr = binary.BigEndian.AppendUint32(ihdr, height)
	b := append([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", string(append(ihdr, depth, 2, 0, 0, 0)))...)
	var idat bytes.Buffer
	z := zlib.NewWriter(&idat)
	_, _ = z.Write(make([]byte, 1<<20))
	_ = z.Close()
	return append(append(b, chunk("IDAT", idat.String())...), chunk("IEND", "")...)
}

// exif puts a segment behind the beginning of a JPEG.
func exif(b []byte, segment string) []byte {
	head := append([]byte("\xff\xd8\xff\xe1"), byte((len(segment)+2)>>8), byte(len(segment)+2))
	return append(append(head, segment...), b[2:]...)
}

func TestRefused(t *testing.T) {
	good, photo := picture(t, attachment.PNG), picture(t, attachment.JPEG)
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	empty := "\x78\x9c\x03\x00\x00\x00\x00\x01" // packed
	for name, x := range map[string]struct {
		body []byte
		want error
	}{
		"nothing":                    {nil, attachment.ErrEmpty},
		"text":                       {[]byte("hello"), attachment.ErrKind},
		"a page":                     {[]byte("<!doctype html><script>alert(1)</script>"), attachment.ErrKind},
		"SVG":                        {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), attachment.ErrKind},
		"GIF":                        {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), attachment.ErrKind},
		"ZIP":                        {[]byte("PK\x03\x04"), attachment.ErrKind},
		"a page before a PDF":        {append([]byte("<html>"), pdf()...), attachment.ErrKind},
		"a byte too many":            {append(pdf(), bytes.Repeat([]byte("\n"), attachment.MaxSize+1-len(pdf()))...), attachment.ErrLarge},
		"PNG magic alone":            {good[:8], attachment.ErrBroken},
		"PNG cut off":                {good[:len(good)-20], attachment.ErrBroken},
		"PNG without its end":        {good[:len(good)-12], attachment.ErrBroken},
		"PNG with a changed byte":    {damaged, attachment.ErrBroken},
		"PNG with a huge chunk":      {append(bytes.Clone(good[:33]), "\xff\xff\xff\xffIDAT"+strings.Repeat("x", 20)...), attachment.ErrBroken},
		"PNG bomb":                   {header(60000, 60000, 8), attachment.ErrPixels},
		"PNG bomb of one line":       {header(0x7fffffff, 1, 8), attachment.ErrPixels},
		"PNG deep":                   {header(5000, 4000, 16), attachment.ErrPixels},
		"PNG with less than it says": {header(4000, 4000, 8), attachment.ErrBroken},
		"PNG of no width":            {header(0, 5, 8), attachment.ErrBroken},
		"JPEG magic alone":           {photo[:3], attachment.ErrBroken},
		"JPEG cut off":               {photo[:len(photo)-2], attachment.ErrBroken},
		"JPEG cut in its head":       {photo[:200], attachment.ErrBroken},
		"JPEG with no picture":       {[]byte("\xff\xd8\xff\xd9"), attachment.ErrBroken},
		"JPEG with a long segment":   {exif(photo, "x")[:7], attachment.ErrBroken},
		"PDF of no version":          {bytes.Replace(pdf(), []byte("1.7"), []byte("9.9"), 1), attachment.ErrBroken},
		"PDF cut off":                {pdf()[:len(pdf())-8], attachment.ErrBroken},
		"PDF with a ZIP behind":      {append(pdf(), "PK\x03\x04"...), attachment.ErrBroken},
		"PDF that points nowhere":    {[]byte("%PDF-1.4\nstartxref\n9999\n%%EOF"), attachment.ErrBroken},
		"PDF that points amiss":      {[]byte("%PDF-1.4\nstartxref\n2\n%%EOF"), attachment.ErrBroken},
		"PDF encrypted":              {pdf("trailer << /Encrypt 3 0 R >>"), attachment.ErrEncrypted},
		"PDF with a script":          {pdf("3 0 obj << /S /JavaScript /JS (app.alert(1)) >> endobj"), attachment.ErrActive},
		"PDF with a hidden script":   {pdf("3 0 obj << /S /Java#53cript >> endobj"), attachment.ErrActive},
		"PDF that launches":          {pdf("3 0 obj << /S/Launch/F(cmd.exe) >> endobj"), attachment.ErrActive},
		"PDF with files":             {pdf("3 0 obj << /EmbeddedFiles 4 0 R >> endobj"), attachment.ErrActive},
		"PDF with a form of XML":     {pdf("3 0 obj << /XFA 4 0 R >> endobj"), attachment.ErrActive},
		"PDF with a packed script":   {pdf(packed("3 0 << /S /JavaScript >>", "/ObjStm")), attachment.ErrActive},
		"PDF with packed escapes":    {pdf(packed("3 0 << /S /JavaScr#69pt >>", "/ObjStm")), attachment.ErrActive},
		"PDF with an escaped pack":   {pdf(packed("3 0 << /S /JavaScript >>", "/Obj#53tm")), attachment.ErrActive},
		"PDF packed otherwise":       {pdf("5 0 obj << /Type /ObjStm /Filter /LZWDecode >>\nstream\nabc\nendstream endobj"), attachment.ErrBroken},
		"PDF with a pack of no data": {pdf("5 0 obj << /Type /ObjStm >> endobj"), attachment.ErrBroken},
		"PDF with a false pack":      {pdf(strings.Replace(packed("3 0 << /S /JavaScript >>", "/ObjStm"), "/N 1", "/X (>>\nstream\n"+empty+") /N 1", 1)), attachment.ErrBroken},
		"PDF bomb":                   {pdf(packed(strings.Repeat(" ", 17<<20), "/ObjStm")), attachment.ErrBroken},
	} {
		if _, kept, err := attachment.Check(x.body); !errors.Is(err, x.want) {
			t.Errorf("%s: %v, %d bytes, want %v", name, err, len(kept), x.want)
		}
	}
}

func TestTaken(t *testing.T) {
	full := append(bytes.Clone(pdf()), bytes.Repeat([]byte("\n"), 900)...)
	for name, x := range map[string]struct {
		body []byte
		kind attachment.Kind
	}{
		"PDF":              {pdf(), attachment.PDF},
		"PDF packed":       {pdf(packed("3 0 << /Type /Page >>", "/ObjStm")), attachment.PDF},
		"PDF with lines":   {full, attachment.PDF},
		"PDF with streams": {pdf(packed("#53#4A /Launchpad /JavaScripts", "/XObject")), attachment.PDF},
		"PNG":              {picture(t, attachment.PNG), attachment.PNG},
		"JPEG":             {picture(t, attachment.JPEG), attachment.JPEG},
	} {
		kind, kept, err := attachment.Check(x.body)
		if err != nil || kind != x.kind || !bytes.Equal(kept, x.body) {
			t.Errorf("%s: %v %v, %d bytes of %d", name, kind, err, len(kept), len(x.body))
		}
	}
}

// TestNotSeen: what is not seen in a picture is not kept, and the side that is up is.
func TestNotSeen(t *testing.T) {
	plain := picture(t, attachment.JPEG)
	rotated := "Exif\x00\x00II\x2a\x00\x08\x00\x00\x00\x02\x00" + "\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00" + "\x25\x88\x04\x00\x01\x00\x00\x00\x26\x00\x00\x00" + "\x00\x00\x00\x00GPS 30.59N"
	full := append(exif(exif(plain, rotated), "http://ns.adobe.com/xap/1.0/\x00GPS 30.59N"), "PK\x03\x04 GPS behind the end"...)
	_, kept, err := attachment.Check(full)
	if err != nil || bytes.Contains(kept, []byte("GPS")) || bytes.Contains(kept, []byte("adobe")) || bytes.Contains(kept, []byte("PK")) {
		t.Fatalf("%v: kept %q", err, kept[:60])
	}
	want := exif(plain, "Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00")
	if !bytes.Equal(kept, want) {
		t.Errorf("kept %q, want %q", kept[:60], want[:60])
	}
	if _, again, err := attachment.Check(kept); err != nil || !bytes.Equal(again, kept) {
		t.Errorf("checked again: %v, %d bytes of %d", err, len(again), len(kept))
	}
	good := picture(t, attachment.PNG)
	full = append(bytes.Clone(good[:33]), chunk("tEXt", "Comment\x00GPS")...)
	full = append(append(append(full, chunk("eXIf", "MM GPS")...), good[33:]...), "<script>GPS"...)
	if _, kept, err = attachment.Check(full); err != nil || !bytes.Equal(kept, good) {
		t.Errorf("%v: kept %d bytes of %d", err, len(kept), len(good))
	}
}

// FuzzCheck: no file makes it fall, and what is kept passes again and stays the same.
func FuzzCheck(f *testing.F) {
	f.Add(pdf(packed("3 0 << >>", "/ObjStm")))
	f.Add(picture(f, attachment.PNG))
	f.Add(exif(picture(f, attachment.JPEG), "Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01"))
	f.Add(header(3, 3, 16))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, kept, err := attachment.Check(b)
		if err != nil {
			return
		}
		again, same, err := attachment.Check(kept)
		if err != nil || again != kind || !bytes.Equal(same, kept) {
			t.Errorf("%s: checked again it is %s, %d bytes of %d: %v", kind, again, len(same), len(kept), err)
		}
	})
}
