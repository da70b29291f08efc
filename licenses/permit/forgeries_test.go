package permit_test

import (
	"bytes"
	"maps"
	"strings"

	"github.com/signet-city/signet/licenses/permit"
)

// makeVectors makes every vector by hand or, where valid and so marked, with
// Encode.
func makeVectors() map[string]vector {
	all := map[string]vector{}
	for _, group := range []map[string]vector{
		validVectors(), textVectors(), zlibVectors(), coseVectors(), headerVectors(),
		payloadVectors(), confirmationVectors(), fieldVectors(), signatureVectors(),
	} {
		maps.Copy(all, group)
	}
	return all
}

func bad(comment string, f forge) vector {
	return vector{expect: expectMalformed, comment: comment, text: f.text()}
}

func badText(comment, text string) vector {
	return vector{expect: expectMalformed, comment: comment, text: text}
}

func good(comment string, f forge) vector {
	return vector{expect: expectValid, comment: comment, text: f.text(), dictionary: f.dictionary}
}

// encoded is a valid vector made by Encode.
func encoded(comment string, alg int64, c permit.Claims, dictionary []byte) vector {
	s := signers()[alg]
	text, _, err := permit.Encode(c, s, dictionary)
	if err != nil {
		panic(err)
	}
	return vector{expect: expectValid, comment: comment, text: text, dictionary: dictionary,
		alg: alg, spki: mustSPKI(s.Key.Public())}
}

func validVectors() map[string]vector {
	bound := foodLicence()
	bound.Confirmation = coseKeyP256()
	boundEd := foodLicence()
	boundEd.Confirmation = coseKeyEd25519()
	extreme := permit.Claims{
		IssuedAt: 0, NotBefore: 253402300798, Expires: 253402300799,
		Status: permit.Ref{List: 1<<32 - 1, Index: 1<<20 - 1}, Type: 1<<53 - 1,
		Number: "1", HolderName: "𠮷", HolderID: "*",
		Fields: map[uint64]any{4: int64(-1), 23: int64(-24), 24: int64(-25), 255: int64(-(1<<53 - 1)),
			256: uint64(0), 65534: uint64(1<<53 - 1), 65535: strings.Repeat("长", 600)},
	}
	return map[string]vector{
		"valid_minimal":             good("the smallest permit: no fields of its own, no dictionary", forge{}),
		"valid_es256":               encoded("ES256, twelve fields, no dictionary", permit.ES256, foodLicence(), nil),
		"valid_es256_dictionary":    encoded("ES256, twelve fields, the dictionary of its type", permit.ES256, foodLicence(), foodDictionary),
		"valid_es384":               encoded("ES384", permit.ES384, foodLicence(), foodDictionary),
		"valid_eddsa":               encoded("EdDSA with Ed25519", permit.EdDSA, foodLicence(), foodDictionary),
		"valid_cnf_es256":           encoded("bound to a phone's P-256 key; whether it may be shown alone is not for the format to say", permit.ES256, bound, foodDictionary),
		"valid_cnf_eddsa":           encoded("bound to a phone's Ed25519 key", permit.ES256, boundEd, foodDictionary),
		"valid_extremes":            encoded("every integer and field number at its bound", permit.ES256, extreme, nil),
		"valid_dictionary_not_used": {expect: expectValid, comment: "no DICTID, read by somebody who has the dictionary", text: forge{}.text(), dictionary: foodDictionary},
		"valid_stored":              good("the deflate blocks are stored, not compressed", forge{level: levelStored}),
		"valid_twin":                good("the twin of valid_minimal's signature: s is the order less s, and verifies too", forge{resign: twin}),
		"valid_sixty_fields":        good("sixty fields of its own", forge{claims: field(manyFields(60)...)}),
	}
}

// manyFields is n fields from number 4 up.
func manyFields(n int) []any {
	var out []any
	for i := range n {
		out = append(out, 4+i, i)
	}
	return out
}

