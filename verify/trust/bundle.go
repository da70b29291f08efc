package trust

import (
	"bytes"
	"cmp"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"
)

// SignBundle signs a bundle. It sorts every list, and refuses a bundle that
// ParseBundle would refuse, a signer that the embedded root statement does not
// permit at the bundle's iat, and two things with one name, number or kid.
func SignBundle(b Bundle, signers ...KeySigner) ([]byte, error) {
	file, err := signBundle(b, signers)
	if err != nil {
		return nil, fmt.Errorf("sign trust bundle: %w", err)
	}
	return file, nil
}

func signBundle(b Bundle, signers []KeySigner) ([]byte, error) {
	b.sort()
	if err := b.check(); err != nil {
		return nil, err
	}
	root, err := ParseRoot(b.Root)
	if err != nil {
		return nil, err
	}
	for _, s := range signers {
		if !slices.ContainsFunc(permitted(root.Bundle, b.IssuedAt), func(k Signer) bool { return k.KID == s.KID }) {
			return nil, ErrSigner
		}
	}
	payload, err := encode(b)
	if err != nil {
		return nil, err
	}
	return sign(TypeBundle, payload, MaxBundle, signers)
}

// ParseBundle reads a bundle without verifying who signed it.
func ParseBundle(file []byte) (Bundle, error) {
	f, err := parseFile(file, MaxBundle, TypeBundle)
	if err != nil {
		return Bundle{}, fmt.Errorf("parse trust bundle: %w", err)
	}
	b, err := parseBundle(f.payload)
	if err != nil {
		return Bundle{}, fmt.Errorf("parse trust bundle: %w", err)
	}
	return b, nil
}

func parseBundle(payload []byte) (Bundle, error) {
	var b Bundle
	if err := decode(payload, &b); err != nil {
		return Bundle{}, err
	}
	return b, b.check()
}

// OpenBundle reads a bundle by a trust-list signer that its embedded root
// statement permits, where the pinned root signed that statement. Both must have
// begun and not expired. What the bundle lists is read only after its signature.
func OpenBundle(file []byte, pin crypto.PublicKey, now time.Time) (Bundle, RootStatement, error) {
	b, root, err := openBundle(file, pin, now)
	if err != nil {
		return Bundle{}, RootStatement{}, fmt.Errorf("open trust bundle: %w", err)
	}
	return b, root, nil
}

// outline is what must be known of a bundle before it is read.
type outline struct {
	IssuedAt int64  `cbor:"2,keyasint"`
	Root     []byte `cbor:"10,keyasint"`
}

func openBundle(file []byte, pin crypto.PublicKey, now time.Time) (Bundle, RootStatement, error) {
	f, err := parseFile(file, MaxBundle, TypeBundle)
	if err != nil {
		return Bundle{}, RootStatement{}, err
	}
	var o outline
	if peekMode.Unmarshal(f.payload, &o) != nil {
		return Bundle{}, RootStatement{}, malformed("not the CBOR of a bundle")
	}
	root, err := OpenRoot(o.Root, pin, now)
	if err != nil {
		return Bundle{}, RootStatement{}, err
	}
	if err := f.verify(TypeBundle, permitted(root.Bundle, o.IssuedAt)); err != nil {
		return Bundle{}, RootStatement{}, err
	}
	b, err := parseBundle(f.payload)
	if err != nil {
		return Bundle{}, RootStatement{}, err
	}
	return b, root, current(b.IssuedAt, b.Expires, now)
}

// sort puts every list in the order of the format, in copies.
func (b *Bundle) sort() {
	b.Agencies = sorted(b.Agencies, byAgency)
	b.Keys = sorted(b.Keys, byKey)
	b.Authority = sorted(b.Authority, byAuthority)
	b.Types = sorted(b.Types, byType)
	b.Lists = sorted(b.Lists, byList)
	for i := range b.Types {
		t := &b.Types[i]
		t.Fields = sorted(t.Fields, byField)
		t.Lists = sorted(t.Lists, byCodeList)
		for j := range t.Lists {
			t.Lists[j].Codes = sorted(t.Lists[j].Codes, byCode)
		}
	}
}

func byAgency(a, b Agency) int     { return strings.Compare(a.ID, b.ID) }
func byKey(a, b Key) int           { return bytes.Compare(a.KID[:], b.KID[:]) }
func byType(a, b Type) int         { return cmp.Compare(a.Code, b.Code) }
func byList(a, b StatusList) int   { return cmp.Compare(a.No, b.No) }
func byField(a, b Field) int       { return cmp.Compare(a.No, b.No) }
func byCodeList(a, b CodeList) int { return strings.Compare(a.ID, b.ID) }
func byCode(a, b Code) int         { return cmp.Compare(a.Code, b.Code) }

func byAuthority(a, b Authority) int {
	return cmp.Or(strings.Compare(a.Agency, b.Agency), strings.Compare(a.Type, b.Type),
		strings.Compare(a.Area, b.Area), cmp.Compare(a.From, b.From))
}
