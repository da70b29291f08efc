package registry

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/fault"
)

// checker gathers what is wrong with an input, so that all of it is told at once.
type checker struct{ problems []fault.Problem }

func (c *checker) add(path string, err error) {
	if err != nil {
		c.problem(path, fault.Public(err))
	}
}

func (c *checker) problem(path, message string) {
	c.problems = append(c.problems, fault.Problem{Path: path, Message: message})
}

func (c *checker) fault(public string) error {
	if len(c.problems) == 0 {
		return nil
	}
	return fault.InvalidInput(public, c.problems...)
}

// slug checks an identifier that people choose.
func slug(s string) error {
	if len(s) == 0 || len(s) > 64 || s[0] == '-' || s[len(s)-1] == '-' || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return fault.New(fault.Invalid, "must be 1 to 64 lowercase letters, digits and hyphens")
	}
	return nil
}

// name checks a name in any script: what cannot be seen does not belong in one.
func name(s string) error {
	switch {
	case s == "" || utf8.RuneCountInString(s) > 120 || !utf8.ValidString(s):
		return fault.New(fault.Invalid, "must be 1 to 120 characters of UTF-8")
	case strings.TrimSpace(s) != s:
		return fault.New(fault.Invalid, "must not begin or end with a space")
	case strings.ContainsFunc(s, invisible):
		return fault.New(fault.Invalid, "must not hold control or invisible characters")
	}
	return nil
}

// invisible reports control and format characters, line ends, private and
// unassigned ones: all but letters, marks, numbers, signs and spaces.
func invisible(r rune) bool { return !unicode.IsGraphic(r) }

// compare orders as the bytes stand, whatever the engine's collation.
func compare(a, b string) int { return cmp.Compare(a, b) }

func sortBy[T any](list []T, key func(T) string) {
	slices.SortStableFunc(list, func(a, b T) int { return compare(key(a), key(b)) })
}

// cmpErr returns the first error that is not nil.
func cmpErr(errs ...error) error { return cmp.Or(errs...) }