func textVectors() map[string]vector {
	text := forge{}.text()
	body := strings.TrimPrefix(text, "EL1:")
	return map[string]vector{
		"text_empty":             badText("nothing at all", ""),
		"text_no_prefix":         badText("the prefix is missing", body),
		"text_lower_prefix":      badText("the prefix is in small letters", "el1:"+body),
		"text_other_prefix":      badText("the prefix of another format", "EL2:"+body),
		"text_only_prefix":       badText("nothing follows the prefix", "EL1:"),
		"text_leading_space":     badText("a space before the prefix", " "+text),
		"text_trailing_newline":  badText("a line end after the permit", text+"\n"),
		"text_trailing_space":    badText("a space after the permit makes another length", text+" "),
		"text_lower_case":        badText("the Base45 is in small letters", "EL1:"+strings.ToLower(body)),
		"text_not_ascii":         badText("a full-width digit in the Base45", "EL1:"+body[:30]+"0"+body[33:]),
		"text_length":            badText("a last group of one character", text+strings.Repeat("0", (4-len(body)%3)%3)),
		"text_group_of_three":    badText("a group of three that says 65536 too much, right but for that", "EL1:"+widenThree(body)),
		"text_group_of_two":      badText("a last group of two that says 256 too much, right but for that", widenTwo()),
		"text_too_long":          {expect: expectTooLarge, comment: "3392 characters, a valid permit in front", text: text + strings.Repeat("0", permit.MaxChars+1-len(text))},
		"text_longest_malformed": badText("3391 characters: within the bound, so refused for what follows the zlib stream", text+strings.Repeat("0", permit.MaxChars-len(text))),
	}
}

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

// widenThree adds 65536 to the first group of three that can say so much.
func widenThree(body string) string {
	for i := 0; i+3 <= len(body); i += 3 {
		n := strings.IndexByte(alphabet, body[i]) + 45*strings.IndexByte(alphabet, body[i+1]) +
			2025*strings.IndexByte(alphabet, body[i+2]) + 1<<16
		if n < 45*45*45 {
			return body[:i] + string([]byte{alphabet[n%45], alphabet[n/45%45], alphabet[n/2025]}) + body[i+3:]
		}
	}
	panic("no group of three can say 65536 more")
}

// widenTwo is a permit whose last byte is encoded as 256 more.
func widenTwo() string {
	for n := range 64 {
		z := forge{claims: field(4, n)}.zlib()
		if len(z)%2 == 1 {
			last := int(z[len(z)-1]) + 256
			return armor(z[:len(z)-1]) + string([]byte{alphabet[last%45], alphabet[last/45]})
		}
	}
	panic("no permit of an odd length")
}

