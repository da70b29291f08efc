package attachment

import (
	"bytes"
	"errors"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
)

// MaxSize is how many bytes a file may have, and MaxMemory how many a picture may take
// when it is decoded: 25 million pixels of four bytes, or fewer of a picture with 16 bits
// to a colour or a progressive JPEG, whose pixels take more.
const (
	MaxSize   = 5 << 20
	MaxMemory = 100e6
)

// Kind is what a file is by its content.
type Kind string

// The kinds that are taken.
const (
	PDF  Kind = "pdf"
	JPEG Kind = "jpeg"
	PNG  Kind = "png"
)

// MIME returns the media type.
func (k Kind) MIME() string {
	if k == PDF {
		return "application/pdf"
	}
	return "image/" + string(k)
}

// Ext returns how the name of such a file ends.
func (k Kind) Ext() string {
	if k == JPEG {
		return ".jpg"
	}
	return "." + string(k)
}

// Why a file is refused.
var (
	ErrEmpty     = errors.New("empty file")
	ErrLarge     = errors.New("file over 5 MiB")
	ErrKind      = errors.New("neither PDF nor JPEG nor PNG")
	ErrBroken    = errors.New("broken or cut off")
	ErrPixels    = errors.New("too many pixels")
	ErrEncrypted = errors.New("encrypted PDF")
	ErrActive    = errors.New("PDF that acts or carries files")
)

// Check returns what a file is and what is to be kept of it: a PDF as it is, a picture
// without what is not seen. Its name and what the client says of it count for nothing. It
// fails with one of the errors above.
func Check(b []byte) (Kind, []byte, error) {
	switch {
	case len(b) == 0:
		return "", nil, ErrEmpty
	case len(b) > MaxSize:
		return "", nil, ErrLarge
	case bytes.HasPrefix(b, []byte("%PDF-")):
		return PDF, b, checkPDF(b)
	case bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		kept, err := checkJPEG(b)
		return JPEG, kept, err
	case bytes.HasPrefix(b, []byte(pngMagic)):
		kept, err := checkPNG(b)
		return PNG, kept, err
	}
	return "", nil, ErrKind
}

// checkJPEG decodes what is kept and not what came, so that the two cannot differ.
func checkJPEG(b []byte) ([]byte, error) {
	kept, err := stripJPEG(b)
	if err != nil {
		return nil, err
	}
	c, err := jpeg.DecodeConfig(bytes.NewReader(kept))
	if err != nil {
		return nil, ErrBroken
	}
	each, err := weighJPEG(kept)
	if err != nil {
		return nil, err
	}
	if err := affordable(c.Width, c.Height, each); err != nil {
		return nil, err
	}
	_, err = jpeg.Decode(bytes.NewReader(kept))
	return kept, broken(err)
}

func checkPNG(b []byte) ([]byte, error) {
	kept, err := stripPNG(b)
	if err != nil {
		return nil, err
	}
	c, err := png.DecodeConfig(bytes.NewReader(kept))
	if err != nil {
		return nil, ErrBroken
	}
	each := 4
	switch c.ColorModel { // and not the depth at its usual place: a chunk may stand before
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		each = 8
	}
	if err := affordable(c.Width, c.Height, each); err != nil {
		return nil, err
	}
	r := bytes.NewReader(kept)
	if _, err := png.Decode(r); err != nil {
		return nil, ErrBroken
	}
	if n, err := io.Copy(io.Discard, r); n > 0 || err != nil {
		return nil, ErrBroken
	}
	return kept, nil
}

func affordable(width, height, each int) error {
	if width <= 0 || height <= 0 {
		return ErrBroken
	}
	if int64(width) > MaxMemory/int64(height)/int64(each) {
		return ErrPixels
	}
	return nil
}

func broken(err error) error {
	if err != nil {
		return ErrBroken
	}
	return nil
}
