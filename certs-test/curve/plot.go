package main

import (
	"fmt"
	"math"
	"strings"
)

// line is what one engine was measured at.
type line struct {
	title  string
	points []point
}

// The picture, in pixels.
const (
	width, height            = 760, 440
	left, right, top, bottom = 80, 150, 50, 60
)

// plot draws the lines: licences to the right, by powers of ten, microseconds upwards
// from zero.
func plot(lines []line) string {
	most, first, last := 1.0, math.Inf(1), math.Inf(-1)
	for _, l := range lines {
		for _, p := range l.points {
			most = max(most, p.CPU)
			first, last = min(first, math.Log10(float64(p.Records))), max(last, math.Log10(float64(p.Records)))
		}
	}
	if first >= last {
		last = first + 1
	}
	step := tick(most)
	most = math.Ceil(most/step) * step
	x := func(records int64) float64 {
		return left + (width-left-right)*(math.Log10(float64(records))-first)/(last-first)
	}
	y := func(us float64) float64 { return height - bottom - (height-top-bottom)*us/most }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="28" font-size="16">CPU time of one durable issue, in batches</text>`+"\n", left)
	for us := 0.0; us <= most+step/2; us += step {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.0f µs</text>`+"\n", left, y(us), width-right, left-8, y(us)+4, us)
	}
	seen := map[int64]bool{}
	for i, l := range lines {
		b.WriteString(curve(l, []string{"#b3261e", "#1a56b0"}[i%2], x, y))
		for _, p := range l.points {
			if !seen[p.Records] {
				seen[p.Records] = true
				fmt.Fprintf(&b, `<path d="M%.1f %dv5" stroke="#333"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(p.Records), height-bottom, x(p.Records), height-bottom+20, short(p.Records))
			}
		}
	}
	fmt.Fprintf(&b, `<path d="M%d %dV%dH%d" fill="none" stroke="#333"/>`+"\n", left, top, height-bottom, width-right)
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">licences in the register</text>`+"\n</svg>\n", (left+width-right)/2, height-14)
	return b.String()
}

// curve draws one line with its marks and its name at the end.
func curve(l line, colour string, x func(int64) float64, y func(float64) float64) string {
	var b, path strings.Builder
	for i, p := range l.points {
		fmt.Fprintf(&path, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[i == 0], x(p.Records), y(p.CPU))
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s: %.1f µs</title></circle>`+"\n", x(p.Records), y(p.CPU), colour, short(p.Records), p.CPU)
	}
	if n := len(l.points); n > 0 {
		end := l.points[n-1]
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" fill="%s">%s, %.0f µs</text>`+"\n", x(end.Records)+10, y(end.CPU)+4, colour, l.title, end.CPU)
	}
	return fmt.Sprintf(`<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", path.String(), colour) + b.String()
}

// tick returns a round distance that gives four to ten marks up to most.
func tick(most float64) float64 {
	scale := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range []float64{0.1, 0.2, 0.5} {
		if most/(scale*f) <= 10 {
			return scale * f
		}
	}
	return scale
}

// short writes a power of ten as people say it.
func short(n int64) string {
	switch {
	case n >= 1_000_000:
		return fmt.Sprint(n/1_000_000, " M")
	case n >= 1000:
		return fmt.Sprint(n/1000, " k")
	}
	return fmt.Sprint(n)
}