func zlibVectors() map[string]vector {
	z := forge{}.zlib()
	flip := func(i int) string {
		c := bytes.Clone(z)
		c[(i+len(c))%len(c)] ^= 1
		return armor(c)
	}
	withDictionary := forge{dictionary: foodDictionary}
	other := append([]byte("x"), foodDictionary...)
	return map[string]vector{
		"zlib_header_check":       badText("FCHECK does not divide", flip(1)),
		"zlib_method":             badText("a method that is not deflate, with a right FCHECK", armor(append([]byte{0x77, 0x85}, z[2:]...))),
		"zlib_checksum":           badText("Adler-32 is wrong", flip(-1)),
		"zlib_truncated":          badText("the last byte is missing", armor(z[:len(z)-1])),
		"zlib_truncated_stream":   badText("ends in the middle of the deflate stream", armor(z[:len(z)/2])),
		"zlib_trailing":           badText("a byte after the checksum", armor(append(bytes.Clone(z), 0))),
		"zlib_two_streams":        badText("a second zlib stream after the first", armor(append(bytes.Clone(z), z...))),
		"zlib_raw_deflate":        badText("a deflate stream without the zlib wrapping", armor(z[2:len(z)-4])),
		"zlib_none":               badText("the COSE_Sign1 not compressed at all", armor(forge{}.cose())),
		"zlib_empty":              badText("inflates to nothing", armor(deflate(nil, levelStored, nil))),
		"zlib_bomb":               {expect: expectTooLarge, comment: "inflates to a million zero bytes", text: armor(deflate(make([]byte, 1_000_000), 9, nil))},
		"zlib_8193":               {expect: expectTooLarge, comment: "inflates to one byte more than 8192, a valid permit in front", text: armor(deflate(append(forge{}.cose(), make([]byte, 8193-len(forge{}.cose()))...), 9, nil))},
		"zlib_8192":               badText("inflates to 8192 bytes: within the bound, so refused for what follows the COSE_Sign1", armor(deflate(append(forge{}.cose(), make([]byte, 8192-len(forge{}.cose()))...), 9, nil))),
		"zlib_unknown_dictionary": {expect: expectDictionary, comment: "compressed with a dictionary that the reader does not have", text: withDictionary.text()},
		"zlib_other_dictionary":   {expect: expectDictionary, comment: "the reader has another dictionary", text: withDictionary.text(), dictionary: other},
		"zlib_dictionary_garbage": badText("the header says a dictionary, but its FCHECK does not divide", armor(append([]byte{0x78, 0xBC}, withDictionary.zlib()[2:]...))),
		"zlib_dictionary_method":  badText("the header says a dictionary, but a method that is not deflate", armor(append([]byte{0x77, 0x28}, withDictionary.zlib()[2:]...))),
		"zlib_dictionary_id_only": badText("ends within DICTID", armor(withDictionary.zlib()[:5])),
	}
}

func coseVectors() map[string]vector {
	payload := encodePairs(plain())
	return map[string]vector{
		"cose_untagged":           bad("no tag", forge{start: unhex("84")}),
		"cose_tag_mac":            bad("tag 17, COSE_Mac0", forge{start: unhex("d184")}),
		"cose_tag_twice":          bad("tag 18 twice", forge{start: unhex("d2d284")}),
		"cose_tag_cwt":            bad("the CWT tag in front", forge{start: unhex("d83dd284")}),
		"cose_tag_long":           bad("tag 18 in two bytes", forge{start: unhex("d81284")}),
		"cose_array_five":         bad("an array of five", forge{start: unhex("d285"), tail: unhex("f6")}),
		"cose_array_long":         bad("the array's head in two bytes", forge{start: unhex("d29804")}),
		"cose_array_indefinite":   bad("the array has an indefinite length", forge{start: unhex("d29f"), tail: unhex("ff")}),
		"cose_trailing":           bad("a byte after the COSE_Sign1", forge{tail: unhex("00")}),
		"cose_trailing_itself":    bad("the COSE_Sign1 twice", forge{tail: forge{}.cose()}),
		"cose_payload_null":       bad("the payload is detached", forge{payload: unhex("f6")}),
		"cose_payload_empty":      bad("the payload is empty", forge{payload: unhex("40")}),
		"cose_payload_map":        bad("the payload is not wrapped in a byte string", forge{payload: payload}),
		"cose_payload_text":       bad("the payload is a text string", forge{payload: append(head(3, len(payload)), payload...)}),
		"cose_payload_long_head":  bad("the payload's length in two bytes where one will do", forge{payload: append([]byte{0x59, 0, byte(len(payload))}, payload...)}),
		"cose_payload_indefinite": bad("the payload in chunks", forge{payload: bytes.Join([][]byte{{0x5F}, mustCBOR(payload), {0xFF}}, nil)}),
		"cose_payload_past_end":   bad("the payload's length passes the end", forge{payload: append([]byte{0x59, 0xFF, 0xFF}, payload...)}),
		"cose_payload_huge":       bad("the payload's length is 2^64-1", forge{payload: append(unhex("5bffffffffffffffff"), payload...)}),
		"cose_signature_short":    bad("the signature is one byte short", forge{resign: func(sig []byte) []byte { return sig[:63] }}),
		"cose_signature_long":     bad("the signature is one byte long", forge{resign: func(sig []byte) []byte { return append(sig, 0) }}),
		"cose_signature_empty":    bad("the signature is empty", forge{sigItem: unhex("40")}),
		"cose_signature_null":     bad("the signature is null", forge{sigItem: unhex("f6")}),
		"cose_signature_der":      bad("the ECDSA signature is in DER", forge{resign: derSignature}),
		"cose_signature_missing":  bad("an array of three", forge{start: unhex("d283"), sigItem: []byte{}}),
	}
}

