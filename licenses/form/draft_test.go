package form_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// TestSaves: the button that keeps a form is told from the one that sends it in.
func TestSaves(t *testing.T) {
	for _, tc := range []struct {
		name   string
		values url.Values
		want   bool
	}{
		{"save", url.Values{"submit": {"save"}}, true},
		{"submit", url.Values{"submit": {"1"}}, false},
		{"no button", url.Values{}, false},
		{"both", url.Values{"submit": {"save", "1"}}, false},
		{"twice", url.Values{"submit": {"save", "save"}}, false},
		{"a property of that name", url.Values{"save": {"save"}, "submit": {"1"}}, false},
	} {
		if got := form.Saves(tc.values); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}

// TestGoingOn: of what was kept the form takes what it asks for now. A choice that there
// is no more is not chosen.
func TestGoingOn(t *testing.T) {
	property := func(choices ...any) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{"kind": map[string]any{"enum": choices}, "name": map[string]any{"type": "string"}}}
	}
	f, err := form.New(&licenses.Type{ID: "stall", Holder: licenses.HolderPerson, Years: 1, Schema: property("a", "b")})
	if err != nil {
		t.Fatal(err)
	}
	kept := licenses.Draft{Values: map[string]string{"name": "湖", "kind": "c", "gone": "x", "holder": "99", "key": "k", "agency": "a", "not_after": strings.Repeat("9", 4097)}}
	got := f.GoOn(kept)
	want := map[string]string{"name": "湖", "kind": "c", "holder": "99"}
	if diff := cmp.Diff(want, got.Values); diff != "" || len(got.Problems) > 0 {
		t.Errorf("-want +got:\n%s%v", diff, got.Problems)
	}
	page := f.Fields(got, nil)
	for _, o := range page.Field("kind").Options {
		if o.Value == "c" {
			t.Error("the form offers what the type does not")
		}
	}
	got = f.ForHolder().GoOn(kept)
	if diff := cmp.Diff(map[string]string{"name": "湖", "kind": "c"}, got.Values); diff != "" {
		t.Errorf("for a holder, -want +got:\n%s", diff)
	}
	if got := f.GoOn(licenses.Draft{}); len(got.Values) != 0 {
		t.Errorf("of an empty draft %v", got.Values)
	}
}

// TestGrownValues: what is short as it was typed and long as it is meant is too long.
func TestGrownValues(t *testing.T) {
	f, err := form.New(&licenses.Type{ID: "stall", Holder: licenses.HolderPerson, Years: 1,
		Schema: map[string]any{"properties": map[string]any{"name": map[string]any{"type": "string"}}}})
	if err != nil {
		t.Fatal(err)
	}
	d := f.Read(url.Values{"holder": {strings.Repeat("\uFDFA", 1000)}, "name": {strings.Repeat("\uFDFA", 1000)}})
	if len(d.Problems) != 1 || d.Problems[0].Path != "/holder" || d.Values["holder"] != "" || d.Values["name"] == "" {
		t.Errorf("problems %v, a number of %d bytes", d.Problems, len(d.Values["holder"]))
	}
}
