package trust

import (
	"fmt"
	"hash/adler32"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of what a bundle holds. Those of a permit stand in docs/spec/el1.md.
const (
	maxTime       = 253402300799 // 9999-12-31T23:59:59Z
	maxInteger    = 1<<53 - 1    // every implementation, JavaScript's too, holds it exactly
	maxName       = 256          // bytes of UTF-8
	maxValue      = 512
	maxID         = 40
	maxURI        = 512
	maxAgencies   = 1 << 13
	maxTypes      = 1 << 12
	maxStatusList = 1 << 14
	maxFields     = 60
	minField      = 4
	maxField      = 1<<16 - 1
	maxLists      = 64
	maxDictionary = 16384
)

// check says what is wrong with a bundle, apart from its root statement's own.
func (b *Bundle) check() error {
	if b.Seq == 0 || b.Seq > maxInteger {
		return malformed("seq out of range")
	}
	if err := checkTimes(b.IssuedAt, b.Expires, MaxBundleLife); err != nil {
		return err
	}
	if n := len(b.Previous); n != 32 && (n != 0 || b.Seq > 1) {
		return malformed("hash of the bundle before")
	}
	if len(b.Agencies) > maxAgencies || len(b.Types) > maxTypes || len(b.Lists) > maxStatusList {
		return fmt.Errorf("%w: too many agencies, types or lists", ErrTooLarge)
	}
	if !rises(b.Agencies, byAgency) || !rises(b.Keys, byKey) || !rises(b.Authority, byAuthority) ||
		!rises(b.Types, byType) || !rises(b.Lists, byList) {
		return malformed("agencies, keys, authority, types or lists not in order or twice")
	}
	agencies, err := b.checkAgencies()
	if err != nil {
		return err
	}
	types, err := b.checkTypes()
	if err != nil {
		return err
	}
	for _, k := range b.Keys {
		if err := k.check(agencies); err != nil {
			return fmt.Errorf("key %x: %w", k.KID, err)
		}
	}
	for _, a := range b.Authority {
		if err := a.check(agencies, types); err != nil {
			return err
		}
	}
	for _, l := range b.Lists {
		if !isText(l.URI, maxURI) {
			return malformed("address of a status list")
		}
	}
	return nil
}

func (b *Bundle) checkAgencies() (map[string]bool, error) {
	known := make(map[string]bool, len(b.Agencies))
	for _, a := range b.Agencies {
		known[a.ID] = true
	}
	for _, a := range b.Agencies {
		if err := a.check(known); err != nil {
			return nil, fmt.Errorf("agency %.40q: %w", a.ID, err)
		}
	}
	return known, nil
}

func (a Agency) check(known map[string]bool) error {
	switch {
	case !isWord(a.ID):
		return malformed("id")
	case a.USCC != "" && !isUSCC(a.USCC):
		return malformed("USCC")
	case !a.Names.ok():
		return malformed("names")
	case !isArea(a.Area):
		return malformed("area")
	case a.Level == LevelCity && !strings.HasSuffix(a.Area, "00"),
		a.Level == LevelDistrict && strings.HasSuffix(a.Area, "00"),
		a.Level != LevelCity && a.Level != LevelDistrict:
		return malformed("level, or an area of another level")
	case a.Parent != "" && (!known[a.Parent] || a.Parent == a.ID):
		return malformed("parent")
	case a.Successor != "" && (!known[a.Successor] || a.Successor == a.ID):
		return malformed("successor")
	}
	return nil
}

var keyStates = []string{KeyPublished, KeyActive, KeyRetiring, KeyRetired, KeyCompromised}

func (k Key) check(agencies map[string]bool) error {
	compromised := k.State == KeyCompromised
	switch {
	case k.KID != [8]byte(k.CertHash[:8]):
		return malformed("kid is not of the certificate")
	case !agencies[k.Agency]:
		return malformed("unknown agency")
	case checkTimes(k.SignFrom, k.SignUntil, 0) != nil,
		k.VerifyUntil < k.SignUntil, k.VerifyUntil > maxTime:
		return malformed("signing and verifying times")
	case !slices.Contains(keyStates, k.State):
		return malformed("state")
	case compromised != (k.CompromisedAt != 0), k.CompromisedAt < 0, k.CompromisedAt > maxTime:
		return malformed("time of compromise")
	case len(k.Genuine) != 0 && (!compromised || len(k.Genuine) != 32):
		return malformed("hash of the genuine file")
	}
	_, err := ParsePublic(k.Alg, k.Public)
	return err
}

func (a Authority) check(agencies, types map[string]bool) error {
	switch {
	case !agencies[a.Agency]:
		return malformed("authority of an unknown agency")
	case !types[a.Type]:
		return malformed("authority for an unknown type")
	case !isArea(a.Area):
		return malformed("authority's area")
	case a.Until == 0 && a.From >= 0 && a.From <= maxTime:
		return nil
	}
	return checkTimes(a.From, a.Until, 0)
}

func (b *Bundle) checkTypes() (map[string]bool, error) {
	known := make(map[string]bool, len(b.Types))
	dictionaries := map[uint32]bool{}
	for _, t := range b.Types {
		if known[t.ID] {
			return nil, malformed("two types with one id")
		}
		known[t.ID] = true
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("type %.40q: %w", t.ID, err)
		}
		if len(t.Dictionary) == 0 {
			continue
		}
		id := adler32.Checksum(t.Dictionary)
		if dictionaries[id] {
			return nil, malformed("two dictionaries with one checksum")
		}
		dictionaries[id] = true
	}
	return known, nil
}

