package attachment

import (
	"bytes"
	"encoding/binary"
	"slices"
)

const pngMagic = "\x89PNG\r\n\x1a\n"

// keptChunks are those of a PNG that say how it looks. Text, times, EXIF, colour
// profiles (compressed, and of any size) and what is unknown are left out.
var keptChunks = []string{"IHDR", "PLTE", "IDAT", "IEND", "tRNS", "gAMA", "cHRM", "sRGB", "sBIT", "pHYs"}

// stripPNG returns the picture up to its end without other chunks.
func stripPNG(b []byte) (kept []byte, err error) {
	kept = append(kept, pngMagic...)
	for rest := b[len(pngMagic):]; len(rest) >= 12; {
		n := binary.BigEndian.Uint32(rest)
		if int64(n) > int64(len(rest)-12) {
			return nil, ErrBroken
		}
		chunk, name := rest[:12+n], string(rest[4:8])
		if slices.Contains(keptChunks, name) {
			kept = append(kept, chunk...)
		}
		if name == "IEND" {
			return kept, nil
		}
		rest = rest[12+n:]
	}
	return nil, ErrBroken
}

// The markers of a JPEG, ITU-T T.81 table B.1.
const (
	markSOF2 = 0xc2 // of a progressive picture
	markSOI  = 0xd8
	markEOI  = 0xd9
	markSOS  = 0xda
	markAPP0 = 0xe0
	markAPP1 = 0xe1
	markCOM  = 0xfe
	// markAdobe says how colours are coded: without it they come out wrong.
	markAdobe = 0xee
)

// stripJPEG returns the picture up to its first end, without comments and application
// segments, but for the one of Adobe, and EXIF cut down to which side is up.
func stripJPEG(b []byte) ([]byte, error) {
	kept := []byte{0xff, markSOI}
	for i := 2; i+2 <= len(b); {
		if b[i] != 0xff {
			return nil, ErrBroken
		}
		mark := b[i+1]
		switch {
		case mark == 0xff: // fill bytes
			i++
			continue
		case mark == markEOI:
			return append(kept, 0xff, markEOI), nil
		case mark < 0xc0 || mark >= 0xd0 && mark <= markSOI:
			return nil, ErrBroken
		}
		if i+4 > len(b) {
			return nil, ErrBroken
		}
		end := i + 2 + int(binary.BigEndian.Uint16(b[i+2:]))
		if end < i+4 || end > len(b) {
			return nil, ErrBroken
		}
		switch {
		case mark == markAPP1:
			kept = append(kept, upright(b[i+4:end])...)
		case mark == markCOM || mark >= markAPP0 && mark <= 0xef && mark != markAdobe:
		default:
			kept = append(kept, b[i:end]...)
		}
		i = end
		if mark == markSOS {
			i = scanEnd(b, i)
			kept = append(kept, b[end:i]...)
		}
	}
	return nil, ErrBroken
}

// scanEnd returns where the entropy-coded data that begin at i end: at a marker that is
// neither a stuffed byte nor a restart.
func scanEnd(b []byte, i int) int {
	for ; i+1 < len(b); i++ {
		if b[i] == 0xff && b[i+1] != 0 && (b[i+1] < 0xd0 || b[i+1] > 0xd7) {
			return i
		}
	}
	return len(b)
}

// upright returns an EXIF segment that says nothing but the orientation of the one
// given, nil if that is the usual one or there is none.
func upright(exif []byte) []byte {
	tiff, ok := bytes.CutPrefix(exif, []byte("Exif\x00\x00"))
	if !ok || len(tiff) < 8 {
		return nil
	}
	var order binary.ByteOrder = binary.BigEndian
	if string(tiff[:2]) == "II" {
		order = binary.LittleEndian
	}
	at := int64(order.Uint32(tiff[4:]))
	if at+2 > int64(len(tiff)) {
		return nil
	}
	entries := tiff[at+2:]
	for range order.Uint16(tiff[at:]) {
		if len(entries) < 12 {
			return nil
		}
		if v := order.Uint16(entries[8:]); order.Uint16(entries) == 0x0112 && v > 1 && v <= 8 {
			return append([]byte("\xff\xe1\x00\x22Exif\x00\x00MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01"),
				0, byte(v), 0, 0, 0, 0, 0, 0)
		}
		entries = entries[12:]
	}
	return nil
}
