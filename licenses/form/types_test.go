package form

import (
	"encoding/json/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/licenses"
)

// TestFormsOfShippedTypes: every type that comes with the program has a form whose
// inputs are named in both languages, and what is filled in comes out as data.
func TestFormsOfShippedTypes(t *testing.T) {
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range types {
		f, err := New(typ)
		if err != nil {
			t.Errorf("%s: %v", typ.ID, err)
			continue
		}
		for i, in := range f.Inputs {
			if in.Name != typ.Fields[i].Property || in.Label.ZH == in.Name || in.Label.EN == in.Name {
				t.Errorf("%s: input %d is %s, labelled %v", typ.ID, i, in.Name, in.Label)
			}
			if (in.kind == oneOf) != (typ.Fields[i].List != "") {
				t.Errorf("%s: %s is asked for as a %s", typ.ID, in.Name, in.kind)
			}
			for _, o := range in.options {
				if o.Label.EN == o.Value || o.Label.ZH != o.Value {
					t.Errorf("%s: %s offers %s as %v", typ.ID, in.Name, o.Value, o.Label)
				}
			}
		}
		for _, data := range samplesOf(t, typ.ID) {
			values := url.Values{}
			for name, v := range data {
				switch v := v.(type) {
				case string:
					values.Set(name, v)
				case float64:
					values.Set(name, " "+strconv.Itoa(int(v))) // as people paste it
				}
			}
			d := f.Read(values)
			if diff := cmp.Diff(data, d.Request.Data); diff != "" || len(d.Problems) > 0 {
				t.Errorf("%s: filled in and read, %v:\n%s", typ.ID, d.Problems, diff)
			}
			for _, in := range f.Inputs {
				if v, ok := data[in.Name]; ok && in.kind == oneOf && !slices.ContainsFunc(typ.Lists, func(l licenses.CodeList) bool {
					return slices.ContainsFunc(l.Codes, func(c licenses.Code) bool { return c.Value == v && in.Shown(v).EN == c.Names.EN })
				}) {
					t.Errorf("%s: %s is shown as %v", typ.ID, v, in.Shown(v))
				}
			}
		}
	}
}

// samplesOf returns the data of the samples that package licenses tests with.
func samplesOf(t *testing.T, id string) (list []map[string]any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "testdata", "types", id+".ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var s struct {
			Data map[string]any `json:"data"`
		}
		if err := json.Unmarshal([]byte(line), &s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s.Data)
	}
	return list
}
