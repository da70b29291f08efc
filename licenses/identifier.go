package licenses

import (
	"fmt"
	"strings"
)

const identifierAlphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

// identifierRoot is the arc of electronic licences under GB/T 36904-2018.
const identifierRoot = "1.2.156.3005.2"

// Identifier returns a licence's identifier by GB/T 36904-2018:
//
//	1.2.156.3005.2.<type, 21>.<issuer's USCC, 18>.<number>.<version, 3>.<check>
//
// The check character is ISO 7064 MOD 37,36 over the parts after the root,
// without dots.
func Identifier(typeCode, uscc, number string, version int) string {
	v := fmt.Sprintf("%03d", version)
	check := mod3736(typeCode + uscc + number + v)
	return strings.Join([]string{identifierRoot, typeCode, uscc, number, v, string(check)}, ".")
}

// mod3736 computes the check character of ISO/IEC 7064 MOD 37,36, a hybrid
// system. Characters outside the alphabet count as zero; there are none in what
// Identifier is given.
func mod3736(s string) byte {
	p := 36
	for i := range len(s) {
		p += max(strings.IndexByte(identifierAlphabet, s[i]), 0)
		if p > 36 {
			p -= 36
		}
		p = p * 2 % 37
	}
	return identifierAlphabet[(37-p)%36]
}
