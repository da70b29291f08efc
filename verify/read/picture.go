package read

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"slices"

	"github.com/makiuchi-d/gozxing"
)

// pictureTexts decodes a picture whose bounds hold and looks for permits in it.
func pictureTexts(b []byte) ([]string, error) {
	gray, err := decodePicture(b)
	if err != nil {
		return nil, err
	}
	var texts []string
	for _, view := range views(gray) {
		for _, text := range search(view) {
			if isPermit(text) && !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	if len(texts) == 0 {
		return nil, ErrNoCode
	}
	return texts, nil
}

func decodePicture(b []byte) (*image.Gray, error) {
	decodeConfig, decode := png.DecodeConfig, png.Decode
	if b[0] == 0xFF {
		decodeConfig, decode = jpeg.DecodeConfig, jpeg.Decode
		if bytes.Count(b, []byte{0xFF, 0xDA}) > maxScans { // start of scan
			return nil, fmt.Errorf("%w: over %d scans", ErrTooLarge, maxScans)
		}
	}
	c, err := decodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, ErrUnreadable
	}
	if c.Width > maxSide || c.Height > maxSide || c.Width*c.Height > MaxPixels {
		return nil, fmt.Errorf("%w: over %d pixels, or a side over %d", ErrTooLarge, MaxPixels, maxSide)
	}
	m, err := decode(bytes.NewReader(b))
	if err != nil {
		return nil, ErrUnreadable
	}
	return flatten(m), nil
}

// flatten returns the picture in gray, on white paper where it is transparent.
func flatten(m image.Image) *image.Gray {
	gray := image.NewGray(image.Rect(0, 0, m.Bounds().Dx(), m.Bounds().Dy()))
	draw.Draw(gray, gray.Bounds(), image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(gray, gray.Bounds(), m, m.Bounds().Min, draw.Over)
	return gray
}

// views returns the black and white pictures that the search goes through: the
// picture by local and by global threshold, at half the size, where a photograph
// has less noise, and at twice the size where it is small.
func views(gray *image.Gray) []gozxing.Binarizer {
	source := gozxing.NewLuminanceSourceFromImage(gray)
	views := []gozxing.Binarizer{
		gozxing.NewHybridBinarizer(source), gozxing.NewGlobalHistgramBinarizer(source),
	}
	w, h := gray.Rect.Dx(), gray.Rect.Dy()
	if w*h <= 1_000_000 {
		views = append(views, gozxing.NewHybridBinarizer(gozxing.NewLuminanceSourceFromImage(double(gray))))
	}
	if min(w, h) >= 400 {
		views = append(views, gozxing.NewHybridBinarizer(gozxing.NewLuminanceSourceFromImage(halve(gray))))
	}
	return views
}

// halve makes one pixel of four.
func halve(m *image.Gray) *image.Gray {
	out := image.NewGray(image.Rect(0, 0, m.Rect.Dx()/2, m.Rect.Dy()/2))
	for y := range out.Rect.Dy() {
		upper, lower := m.Pix[2*y*m.Stride:], m.Pix[(2*y+1)*m.Stride:]
		row := out.Pix[y*out.Stride:][:out.Rect.Dx()]
		for x := range row {
			sum := int(upper[2*x]) + int(upper[2*x+1]) + int(lower[2*x]) + int(lower[2*x+1])
			row[x] = byte(sum / 4)
		}
	}
	return out
}

// double makes four pixels of one, each leaning towards its neighbours.
func double(m *image.Gray) *image.Gray {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	out := image.NewGray(image.Rect(0, 0, 2*w, 2*h))
	at := func(x, y int) int { return int(m.Pix[min(max(y, 0), h-1)*m.Stride+min(max(x, 0), w-1)]) }
	for y := range 2 * h {
		dy := 2*(y%2) - 1
		for x := range 2 * w {
			dx := 2*(x%2) - 1
			sum := 9*at(x/2, y/2) + 3*at(x/2+dx, y/2) + 3*at(x/2, y/2+dy) + at(x/2+dx, y/2+dy)
			out.Pix[y*out.Stride+x] = byte(sum / 16)
		}
	}
	return out
}
