package read_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// code draws a QR code with modules of that many pixels.
func code(t testing.TB, text string, module int) *image.Gray {
	t.Helper()
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_ERROR_CORRECTION: "M"}
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 0, 0, hints)
	if err != nil {
		t.Fatal(err)
	}
	g := paper(m.GetWidth()*module, m.GetHeight()*module)
	for y := range g.Rect.Dy() {
		for x := range g.Rect.Dx() {
			if m.Get(x/module, y/module) {
				g.SetGray(x, y, color.Gray{})
			}
		}
	}
	return g
}

// paper returns a white page.
func paper(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	return g
}

// place draws pictures on a page, each at its point.
func place(w, h int, at []image.Point, pictures ...*image.Gray) *image.Gray {
	g := paper(w, h)
	for i, m := range pictures {
		draw.Draw(g, m.Rect.Add(at[i]), m, image.Point{}, draw.Src)
	}
	return g
}

// turn rotates a picture by degrees on a white page that holds all of it.
func turn(m *image.Gray, degrees float64) *image.Gray {
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	w, h := float64(m.Rect.Dx()), float64(m.Rect.Dy())
	out := paper(int(w*math.Abs(cos)+h*math.Abs(sin))+20, int(w*math.Abs(sin)+h*math.Abs(cos))+20)
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			dx, dy := float64(x)-float64(out.Rect.Dx())/2, float64(y)-float64(out.Rect.Dy())/2
			sx, sy := dx*cos+dy*sin+w/2, -dx*sin+dy*cos+h/2
			if sx >= 0 && sy >= 0 && sx < w && sy < h {
				out.SetGray(x, y, m.GrayAt(int(sx), int(sy)))
			}
		}
	}
	return out
}

// photograph dims one side, blurs, and adds noise.
func photograph(m *image.Gray) *image.Gray {
	r := rand.New(rand.NewPCG(1, 2))
	out := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			sum, n := 0, 0
			for dy := -1; dy <= 1; dy++ {
				for dx := -1; dx <= 1; dx++ {
					if p := image.Pt(x+dx, y+dy); p.In(m.Rect) {
						sum, n = sum+int(m.GrayAt(p.X, p.Y).Y), n+1
					}
				}
			}
			light := 0.35 + 0.6*float64(x)/float64(m.Rect.Dx())
			v := 20 + float64(sum/n)*light*0.85 + r.NormFloat64()*6
			out.SetGray(x, y, color.Gray{Y: byte(min(max(v, 0), 255))})
		}
	}
	return out
}

func pngOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func jpegOf(t testing.TB, m image.Image, quality int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
