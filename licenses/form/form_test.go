package form

import (
	"encoding/json/v2"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/licenses"
)

// typeWith is a type file whose schema has the given properties.
func typeWith(t testing.TB, properties string) *licenses.Type {
	t.Helper()
	typ, err := licenses.ParseType([]byte(`
id: probe
code: 9
identifier: 11990100MB00000017009
names: {zh: 试, en: probe}
holder: person
number_prefix: T
years: 1
status_hours: 1
fields: [{no: 4, property: z, names: {zh: 末, en: Last}, list: l}]
lists: [{id: l, codes: [{code: 1, value: a, names: {zh: 甲, en: First}}]}]
schema: {type: object, required: [z], properties: {z: {type: string, enum: [a, b]}, ` + properties + `}}
`))
	if err != nil {
		t.Fatal(err)
	}
	return typ
}

func TestFormOfASchema(t *testing.T) {
	f, err := New(typeWith(t, `n: {type: number, exclusiveMinimum: 0}, i: {type: integer, minimum: -3}, m: {type: integer, maximum: 4},
		b: {type: boolean}, d: {type: string, format: date}, long: {type: string, enum: [a, b, c, d, e, f]},
		s: {type: string}, low: {type: string, minLength: 2}, "with/slash~": {type: string, maxLength: 3}`))
	if err != nil {
		t.Fatal(err)
	}
	type shape struct{ Name, Type, Label, Hint, Mode string }
	var got []shape
	for _, in := range f.All() {
		x := in.field("")
		got = append(got, shape{x.Name, x.Type, x.Label.EN, x.Hint.ZH, x.InputMode})
	}
	want := []shape{
		{"holder", "", "Resident number of the holder", "18 位，见居民身份证", ""},
		{"z", "radio", "Last", "", ""},
		{"b", "radio", "b (optional)", "", ""},
		{"d", "date", "d (optional)", "", ""},
		{"i", "", "i (optional)", "整数，不小于 -3", "numeric"},
		{"long", "select", "long (optional)", "", ""},
		{"low", "", "low (optional)", "至少 2 个字", ""},
		{"m", "", "m (optional)", "整数，不大于 4", "numeric"},
		{"n", "", "n (optional)", "数字", "decimal"},
		{"s", "", "s (optional)", "", ""},
		{"with/slash~", "", "with/slash~ (optional)", "最多 3 个字", ""},
		{"not_before", "date", "Valid from (optional)", "不填则为签发当日", ""},
		{"not_after", "date", "Valid until (optional)", "最后一天；不填则自生效日期起 1 年", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	z, _ := f.Find("z")
	if x := z.field("a"); len(x.Options) != 2 || x.Options[0].Label.EN != "First" || x.Options[1].Label.EN != "b" {
		t.Errorf("choices %+v", x.Options)
	}
	if b, _ := f.Find("b"); b.Shown(true).ZH != "是" || b.Shown(false).EN != "No" {
		t.Error("yes and no are not told")
	}
	d := f.Read(url.Values{"b": {"true"}, "n": {"1.50"}, "with/slash~": {"x"}, "s": {"true"}, "i": {"-0"}})
	if diff := cmp.Diff(map[string]any{"b": true, "n": 1.5, "with/slash~": "x", "s": "true", "i": 0.0}, d.Request.Data); diff != "" {
		t.Error(diff)
	}
	page := f.Fields(d, []licenses.Problem{{Path: "/data/with~1slash~0", Text: textTooLong}, {Path: "/data/s/deeper", Text: textTooLong}, {Path: "/data/owner", Text: textTooLong}})
	if page.Field("with/slash~").Problem.EN != "with/slash~ is too long" || page.Field("s").Problem.EN == "" || len(page.Problems) != 1 {
		t.Errorf("problems at the wrong fields: %+v", page)
	}
}

// TestFormOfAHolder: who holds it and how long is not for the holder to say, and
// what they send of it all the same is not read.
func TestFormOfAHolder(t *testing.T) {
	whole, err := New(typeWith(t, "s: {type: string}"))
	if err != nil {
		t.Fatal(err)
	}
	f := whole.ForHolder()
	if all := f.All(); len(all) != 2 || all[0].Name != "z" || all[1].Name != "s" {
		t.Errorf("asks for %+v", all)
	}
	for _, name := range []string{InHolder, InFrom, InUntil} {
		if _, ok := f.Find(name); ok {
			t.Errorf("asks for %s", name)
		}
	}
	d := f.Read(url.Values{InHolder: {"990101198503120117"}, InFrom: {"2027-01-01"}, InUntil: {"2027-01-02"}, "z": {"a"}, "other": {"x"}})
	if diff := cmp.Diff(licenses.Request{Type: "probe", Data: map[string]any{"z": "a"}}, d.Request); diff != "" {
		t.Error(diff)
	}
	if len(whole.All()) != 5 {
		t.Error("the clerks' form has lost inputs")
	}
}

func TestSchemasThatNoFormAsksFor(t *testing.T) {
	for name, property := range map[string]string{
		"array": "x: {type: array}", "object": "x: {type: object}", "anything": "x: {}", "two types": "x: {type: [string, integer]}",
		"choices of numbers": "x: {enum: [1, 2]}", "empty choice": "x: {enum: ['']}", "true": "x: true",
		"holder": "holder: {type: string}", "key": "key: {type: string}", "submit": "submit: {type: string}", "agency": "agency: {type: string}",
		"not_before": "not_before: {type: string}", "not_after": "not_after: {type: string}",
		"of the desk": "desk-confirm: {type: string}", "of the wallet": "wallet-for: {type: string}",
	} {
		if _, err := New(typeWith(t, property)); err == nil {
			t.Errorf("%s: a form was made", name)
		}
	}
	if _, err := New(&licenses.Type{Schema: true}); err == nil {
		t.Error("a schema without properties: a form was made")
	}
}

func TestTidy(t *testing.T) {
	for _, tc := range []struct {
		kind     kind
		in, want string
	}{
		{uscc, " 9199 0101 ma1f\u3000001175 ", "91990101MA1F001175"},
		{citizen, "９９０１０１１９８５０３１２０１１ｘ", "99010119850312011X"},
		{citizen, "\xff", "\uFFFD"},
		{whole, " １ ２\u00a03 ", "123"},
		{whole, "−3", "−3"}, // a minus sign that NFKC leaves alone
		{day, "2027年1月5日", "2027-01-05"},
		{day, "２０２７．１．５", "2027-01-05"},
		{day, "2027/12/31", "2027-12-31"},
		{day, "2027-02-30", "2027-02-30"},
		{day, "27-1-1", "27-1-1"},
		{text, "\t ａ ｂ\u3000", "ａ ｂ"}, // full width may be meant in a name
		{oneOf, " 是 ", "是"},
	} {
		if got := tidy(tc.kind, tc.in); got != tc.want {
			t.Errorf("%s %q became %q, want %q", tc.kind, tc.in, got, tc.want)
		}
	}
}

// FuzzForm reads forms as a hostile browser sends them.
func FuzzForm(f *testing.F) {
	types, err := licenses.ShippedTypes()
	if err != nil {
		f.Fatal(err)
	}
	var forms []*Form
	for _, t := range types {
		one, err := New(t)
		if err != nil {
			f.Fatal(err)
		}
		forms = append(forms, one)
	}
	probe, err := New(typeWith(f, "n: {type: number}, b: {type: boolean}, d: {type: string, format: date}"))
	if err != nil {
		f.Fatal(err)
	}
	forms = append(forms, probe)
	for _, seed := range []string{"holder=91990101MA1F001175&trade_name=%E8%80%81&seats=86&online=%E6%98%AF&not_after=2027-01-01",
		"seats=1e999&area_m2=-0&trade_name=%ff&trade_name=b", "n=9007199254740993&b=true&d=2027%2F1%2F2", "seats=..&area_m2=--1", "holder=%EF%BC%91%00&not_before=%E2%80%AE"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		values, err := url.ParseQuery(body)
		if err != nil {
			return
		}
		for _, form := range forms {
			d := form.Read(values)
			b, err := json.Marshal(d.Request, json.Deterministic(true))
			if err != nil {
				t.Fatalf("the request does not encode: %v", err)
			}
			var again licenses.Request
			if err := json.Unmarshal(b, &again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(d.Request, again); diff != "" {
				t.Errorf("the request is another after a round through JSON: %s", diff)
			}
			all := []string{d.Request.Holder.USCC, d.Request.Holder.Resident, d.Request.NotBefore, d.Request.NotAfter}
			for name, v := range d.Request.Data {
				if _, ok := form.Find(name); !ok {
					t.Errorf("unknown member %q", name)
				}
				if s, ok := v.(string); ok {
					all = append(all, s)
				}
			}
			for _, v := range d.Values {
				all = append(all, v)
			}
			for _, s := range all {
				if !utf8.ValidString(s) || strings.ContainsFunc(s, Hidden) || len(s) > 4*maxValue {
					t.Errorf("%q came through", s)
				}
			}
			// What was read once reads the same when it is sent back.
			back := url.Values{}
			for name, v := range d.Values {
				back.Set(name, v)
			}
			if twice := form.Read(back); len(d.Problems) == 0 && !cmp.Equal(twice.Request, d.Request) {
				t.Errorf("sent back, it is another: %s", cmp.Diff(d.Request, twice.Request))
			}
			form.Fields(d, nil)
		}
	})
}