func (t Type) check() error {
	switch {
	case t.Code == 0 || t.Code > maxInteger:
		return malformed("code out of range")
	case !isWord(t.ID):
		return malformed("id")
	case !t.Names.ok():
		return malformed("names")
	case t.HolderKind != HolderFirm && t.HolderKind != HolderPerson:
		return malformed("kind of holder")
	case t.MaxStatusAge <= 0 || t.MaxStatusAge > maxTime:
		return malformed("oldest status allowed")
	case t.Reissue < 0 || t.Reissue > maxTime:
		return malformed("re-issue period")
	case len(t.Fields) > maxFields, len(t.Lists) > maxLists, len(t.Dictionary) > maxDictionary:
		return fmt.Errorf("%w: fields, lists or dictionary", ErrTooLarge)
	case !rises(t.Fields, byField) || !rises(t.Lists, byCodeList):
		return malformed("fields or lists not in order or twice")
	}
	lists := map[string]bool{}
	for _, l := range t.Lists {
		if err := l.check(); err != nil {
			return err
		}
		lists[l.ID] = true
	}
	names := map[string]bool{}
	for _, f := range t.Fields {
		if f.No < minField || f.No > maxField || !isText(f.Name, maxID) || names[f.Name] ||
			!f.Names.ok() || (f.List != "" && !lists[f.List]) {
			return malformed("field")
		}
		names[f.Name] = true
	}
	return nil
}

func (l CodeList) check() error {
	if !isText(l.ID, maxID) || len(l.Codes) == 0 || !rises(l.Codes, byCode) {
		return malformed("code list")
	}
	values := map[string]bool{}
	for _, c := range l.Codes {
		if c.Code > maxInteger || !isText(c.Value, maxValue) || values[c.Value] || !c.Names.ok() {
			return malformed("code")
		}
		values[c.Value] = true
	}
	return nil
}

func (n Names) ok() bool { return isText(n.ZH, maxName) && isText(n.EN, maxName) }

// isWord holds for an id: lowercase letters, digits and hyphens.
func isWord(s string) bool {
	return s != "" && len(s) <= maxID && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// isArea holds for six digits (GB/T 2260).
func isArea(s string) bool { return len(s) == 6 && strings.Trim(s, "0123456789") == "" }

// isUSCC holds for the form of a USCC (GB 32100-2015). Its check digit is the
// registry's business.
func isUSCC(s string) bool {
	return len(s) == 18 && strings.Trim(s, "0123456789ABCDEFGHJKLMNPQRTUWXY") == ""
}

// isText holds for 1 to limit bytes of UTF-8 that print in the order in which
// they stand: no control characters and no bidirectional ones.
func isText(s string, limit int) bool {
	if s == "" || len(s) > limit || !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, unprintable)
}

func unprintable(r rune) bool {
	return r < 0x20 || r >= 0x7F && r <= 0x9F || // C0, DEL, C1
		r == 0x061C || r == 0x200E || r == 0x200F || // marks
		r >= 0x2028 && r <= 0x202E || // separators, embeddings, overrides
		r >= 0x2066 && r <= 0x2069 // isolates
}
