package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

func TestSteps(t *testing.T) {
	for most, want := range map[int64][]int64{
		999: nil, 1000: {1000}, 99_999: {1000, 10_000}, 1_000_000: {1000, 10_000, 100_000, 1_000_000},
		1 << 40: {1000, 10_000, 100_000, 1_000_000, 10_000_000},
	} {
		if got := steps(most); !slices.Equal(got, want) {
			t.Errorf("up to %d: %v, want %v", most, got, want)
		}
	}
	if err := run(t.Context(), t.TempDir(), 999, "sqlite"); err == nil {
		t.Error("no point is measured, and nobody is told")
	}
}

// TestUSCC holds the check character to codes that are known.
func TestUSCC(t *testing.T) {
	for _, code := range []string{knownFirm, "91350100M000100Y43"} {
		if got := checked(code[:17]); got != code {
			t.Errorf("%q, want %q", got, code)
		}
	}
	seen := map[string]bool{}
	for i := range firms {
		seen[uscc(i)] = true
	}
	if len(seen) != firms {
		t.Errorf("%d codes for %d firms", len(seen), firms)
	}
}

// TestPlot: the picture is XML, its lines begin and end within the axes, and what is
// dearer stands higher.
func TestPlot(t *testing.T) {
	lines := []line{{"SQLite", []point{{Records: 1000, CPU: 230}, {Records: 10_000, CPU: 240}}}, {"PostgreSQL", []point{{Records: 1000, CPU: 400}, {Records: 10_000, CPU: 360}}}}
	text := plot(lines)
	for d := xml.NewDecoder(strings.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	for _, want := range []string{
		"SQLite, 240 µs", "PostgreSQL, 360 µs", ">1 k<", ">10 k<", ">0 µs<", ">400 µs<",
		`d="M80.0 190.2L610.0 182.0"`, // 380 to 50 pixels are 0 to 400 µs
		`d="M80.0 50.0L610.0 83.0"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in\n%s", want, text)
		}
	}
	for _, lines := range [][]line{nil, {{"SQLite", nil}}, {{"SQLite", []point{{Records: 1000}}}}} {
		if text := plot(lines); strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
			t.Errorf("%v: %s", lines, text)
		}
	}
}

func TestTick(t *testing.T) {
	for most, want := range map[float64]float64{1: 0.1, 9: 1, 60: 10, 232: 50, 401: 50, 999: 100, 1000: 100} {
		if got := tick(most); got != want {
			t.Errorf("up to %v: %v, want %v", most, got, want)
		}
	}
}
