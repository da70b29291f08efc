package permit

// EncodeBase45 and DecodeBase45 let the tests reach the codec.
func EncodeBase45(src []byte) string { return string(appendBase45(nil, src)) }

// DecodeBase45 is described at EncodeBase45.
func DecodeBase45(s string) ([]byte, bool) { return decodeBase45(s) }
