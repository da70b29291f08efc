package trust_test

import (
	"bytes"
	"crypto"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/verify/trust"
)

// makeVectors returns every vector by its name.
func makeVectors(t testing.TB) map[string]vector {
	all := map[string]vector{}
	add := func(name string, v vector) {
		if v.now == 0 {
			v.now = now
		}
		if v.pin == nil {
			v.pin = spki(rootKey)
		}
		if _, ok := all[name]; ok {
			t.Fatalf("two vectors named %s", name)
		}
		all[name] = v
	}
	validVectors(t, add)
	envelopeVectors(t, add)
	signerVectors(t, add)
	timeVectors(t, add)
	rootVectors(t, add)
	bundleVectors(t, add)
	headVectors(t, add)
	return all
}

type adder func(name string, v vector)

func validVectors(t testing.TB, add adder) {
	b := bundle(t)
	add("valid_root", vector{expect: valid, kind: kindRoot, comment: "a root statement by the pinned root", file: b.Root})
	next := rootStatement()
	next.Next = spki(nextRootKey)
	add("valid_root_next", vector{expect: valid, kind: kindRoot, comment: "names the next root, and both roots have signed", file: rootFile(t, next, rootKey, nextRootKey)})
	add("valid_root_p384", vector{expect: valid, kind: kindRoot, comment: "a root on P-384", pin: spki(nextRootKey), file: rootFile(t, rootStatement(), nextRootKey)})
	add("valid_root_ed25519", vector{expect: valid, kind: kindRoot, comment: "a root on Ed25519", pin: spki(logKey), file: rootFile(t, noLog(), logKey)})
	add("valid_bundle", vector{expect: valid, kind: kindBundle, comment: "a bundle by a permitted trust-list signer", file: bundleFile(t, b, bundleKey)})
	first := bundle(t)
	first.Seq, first.Previous, first.Lists = 1, nil, nil
	add("valid_bundle_first", vector{expect: valid, kind: kindBundle, comment: "the first bundle has none before it", file: bundleFile(t, first, bundleKey)})
	add("valid_bundle_foreign_signature", vector{expect: valid, kind: kindBundle, comment: "a second signature, by a key that is not permitted, counts for nothing",
		file: forgery{typ: trust.TypeBundle, payload: payloadOf(bundleFile(t, b, bundleKey)), keys: []crypto.Signer{bundleKey, strangerKey}}.make()})
	stolen := bundle(t)
	stolen.Keys[0].State, stolen.Keys[0].CompromisedAt, stolen.Keys[0].Genuine = trust.KeyCompromised, made-day, seed("genuine", 32)
	add("valid_bundle_compromised", vector{expect: valid, kind: kindBundle, comment: "a stolen key, with its genuine file", file: bundleFile(t, stolen, bundleKey)})
	add("valid_head", vector{expect: valid, kind: kindHead, comment: "a head by a status signer", root: b.Root, file: headFile(t, head(), statusKey)})
	add("valid_clock_within_skew", vector{expect: valid, kind: kindBundle, comment: "the clock is 300 seconds behind the signer's", now: made - 300, file: bundleFile(t, b, bundleKey)})
	add("valid_last_second", vector{expect: valid, kind: kindBundle, comment: "one second before exp", now: b.Expires - 1, file: bundleFile(t, b, bundleKey)})
}

func noLog() trust.RootStatement {
	s := rootStatement()
	s.Log = nil
	return s
}

// forge returns a right forgery of each kind.
func forge(t testing.TB, kind string) forgery {
	switch kind {
	case kindRoot:
		return forgery{typ: trust.TypeRoot, payload: payloadOf(bundle(t).Root), keys: []crypto.Signer{rootKey}}
	case kindHead:
		return forgery{typ: trust.TypeHead, payload: payloadOf(headFile(t, head(), statusKey)), keys: []crypto.Signer{statusKey}}
	}
	return forgery{typ: trust.TypeBundle, payload: payloadOf(bundleFile(t, bundle(t), bundleKey)), keys: []crypto.Signer{bundleKey}}
}

