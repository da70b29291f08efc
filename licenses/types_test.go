package licenses_test

import (
	"encoding/json/v2"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/licenses"
)

// shippedIDs are the ids of the types that come with the program, in their order.
var shippedIDs = []string{"business-license", "construction-permit", "disability-card", "doctor-practice", "food-business",
	"medical-institution", "public-venue-hygiene", "road-transport", "taxi-driver", "teacher"}

func shipped(t testing.TB) []*licenses.Type {
	t.Helper()
	types, err := licenses.ShippedTypes()
	must(t, err)
	return types
}

// sample is what somebody invented might be licensed for.
type sample struct {
	Holder string         `json:"holder"` // name
	Data   map[string]any `json:"data"`
}

// samples returns those of testdata/types: a line each, the first with the most data.
func samples(t testing.TB, id string) []sample {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "types", id+".ndjson"))
	must(t, err)
	var list []sample
	for line := range strings.Lines(string(b)) {
		var s sample
		must(t, json.Unmarshal([]byte(line), &s, json.RejectUnknownMembers(true)))
		list = append(list, s)
	}
	if len(list) < 3 {
		t.Fatalf("%s has %d samples, want three or more", id, len(list))
	}
	return list
}

// properties are those of a type's schema.
func properties(t testing.TB, ty *licenses.Type) map[string]map[string]any {
	t.Helper()
	found := map[string]map[string]any{}
	for name, v := range ty.Schema.(map[string]any)["properties"].(map[string]any) {
		found[name] = v.(map[string]any)
	}
	return found
}

func TestShippedTypes(t *testing.T) {
	types := shipped(t)
	ids := []string{}
	once := map[any]string{} // codes, identifiers and number prefixes
	for _, ty := range types {
		ids = append(ids, ty.ID)
		if tt := ty.Trust(); tt.Code != ty.Code || len(tt.Fields) != len(ty.Fields) || tt.MaxStatusAge <= 0 {
			t.Errorf("%s in the bundle: %+v", ty.ID, tt)
		}
		for _, v := range []any{ty.Code, ty.Identifier, ty.NumberPrefix} {
			if once[v] != "" {
				t.Errorf("%s and %s share %v", once[v], ty.ID, v)
			}
			once[v] = ty.ID
		}
		// GB/T 36903 begins a type's code with the USCC of the body that defines it.
		// Food and teacher were numbered before that was checked, and keep their codes.
		if err := registry.CheckUSCC(ty.Identifier[:18]); err != nil && ty.Code > 2 {
			t.Errorf("%s: identifier %s: %v", ty.ID, ty.Identifier, err)
		}
	}
	if diff := cmp.Diff(shippedIDs, ids); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}
}

// TestShippedTypesNameEverything: a page shows a property by its field's names and a
// value by its code's, in both languages.
func TestShippedTypesNameEverything(t *testing.T) {
	const maxName = 256 // bytes: docs/spec/trust.md
	for _, ty := range shipped(t) {
		named := func(what string, n licenses.Names) {
			if n.ZH == "" || n.EN == "" || len(n.ZH) > maxName || len(n.EN) > maxName {
				t.Errorf("%s: %s is named %q and %q", ty.ID, what, n.ZH, n.EN)
			}
			if strings.ContainsFunc(n.EN, func(r rune) bool { return r > 0x2FFF }) {
				t.Errorf("%s: %s: the English name %q is Chinese", ty.ID, what, n.EN)
			}
		}
		named("the type", ty.Names)
		labels := map[licenses.Names]string{}
		for _, f := range ty.Fields {
			named("field "+f.Property, f.Names)
			if other := labels[f.Names]; other != "" {
				t.Errorf("%s: %s and %s have the same names", ty.ID, other, f.Property)
			}
			labels[f.Names] = f.Property
		}
		for _, l := range ty.Lists {
			for _, c := range l.Codes {
				named("value "+c.Value, c.Names)
				if c.Names.ZH != c.Value {
					t.Errorf("%s: the value %s is shown as %s", ty.ID, c.Value, c.Names.ZH)
				}
			}
		}
	}
}

// TestShippedSchemasAreClosed: no property is without bounds, none is left out of the
// permit, and a choice is the same in schema and code list.
func TestShippedSchemasAreClosed(t *testing.T) {
	for _, ty := range shipped(t) {
		schema, props := ty.Schema.(map[string]any), properties(t, ty)
		if schema["additionalProperties"] != false || schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
			t.Errorf("%s: schema of %v, other members %v", ty.ID, schema["$schema"], schema["additionalProperties"])
		}
		if len(ty.Fields) != len(props) {
			t.Errorf("%s: %d fields of %d properties", ty.ID, len(ty.Fields), len(props))
		}
		lists := map[string]bool{}
		for i, f := range ty.Fields {
			if f.No != uint64(i)+4 {
				t.Errorf("%s: %s is number %d, want %d: numbers are given in order", ty.ID, f.Property, f.No, i+4)
			}
			lists[f.List] = true
			if want, got := closed(ty, f, props[f.Property]), props[f.Property]; want != "" {
				t.Errorf("%s: %s: want %s: %v", ty.ID, f.Property, want, got)
			}
		}
		for i, l := range ty.Lists {
			if !lists[l.ID] || i > 0 && ty.Lists[i-1].ID >= l.ID || !slices.IsSortedFunc(l.Codes, func(a, b licenses.Code) int { return int(a.Code) - int(b.Code) }) {
				t.Errorf("%s: list %s is used by no field, or lists or codes are not in order", ty.ID, l.ID)
			}
		}
	}
}

// closed says what a property lacks, "" for nothing.
func closed(ty *licenses.Type, f licenses.Field, p map[string]any) string {
	has := func(names ...string) bool {
		return !slices.ContainsFunc(names, func(n string) bool { return p[n] == nil })
	}
	switch {
	case f.List != "":
		var values []any
		i := slices.IndexFunc(ty.Lists, func(l licenses.CodeList) bool { return l.ID == f.List })
		for _, c := range ty.Lists[i].Codes {
			values = append(values, c.Value)
		}
		if offered, _ := p["enum"].([]any); !sameValues(values, offered) {
			return "the values of its list"
		}
	case p["enum"] != nil:
		return "a code list for its choices"
	case p["type"] == "integer" && !has("minimum", "maximum"):
		return "minimum and maximum"
	case p["type"] == "string" && !has("minLength", "maxLength") && !has("pattern") && !has("format"):
		return "lengths, a pattern or a format"
	}
	return ""
}

func sameValues(a, b []any) bool {
	set := func(list []any) map[any]int {
		m := map[any]int{}
		for _, v := range list {
			m[v]++
		}
		return m
	}
	return maps.Equal(set(a), set(b))
}
