// Package read finds the texts of permits in what a verifier is handed: a picture
// with QR codes (PNG or JPEG) or a plain text. What the texts are worth is decided
// in package verify.
//
// A file comes from anybody. Its bytes, a picture's pixels and scans, and the
// patterns that the search follows up are each bounded before the work that they
// cause; what passes a bound is ErrTooLarge, and nothing is half read.
package read

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/signet-city/signet/licenses/permit"
)

// Bounds of what is read.
const (
	// MaxBytes is the longest file.
	MaxBytes = 20 << 20
	// MaxText is the longest text, in bytes.
	MaxText = 64 << 10
	// MaxPixels is the largest picture.
	MaxPixels = 25_000_000

	maxSide  = 16384
	maxScans = 64 // of a progressive JPEG: each costs a pass over all its pixels
)

// What can be wrong with a file. Every error of this package but those of a
// reader wraps one of them.
var (
	// ErrUnreadable says that the file is neither a picture nor a text.
	ErrUnreadable = errors.New("not a readable picture or text")
	// ErrNoCode says that the file was read and holds no permit.
	ErrNoCode = errors.New("no permit code found")
	// ErrTooLarge says that the file passes a bound.
	ErrTooLarge = errors.New("file too large")
)

// From reads a file to its end and returns the texts in it; see Texts. It reads
// no more than MaxBytes and one byte.
func From(r io.Reader) ([]string, error) {
	b, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read permit file: %w", err)
	}
	return Texts(b)
}

// Texts returns the permits in a file, at least one. A text is one permit, with
// or without white space around it, and is returned whatever it is. A picture
// gives the text of every QR code in it that starts as a permit does, each once.
func Texts(b []byte) ([]string, error) {
	texts, err := texts(b)
	if err != nil {
		return nil, fmt.Errorf("read permit file: %w", err)
	}
	return texts, nil
}

func texts(b []byte) ([]string, error) {
	if len(b) > MaxBytes {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxBytes)
	}
	switch {
	case bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")), bytes.HasPrefix(b, []byte("\xff\xd8\xff")):
		return pictureTexts(b)
	}
	return plainText(b)
}

func plainText(b []byte) ([]string, error) {
	b = bytes.TrimPrefix(b, []byte("\ufeff")) // some editors begin every file with one
	if !utf8.Valid(b) || bytes.ContainsFunc(b, binary) {
		return nil, ErrUnreadable
	}
	if len(b) > MaxText {
		return nil, fmt.Errorf("%w: text over %d bytes", ErrTooLarge, MaxText)
	}
	// Base45 has a space, but no encoding ends in one (RFC 9285 section 4.2: a last
	// character of 36 would say more than the bytes hold), so trimming loses none.
	text := strings.TrimSpace(string(b))
	if text == "" {
		return nil, ErrNoCode
	}
	return []string{text}, nil
}

// binary holds for control characters that no text file has.
func binary(r rune) bool { return r < 0x20 && !strings.ContainsRune("\t\n\v\f\r", r) || r == 0x7F }

func isPermit(text string) bool { return strings.HasPrefix(text, permit.Prefix) }
