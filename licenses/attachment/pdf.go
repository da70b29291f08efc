package attachment

import (
	"bytes"
	"compress/zlib"
	"io"
	"regexp"
	"strconv"
)

var (
	pdfHead = regexp.MustCompile(`\A%PDF-(1\.[0-7]|2\.0)[\r\n \t]`)
	// pdfTail is how a file ends, ISO 32000-2 section 7.5.5.
	pdfTail = regexp.MustCompile(`startxref[\r\n \t]+([0-9]{1,10})[\r\n \t]+%%EOF[\r\n \t]*\z`)
	// pdfXref is what stands where it points to: a table, or a stream of its own.
	pdfXref = regexp.MustCompile(`\A[\r\n \t]*(xref[\r\n \t]|[0-9]{1,10}[ \r\n\t]+[0-9]{1,5}[ \r\n\t]+obj)`)
	// pdfEscape is a character of a name by its number, section 7.3.5.
	pdfEscape = regexp.MustCompile(`#[0-9A-Fa-f]{2}`)
	// pdfPacked is the type of a stream of objects, pdfData the rest of its dictionary up
	// to where its data begin. With a text or a comment in between, there would be two
	// places where they could.
	pdfPacked = regexp.MustCompile(`/ObjStm\b`)
	pdfData   = regexp.MustCompile(`\A[^()%]{0,900}?>>[\x00\t\n\f\r ]*stream\r?\n`)

	pdfEncrypt = regexp.MustCompile(`/Encrypt\b`)
	// pdfActive has no short names: in five megabytes of packed data three letters after
	// a slash come up by chance. A script's action names itself in full.
	pdfActive = regexp.MustCompile(`/(JavaScript|Launch|EmbeddedFiles?|Filespec|RichMedia|XFA|SubmitForm|ImportData|GoToE|Rendition)\b`)
)

const (
	maxPacked  = 16 << 20 // bytes of all streams of objects, unpacked
	maxStreams = 10_000   // of objects
	maxDict    = 1024     // bytes between the type of such a stream and its data
	pdfEnd     = 1024     // from how far before the end its last lines are looked for
)

// checkPDF looks at the frame of a file and for names that it must not have, in its
// open objects and in the streams of objects that are packed with Flate.
func checkPDF(b []byte) error {
	tail := pdfTail.FindSubmatch(b[max(0, len(b)-pdfEnd):])
	if !pdfHead.Match(b) || tail == nil {
		return ErrBroken
	}
	at, err := strconv.Atoi(string(tail[1]))
	if err != nil || at >= len(b) || !pdfXref.Match(b[at:min(len(b), at+64)]) {
		return ErrBroken
	}
	names := plainNames(b)
	if err := checkNames(names); err != nil {
		return err
	}
	packed := pdfPacked.FindAllIndex(b, -1)
	if len(packed) != len(pdfPacked.FindAllIndex(names, -1)) { // nobody writes this name with escapes who does not hide it
		return ErrActive
	}
	if len(packed) > maxStreams {
		return ErrBroken
	}
	left := int64(maxPacked)
	for _, x := range packed {
		begin := pdfData.FindIndex(b[x[1]:min(len(b), x[1]+maxDict)])
		if begin == nil {
			return ErrBroken
		}
		objects, err := unpack(b[x[1]+begin[1]:], left)
		if err != nil {
			return err
		}
		left -= int64(len(objects))
		if err := checkNames(plainNames(objects)); err != nil {
			return err
		}
	}
	return nil
}

func checkNames(b []byte) error {
	switch {
	case pdfEncrypt.Match(b):
		return ErrEncrypted
	case pdfActive.Match(b):
		return ErrActive
	}
	return nil
}

// unpack inflates a stream of at most most bytes. What cannot be looked into is refused.
func unpack(b []byte, most int64) ([]byte, error) {
	r, err := zlib.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, ErrBroken
	}
	out, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil || int64(len(out)) > most {
		return nil, ErrBroken
	}
	return out, nil
}

// plainNames writes what is escaped in names as it is meant.
func plainNames(b []byte) []byte {
	return pdfEscape.ReplaceAllFunc(b, func(x []byte) []byte {
		n, _ := strconv.ParseUint(string(x[1:]), 16, 8)
		return []byte{byte(n)}
	})
}