func headerVectors() map[string]vector {
	kid := signers()[permit.ES256].KID
	protected := func(p pairs) forge { return forge{protected: mustCBOR(encodePairs(p))} }
	return map[string]vector{
		"header_empty":            bad("no protected header", forge{protected: unhex("40")}),
		"header_empty_map":        bad("an empty protected header", forge{protected: unhex("41a0")}),
		"header_map":              bad("the protected header is not wrapped in a byte string", forge{protected: encodePairs(pairs{1, -7, 4, kid[:]})}),
		"header_order":            bad("kid before alg", protected(pairs{4, kid[:], 1, -7})),
		"header_alg_missing":      bad("no alg", protected(pairs{4, kid[:]})),
		"header_alg_twice":        bad("alg twice", protected(pairs{1, -7, 1, -7, 4, kid[:]})),
		"header_alg_text":         bad("alg as text", protected(pairs{1, "ES256", 4, kid[:]})),
		"header_alg_unknown":      bad("an algorithm that is not in the table", protected(pairs{1, -999, 4, kid[:]})),
		"header_alg_zero":         bad("alg 0, which is reserved", protected(pairs{1, 0, 4, kid[:]})),
		"header_alg_hmac":         bad("an algorithm for MACs", protected(pairs{1, 5, 4, kid[:]})),
		"header_alg_long":         bad("alg in two bytes", protected(pairs{1, raw(unhex("3806")), 4, kid[:]})),
		"header_alg_size":         bad("alg is ES384, but the signature has the size of ES256", protected(pairs{1, -35, 4, kid[:]})),
		"header_kid_missing":      bad("no kid", protected(pairs{1, -7})),
		"header_kid_short":        bad("kid of seven bytes", protected(pairs{1, -7, 4, kid[:7]})),
		"header_kid_long":         bad("kid of nine bytes", protected(pairs{1, -7, 4, append(kid[:], 0)})),
		"header_kid_text":         bad("kid as text", protected(pairs{1, -7, 4, "P-256..."})),
		"header_more":             bad("another protected parameter: typ", protected(pairs{1, -7, 4, kid[:], 16, "EL1"})),
		"header_crit":             bad("a critical parameter", protected(pairs{1, -7, 2, []int{99}, 4, kid[:], 99, 1})),
		"header_trailing":         bad("a byte after the map in the protected header", forge{protected: mustCBOR(append(encodePairs(pairs{1, -7, 4, kid[:]}), 0))}),
		"header_unprotected":      bad("a parameter in the unprotected header", forge{unprotected: encodePairs(pairs{33, []byte{1}})}),
		"header_kid_unprotected":  bad("kid in the unprotected header too", forge{unprotected: encodePairs(pairs{4, kid[:]})}),
		"header_unprotected_head": bad("the unprotected header takes payload and signature for its pair", forge{unprotected: unhex("a1")}),
		"header_unprotected_null": bad("the unprotected header is null", forge{unprotected: unhex("f6")}),
	}
}

// claims is a vector whose payload breaks one rule.
func claims(comment string, p pairs) vector { return bad(comment, forge{claims: p}) }