// envelopeVectors are wrong in what is the same for the three kinds.
func envelopeVectors(t testing.TB, add adder) {
	for _, c := range []struct {
		name, expect, comment string
		edit                  func(f *forgery)
	}{
		{"file_empty", malformed, "no bytes", func(f *forgery) { f.bytes = func([]byte) []byte { return nil } }},
		{"file_truncated", malformed, "the last byte is missing", func(f *forgery) { f.bytes = func(b []byte) []byte { return b[:len(b)-1] } }},
		{"file_trailing", malformed, "a byte after the end", func(f *forgery) { f.bytes = func(b []byte) []byte { return append(b, 0) } }},
		{"file_three", malformed, "an array of three", func(f *forgery) { f.file = func(p, s any) any { return []any{p, s, 0} } }},
		{"file_map", malformed, "a map", func(f *forgery) { f.file = func(p, s any) any { return map[int]any{0: p, 1: s} } }},
		{"file_indefinite", malformed, "an array of indefinite length", func(f *forgery) {
			f.bytes = func(b []byte) []byte { return append(append([]byte{0x9f}, b[1:]...), 0xff) }
		}},
		{"file_long_head", malformed, "the array's length in two bytes", func(f *forgery) { f.bytes = func(b []byte) []byte { return concat([]byte{0x98, 2}, b[1:]) } }},
		{"payload_text", malformed, "the payload is text", func(f *forgery) { f.file = func(p, s any) any { return []any{"payload", s} } }},
		{"payload_null", malformed, "the payload is null", func(f *forgery) { f.file = func(p, s any) any { return []any{nil, s} } }},
		{"signatures_none", malformed, "an empty array of signatures", func(f *forgery) { f.keys = nil }},
		{"signatures_five", malformed, "five signatures", func(f *forgery) {
			f.keys = []crypto.Signer{rootKey, nextRootKey, bundleKey, statusKey, strangerKey}
		}},
		{"signatures_same_key", malformed, "two signatures by one key", func(f *forgery) { f.keys = []crypto.Signer{rootKey, rootKey} }},
		{"cose_untagged", malformed, "a COSE_Sign1 without its tag", func(f *forgery) {
			f.file = func(p, s any) any { return []any{p, []any{s.([]any)[0].(cbor.Tag).Content}} }
		}},
		{"cose_tag_mac", malformed, "the tag of a COSE_Mac0", func(f *forgery) { f.tag = 17 }},
		{"cose_five", malformed, "a COSE_Sign1 of five", func(f *forgery) { f.sign1 = func(p []any) any { return append(p, 0) } }},
		{"cose_attached", malformed, "a COSE_Sign1 with the payload in it", func(f *forgery) {
			payload := f.payload
			f.sign1 = func(p []any) any { p[2] = payload; return p }
		}},
		{"cose_payload_empty", malformed, "a COSE_Sign1 with an empty payload in place of null", func(f *forgery) { f.sign1 = func(p []any) any { p[2] = []byte{}; return p } }},
		{"cose_unprotected", malformed, "a header that is not protected", func(f *forgery) {
			f.sign1 = func(p []any) any { p[1] = map[int]any{4: []byte("01234567")}; return p }
		}},
		{"header_alg_missing", malformed, "no alg", func(f *forgery) { f.protected = map[int]any{1: nil} }},
		{"header_kid_missing", malformed, "no kid", func(f *forgery) { f.protected = map[int]any{4: nil} }},
		{"header_kid_short", malformed, "a kid of seven bytes", func(f *forgery) { f.protected = map[int]any{4: []byte("0123456")} }},
		{"header_kid_long", malformed, "a kid of nine bytes", func(f *forgery) { f.protected = map[int]any{4: []byte("012345678")} }},
		{"header_typ_missing", malformed, "no typ", func(f *forgery) { f.protected = map[int]any{16: nil} }},
		{"header_typ_bundle", malformed, "the typ of a bundle, signed by the root", func(f *forgery) { f.typ = trust.TypeBundle }},
		{"header_typ_case", malformed, "typ in another case", func(f *forgery) { f.typ = "Application/Signet-Root+COSE" }},
		{"header_typ_short", malformed, "typ without its first part, which other formats may leave out", func(f *forgery) { f.typ = "signet-root+cose" }},
		{"header_crit", malformed, "a crit header", func(f *forgery) { f.protected = map[int]any{2: []int{16}} }},
		{"header_more", malformed, "one header more", func(f *forgery) { f.protected = map[int]any{3: 0} }},
		{"signature_empty", malformed, "a signature of no bytes", func(f *forgery) { f.signature = func([]byte) []byte { return []byte{} } }},
		{"signature_long", malformed, "a signature over 4096 bytes", func(f *forgery) { f.signature = func([]byte) []byte { return make([]byte, 4097) } }},
		{"signature_bit", badSignature, "one bit of the signature", func(f *forgery) { f.signature = func(s []byte) []byte { s[0] ^= 1; return s } }},
		{"signature_zero", badSignature, "r and s are 0", func(f *forgery) { f.signature = func([]byte) []byte { return make([]byte, 64) } }},
		{"signature_trailing", badSignature, "a byte after s", func(f *forgery) { f.signature = func(s []byte) []byte { return append(s, 0) } }},
		{"signature_external", badSignature, "signed with an external_aad", func(f *forgery) { f.external = []byte("EL1:") }},
		{"signature_external_null", badSignature, "signed with null for external_aad", func(f *forgery) {
			f.signed = func(s []any) any { s[2] = nil; return s }
		}},
		{"signature_context", badSignature, "signed with the context of a counter-signature", func(f *forgery) {
			f.signed = func(s []any) any { s[0] = "CounterSignature"; return s }
		}},
		{"signature_other_alg", badSignature, "alg is not that of the key", func(f *forgery) { f.protected = map[int]any{1: es384} }},
		{"payload_changed", badSignature, "another payload than was signed", func(f *forgery) {
			changed := change(f.payload, func(m tree) { m[k(1)] = uint64(4) })
			f.file = func(_, s any) any { return []any{changed, s} }
		}},
	} {
		f := forge(t, kindRoot)
		c.edit(&f)
		add(c.name, vector{expect: c.expect, kind: kindRoot, comment: c.comment, file: f.make()})
	}
}

