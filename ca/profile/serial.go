package profile

import (
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
)

// SerialSize is the length of a serial number: one byte that names the instance
// which issued it, and 17 random ones. RFC 5280 section 4.1.2.2 allows 20.
const SerialSize = 18

// NewSerial returns a fresh serial number. The instance is 1 to 127, which keeps
// the number positive and its length fixed.
func NewSerial(instance byte, random io.Reader) (*big.Int, error) {
	if instance < 1 || instance > 127 {
		return nil, errors.New("new serial: the instance is not within 1 to 127")
	}
	var b [SerialSize]byte
	b[0] = instance
	if _, err := io.ReadFull(random, b[1:]); err != nil {
		return nil, fmt.Errorf("new serial: %w", err)
	}
	return new(big.Int).SetBytes(b[:]), nil
}

// SerialString returns a serial number as it is stored and shown: lowercase hex,
// two digits for each byte.
func SerialString(n *big.Int) string { return fmt.Sprintf("%x", n.Bytes()) }

// ParseSerial is the inverse of SerialString. It fails for everything that
// SerialString does not return: other bases, signs, capitals, zero, leading zero
// bytes and more than 20 bytes.
func ParseSerial(s string) (*big.Int, error) {
	if len(s) == 0 || len(s) > 40 || len(s)%2 != 0 || strings.HasPrefix(s, "00") || strings.Trim(s, "0123456789abcdef") != "" {
		return nil, errors.New("a serial number is 1 to 20 bytes in lowercase hex")
	}
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		return nil, errors.New("a serial number is 1 to 20 bytes in lowercase hex")
	}
	return n, nil
}
