package scanner_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"rsc.io/qr"
)

// code draws a QR code with modules of that many pixels.
func code(t testing.TB, text string, module int) *image.Gray {
	t.Helper()
	c, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	const quiet = 4
	side := (c.Size + 2*quiet) * module
	g := paper(side, side)
	for y := range side {
		for x := range side {
			if c.Black(x/module-quiet, y/module-quiet) {
				g.SetGray(x, y, color.Gray{})
			}
		}
	}
	return g
}

// paper returns a light page.
func paper(w, h int) *image.Gray {
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 250
	}
	return g
}

// frame puts a picture of that many pixels, turned by degrees, into the middle of a
// camera's frame.
func frame(m *image.Gray, side int, degrees float64) *image.Gray {
	out := paper(960, 720)
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	scale := float64(m.Rect.Dx()) / float64(side)
	half := float64(m.Rect.Dx()) / 2
	for y := range 720 {
		for x := range 960 {
			dx, dy := (float64(x)-480)*scale, (float64(y)-360)*scale
			sx, sy := dx*cos+dy*sin+half, -dx*sin+dy*cos+half
			if sx >= 0 && sy >= 0 && sx < 2*half && sy < 2*half {
				out.SetGray(x, y, m.GrayAt(int(sx), int(sy)))
			}
		}
	}
	return out
}

// blur takes the mean of the pixels around each.
func blur(m *image.Gray, radius int) *image.Gray {
	out := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			sum, n := 0, 0
			for dy := -radius; dy <= radius; dy++ {
				for dx := -radius; dx <= radius; dx++ {
					if p := image.Pt(x+dx, y+dy); p.In(m.Rect) {
						sum, n = sum+int(m.GrayAt(p.X, p.Y).Y), n+1
					}
				}
			}
			out.SetGray(x, y, color.Gray{Y: byte(sum / n)})
		}
	}
	return out
}

// noise adds grain and a light that falls off to one side.
func noise(m *image.Gray, grain float64) *image.Gray {
	r := rand.New(rand.NewPCG(1, 2))
	out := image.NewGray(m.Rect)
	for y := range m.Rect.Dy() {
		for x := range m.Rect.Dx() {
			light := 0.4 + 0.6*float64(x)/float64(m.Rect.Dx())
			v := 15 + float64(m.GrayAt(x, y).Y)*light*0.9 + r.NormFloat64()*grain
			out.SetGray(x, y, color.Gray{Y: byte(min(max(v, 0), 255))})
		}
	}
	return out
}

// place draws pictures beside each other.
func place(pictures ...*image.Gray) *image.Gray {
	w, h := 0, 0
	for _, m := range pictures {
		w, h = w+m.Rect.Dx(), max(h, m.Rect.Dy())
	}
	out := paper(w, h)
	x := 0
	for _, m := range pictures {
		draw.Draw(out, m.Rect.Add(image.Pt(x, 0)), m, image.Point{}, draw.Src)
		x += m.Rect.Dx()
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

// keep writes a file for the browser to choose.
func keep(t testing.TB, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// clip writes what the camera sees, and returns the flags that make it see that.
func clip(t testing.TB, frames ...*image.Gray) []string {
	t.Helper()
	var b bytes.Buffer
	for range 6 { // the browser begins again at the end
		for _, f := range frames {
			b.Write(jpegOf(t, f, 85))
		}
	}
	return []string{"--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--use-file-for-fake-video-capture=" + keep(t, "camera.mjpeg", b.Bytes())}
}