// signerVectors are signed by whom the pin does not lead to.
func signerVectors(t testing.TB, add adder) {
	b := bundle(t)
	add("root_by_stranger", vector{expect: noSigner, kind: kindRoot, comment: "signed by another root", file: rootFile(t, rootStatement(), strangerKey)})
	add("root_kid_of_pin", vector{expect: badSignature, kind: kindRoot, comment: "signed by another root under the pinned root's kid", file: func() []byte {
		f := forge(t, kindRoot)
		kid := trust.KIDOf(spki(rootKey))
		f.keys, f.protected = []crypto.Signer{strangerKey}, map[int]any{4: kid[:]}
		return f.make()
	}()})
	next := rootStatement()
	next.Version, next.Next = 4, spki(nextRootKey)
	add("root_by_next_alone", vector{expect: noSigner, kind: kindRoot, comment: "signed by the next root and not by the pinned one", file: rootFile(t, next, nextRootKey)})
	add("root_by_bundle_signer", vector{expect: noSigner, kind: kindRoot, comment: "signed by a trust-list signer: no online key moves the pin", file: rootFile(t, rootStatement(), bundleKey)})
	f := forge(t, kindBundle)
	f.keys = []crypto.Signer{strangerKey}
	add("bundle_by_stranger", vector{expect: noSigner, kind: kindBundle, comment: "signed by a key that the root does not permit", file: f.make()})
	f.keys = []crypto.Signer{statusKey}
	add("bundle_by_status_signer", vector{expect: noSigner, kind: kindBundle, comment: "signed by a status signer, who can add no key", file: f.make()})
	f.keys = []crypto.Signer{rootKey}
	add("bundle_by_root", vector{expect: noSigner, kind: kindBundle, comment: "signed by the root itself, which signs no bundles", file: f.make()})
	f.keys = []crypto.Signer{laterKey}
	add("bundle_signer_not_yet", vector{expect: noSigner, kind: kindBundle, comment: "iat before the signer's window", file: f.make()})
	late := b
	late.IssuedAt, late.Expires = begin+730*day, begin+731*day
	add("bundle_signer_ended", vector{expect: noSigner, kind: kindBundle, comment: "iat at the end of the signer's window", now: late.IssuedAt + 60, file: forgery{
		typ: trust.TypeBundle, keys: []crypto.Signer{bundleKey},
		payload: change(payloadOf(bundleFile(t, b, bundleKey)), func(m tree) { m[k(2)], m[k(3)] = uint64(late.IssuedAt), uint64(late.Expires) }),
	}.make()})
	foreign := bundle(t)
	foreign.Root = rootFile(t, rootStatement(), strangerKey)
	add("bundle_root_of_stranger", vector{expect: noSigner, kind: kindBundle, comment: "its root statement is another root's", file: bundleFile(t, foreign, bundleKey)})
	add("bundle_second_signature_wrong", vector{expect: badSignature, kind: kindBundle, comment: "two permitted signers, and the second's signature is wrong", file: secondWrong(t)})
	g := forge(t, kindHead)
	g.keys = []crypto.Signer{bundleKey}
	add("head_by_bundle_signer", vector{expect: noSigner, kind: kindHead, comment: "signed by a trust-list signer", root: b.Root, file: g.make()})
}

