package form

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/licenses"
)

// TestFormOfANewFirm: it asks for the name and for nothing that the register fills in, and
// takes none of that from whoever sends it all the same.
func TestFormOfANewFirm(t *testing.T) {
	types, err := licenses.ShippedTypes()
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range types {
		if typ.ID != licenses.FirmType {
			continue
		}
		f, err := Founding(typ)
		if err != nil {
			t.Fatal(err)
		}
		if all := f.All(); all[0].Name != InName || !all[0].required || len(all) != 9 {
			t.Errorf("asks for %+v", all)
		}
		for _, name := range append(licenses.FilledIn(), InHolder, InFrom, InUntil) {
			if _, ok := f.Find(name); ok {
				t.Errorf("asks for %s", name)
			}
		}
		d := f.Read(url.Values{"name": {" 湖畔 "}, "scope": {"餐饮服务"}, "capital_10k": {"５０"}, "established": {"2001-01-01"}, "legal_representative": {"周予安"}, "holder": {"91990101MA1F001175"}})
		if diff := cmp.Diff(Draft{Name: "湖畔", Request: licenses.Request{Type: licenses.FirmType, Data: map[string]any{"scope": "餐饮服务", "capital_10k": float64(50)}}, Values: d.Values}, d); diff != "" {
			t.Error(diff)
		}
		for _, bad := range []url.Values{{"name": {"湖\u202e畔"}}, {"name": {"甲", "乙"}}, {"name": {strings.Repeat("a", maxValue+1)}}, {"name": {"\xff"}}} {
			if d := f.Read(bad); d.Name != "" || len(d.Problems) != 1 || d.Problems[0].Path != "/name" || f.Fields(d, nil).Fields[0].Problem.ZH == "" {
				t.Errorf("%q: %+v", bad, d)
			}
		}
		whole, err := New(typ)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := whole.Find("established"); !ok {
			t.Error("the clerks' form has lost inputs")
		}
	}
	for _, properties := range []string{"name: {type: string}", "s: {type: array}"} {
		if _, err := Founding(typeWith(t, properties)); err == nil {
			t.Errorf("made of %s", properties)
		}
	}
}
