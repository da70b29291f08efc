package config

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// field is one leaf of Config.
type field struct {
	key   string // "trust.bundle_life"
	index []int  // for reflect.Value.FieldByIndex
	kind  reflect.Type
}

// env returns the name of the field's environment variable.
func (f field) env() string {
	return "SIGNET_" + strings.ToUpper(strings.ReplaceAll(f.key, ".", "_"))
}

// flag returns the name of the field's flag.
func (f field) flag() string { return strings.ReplaceAll(f.key, "_", "-") }

// of returns the field inside c.
func (f field) of(c *Config) reflect.Value { return reflect.ValueOf(c).Elem().FieldByIndex(f.index) }

// fields lists the leaves in the order of the struct.
func fields() []field { return leaves(reflect.TypeFor[Config](), "", nil) }

// leaves walks one struct.
func leaves(t reflect.Type, prefix string, index []int) []field {
	var out []field
	for i := range t.NumField() {
		f := t.Field(i)
		if !f.IsExported() {
			continue
		}
		key, at := prefix+f.Tag.Get("koanf"), append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			out = append(out, leaves(f.Type, key+".", at)...)
			continue
		}
		out = append(out, field{key, at, f.Type})
	}
	return out
}

// What is wrong with a value: predicates, to follow the key.
var (
	errDuration = errors.New("must be a duration such as 90m or 72h")
	errNumber   = errors.New("must be a whole number")
	errBool     = errors.New("must be true or false")
	errText     = errors.New("must be text: put it in quotes")
	errZero     = errors.New("is empty: leave it out for the default")
)

// parse reads a value given as text, in the environment or a flag.
func (f field) parse(s string) (any, error) {
	switch f.kind {
	case reflect.TypeFor[time.Duration]():
		d, err := time.ParseDuration(s)
		if err != nil {
			return nil, errDuration
		}
		if d == 0 {
			return nil, errZero
		}
		return d, nil
	case reflect.TypeFor[int64]():
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, errNumber
		}
		if n == 0 {
			return nil, errZero
		}
		return n, nil
	case reflect.TypeFor[bool]():
		if s != "true" && s != "false" {
			return nil, errBool
		}
		return s == "true", nil
	default:
		if s == "" {
			return nil, errZero
		}
		return s, nil
	}
}

// fromYAML reads a value as the YAML parser returns it. YAML guesses types; what
// it guessed must be what the field is.
func (f field) fromYAML(v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, errZero
	case string:
		if f.kind != reflect.TypeFor[int64]() && f.kind != reflect.TypeFor[bool]() {
			return f.parse(v)
		}
	case bool:
		if f.kind == reflect.TypeFor[bool]() {
			return v, nil
		}
	case int:
		if f.kind == reflect.TypeFor[int64]() {
			return f.parse(strconv.Itoa(v))
		}
	}
	switch f.kind {
	case reflect.TypeFor[time.Duration]():
		return nil, errDuration
	case reflect.TypeFor[int64]():
		return nil, errNumber
	case reflect.TypeFor[bool]():
		return nil, errBool
	default:
		return nil, errText
	}
}

// nearest returns the name most like the one given, "" if none is near enough to
// be meant.
func nearest(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := editDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance returns how many insertions, removals and replacements of a byte
// make b of a. Names are cut at 100 bytes.
func editDistance(a, b string) int {
	a, b = a[:min(len(a), 100)], b[:min(len(b), 100)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