// secondWrong is a bundle by two permitted signers, the second's signature changed.
func secondWrong(t testing.TB) []byte {
	s := rootStatement()
	s.Bundle[1] = permit(laterKey, begin, begin+730*day)
	b := bundle(t)
	b.Root = rootFile(t, s, rootKey)
	f := forgery{typ: trust.TypeBundle, payload: payloadOf(bundleFile(t, b, bundleKey)), keys: []crypto.Signer{bundleKey, laterKey}}
	n := 0
	f.signature = func(sig []byte) []byte {
		if n++; n == 2 {
			sig[5] ^= 4
		}
		return sig
	}
	return f.make()
}

func timeVectors(t testing.TB, add adder) {
	b := bundle(t)
	file := bundleFile(t, b, bundleKey)
	add("root_expired", vector{expect: expired, kind: kindRoot, comment: "now is exp", now: rootStatement().Expires, file: b.Root})
	add("root_made_after_now", vector{expect: madeAfterNow, kind: kindRoot, comment: "the clock is a day before iat", now: begin - day, file: b.Root})
	add("bundle_expired", vector{expect: expired, kind: kindBundle, comment: "now is exp", now: b.Expires, file: file})
	add("bundle_made_after_now", vector{expect: madeAfterNow, kind: kindBundle, comment: "the clock is 301 seconds behind", now: made - 301, file: file})
	short := rootStatement()
	short.Expires = made + day
	old := bundle(t)
	old.Root = rootFile(t, short, rootKey)
	add("bundle_root_expired", vector{expect: expired, kind: kindBundle, comment: "its root statement has expired", file: bundleFile(t, old, bundleKey)})
	add("head_expired", vector{expect: expired, kind: kindHead, comment: "now is exp", now: head().Expires, root: b.Root, file: headFile(t, head(), statusKey)})
	add("head_made_after_now", vector{expect: madeAfterNow, kind: kindHead, comment: "the clock is a day before iat", now: made - day, root: b.Root, file: headFile(t, head(), statusKey)})
}

// edits adds a vector for each change of a payload, signed as it stands.
func edits(t testing.TB, add adder, kind string, cases []edit) {
	for _, c := range cases {
		f := forge(t, kind)
		if c.raw != nil {
			f.payload = c.raw(bytes.Clone(f.payload))
		} else {
			f.payload = change(f.payload, c.edit)
		}
		v := vector{expect: malformed, kind: kind, comment: c.comment, file: f.make()}
		if c.expect != "" {
			v.expect = c.expect
		}
		if kind == kindHead {
			v.root = bundle(t).Root
		}
		add(c.name, v)
	}
}

