package permit

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Bounds of the claims.
const (
	maxTime     = 253402300799 // 9999-12-31T23:59:59Z
	maxInteger  = 1<<53 - 1    // every implementation, JavaScript's too, holds it exactly
	maxIndex    = 1<<20 - 1    // status lists have 2^20 entries
	maxList     = 1<<32 - 1
	maxNumber   = 128 // bytes of UTF-8, like the three below
	maxName     = 512
	maxHolderID = 64
	maxText     = 2048
	maxFields   = 60        // besides type, number and the two of the holder
	firstField  = 4         // 0 to 3 are those four
	maxField    = 1<<16 - 1 // the highest field number
)

// Ref is a place in a status list.
type Ref struct{ List, Index uint32 }

// Claims is what a permit says.
type Claims struct {
	// ID identifies the permit (cti).
	ID [16]byte
	// IssuedAt, NotBefore and Expires are seconds UTC since 1970.
	IssuedAt, NotBefore, Expires int64
	// Status is where the permit's status stands.
	Status Ref
	// Confirmation is the COSE_Key of the phone that a live permit is bound to,
	// or nil: an EC2 key on P-256 or P-384, or an OKP key on Ed25519, in
	// deterministic CBOR with no member that it can do without.
	Confirmation []byte
	// Type is the code of the licence type in the trust bundle.
	Type uint64
	// Number is the licence's number, HolderName the holder's name and HolderID
	// the USCC of a firm or the masked number of a person.
	Number, HolderName, HolderID string
	// Fields holds the type's own fields by number, 4 and up. A value is a
	// string, a uint64, or an int64 below zero.
	Fields map[uint64]any
}

// Validate says why Encode would refuse the claims, or nil. What it accepts
// always fits a permit, so it is asked before anything is recorded as about to
// be signed. The error names a claim or a field number, never a value.
func (c Claims) Validate() error {
	if err := c.validate(); err != nil {
		return fmt.Errorf("validate permit claims: %w", err)
	}
	if len(appendPayload(nil, c)) > MaxPayload {
		return fmt.Errorf("validate permit claims: %w: payload over %d bytes", ErrTooLarge, MaxPayload)
	}
	return nil
}

func (c *Claims) validate() error {
	switch {
	case !isTime(c.IssuedAt), !isTime(c.NotBefore), !isTime(c.Expires):
		return errors.New("time out of range")
	case c.NotBefore >= c.Expires:
		return errors.New("expires before it begins")
	case c.Status.Index > maxIndex:
		return errors.New("status index out of range")
	case c.Confirmation != nil && !isCOSEKey(c.Confirmation):
		return errors.New("confirmation key unusable")
	case c.Type > maxInteger:
		return errors.New("type code out of range")
	case !isText(c.Number, maxNumber):
		return errors.New("number unusable")
	case !isText(c.HolderName, maxName):
		return errors.New("holder name unusable")
	case !isText(c.HolderID, maxHolderID):
		return errors.New("holder identifier unusable")
	case len(c.Fields) > maxFields:
		return fmt.Errorf("over %d fields", maxFields)
	}
	for no, v := range c.Fields {
		if no < firstField || no > maxField || !isValue(v) {
			return fmt.Errorf("field %d unusable", no)
		}
	}
	return nil
}

func isTime(t int64) bool { return t >= 0 && t <= maxTime }

func isValue(v any) bool {
	switch v := v.(type) {
	case string:
		return isText(v, maxText)
	case uint64:
		return v <= maxInteger
	case int64:
		return v < 0 && v >= -maxInteger
	}
	return false
}

// isText holds for 1 to limit bytes of UTF-8 that print in the order in which
// they stand: no control characters and no bidirectional ones.
func isText(s string, limit int) bool {
	if s == "" || len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		switch {
		case r < 0x20, r >= 0x7F && r <= 0x9F, // C0, DEL, C1
			r == 0x061C, r == 0x200E, r == 0x200F, // marks
			r >= 0x2028 && r <= 0x202E, // separators, embeddings, overrides
			r >= 0x2066 && r <= 0x2069: // isolates
			return false
		}
	}
	return true
}

// coseKeys are the shapes of a COSE_Key (RFC 9053 section 7): what stands
// before each coordinate, whose size follows.
var coseKeys = []struct {
	start, between []byte
	size           int
}{
	{[]byte{0xA4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 32}, []byte{0x22, 0x58, 32}, 32}, // EC2, P-256
	{[]byte{0xA4, 0x01, 0x02, 0x20, 0x02, 0x21, 0x58, 48}, []byte{0x22, 0x58, 48}, 48}, // EC2, P-384
	{[]byte{0xA3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 32}, nil, 32},                    // OKP, Ed25519
}

func isCOSEKey(b []byte) bool { return coseKeyLen(b) == len(b) && len(b) > 0 }

// coseKeyLen returns the length of the COSE_Key at the start of b, or 0.
func coseKeyLen(b []byte) int {
	for _, k := range coseKeys {
		n := len(k.start) + k.size
		if !bytes.HasPrefix(b, k.start) {
			continue
		}
		if k.between != nil {
			if len(b) < n || !bytes.HasPrefix(b[n:], k.between) {
				return 0
			}
			n += len(k.between) + k.size
		}
		if len(b) < n {
			return 0
		}
		return n
	}
	return 0
}
