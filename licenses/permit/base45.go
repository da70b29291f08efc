package permit

// Base45 (RFC 9285): two bytes become three characters, a last single byte two.
const alphabet45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// not45 marks the bytes that are no Base45 character.
const not45 = 0xFF

var values45 = func() (t [256]byte) {
	for i := range t {
		t[i] = not45
	}
	for i := range len(alphabet45) {
		t[alphabet45[i]] = byte(i)
	}
	return t
}()

// appendBase45 appends the encoding of src.
func appendBase45(dst, src []byte) []byte {
	for ; len(src) >= 2; src = src[2:] {
		n := int(src[0])<<8 | int(src[1])
		dst = append(dst, alphabet45[n%45], alphabet45[n/45%45], alphabet45[n/2025])
	}
	if len(src) == 1 {
		n := int(src[0])
		dst = append(dst, alphabet45[n%45], alphabet45[n/45])
	}
	return dst
}

// decodeBase45 refuses a character outside the alphabet, a last group of one,
// and a group that says more than its bytes can hold. Each value has one
// encoding.
func decodeBase45(s string) ([]byte, bool) {
	if len(s)%3 == 1 {
		return nil, false
	}
	out := make([]byte, 0, len(s)/3*2+1)
	for ; len(s) >= 3; s = s[3:] {
		c, d, e := values45[s[0]], values45[s[1]], values45[s[2]]
		n := int(c) + int(d)*45 + int(e)*2025
		if c == not45 || d == not45 || e == not45 || n > 0xFFFF {
			return nil, false
		}
		out = append(out, byte(n>>8), byte(n))
	}
	if len(s) == 2 {
		c, d := values45[s[0]], values45[s[1]]
		n := int(c) + int(d)*45
		if c == not45 || d == not45 || n > 0xFF {
			return nil, false
		}
		out = append(out, byte(n))
	}
	return out, true
}
