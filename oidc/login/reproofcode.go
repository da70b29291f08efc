package login

import (
	"crypto/rand"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// A desk's code is nine random characters and a check character, from an alphabet
// without lookalikes (no 0 O 1 I L). The alphabet has a prime number of characters and
// every place a weight of its own, so that one wrong character, or two that changed
// places, are found before anything is looked up. Nine of 31 are 44 bits: enough for a
// code of a day whose tries are bounded, and for a hash that is keyed.
const (
	reproofAlphabet = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
	reproofRandom   = 9
)

// newReproofCode returns a code as it is printed, in two groups of five.
func newReproofCode() string {
	const fair = 256 - 256%len(reproofAlphabet)
	code := make([]byte, 0, reproofRandom+1)
	for b := make([]byte, 1); len(code) < reproofRandom; {
		_, _ = rand.Read(b) // never fails
		if int(b[0]) < fair {
			code = append(code, reproofAlphabet[int(b[0])%len(reproofAlphabet)])
		}
	}
	code = append(code, reproofCheck(string(code)))
	return string(code[:5]) + "-" + string(code[5:])
}

// reproofCheck returns the check character of nine of the alphabet.
func reproofCheck(code string) byte {
	sum := 0
	for i := range len(code) {
		sum += (i + 2) * strings.IndexByte(reproofAlphabet, code[i])
	}
	return reproofAlphabet[sum%len(reproofAlphabet)]
}

// foldReproofCode returns the ten characters of a code as somebody typed it, and
// reports false for what cannot be one. Capitals, full-width characters, spaces and
// hyphens make no difference.
func foldReproofCode(typed string) (code string, ok bool) {
	if len(typed) > 64 {
		return "", false
	}
	code = strings.Map(func(r rune) rune {
		if r == '-' || r == ' ' || r == '–' || r == '—' {
			return -1
		}
		return r
	}, strings.ToUpper(norm.NFKC.String(typed)))
	if len(code) != reproofRandom+1 || strings.Trim(code, reproofAlphabet) != "" {
		return "", false
	}
	return code, reproofCheck(code[:reproofRandom]) == code[reproofRandom]
}