type edit struct {
	name, comment string
	edit          func(m tree)
	raw           func(payload []byte) []byte
	expect        string // malformed unless said otherwise
}

func rootVectors(t testing.TB, add adder) {
	signer := func(m tree, list int) tree { return at(m, list, index(0)) }
	edits(t, add, kindRoot, []edit{
		{name: "root_unknown_member", comment: "a member that is not in the format", edit: func(m tree) { m[k(8)] = 0 }},
		{name: "root_text_member", comment: "a member by a text", edit: func(m tree) { m["version"] = 3 }},
		{name: "root_version_missing", comment: "no version", edit: func(m tree) { delete(m, k(1)) }},
		{name: "root_version_0", comment: "version 0", edit: func(m tree) { m[k(1)] = 0 }},
		{name: "root_version_negative", comment: "version -1", edit: func(m tree) { m[k(1)] = -1 }},
		{name: "root_version_float", comment: "version as floating point", edit: func(m tree) { m[k(1)] = 3.0 }},
		{name: "root_version_big", comment: "version over 2^53-1", edit: func(m tree) { m[k(1)] = uint64(1 << 53) }},
		{name: "root_times_order", comment: "exp is iat", edit: func(m tree) { m[k(3)] = m[k(2)] }},
		{name: "root_exp_big", comment: "exp after the year 9999", edit: func(m tree) { m[k(3)] = uint64(253402300800) }},
		{name: "root_list_empty", comment: "an empty list in place of none", edit: func(m tree) { m[k(6)] = []any{} }},
		{name: "root_signer_kid", comment: "the kid of a signer is not its key's", edit: func(m tree) { signer(m, 4)[k(1)] = []byte("01234567") }},
		{name: "root_signer_alg", comment: "the algorithm of a signer is not its key's", edit: func(m tree) { signer(m, 4)[k(2)] = es384 }},
		{name: "root_signer_alg_unknown", comment: "an algorithm that is not in the table", edit: func(m tree) { signer(m, 4)[k(2)] = -257 }},
		{name: "root_signer_key", comment: "the key of a signer is no SubjectPublicKeyInfo", edit: func(m tree) {
			kid := trust.KIDOf([]byte("key"))
			signer(m, 4)[k(1)], signer(m, 4)[k(3)] = kid[:], []byte("key")
		}},
		{name: "root_signer_window", comment: "the window of a signer ends before it begins", edit: func(m tree) { signer(m, 5)[k(5)] = uint64(1) }},
		{name: "root_signers_order", comment: "signers not in the order of their kids", edit: func(m tree) {
			s := m[k(4)].([]any)
			s[0], s[1] = s[1], s[0]
		}},
		{name: "root_signers_twice", comment: "one signer twice", edit: func(m tree) {
			s := m[k(4)].([]any)
			m[k(4)] = []any{s[0], s[0]}
		}},
		{name: "root_two_purposes", comment: "a trust-list signer that is a status signer too", edit: func(m tree) { m[k(5)] = []any{m[k(4)].([]any)[0]} }},
		{name: "root_next_key", comment: "the next root is no key", edit: func(m tree) { m[k(7)] = []byte("next") }},
		{name: "root_too_large", comment: "over 64 kB", expect: tooLarge, raw: func(p []byte) []byte { return append(p, make([]byte, trust.MaxRoot)...) }},
		{name: "root_map_twice", comment: "version twice", raw: func(p []byte) []byte { return concat([]byte{p[0] + 1, 1, 3}, p[1:]) }},
		{name: "root_map_order", comment: "iat before version", raw: func(p []byte) []byte { // a6 01 03 02 1a…
			return concat(p[:1], p[3:9], p[1:3], p[9:])
		}},
		{name: "root_long_integer", comment: "version in two bytes", raw: func(p []byte) []byte { return concat(p[:2], []byte{0x18, 3}, p[3:]) }},
		{name: "root_payload_trailing", comment: "a byte after the payload's map", raw: func(p []byte) []byte { return append(p, 0) }},
	})
}

