package licenses_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/licenses"
)

const goodType = `
id: test
code: 9
identifier: "119901000000000000001"
names: {zh: 测, en: Test}
holder: firm
number_prefix: T
years: 5
status_hours: 24
schema: {type: object, properties: {a: {type: string}}}
fields: [{no: 4, property: a, names: {zh: 甲, en: A}}]
`

func TestParseTypeNamesWhatIsWrong(t *testing.T) {
	if _, err := licenses.ParseType([]byte(goodType)); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, old, new, want string }{
		{"id", "id: test", "id: Test Type", "id:"},
		{"code", "code: 9", "code: 0", "code:"},
		{"identifier", "119901000000000000001", "1", "identifier:"},
		{"holder", "holder: firm", "holder: cat", "holder:"},
		{"prefix", "number_prefix: T", "number_prefix: t1", "number_prefix:"},
		{"years", "years: 5", "years: 50", "years:"},
		{"status", "status_hours: 24", "status_hours: 0", "status_hours:"},
		{"reserved field", "no: 4", "no: 3", "fields:"},
		{"unknown property", "property: a", "property: b", "fields:"},
		{"unknown list", "names: {zh: 甲", "list: x, names: {zh: 甲", "fields:"},
		{"no review", "years: 5", "years: 5\nreview: []", "review:"},
		{"three reviews", "years: 5", "years: 5\nreview: [clerk, clerk, clerk]", "review:"},
		{"review by nobody", "years: 5", "years: 5\nreview: [clerk, '']", "review:"},
		{"review by an officer", "years: 5", "years: 5\nreview: [officer]", "review:"},
		{"review in words", "years: 5", "years: 5\nreview: two", "cannot unmarshal"},
		{"unknown member", "years: 5", "yeers: 5", "yeers"},
		{"no schema", "type: object", "type: thing", "schema:"},
		{"schema from elsewhere", "type: object", "$ref: 'https://example.com/s'", "schema:"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, err := licenses.ParseType([]byte(strings.Replace(goodType, tc.old, tc.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want something about %s", err, tc.want)
			}
		})
	}
	two := strings.NewReplacer("code: 9", "code: 0", "years: 5", "years: 0").Replace(goodType)
	if _, err := licenses.ParseType([]byte(two)); err == nil || !strings.Contains(err.Error(), "code:") || !strings.Contains(err.Error(), "years:") {
		t.Errorf("two mistakes: %v", err)
	}
}

// The Global Release Identifier uses the same check: its standard's example is
// A1-2425G-ABC1234002-M.
func TestCheckCharacter(t *testing.T) {
	if got := licenses.Check("A12425GABC1234002"); got != 'M' {
		t.Errorf("check character %c, want M", got)
	}
	id := licenses.Identifier("11990100MB00000017001", "11990101MB0000027X", "JY99010120260000001", 1)
	changed := licenses.Identifier("11990100MB00000017001", "11990101MB0000027X", "JY99010120260000010", 1)
	if id[len(id)-1] == changed[len(changed)-1] {
		t.Errorf("two swapped digits keep the check character: %s", id)
	}
}

func FuzzParseType(f *testing.F) {
	f.Add([]byte(goodType))
	f.Add([]byte("schema: {allOf: [{$ref: '#'}]}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = licenses.ParseType(b)
	})
}