func payloadVectors() map[string]vector {
	p := plain()
	id := unhex("00112233445566778899aabbccddeeff")
	body := encodePairs(p)
	return map[string]vector{
		"payload_array":            bad("the payload is an array", forge{payload: mustCBOR(append([]byte{0x8C}, body[1:]...))}),
		"payload_map_long":         bad("the map's head in two bytes", forge{payload: mustCBOR(append([]byte{0xB8, 6}, body[1:]...))}),
		"payload_map_indefinite":   bad("the map has an indefinite length", forge{payload: mustCBOR(append(append([]byte{0xBF}, body[1:]...), 0xFF))}),
		"payload_map_huge":         bad("the map says 2^32-1 pairs", forge{payload: mustCBOR(append(unhex("baffffffff"), body[1:]...))}),
		"payload_map_five":         bad("the map says five pairs, six follow", forge{payload: mustCBOR(append([]byte{0xA5}, body[1:]...))}),
		"payload_map_eight":        bad("the map says eight pairs, six follow", forge{payload: mustCBOR(append([]byte{0xA8}, body[1:]...))}),
		"payload_trailing":         bad("a byte after the map", forge{payload: mustCBOR(append(bytes.Clone(body), 0))}),
		"payload_tagged":           bad("the CWT tag around the claims", forge{payload: mustCBOR(append(unhex("d83d"), body...))}),
		"payload_order":            claims("nbf before exp", pairs{5, 1772380800, 4, 1930147200}.and(p[4:]...)),
		"payload_order_ours":       claims("-70001 before -70000", p.without(-70000).and(-70000, fields())),
		"payload_twice":            claims("exp twice", append(pairs{4, 1930147200}, p...)),
		"payload_unknown":          claims("a claim that EL1 does not have: iss", append(pairs{1, "city"}, p...)),
		"payload_exp_missing":      claims("no exp", p.without(4)),
		"payload_nbf_missing":      claims("no nbf", p.without(5)),
		"payload_iat_missing":      claims("no iat", p.without(6)),
		"payload_cti_missing":      claims("no cti", p.without(7)),
		"payload_fields_missing":   claims("no -70000", p.without(-70000)),
		"payload_status_missing":   claims("no -70001", p.without(-70001)),
		"payload_exp_float":        claims("exp as a floating-point number", p.with(4, raw(unhex("fb41dcc2d6e000000000")[:9]))),
		"payload_exp_negative":     claims("exp before 1970", p.with(4, -1)),
		"payload_exp_text":         claims("exp as text", p.with(4, "2031-03-01")),
		"payload_exp_tagged":       claims("exp in tag 1", p.with(4, raw(unhex("c11a730ba580")))),
		"payload_exp_long":         claims("exp in eight bytes where four will do", p.with(4, raw(unhex("1b00000000730ba580")))),
		"payload_exp_year_10000":   claims("exp in the year 10000", p.with(4, 253402300800)),
		"payload_exp_is_nbf":       claims("exp equals nbf", p.with(4, 1772380800)),
		"payload_exp_before_nbf":   claims("exp before nbf", p.with(4, 1772380799)),
		"payload_nbf_big":          claims("nbf is 2^64-1", p.with(5, raw(unhex("1bffffffffffffffff")))),
		"payload_iat_negative":     claims("iat before 1970", p.with(6, -1)),
		"payload_cti_short":        claims("cti of 15 bytes", p.with(7, id[:15])),
		"payload_cti_long":         claims("cti of 17 bytes", p.with(7, append(id, 0))),
		"payload_cti_text":         claims("cti as text", p.with(7, "0011223344556677")),
		"payload_status_one":       claims("a status reference of one", p.with(-70001, []int{1})),
		"payload_status_three":     claims("a status reference of three", p.with(-70001, []int{1, 2, 3})),
		"payload_status_map":       claims("the status reference is a map", p.with(-70001, pairs{1, 2})),
		"payload_status_index":     claims("status index 2^20", p.with(-70001, []int{1, 1 << 20})),
		"payload_status_list":      claims("status list 2^32", p.with(-70001, []int{1 << 32, 1})),
		"payload_status_negative":  claims("a negative status index", p.with(-70001, []int{1, -1})),
		"payload_truncated":        bad("ends within the status reference", forge{payload: mustCBOR(body[:len(body)-1])}),
		"payload_truncated_fields": bad("ends within the fields", forge{payload: mustCBOR(body[:len(body)/2])}),
	}
}

