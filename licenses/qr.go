package licenses

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"strconv"

	"rsc.io/qr"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	qrScale = 6 // pixels of a module in the PNG
	qrQuiet = 4 // modules of quiet zone, ISO/IEC 18004
)

// PNG draws text as a QR code at error correction level M. EL1 text is in the
// alphanumeric mode's alphabet throughout.
func PNG(text string) ([]byte, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	side := (c.Size + 2*qrQuiet) * qrScale
	img := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if c.Black(x/qrScale-qrQuiet, y/qrScale-qrQuiet) {
				img.Pix[y*img.Stride+x] = 1
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	return b.Bytes(), nil
}

// SVG draws text as PNG does, one path of the black modules' runs.
func SVG(text string) ([]byte, error) {
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		return nil, fmt.Errorf("draw QR code: %w", err)
	}
	side := strconv.Itoa(c.Size + 2*qrQuiet)
	var b bytes.Buffer
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + side + ` ` + side +
		`" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h` + side + `v` + side + `H0z"/><path d="`)
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for x < c.Size && c.Black(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+qrQuiet, y+qrQuiet, x-from, x-from)
			}
		}
	}
	b.WriteString(`"/></svg>`)
	return b.Bytes(), nil
}

func (s *Service) getPNG(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	return s.getQR(w, r, c, "image/png", PNG)
}

func (s *Service) getSVG(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	return s.getQR(w, r, c, "image/svg+xml", SVG)
}

func (s *Service) getQR(w http.ResponseWriter, r *http.Request, c web.Caller, kind string, draw func(string) ([]byte, error)) error {
	l, err := s.Find(r.Context(), c.Agency, r.PathValue("id"))
	if err != nil {
		return err
	}
	if l.Permit == "" {
		return fault.New(fault.Unavailable, "the permit is being signed: try again in a moment")
	}
	b, err := draw(l.Permit)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "private, no-store")
	_, err = w.Write(b)
	return err
}
