package registry

import (
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// usccAlphabet is that of GB 32100-2015: no I, O, S, V, Z. A character's value is
// its place.
const usccAlphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"

// usccDepartments are the registering departments, the first character of a code.
const usccDepartments = "123456789ANY"

// usccWeights are 3^i mod 31 for the first 17 characters.
var usccWeights = [17]int{1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28}

// CheckUSCC checks a unified social credit code by GB 32100-2015: 18 characters
// of its alphabet, a known registering department, six digits of area and the
// check character (MOD 31). The error is a fault of kind Invalid that does not
// repeat the code.
func CheckUSCC(uscc string) error {
	if len(uscc) != 18 {
		return fault.New(fault.Invalid, "a unified social credit code has 18 characters")
	}
	if strings.IndexByte(usccDepartments, uscc[0]) < 0 || !digits(uscc[2:8]) {
		return fault.New(fault.Invalid, "the unified social credit code is not of the form of GB 32100-2015")
	}
	sum := 0
	for i, weight := range usccWeights {
		value := strings.IndexByte(usccAlphabet, uscc[i])
		if value < 0 {
			return fault.New(fault.Invalid, "the unified social credit code has a character that GB 32100-2015 does not allow")
		}
		sum += value * weight
	}
	if usccAlphabet[(31-sum%31)%31] != uscc[17] {
		return fault.New(fault.Invalid, "the unified social credit code has a wrong check character")
	}
	return nil
}

// residentWeights are 2^(17-i) mod 11 for the first 17 digits, and
// residentChecks[sum mod 11] is the check character (ISO 7064 MOD 11-2).
var residentWeights = [17]int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2}

const residentChecks = "10X98765432"

// CheckResident checks a resident number by GB 11643-1999: 17 digits and a check
// character, a province of GB/T 2260 and a birth date that is in the calendar,
// from 1900 on. It has no clock, so a date to come passes here and is refused on
// entry. The error is a fault of kind Invalid that does not repeat the number.
func CheckResident(number string) error {
	if len(number) != 18 || !digits(number[:17]) {
		return fault.New(fault.Invalid, "a resident number has 17 digits and a check character")
	}
	if !province(number[:2]) {
		return fault.New(fault.Invalid, "the resident number begins with no known area")
	}
	if _, ok := birth(number); !ok {
		return fault.New(fault.Invalid, "the resident number holds no possible birth date")
	}
	sum := 0
	for i, weight := range residentWeights {
		sum += int(number[i]-'0') * weight
	}
	if residentChecks[sum%11] != number[17] {
		return fault.New(fault.Invalid, "the resident number has a wrong check character")
	}
	return nil
}

// birth returns the first moment of the birth date in a resident number.
func birth(number string) (time.Time, bool) {
	t, err := time.ParseInLocation("20060102", number[6:14], shanghai)
	return t, err == nil && t.Year() >= 1900
}

// shanghai is China's one zone, without daylight saving since 1991.
var shanghai = time.FixedZone("CST", 8*60*60)

// CheckArea checks an area code of GB/T 2260: six digits with a known province.
// The error is a fault of kind Invalid.
func CheckArea(area string) error {
	if len(area) != 6 || !digits(area) || !province(area[:2]) {
		return fault.New(fault.Invalid, "an area is six digits of GB/T 2260")
	}
	return nil
}

// province reports whether GB/T 2260 assigns the two digits. 83 stands in the
// residence permits of people from Taiwan. 99 is not assigned and serves invented
// cities, whose people must not bear the numbers of real ones.
func province(code string) bool {
	const known = " 11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46" +
		" 50 51 52 53 54 61 62 63 64 65 71 81 82 83 99 "
	return strings.Contains(known, " "+code+" ")
}

// Covers reports whether area lies within the area outer: a code that ends in
// 0000 stands for its province, one that ends in 00 for its city.
func Covers(outer, area string) bool {
	if len(outer) != 6 || len(area) != 6 {
		return false
	}
	switch {
	case outer[2:] == "0000":
		return outer[:2] == area[:2]
	case outer[4:] == "00":
		return outer[:4] == area[:4]
	default:
		return outer == area
	}
}

// Mask returns number as it stands on a permit: the first three and the last four
// characters, enough to compare with a card and too little to tell the rest. A
// number of fewer than 12 characters keeps only its last two.
func Mask(number string) string {
	keep, last := 3, 4
	if len(number) < 12 {
		keep, last = 0, min(2, len(number)/3)
	}
	return number[:keep] + strings.Repeat("*", len(number)-keep-last) + number[len(number)-last:]
}

func digits(s string) bool {
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
}