// coseKeyP256 is the other key as a phone's COSE_Key.
func coseKeyP256() []byte {
	point, err := otherKey.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return encodePairs(pairs{1, 2, -1, 1, -2, point[1:33], -3, point[33:]})
}

func coseKeyEd25519() []byte {
	return encodePairs(pairs{1, 1, -1, 6, -2, []byte(ed25519Key[32:])})
}

func confirmationVectors() map[string]vector {
	cnf := func(comment string, v any) vector {
		p := plain()
		return claims(comment, append(append(append(pairs{}, p[:8]...), 8, v), p[8:]...))
	}
	x := make([]byte, 32)
	key := func(p ...any) pairs { return pairs{1, pairs(p)} }
	return map[string]vector{
		"cnf_empty":     cnf("an empty cnf", pairs{}),
		"cnf_null":      cnf("cnf is null", nil),
		"cnf_bare":      cnf("the COSE_Key is not under 1", raw(coseKeyP256())),
		"cnf_kid":       cnf("cnf names a key instead of holding it", pairs{3, x[:8]}),
		"cnf_more":      cnf("cnf holds something else too", pairs{1, raw(coseKeyP256()), 3, x[:8]}),
		"cnf_symmetric": cnf("a symmetric key", key(1, 4, -1, x)),
		"cnf_curve":     cnf("an EC2 key on a curve that EL1 does not have", key(1, 2, -1, 8, -2, x, -3, x)),
		"cnf_private":   cnf("the private half of the key", key(1, 2, -1, 1, -2, x, -3, x, -4, x)),
		"cnf_alg":       cnf("a member that the key can do without: alg", key(1, 2, 3, -7, -1, 1, -2, x, -3, x)),
		"cnf_short":     cnf("a coordinate of 31 bytes", key(1, 2, -1, 1, -2, x[:31], -3, x)),
		"cnf_sign":      cnf("a compressed point", key(1, 2, -1, 1, -2, x, -3, true)),
		"cnf_order":     cnf("the members in another order", key(-1, 1, 1, 2, -2, x, -3, x)),
		"cnf_late":      claims("cnf after the fields", plain().and(8, pairs{1, raw(coseKeyP256())})),
		"cnf_cut":       bad("ends within a coordinate", forge{payload: mustCBOR(cnfCut())}),
		"cnf_missing":   bad("the map counts a seventh claim that is not there", forge{payload: mustCBOR(append([]byte{0xA7}, encodePairs(plain())[1:]...))}),
	}
}

// cnfCut is a payload that ends within the first coordinate of cnf.
func cnfCut() []byte {
	p := append(append(pairs{}, plain()[:8]...), 8, pairs{1, raw(coseKeyP256()[:20])}, -70000, 0, -70001, 0)
	b := encodePairs(p)
	return b[:len(b)-12] // what follows cnf
}

