package read

import (
	"cmp"
	"math"
	"slices"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/detector"
)

// Bounds of the search in one view. gozxing's own search for several codes goes
// through every three patterns of a picture and decodes each three that look like
// a code, which a page full of patterns turns into hours.
const (
	maxPatterns = 150
	maxAttempts = 60
	rowStep     = 2
)

// corner is three finder patterns that may belong to one code.
type corner struct {
	patterns [3]*detector.FinderPattern
	fault    float64 // how far they are from a right angle with two equal arms
}

// search returns the texts of the QR codes in one view.
func search(view gozxing.Binarizer) (texts []string) {
	// The library indexes into what a stranger's picture says; a picture that it
	// does not survive has no code.
	defer func() {
		if recover() != nil {
			texts = nil
		}
	}()
	m, err := view.GetBlackMatrix()
	if err != nil {
		return nil
	}
	used := map[*detector.FinderPattern]bool{}
	attempts := 0
	for _, c := range corners(findPatterns(m)) {
		if used[c.patterns[0]] || used[c.patterns[1]] || used[c.patterns[2]] {
			continue
		}
		if attempts++; attempts > maxAttempts {
			break
		}
		text, ok := decode(m, c)
		if !ok {
			continue
		}
		for _, p := range c.patterns {
			used[p] = true
		}
		texts = append(texts, text)
	}
	return texts
}

// findPatterns goes along the rows for runs of black and white as 1:1:3:1:1, which
// a line through a finder pattern has at every angle.
func findPatterns(m *gozxing.BitMatrix) []*detector.FinderPattern {
	f := detector.NewFinderPatternFinder(m, nil)
	for y := 0; y < m.GetHeight(); y += rowStep {
		runs := make([]int, 5) // the last five, the newest last
		black := false
		for x := range m.GetWidth() + 1 {
			now := x < m.GetWidth() && m.Get(x, y)
			if now == black {
				runs[4]++
				continue
			}
			if black && detector.FinderPatternFinder_foundPatternCross(runs) {
				f.HandlePossibleCenter(slices.Clone(runs), y, x)
				if len(f.GetPossibleCenters()) >= maxPatterns {
					return f.GetPossibleCenters()
				}
			}
			copy(runs, runs[1:])
			runs[4], black = 1, now
		}
	}
	return f.GetPossibleCenters()
}

// corners returns the threes that look like a code, the likeliest first.
func corners(patterns []*detector.FinderPattern) []corner {
	var found []corner
	for i, tip := range patterns {
		for j, a := range patterns {
			if j == i || !alike(tip, a) {
				continue
			}
			for k := j + 1; k < len(patterns); k++ {
				b := patterns[k]
				if k == i || !alike(tip, b) || !alike(a, b) {
					continue
				}
				if fault := faultOf(tip, a, b); fault < 0.5 {
					found = append(found, corner{[3]*detector.FinderPattern{tip, a, b}, fault})
				}
			}
		}
	}
	slices.SortStableFunc(found, func(a, b corner) int { return cmp.Compare(a.fault, b.fault) })
	return found
}

// alike says whether two patterns are of about one size.
func alike(a, b *detector.FinderPattern) bool {
	s, t := a.GetEstimatedModuleSize(), b.GetEstimatedModuleSize()
	return max(s, t) <= 1.5*min(s, t)
}

// faultOf returns how far the arms from tip to a and to b are from equal and at a
// right angle, or infinity when no code has such a size.
func faultOf(tip, a, b *detector.FinderPattern) float64 {
	ax, ay := a.GetX()-tip.GetX(), a.GetY()-tip.GetY()
	bx, by := b.GetX()-tip.GetX(), b.GetY()-tip.GetY()
	la, lb := math.Hypot(ax, ay), math.Hypot(bx, by)
	size := (tip.GetEstimatedModuleSize() + a.GetEstimatedModuleSize() + b.GetEstimatedModuleSize()) / 3
	// Centres of a code are 14 (version 1) to 170 (version 40) modules apart; a
	// slanting line makes a module look up to 1.42 times as long.
	if modules := (la + lb) / 2 / size; modules < 8 || modules > 190 {
		return math.Inf(1)
	}
	return math.Abs(la-lb)/max(la, lb) + math.Abs(ax*bx+ay*by)/(la*lb)
}

// decode reads the code between three patterns.
func decode(m *gozxing.BitMatrix, c corner) (string, bool) {
	bl, tl, tr := gozxing.ResultPoint_OrderBestPatterns(c.patterns[0], c.patterns[1], c.patterns[2])
	info := detector.NewFinderPatternInfo(
		bl.(*detector.FinderPattern), tl.(*detector.FinderPattern), tr.(*detector.FinderPattern))
	found, err := detector.NewDetector(m).ProcessFinderPatternInfo(info)
	if err != nil {
		return "", false
	}
	result, err := decoder.NewDecoder().Decode(found.GetBits(), nil)
	if err != nil {
		return "", false
	}
	return result.GetText(), true
}
