package profile

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// numberScheme begins the serial number of a natural person: "SN", a scheme of the
// issuer's own, in China (ETSI EN 319 412-1 clause 5.1.3). The number behind it is
// made for the certificate: it is no resident number, and says nothing.
const numberScheme = "SN:" + Country + "-"

// numberSize is the length of the number, in hex digits.
const numberSize = 20

// NewNumber returns the number of a subject that is a person.
func NewNumber(random io.Reader) (string, error) {
	var b [numberSize / 2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("make subject number: %w", err)
	}
	return hex.EncodeToString(b[:]), nil
}

// CheckNumber fails unless s is a person's serial number as our certificates have it.
func CheckNumber(s string) error {
	digits, ok := strings.CutPrefix(s, numberScheme)
	if !ok || len(digits) != numberSize || strings.Trim(digits, "0123456789abcdef") != "" {
		return fmt.Errorf("the subject's number is not %s and %d hex digits", numberScheme, numberSize)
	}
	return nil
}

// HoldsResidentNumber reports whether s contains what by its form and check digit is
// a resident number of GB 11643-1999: seventeen digits and a check character. A
// certificate is read by everybody whom its owner meets.
func HoldsResidentNumber(s string) bool {
	for i := 0; i+18 <= len(s); i++ {
		if isResidentNumber(s[i : i+18]) {
			return true
		}
	}
	return false
}

// residentCheck are GB 11643's check characters by the weighted sum modulo 11; the
// weights are the powers of two from 2^17 down.
const residentCheck = "10X98765432"

func isResidentNumber(s string) bool {
	sum := 0
	for i := range 17 {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
		sum += int(s[i]-'0') * (1 << (17 - i) % 11)
	}
	return strings.ToUpper(s[17:]) == residentCheck[sum%11:sum%11+1]
}