func bundleVectors(t testing.TB, add adder) {
	agency := func(m tree) tree { return at(m, 5, index(0)) } // donghu-amr
	key := func(m tree) tree { return at(m, 6, index(0)) }
	grant := func(m tree) tree { return at(m, 7, index(0)) }
	typ := func(m tree) tree { return at(m, 8, index(0)) }
	swap := func(m tree, list int) {
		s := m[k(list)].([]any)
		s[0], s[1] = s[1], s[0]
	}
	twice := func(m tree, list int) {
		s := m[k(list)].([]any)
		m[k(list)] = append([]any{s[0]}, s...)
	}
	edits(t, add, kindBundle, []edit{
		{name: "bundle_unknown_member", comment: "a member that is not in the format", edit: func(m tree) { m[k(11)] = 0 }},
		{name: "bundle_seq_0", comment: "seq 0", edit: func(m tree) { m[k(1)] = 0 }},
		{name: "bundle_seq_big", comment: "seq over 2^53-1", edit: func(m tree) { m[k(1)] = uint64(1 << 53) }},
		{name: "bundle_life", comment: "exp 92 days and a second after iat", edit: func(m tree) { m[k(3)] = uint64(made + 92*day + 1) }},
		{name: "bundle_previous_missing", comment: "a later bundle without the hash of the one before", edit: func(m tree) { delete(m, k(4)) }},
		{name: "bundle_previous_short", comment: "a hash of 31 bytes", edit: func(m tree) { m[k(4)] = seed("x", 32)[1:] }},
		{name: "bundle_root_missing", comment: "no root statement", edit: func(m tree) { delete(m, k(10)) }},
		{name: "bundle_root_garbage", comment: "a root statement that is none", edit: func(m tree) { m[k(10)] = []byte("root") }},
		{name: "bundle_tag", comment: "a tagged value", edit: func(m tree) { m[k(1)] = cbor.Tag{Number: 2, Content: []byte{41}} }},
		{name: "bundle_agencies_order", comment: "agencies not in order", edit: func(m tree) { swap(m, 5) }},
		{name: "bundle_agencies_twice", comment: "one agency twice", edit: func(m tree) { twice(m, 5) }},
		{name: "bundle_agency_id", comment: "an id with capital letters", edit: func(m tree) { agency(m)[k(1)] = "Donghu-amr" }},
		{name: "bundle_agency_name_missing", comment: "an agency without an English name", edit: func(m tree) { delete(at(m, 5, index(0), 3), k(2)) }},
		{name: "bundle_agency_name_bidi", comment: "a name that changes the order of what is shown", edit: func(m tree) { at(m, 5, index(0), 3)[k(2)] = "Donghu \u202egnitekram" }},
		{name: "bundle_agency_name_utf8", comment: "a name that is not UTF-8", raw: func(p []byte) []byte {
			return bytes.Replace(p, []byte("Donghu Adm"), []byte("Donghu\xffAdm"), 1)
		}},
		{name: "bundle_agency_uscc", comment: "a USCC of 17 characters", edit: func(m tree) { agency(m)[k(2)] = "11990101MB0000001" }},
		{name: "bundle_agency_level", comment: "a level that is none", edit: func(m tree) { agency(m)[k(4)] = "province" }},
		{name: "bundle_agency_level_area", comment: "a district's agency with a city's area", edit: func(m tree) { agency(m)[k(6)] = "990100" }},
		{name: "bundle_agency_area", comment: "an area of five digits", edit: func(m tree) { agency(m)[k(6)] = "99010" }},
		{name: "bundle_agency_parent", comment: "a parent that is not in the bundle", edit: func(m tree) { agency(m)[k(5)] = "xishan-amr" }},
		{name: "bundle_agency_parent_itself", comment: "an agency that is its own parent", edit: func(m tree) { agency(m)[k(5)] = "donghu-amr" }},
		{name: "bundle_agency_successor", comment: "a successor that is not in the bundle", edit: func(m tree) { agency(m)[k(7)] = "xishan-amr" }},
		{name: "bundle_keys_order", comment: "keys not in the order of their kids", edit: func(m tree) { swap(m, 6) }},
		{name: "bundle_keys_twice", comment: "one kid twice", edit: func(m tree) { twice(m, 6) }},
		{name: "bundle_kid_twice_other_key", comment: "one kid for two keys", edit: func(m tree) {
			a, b := at(m, 6, index(0)), at(m, 6, index(1))
			hash := append(bytes.Clone(a[k(4)].([]byte)[:8]), make([]byte, 24)...)
			b[k(1)], b[k(4)] = a[k(1)], hash
		}},
		{name: "bundle_kid_certificate", comment: "a kid that is not its certificate's", edit: func(m tree) { key(m)[k(4)] = seed("another", 32) }},
		{name: "bundle_key_alg", comment: "an algorithm that is not the key's", edit: func(m tree) { key(m)[k(2)] = edDSA }},
		{name: "bundle_key_ber", comment: "a public key not in DER", edit: func(m tree) { // 30 59 … → 30 81 59 …
			der := key(m)[k(3)].([]byte)
			key(m)[k(3)] = concat(der[:1], []byte{0x81}, der[1:])
		}},
		{name: "bundle_key_agency", comment: "a key of an agency that is not in the bundle", edit: func(m tree) { key(m)[k(5)] = "xishan-amr" }},
		{name: "bundle_key_window", comment: "a signing window that ends before it begins", edit: func(m tree) { key(m)[k(7)] = uint64(begin) }},
		{name: "bundle_key_verify_until", comment: "verify until before signing until", edit: func(m tree) { key(m)[k(8)] = uint64(begin + 364*day) }},
		{name: "bundle_key_state", comment: "a state that is not shown", edit: func(m tree) { key(m)[k(9)] = "staged" }},
		{name: "bundle_key_compromised_when", comment: "compromised without a time", edit: func(m tree) { key(m)[k(9)] = trust.KeyCompromised }},
		{name: "bundle_key_compromised_active", comment: "a time of compromise for an active key", edit: func(m tree) { key(m)[k(10)] = uint64(made) }},
		{name: "bundle_key_genuine_active", comment: "a genuine file for an active key", edit: func(m tree) { key(m)[k(11)] = seed("genuine", 32) }},
		{name: "bundle_key_genuine_short", comment: "the hash of a genuine file cut", edit: func(m tree) {
			key(m)[k(9)], key(m)[k(10)], key(m)[k(11)] = trust.KeyCompromised, uint64(made), seed("genuine", 32)[:16]
		}},
		{name: "bundle_authority_order", comment: "authority not in order", edit: func(m tree) { swap(m, 7) }},
		{name: "bundle_authority_twice", comment: "one grant twice", edit: func(m tree) { twice(m, 7) }},
		{name: "bundle_authority_agency", comment: "authority of an agency that is not in the bundle", edit: func(m tree) { grant(m)[k(1)] = "a" }},
		{name: "bundle_authority_type", comment: "authority for a type that is not in the bundle", edit: func(m tree) { grant(m)[k(2)] = "teacher" }},
		{name: "bundle_authority_area", comment: "an area that is none", edit: func(m tree) { grant(m)[k(3)] = "99010X" }},
		{name: "bundle_authority_times", comment: "authority that ends before it begins", edit: func(m tree) { grant(m)[k(5)] = uint64(begin) }},
		{name: "bundle_types_twice", comment: "one type twice", edit: func(m tree) { twice(m, 8) }},
		{name: "bundle_types_one_id", comment: "two types with one id", edit: func(m tree) {
			other := tree{}
			for key, v := range typ(m) {
				other[key] = v
			}
			other[k(1)] = 2
			delete(other, k(7))
			m[k(8)] = []any{typ(m), other}
		}},
		{name: "bundle_types_one_dictionary", comment: "two types with one dictionary", edit: func(m tree) {
			other := tree{}
			for key, v := range typ(m) {
				other[key] = v
			}
			other[k(1)], other[k(2)] = 2, "other"
			m[k(8)] = []any{typ(m), other}
		}},
		{name: "bundle_type_code_0", comment: "a type with code 0", edit: func(m tree) { typ(m)[k(1)] = 0 }},
		{name: "bundle_type_holder", comment: "a kind of holder that is none", edit: func(m tree) { typ(m)[k(4)] = "dog" }},
		{name: "bundle_type_status_age", comment: "no oldest status allowed", edit: func(m tree) { delete(typ(m), k(8)) }},
		{name: "bundle_type_dictionary_large", comment: "a dictionary over 16384 bytes", expect: tooLarge, edit: func(m tree) { typ(m)[k(7)] = make([]byte, 16385) }},
		{name: "bundle_field_3", comment: "a field with the number of the holder's", edit: func(m tree) { at(m, 8, index(0), 5, index(0))[k(1)] = 3 }},
		{name: "bundle_field_list", comment: "a field with a code list that is not there", edit: func(m tree) { at(m, 8, index(0), 5, index(1))[k(4)] = "colours" }},
		{name: "bundle_fields_twice", comment: "one field twice", edit: func(m tree) {
			f := typ(m)[k(5)].([]any)
			typ(m)[k(5)] = []any{f[0], f[0]}
		}},
		{name: "bundle_codes_twice", comment: "one code twice", edit: func(m tree) {
			l := at(m, 8, index(0), 6, index(0))
			c := l[k(2)].([]any)
			l[k(2)] = []any{c[0], c[0]}
		}},
		{name: "bundle_list_uri", comment: "the address of a status list with a line end", edit: func(m tree) { at(m, 9, index(0))[k(2)] = "http://localhost/\r\nHost: a" }},
		{name: "bundle_lists_twice", comment: "one status list twice", edit: func(m tree) { twice(m, 9) }},
		{name: "bundle_deep", comment: "arrays in arrays, eleven deep", edit: func(m tree) {
			var v any = 0
			for range 11 {
				v = []any{v}
			}
			m[k(5)] = v
		}},
		{name: "bundle_many", comment: "an array of more than 65536", edit: func(m tree) { m[k(9)] = zeros(1<<16 + 1) }},
	})
}