func fieldVectors() map[string]vector {
	with := func(key int, v any) pairs { return plain().with(-70000, fields().with(key, v)) }
	return map[string]vector{
		"field_type_missing":    claims("no type code", plain().with(-70000, fields().without(0))),
		"field_number_missing":  claims("no number", plain().with(-70000, fields().without(1))),
		"field_name_missing":    claims("no holder's name", plain().with(-70000, fields().without(2))),
		"field_holder_missing":  claims("no holder's identifier", plain().with(-70000, fields().without(3))),
		"field_map_empty":       claims("no fields at all", plain().with(-70000, pairs{})),
		"field_map_three":       claims("the fields' map says three pairs, four follow", plain().with(-70000, raw(append([]byte{0xA3}, encodePairs(fields())[1:]...)))),
		"field_map_five":        claims("the fields' map says five pairs, four follow", plain().with(-70000, raw(append([]byte{0xA5}, encodePairs(fields())[1:]...)))),
		"field_array":           claims("the fields are an array", plain().with(-70000, []any{1, "1", "2", "3"})),
		"field_type_text":       claims("the type code is text", with(0, "food-business")),
		"field_type_big":        claims("the type code is 2^53", with(0, 1<<53)),
		"field_number_integer":  claims("the number is an integer", with(1, 29901010012345)),
		"field_number_empty":    claims("the number is empty", with(1, "")),
		"field_number_long":     claims("the number has 129 bytes", with(1, strings.Repeat("1", 129))),
		"field_name_long":       claims("the holder's name has 513 bytes", with(2, strings.Repeat("长", 171))),
		"field_holder_long":     claims("the holder's identifier has 65 bytes", with(3, strings.Repeat("9", 65))),
		"field_text_long":       claims("a text of 2049 bytes", field(4, strings.Repeat("x", 2049))),
		"field_text_bytes":      claims("a text that is not UTF-8", field(4, raw(unhex("62c328")))),
		"field_text_surrogate":  claims("a surrogate in UTF-8", field(4, raw(unhex("63eda080")))),
		"field_text_overlong":   claims("an overlong form in UTF-8", field(4, raw(unhex("62c0af")))),
		"field_text_newline":    claims("a line end in a text", field(4, "a\nb")),
		"field_text_nul":        claims("a zero byte in a text", with(2, "a\x00b")),
		"field_text_delete":     claims("U+007F in a text", field(4, "a\x7fb")),
		"field_text_c1":         claims("U+0085 in a text", field(4, "a\u0085b")),
		"field_text_override":   claims("a right-to-left override in the holder's name", with(2, "荷塘\u202e小馆")),
		"field_text_isolate":    claims("a bidirectional isolate in a text", field(4, "a\u2067b")),
		"field_text_mark":       claims("a right-to-left mark in a text", field(4, "a\u200fb")),
		"field_text_chunks":     claims("a text in chunks", field(4, raw(unhex("7f6161ff")))),
		"field_text_long_head":  claims("a text's length in two bytes where one will do", field(4, raw(unhex("780161")))),
		"field_value_bytes":     claims("a byte string", field(4, []byte("a"))),
		"field_value_array":     claims("an array", field(4, []int{1})),
		"field_value_map":       claims("a map", field(4, pairs{1, 1})),
		"field_value_deep":      claims("a thousand arrays, one in the other", field(4, raw(append(bytes.Repeat([]byte{0x81}, 1000), 0)))),
		"field_value_true":      claims("true", field(4, true)),
		"field_value_null":      claims("null", field(4, nil)),
		"field_value_float":     claims("a floating-point number", field(4, 1.5)),
		"field_value_tag":       claims("a tagged integer", field(4, raw(unhex("c101")))),
		"field_value_bignum":    claims("a bignum", field(4, raw(unhex("c24101")))),
		"field_value_undefined": claims("undefined", field(4, raw(unhex("f7")))),
		"field_value_reserved":  claims("additional information 28, which is reserved", field(4, raw(unhex("1c")))),
		"field_value_big":       claims("an integer of 2^53", field(4, 1<<53)),
		"field_value_small":     claims("an integer of -2^53", field(4, -(1<<53))),
		"field_value_long":      claims("an integer in two bytes where one will do", field(4, raw(unhex("1817")))),
		"field_value_long_16":   claims("an integer in three bytes where two will do", field(4, raw(unhex("1900ff")))),
		"field_value_long_32":   claims("an integer in five bytes where three will do", field(4, raw(unhex("1a0000ffff")))),
		"field_value_nint_long": claims("a negative integer in two bytes where one will do", field(4, raw(unhex("3800")))),
		"field_twice":           claims("a field twice", field(4, 1, 4, 2)),
		"field_order":           claims("field 5 before field 4", field(5, 1, 4, 2)),
		"field_number_again":    claims("the number a second time, at the end", field(4, 1, 1, "2")),
		"field_key_text":        claims("a field named by text", field("address", "a")),
		"field_key_negative":    claims("a negative field number", field(-1, 1)),
		"field_key_big":         claims("field number 65536", field(65536, 1)),
		"field_key_long":        claims("a field number in two bytes where one will do", field(raw(unhex("1804")), 1)),
		"field_sixty_one":       claims("sixty-one fields of its own", field(manyFields(61)...)),
	}
}

