package licenses_test

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"strings"
	"testing"
)

// modules reads the path that SVG writes.
func modules(t *testing.T, d string) map[[2]int]bool {
	t.Helper()
	drawn := map[[2]int]bool{}
	for _, part := range strings.Split(strings.TrimSuffix(d, "z"), "z") {
		var x, y, w, back int
		if _, err := fmt.Sscanf(part, "M%d %dh%dv1h%d", &x, &y, &w, &back); err != nil || back != -w {
			t.Fatalf("path %q: %v", part, err)
		}
		for i := range w {
			drawn[[2]int{x + i, y}] = true
		}
	}
	return drawn
}

// wantModules compares the middle of every module of a PNG with what was drawn.
func wantModules(t *testing.T, body []byte, side int, drawn map[[2]int]bool) {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(body))
	must(t, err)
	scale := img.Bounds().Dx() / side
	for y := range side {
		for x := range side {
			r, _, _, _ := color.GrayModel.Convert(img.At(x*scale+scale/2, y*scale+scale/2)).RGBA()
			if (r == 0) != drawn[[2]int{x, y}] {
				t.Fatalf("module %d,%d differs", x, y)
			}
		}
	}
}