func zeros(n int) []any {
	s := make([]any, n)
	for i := range s {
		s[i] = 0
	}
	return s
}

func headVectors(t testing.TB, add adder) {
	edits(t, add, kindHead, []edit{
		{name: "head_unknown_member", comment: "a member that is not in the format", edit: func(m tree) { m[k(8)] = 0 }},
		{name: "head_bundle_seq_0", comment: "the bundle's seq is 0", edit: func(m tree) { m[k(1)] = 0 }},
		{name: "head_snapshot_seq_0", comment: "the snapshot's seq is 0", edit: func(m tree) { m[k(3)] = 0 }},
		{name: "head_hash_short", comment: "a hash of 31 bytes", edit: func(m tree) { m[k(2)] = seed("x", 32)[1:] }},
		{name: "head_hash_missing", comment: "no hash of the snapshot", edit: func(m tree) { delete(m, k(4)) }},
		{name: "head_hash_long", comment: "a hash of 33 bytes", edit: func(m tree) { m[k(2)] = make([]byte, 33) }},
		{name: "head_life", comment: "exp 31 days and a second after iat", edit: func(m tree) { m[k(7)] = uint64(made + 31*day + 1) }},
		{name: "head_checkpoint_large", comment: "a checkpoint over 8 kB", expect: tooLarge, edit: func(m tree) { m[k(5)] = make([]byte, 8193) }},
		{name: "head_too_large", comment: "over 16 kB", expect: tooLarge, edit: func(m tree) { m[k(5)] = make([]byte, trust.MaxHead) }},
	})
}
