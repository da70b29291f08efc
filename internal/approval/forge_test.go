package approval_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/json/v2"
	"maps"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/testkit"
)

// Statements, signatures and answers as somebody else's program would make them,
// right and wrong: nothing here is encoded by the package under test.

// members are those of a statement by their numbers.
type members map[int]any

func goodMembers() members {
	resolved := []byte(`{"key":"ca-donghu-2","owner":"donghu"}`)
	hash := sha256.Sum256(resolved)
	return members{1: "signet-approval/1", 2: "key.rotate", 3: hash[:], 4: resolved, 5: "06ev2kq3m8t5n7y0c4w9a1d6f2", 6: "06ek0000000000000000000001", 7: "06ek0000000000000000000002",
		8: bytes.Repeat([]byte{0xA5}, 32), 9: int64(1793611800), 10: int64(1793698200), 11: issuer}
}

// with returns the good members with changes; nil takes one away.
func with(changes members) members {
	m := goodMembers()
	maps.Copy(m, changes)
	maps.DeleteFunc(m, func(_ int, v any) bool { return v == nil })
	if b, ok := changes[4].([]byte); ok && changes[3] == nil {
		hash := sha256.Sum256(b)
		m[3] = hash[:]
	}
	return m
}

func detCBOR(v any) []byte {
	mode, err := cbor.CoreDetEncOptions().EncMode()
	if err != nil {
		panic(err)
	}
	b, err := mode.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func (m members) cbor() []byte { return detCBOR(map[int]any(m)) }

// statementVectors change one thing each.
func statementVectors() map[string]vector {
	bad := func(comment string, m members) vector {
		return vector{expect: expectMalformed, comment: comment, statement: with(m).cbor()}
	}
	raw := func(comment string, b []byte) vector {
		return vector{expect: expectMalformed, comment: comment, statement: b}
	}
	good := goodMembers().cbor()
	long := []byte(`{"a":"` + strings.Repeat("a", approval.MaxResolved) + `"}`)
	swapped := append([]byte{0xab}, good[1+19+12:]...) // members 1 and 2 to the end
	swapped = append(swapped, good[1:1+19+12]...)
	v := map[string]vector{
		"valid_minimal":     {expect: expectValid, comment: "a request to rotate a key", statement: good},
		"valid_break_glass": {expect: expectValid, comment: "the offline quorum", statement: with(members{2: "break-glass", 6: "quorum", 7: "quorum", 4: []byte(`{"officers":["a","b","c"],"version":1}`)}).cbor()},
		"valid_week":        {expect: expectValid, comment: "seven days between the times, the longest", statement: with(members{10: int64(1793611800 + 604800)}).cbor()},
		"valid_not_ascii":   {expect: expectValid, comment: "text in the resolved request is UTF-8 in its shortest form", statement: with(members{4: []byte(`{"n":-1,"name":"东湖"}`)}).cbor()},

		"shape_empty":          raw("no bytes", nil),
		"shape_text":           raw("not CBOR", []byte("approved")),
		"shape_array":          raw("an array", detCBOR([]any{"signet-approval/1"})),
		"shape_trailing":       raw("a byte after the map", append(bytes.Clone(good), 0)),
		"shape_truncated":      raw("the last byte is missing", good[:len(good)-1]),
		"shape_tagged":         raw("a tag before the map", append([]byte{0xd9, 0xd9, 0xf7}, good...)),
		"shape_indefinite":     raw("a map of indefinite length", append(append([]byte{0xbf}, good[1:]...), 0xff)),
		"shape_long_head":      raw("the head of the map is not the shortest", append([]byte{0xb8, 11}, good[1:]...)),
		"shape_order":          raw("members out of order", swapped),
		"shape_twice":          raw("member 1 twice", append(append([]byte{0xac}, good[1:20]...), good[1:]...)),
		"shape_extra_member":   bad("a member 12", members{12: "more"}),
		"shape_missing_member": bad("no nonce", members{8: nil}),
		"shape_text_key":       raw("a text for a key", detCBOR(map[any]any{"version": "signet-approval/1"})),
		"version_other":        bad("another version", members{1: "signet-approval/2"}),
		"version_number":       bad("the version is a number", members{1: 1}),
		"kind_empty":           bad("no kind", members{2: ""}),
		"kind_capital":         bad("a capital letter in the kind", members{2: "Key.rotate"}),
		"kind_dots":            bad("an empty word in the kind", members{2: "key..rotate"}),
		"kind_long":            bad("65 characters of kind", members{2: strings.Repeat("k", 65)}),
		"hash_other":           bad("the hash of something else", members{3: make([]byte, 32)}),
		"hash_short":           bad("31 bytes of hash", members{3: make([]byte, 31)}),
		"resolved_text":        bad("the resolved request is a text string", members{4: `{}`}),
		"resolved_empty":       bad("an empty resolved request", members{4: []byte{}}),
		"resolved_not_json":    bad("not JSON", members{4: []byte(`{"a":`)}),
		"resolved_array":       bad("not an object", members{4: []byte(`[]`)}),
		"resolved_two":         bad("two objects", members{4: []byte(`{}{}`)}),
		"resolved_space":       bad("JSON with a space", members{4: []byte(`{"a": 1}`)}),
		"resolved_order":       bad("names out of order", members{4: []byte(`{"b":1,"a":2}`)}),
		"resolved_twice":       bad("a name twice", members{4: []byte(`{"a":1,"a":1}`)}),
		"resolved_escape":      bad("an escape that is not needed", members{4: []byte(`{"a":"\u0041"}`)}),
		"resolved_not_utf8":    bad("invalid UTF-8", members{4: []byte("{\"a\":\"\xff\"}")}),
		"resolved_fraction":    bad("a number that is no integer", members{4: []byte(`{"a":0.5}`)}),
		"resolved_exponent":    bad("a number with an exponent", members{4: []byte(`{"a":1e21}`)}),
		"resolved_large":       bad("2^53", members{4: []byte(`{"a":9007199254740992}`)}),
		"resolved_deep":        bad("seventeen objects in one another", members{4: []byte(strings.Repeat(`{"a":`, 17) + `1` + strings.Repeat(`}`, 17))}),
		"request_short":        bad("25 characters of request", members{5: "06ev2kq3m8t5n7y0c4w9a1d6f"}),
		"request_capital":      bad("capital letters in the request", members{5: "06EV2KQ3M8T5N7Y0C4W9A1D6F2"}),
		"requester_empty":      bad("no requester", members{6: ""}),
		"requester_space":      bad("a space in the requester", members{6: "ann li"}),
		"requester_long":       bad("65 characters of requester", members{6: strings.Repeat("p", 65)}),
		"requester_quorum":     bad("the quorum does not make requests", members{6: "quorum"}),
		"approver_empty":       bad("no approver", members{7: ""}),
		"approver_requester":   bad("requester and approver are one", members{7: "06ek0000000000000000000001"}),
		"approver_quorum":      bad("the quorum does not approve requests", members{7: "quorum"}),
		"glass_person":         bad("a person breaks the glass", members{2: "break-glass"}),
		"nonce_short":          bad("31 bytes of nonce", members{8: make([]byte, 31)}),
		"nonce_long":           bad("33 bytes of nonce", members{8: make([]byte, 33)}),
		"nonce_text":           bad("the nonce is a text string", members{8: strings.Repeat("n", 32)}),
		"iat_negative":         bad("a time before 1970", members{9: int64(-1), 10: int64(1)}),
		"iat_float":            bad("a time in floating point", members{9: 1793611800.5}),
		"iat_tagged":           bad("a tagged time", members{9: cbor.Tag{Number: 1, Content: int64(1793611800)}}),
		"exp_equal":            bad("it expires when it is made", members{10: int64(1793611800)}),
		"exp_before":           bad("it expires before it is made", members{10: int64(1793611799)}),
		"exp_far":              bad("seven days and a second between the times", members{10: int64(1793611800 + 604801)}),
		"exp_year_10000":       bad("it expires after the year 9999", members{9: int64(253402300799), 10: int64(253402300800)}),
		"origin_empty":         bad("no origin", members{11: ""}),
		"origin_host":          bad("a host alone", members{11: "signet.example"}),
		"origin_long":          bad("256 characters of origin", members{11: "https://" + strings.Repeat("o", 248)}),
		"size_resolved":        {expect: expectTooLarge, comment: "the resolved request is over 65536 bytes", statement: with(members{4: long}).cbor()},
	}
	return v
}

// sign1 is a COSE_Sign1 as it is made, and what may be wrong with it.
type sign1 struct {
	key       *ecdsa.PrivateKey
	protected map[int]any
	tag       byte
	outer     map[int]any // unprotected header
	payload   any
	aad       []byte
	context   string
	statement []byte
	change    func(signature []byte) []byte
}

func newSign1(t testing.TB, key *ecdsa.PrivateKey, statement []byte) sign1 {
	alg := -7
	if key.Curve == elliptic.P384() {
		alg = -35
	}
	hash := sha256.Sum256(spki(t, key))
	return sign1{key: key, protected: map[int]any{1: alg, 4: hash[:8], 16: "application/signet-approval+cose"}, tag: 0xd2, outer: map[int]any{},
		context: "Signature1", statement: statement, change: func(s []byte) []byte { return s }}
}

func (s sign1) encode(t testing.TB) []byte {
	protected := detCBOR(s.protected)
	if len(s.aad) == 0 {
		s.aad = []byte{}
	}
	signed := detCBOR([]any{s.context, protected, s.aad, s.statement})
	digest := sha256.Sum256(signed)
	sum := digest[:]
	if s.key.Curve == elliptic.P384() {
		d := sha512.Sum384(signed)
		sum = d[:]
	}
	der, err := ecdsa.SignASN1(rand.Reader, s.key, sum)
	check(t, err)
	return append([]byte{s.tag}, detCBOR([]any{protected, s.outer, s.payload, s.change(rawSignature(der, (s.key.Curve.Params().BitSize+7)/8))})...)
}

// rawSignature turns the DER of an ECDSA signature into r and s side by side.
func rawSignature(der []byte, size int) []byte {
	raw := make([]byte, 2*size)
	r := der[4:][:der[3]]
	s := der[4+len(r)+2:]
	fill := func(out, n []byte) {
		n = bytes.TrimLeft(n, "\x00")
		copy(out[size-len(n):size], n)
	}
	fill(raw[:size], r)
	fill(raw[size:], s)
	return raw
}

func coseVectors(t testing.TB) map[string]vector {
	small, large, stranger := newKey(t, elliptic.P256()), newKey(t, elliptic.P384()), newKey(t, elliptic.P256())
	good := goodMembers().cbor()
	one := func(expect, comment string, key *ecdsa.PrivateKey, change func(s *sign1)) vector {
		s := newSign1(t, key, good)
		change(&s)
		return vector{expect: expect, comment: comment, method: approval.MethodKey, key: spki(t, key), proof: s.encode(t), statement: good}
	}
	bad := func(comment string, change func(s *sign1)) vector {
		return one(expectMalformed, comment, small, change)
	}
	wrong := func(comment string, change func(s *sign1)) vector {
		return one(expectSignature, comment, small, change)
	}
	return map[string]vector{
		"valid_key_es256": one(expectValid, "a key on P-256", small, func(*sign1) {}),
		"valid_key_es384": one(expectValid, "a key on P-384", large, func(*sign1) {}),

		"key_tag":            bad("another tag", func(s *sign1) { s.tag = 0xd1 }),
		"key_attached":       bad("the payload is not detached", func(s *sign1) { s.payload = good }),
		"key_empty_payload":  bad("an empty payload", func(s *sign1) { s.payload = []byte{} }),
		"key_typ_missing":    bad("no typ", func(s *sign1) { delete(s.protected, 16) }),
		"key_typ_other":      bad("the typ of a trust bundle", func(s *sign1) { s.protected[16] = "application/signet-bundle+cose" }),
		"key_typ_capital":    bad("the typ in capital letters", func(s *sign1) { s.protected[16] = strings.ToUpper(approval.TypeCOSE) }),
		"key_unprotected":    bad("something in the unprotected header", func(s *sign1) { s.outer[4] = []byte("kid") }),
		"key_protected":      bad("something more in the protected header", func(s *sign1) { s.protected[3] = "application/cbor" }),
		"key_kid_missing":    bad("no kid", func(s *sign1) { delete(s.protected, 4) }),
		"key_kid_short":      bad("7 bytes of kid", func(s *sign1) { s.protected[4] = make([]byte, 7) }),
		"key_alg_missing":    bad("no algorithm", func(s *sign1) { delete(s.protected, 1) }),
		"key_alg_eddsa":      bad("an algorithm that approves nothing", func(s *sign1) { s.protected[1] = -8 }),
		"key_alg_length":     bad("ES384 with a signature of ES256's length", func(s *sign1) { s.protected[1] = -35 }),
		"key_signature_cut":  bad("63 bytes of signature", func(s *sign1) { s.change = func(b []byte) []byte { return b[:63] } }),
		"key_signature_none": bad("no signature", func(s *sign1) { s.change = func([]byte) []byte { return []byte{} } }),
		"key_trailing": func() vector {
			v := bad("a byte after the array", func(*sign1) {})
			v.proof = append(v.proof, 0)
			return v
		}(),
		"key_empty": func() vector { v := bad("no signature at all", func(*sign1) {}); v.proof = nil; return v }(),
		"size_key": func() vector {
			v := bad("over 512 bytes", func(s *sign1) { s.protected[16] = strings.Repeat("t", 600) })
			v.expect = expectTooLarge
			return v
		}(),

		"key_other_statement": wrong("over another statement", func(s *sign1) { s.statement = with(members{7: "06ek0000000000000000000003"}).cbor() }),
		"key_hash_only":       wrong("over the hash of the statement", func(s *sign1) { h := sha256.Sum256(good); s.statement = h[:] }),
		"key_stranger":        wrong("by another key under this one's kid", func(s *sign1) { s.key = stranger }),
		"key_kid_other":       wrong("another key's kid", func(s *sign1) { s.protected[4] = make([]byte, 8) }),
		"key_aad":             wrong("with external_aad", func(s *sign1) { s.aad = []byte("APR1") }),
		"key_context":         wrong("made as one of several signatures", func(s *sign1) { s.context = "Signature" }),
		"key_flipped": wrong("a bit of the signature", func(s *sign1) {
			s.change = func(b []byte) []byte { b[40] ^= 1; return b }
		}),
		"key_zero": wrong("a signature of zeros", func(s *sign1) { s.change = func(b []byte) []byte { return make([]byte, len(b)) } }),
		"key_alg_other": wrong("ES384 with a key on P-256", func(s *sign1) {
			s.protected[1] = -35
			s.change = func(b []byte) []byte { return append(b, make([]byte, 32)...) }
		}),
	}
}

func passkeyVectors(t testing.TB) map[string]vector {
	good := goodMembers().cbor()
	one := func(expect, comment string, change func(a *authenticator)) vector {
		a := newAuthenticator(t)
		a.Count = 7
		public := a.COSEKey(t)
		change(a)
		proof, err := json.Marshal(a.get(t, good))
		check(t, err)
		return vector{expect: expect, comment: comment, method: approval.MethodPasskey, key: public, rpID: rpID, origin: issuer, proof: proof, statement: good}
	}
	edit := func(v vector, change func(a *approval.Assertion)) vector {
		var a approval.Assertion
		check(t, json.Unmarshal(v.proof, &a))
		change(&a)
		var err error
		v.proof, err = json.Marshal(a)
		check(t, err)
		return v
	}
	same := func(*authenticator) {}
	wrong := func(comment string, change func(a *authenticator)) vector {
		return one(expectSignature, comment, change)
	}
	bad := func(comment string, change func(a *approval.Assertion)) vector {
		return edit(one(expectMalformed, comment, same), change)
	}
	plain := sha256.Sum256(good)
	return map[string]vector{
		"valid_passkey":        one(expectValid, "a passkey that keeps its owner verified", same),
		"valid_passkey_handle": one(expectValid, "with a user handle", func(a *authenticator) { a.Handle = bytes.Repeat([]byte{1}, 32) }),
		"valid_passkey_synced": one(expectValid, "a passkey that its provider synchronizes", func(a *authenticator) { a.Flags |= testkit.FlagBE | testkit.FlagBS }),

		"passkey_not_verified": wrong("its owner was not verified", func(a *authenticator) { a.Flags = testkit.FlagUP }),
		"passkey_nobody":       wrong("nobody was present", func(a *authenticator) { a.Flags = testkit.FlagUV }),
		"passkey_backup":       wrong("backed up, but not eligible for it", func(a *authenticator) { a.Flags |= testkit.FlagBS }),
		"passkey_rp":           wrong("another relying party", func(a *authenticator) { a.RPID = "example" }),
		"passkey_origin":       wrong("another origin", func(a *authenticator) { a.Origin = "https://evil.example" }),
		"passkey_origin_case":  wrong("the origin in other letters", func(a *authenticator) { a.Origin = "https://SIGNET.example" }),
		"passkey_origin_slash": wrong("the origin with a slash", func(a *authenticator) { a.Origin = issuer + "/" }),
		"passkey_frame":        wrong("in a frame of another site", func(a *authenticator) { a.Cross = true }),
		"passkey_create":       wrong("an enrolment", func(a *authenticator) { a.Kind = "webauthn.create" }),
		"passkey_other_statement": wrong("over another statement", func(a *authenticator) {
			a.Challenge = approval.ChallengeText(with(members{7: "06ek0000000000000000000003"}).cbor())
		}),
		"passkey_hash_only": wrong("over the statement's hash without APR1 before it", func(a *authenticator) { a.Challenge = b64(plain[:]) }),
		"passkey_padding":   wrong("the challenge with padding", func(a *authenticator) { a.Challenge = approval.ChallengeText(good) + "=" }),
		"passkey_stranger":  wrong("by another key", func(a *authenticator) { a.Key = newKey(t, elliptic.P256()) }),
		"passkey_flipped":   edit(wrong("a bit of the counter", same), func(a *approval.Assertion) { a.AuthenticatorData[36] ^= 1 }),

		"passkey_client_data":     bad("the client data is not JSON", func(a *approval.Assertion) { a.ClientData = []byte("approved") }),
		"passkey_client_data_big": bad("over 2048 bytes of client data", func(a *approval.Assertion) { a.ClientData = bytes.Repeat([]byte(" "), 2049) }),
		"passkey_auth_data":       bad("36 bytes of authenticator data", func(a *approval.Assertion) { a.AuthenticatorData = a.AuthenticatorData[:36] }),
		"passkey_auth_data_more":  bad("a byte after the authenticator data", func(a *approval.Assertion) { a.AuthenticatorData = append(a.AuthenticatorData, 0) }),
		"passkey_id":              bad("15 bytes of id", func(a *approval.Assertion) { a.ID = a.ID[:15] }),
		"passkey_signature_big":   bad("81 bytes of signature", func(a *approval.Assertion) { a.Signature = make([]byte, 81) }),
		"passkey_key_alg": func() vector {
			v := one(expectMalformed, "the key says RS256", same)
			v.key = bytes.Replace(v.key, []byte{3, 0x26}, []byte{3, 0x27}, 1)
			return v
		}(),
		"passkey_key_point": func() vector {
			v := one(expectMalformed, "the key is no point of the curve", same)
			v.key[len(v.key)-1] ^= 1
			return v
		}(),
		"passkey_key_order": func() vector {
			v := one(expectMalformed, "the key has its members in another order", same)
			v.key = append([]byte{0xa5, 3, 0x26, 1, 2}, v.key[5:]...)
			return v
		}(),
	}
}

func makeVectors(t testing.TB) map[string]vector {
	all := statementVectors()
	maps.Copy(all, coseVectors(t))
	maps.Copy(all, passkeyVectors(t))
	return all
}