func signatureVectors() map[string]vector {
	wrong := func(comment string, f forge) vector {
		return vector{expect: expectSignature, comment: comment, text: f.text()}
	}
	keyed := func(v vector, alg int64) vector {
		v.alg, v.spki = alg, mustSPKI(signers()[alg].Key.Public())
		return v
	}
	flip := func(i int) func([]byte) []byte {
		return func(sig []byte) []byte { sig[i] ^= 1; return sig }
	}
	fixed := func(sig []byte) func([]byte) []byte { return func([]byte) []byte { return sig } }
	zero := make([]byte, 64)
	order := p256Key.Curve.Params().N.FillBytes(make([]byte, 32))
	other := forge{claims: plain().with(6, 1772416801)}.cose()
	return map[string]vector{
		"signature_other_key":   wrong("signed by another key", forge{key: otherKey}),
		"signature_r":           wrong("a bit of r is flipped", forge{resign: flip(0)}),
		"signature_s":           wrong("a bit of s is flipped", forge{resign: flip(63)}),
		"signature_zero":        wrong("r and s are zero", forge{resign: fixed(zero)}),
		"signature_r_zero":      wrong("r is zero", forge{resign: func(sig []byte) []byte { return append(make([]byte, 32), sig[32:]...) }}),
		"signature_s_order":     wrong("s is the order of the curve", forge{resign: func(sig []byte) []byte { return append(sig[:32:32], order...) }}),
		"signature_of_another":  wrong("the signature of another permit", forge{resign: fixed(other[len(other)-64:])}),
		"signature_noise":       wrong("64 arbitrary bytes", forge{resign: fixed(noise(64))}),
		"signature_no_aad":      wrong("signed with an empty external_aad", forge{aad: unhex("40")}),
		"signature_null_aad":    wrong("signed with null as external_aad", forge{aad: unhex("f6")}),
		"signature_text_aad":    wrong("signed with the prefix as text", forge{aad: mustCBOR("EL1:")}),
		"signature_other_aad":   wrong("signed for another format", forge{aad: mustCBOR([]byte("EL2:"))}),
		"signature_alg_key":     keyed(wrong("the permit names ES256, the key is for ES384", forge{}), permit.ES384),
		"signature_alg_ed25519": keyed(wrong("the permit names ES256, the key is for EdDSA", forge{}), permit.EdDSA),
		"signature_alg_swapped": wrong("the permit names EdDSA, but the key is for ES256 and so is the signature",
			forge{protected: protectedHeader(permit.EdDSA)}),
		"signature_eddsa": keyed(wrong("an Ed25519 signature with a bit flipped",
			forge{protected: protectedHeader(permit.EdDSA), key: ed25519Key, resign: flip(5)}), permit.EdDSA),
		"signature_es384": keyed(wrong("an ES384 signature with a bit flipped",
			forge{protected: protectedHeader(permit.ES384), key: p384Key, resign: flip(95)}), permit.ES384),
	}
}
