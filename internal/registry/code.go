package registry

import (
	"strings"

	"github.com/signet-city/signet/internal/fault"
)

// Category is what kind of body a code of the department of market regulation is
// for, GB 32100-2015 table 1.
type Category byte

// The categories of the department 9.
const (
	Enterprise  Category = '1'
	SoleTrader  Category = '2' // 个体工商户
	Cooperative Category = '3' // 农民专业合作社
)

// marketRegulation is the department that registers firms.
const marketRegulation = '9'

// Bodies of new firms begin with MA, as everywhere since 2015; six characters follow.
const (
	bodyPrefix = "MA"
	bodyDigits = 6
	bodies     = 31 * 31 * 31 * 31 * 31 * 31
)

// A number's body is bodyFactor times it and bodyShift, modulo bodies. The factor has
// no divisor in common with 31, so that no two numbers share a body; neighbours stand
// far apart, so that a code does not tell how many firms there are, and seldom meets
// one that was given elsewhere.
const (
	bodyFactor = 314159269
	bodyShift  = 271828182
)

// MakeUSCC returns the unified social credit code number n, from 0, of a firm that is
// registered in an area: GB 32100-2015, with the body and its check character by
// GB 11714-1997. The same arguments give the same code, and other numbers other bodies.
// It fails with kind Invalid for an impossible area or category, and Unavailable when
// the numbers are used up.
func MakeUSCC(category Category, area string, n int64) (string, error) {
	if category != Enterprise && category != SoleTrader && category != Cooperative {
		return "", fault.New(fault.Invalid, "firms are enterprises, sole traders or cooperatives")
	}
	if err := CheckArea(area); err != nil {
		return "", err
	}
	if n < 0 || n >= bodies {
		return "", fault.New(fault.Unavailable, "there are no codes left for new firms")
	}
	v := (n*bodyFactor + bodyShift) % bodies
	var digits [bodyDigits]byte
	for i := bodyDigits - 1; i >= 0; i-- {
		digits[i] = usccAlphabet[v%31]
		v /= 31
	}
	body := bodyPrefix + string(digits[:])
	code := string([]byte{marketRegulation, byte(category)}) + area + body + string(bodyCheck(body))
	sum := 0
	for i, weight := range usccWeights {
		sum += strings.IndexByte(usccAlphabet, code[i]) * weight
	}
	return code + string(usccAlphabet[(31-sum%31)%31]), nil
}

// bodyWeights are those of GB 11714-1997 for the eight characters of a body.
var bodyWeights = [8]int{3, 7, 9, 10, 5, 8, 4, 2}

// bodyCheck returns the check character of a body, MOD 11: letters count from 10 on,
// and all 26 are counted, though codes use 21 of them.
func bodyCheck(body string) byte {
	const values = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	sum := 0
	for i, weight := range bodyWeights {
		sum += strings.IndexByte(values, body[i]) * weight
	}
	return "0X987654321"[sum%11]
}
