package registry_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

func TestCheckUSCC(t *testing.T) {
	for _, c := range []struct {
		name, uscc string
		ok         bool
	}{
		{"company", "914403001922038216", true},
		{"letter as check character", "91330100799655058B", true},
		{"letters at the end", "9144030071526726XG", true},
		{"public body", "12100000400000624D", true},
		{"invented city", completeUSCC("91990100MA0000001"), true},
		{"empty", "", false},
		{"one short", "91440300192203821", false},
		{"one long", "9144030019220382160", false},
		{"wrong check character", "914403001922038217", false},
		{"two digits swapped", "914403001922038126", false},
		{"lower case", "91330100799655058b", false},
		{"letter I", "9I4403001922038216", false},
		{"letter O for zero", "9144O3001922038216", false},
		{"letter in the area", completeUSCC("91A40300192203821"), false},
		{"unknown department", completeUSCC("G1440300192203821"), false},
		{"full-width digit", "９14403001922038216", false},
		{"space", "91440300192203821 ", false},
		{"NUL", "91440300192203821\x00", false},
		{"hyphens", "9144-0300-1922-038", false},
	} {
		t.Run(c.name, func(t *testing.T) { checkNumber(t, registry.CheckUSCC, c.uscc, c.ok) })
	}
	if n := accepted(registry.CheckUSCC, "91990100MA0000001", "0123456789ABCDEFGHJKLMNPQRTUWXY"); n != 1 {
		t.Errorf("%d check characters accepted, want 1", n)
	}
}

func TestCheckResident(t *testing.T) {
	for _, c := range []struct {
		name, number string
		ok           bool
	}{
		{"the standard's example", "11010519491231002X", true},
		{"leap day", complete("11010520000229001"), true},
		{"invented city", complete("99010119900307001"), true},
		{"Hong Kong", complete("81000019900307001"), true},
		{"the standard's example of 1880", "440524188001010014", false},
		{"empty", "", false},
		{"old number of 15 digits", "110105491231002", false},
		{"one long", "11010519491231002X0", false},
		{"wrong check character", "110105194912310021", false},
		{"lower-case x", "11010519491231002x", false},
		{"X in the middle", "1101051949123X0020", false},
		{"no leap day in 1900", complete("11010519000229001"), false},
		{"month 13", complete("11010519901301001"), false},
		{"day 0", complete("11010519900100001"), false},
		{"30 February", complete("11010519900230001"), false},
		{"no such province", complete("10010519900307001"), false},
		{"province 00", complete("00010519900307001"), false},
		{"sign", "+1010519491231002X", false},
		{"full-width digits", "１１０１０５19491231002X"[:18], false},
		{"two digits swapped", "11010519491213002X", false},
	} {
		t.Run(c.name, func(t *testing.T) { checkNumber(t, registry.CheckResident, c.number, c.ok) })
	}
	if n := accepted(registry.CheckResident, "11010519491231002", "0123456789X"); n != 1 {
		t.Errorf("%d check characters accepted, want 1", n)
	}
}

// checkNumber also holds that errors are for the public and never repeat what was
// wrong.
func checkNumber(t *testing.T, check func(string) error, number string, ok bool) {
	t.Helper()
	err := check(number)
	if (err == nil) != ok {
		t.Fatalf("got %v, want ok %v", err, ok)
	}
	if err != nil && (fault.KindOf(err) != fault.Invalid || len(number) > 3 && strings.Contains(err.Error(), number)) {
		t.Fatalf("got error %v of kind %v", err, fault.KindOf(err))
	}
}

func accepted(check func(string) error, body, alphabet string) (n int) {
	for _, c := range alphabet {
		if check(body+string(c)) == nil {
			n++
		}
	}
	return n
}

// complete adds the check character to 17 digits, by the definition of ISO 7064
// MOD 11-2 rather than by the table of weights.
func complete(body string) string {
	p := 0
	for _, d := range body {
		p = (p + int(d-'0')) * 2 % 11
	}
	return body + string("0123456789X"[(12-p)%11])
}

// completeUSCC adds the check character to 17 characters.
func completeUSCC(body string) string {
	const alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
	sum, weight := 0, 1
	for _, c := range body {
		sum += strings.IndexRune(alphabet, c) * weight
		weight = weight * 3 % 31
	}
	return body + string(alphabet[(31-sum%31)%31])
}

func TestCheckNumber(t *testing.T) {
	for _, c := range []struct {
		name   string
		kind   registry.Kind
		number string
		ok     bool
	}{
		{"resident", registry.Resident, "11010519491231002X", true},
		{"passport", registry.Passport, "E12345678", true},
		{"Hong Kong and Macau", registry.HongKongMacau, "H12345678", true},
		{"Taiwan", registry.Taiwan, "12345678", true},
		{"permanent resident", registry.PermanentResident, "911124198108030024", true},
		{"resident number as a passport", registry.Passport, "11010519491231002X", true},
		{"passport as a resident number", registry.Resident, "E12345678", false},
		{"too short", registry.Passport, "E123", false},
		{"too long", registry.Passport, strings.Repeat("1", 21), false},
		{"lower case", registry.Passport, "e12345678", false},
		{"space", registry.Passport, "E1234 678", false},
		{"no kind", "", "E12345678", false},
		{"unknown kind", "driver", "E12345678", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			checkNumber(t, func(n string) error { return registry.CheckNumber(c.kind, n) }, c.number, c.ok)
		})
	}
}

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		name, outer, area string
		want              bool
	}{
		{"itself", "990101", "990101", true},
		{"city over district", "990100", "990101", true},
		{"city over itself", "990100", "990100", true},
		{"province over district", "990000", "990101", true},
		{"district over city", "990101", "990100", false},
		{"district over its neighbour", "990101", "990102", false},
		{"another city", "990200", "990101", false},
		{"another province", "980000", "990101", false},
		{"empty", "", "", false},
		{"prefix", "9901", "990101", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := registry.Covers(c.outer, c.area); got != c.want {
				t.Errorf("Covers(%q, %q) = %v", c.outer, c.area, got)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for _, c := range []struct{ name, number, want string }{
		{"resident", "11010519491231002X", "110***********002X"},
		{"passport", "E12345678", "*******78"},
		{"short", "E1234", "****4"},
		{"two", "E1", "**"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := registry.Mask(c.number); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzCheckUSCC(f *testing.F) {
	for _, s := range []string{"914403001922038216", "9144030071526726XG", "", "９14403001922038216", "91440300192203821\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		err := registry.CheckUSCC(s)
		if err == nil && completeUSCC(s[:17]) != s {
			t.Errorf("%q accepted", s)
		}
		if err == nil && accepted(registry.CheckUSCC, s[:17], "0123456789ABCDEFGHJKLMNPQRTUWXY") != 1 {
			t.Errorf("%q has several check characters", s)
		}
	})
}

func FuzzCheckResident(f *testing.F) {
	for _, s := range []string{"11010519491231002X", complete("99010119900307001"), "", "110105491231002", "１1010519491231002X"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := registry.CheckResident(s); err == nil && complete(s[:17]) != s {
			t.Errorf("%q accepted", s)
		}
		if m := registry.Mask(s); len(m) != len(s) || len(s) > 4 && !strings.Contains(m, "*") {
			t.Errorf("%q is masked as %q", s, m)
		}
	})
}
