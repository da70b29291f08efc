package licenses_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// authorizeAll lets the fixture's two agencies issue every shipped type, and returns
// the caller for each.
func (c *city) authorizeAll(t testing.TB) map[string]string {
	t.Helper()
	by := map[string]string{}
	for _, ty := range shipped(t) {
		by[ty.ID] = "donghu"
		if ty.Holder == licenses.HolderPerson {
			by[ty.ID] = "edu"
		}
		if ty.ID == "food-business" || ty.ID == "teacher" {
			continue
		}
		agency := callers[by[ty.ID]].Agency
		a, err := c.reg.FindAgency(t.Context(), agency)
		must(t, err)
		_, err = c.reg.Authorize(t.Context(), "ceremony", registry.Authority{Agency: agency, Type: ty.ID, Area: a.Area,
			From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(20, 0, 0).Truncate(time.Second)})
		must(t, err)
	}
	return by
}

// requestFor asks for a licence of the type for the fixture's firm or person.
func requestFor(ty *licenses.Type, data map[string]any) licenses.Request {
	r := licenses.Request{Type: ty.ID, Data: data, Holder: licenses.Holder{USCC: firmCode}}
	if ty.Holder == licenses.HolderPerson {
		r.Holder = licenses.Holder{Resident: resident}
	}
	return r
}

// offPattern are values that break a property's pattern, for each that has one.
var offPattern = map[string][]string{
	"date":                             {"1899-12-31", "0202-06-30", "2100-01-01"},
	"medical-institution/registration": {"MB200417899010112A100", "MB200417899010112A10011", "mb200417899010112a1001", "MB2004178990101121001A", " MB200417899010112A1001"},
	"construction-permit/project_code": {"2026-990101-70-03-00451", "1999-990101-70-03-004512", "2026990101700300451200", "2026-99010A-70-03-004512", "2026-990101-70-03-004512\n"},
	"taxi-driver/plate":                {"AD80231", "江AI0231", "江A0O231", "江A1234", "江AD802311", "江1D80231", "江a80231", "江A·80231"},
	"doctor-practice/code":             {"310990100004217", "150990100004217", "11099010000421", "1109901000042170", "144990100004217", "11099010000421X"},
	"disability-card/combined":         {"视力", "视力、", "视力,听力", "视力、嗅觉", "视力听力", "视力、听力、言语、肢体、智力、精神、视力", "又视力、听力"},
}

// beyond returns values of a property that its schema refuses, by the bound that each
// breaks, and values that stand on its bounds.
func beyond(t testing.TB, id, name string, p map[string]any) (refused map[string][]any, kept []any) {
	t.Helper()
	refused = map[string][]any{}
	no := func(bound string, v ...any) { refused[bound] = append(refused[bound], v...) }
	for bound, limit := range p {
		switch n, _ := limit.(float64); bound {
		case "type":
			no(bound, nil, true, []any{}, map[string]any{})
			if limit == "string" {
				no(bound, float64(7))
			} else {
				no(bound, "7", 1.5)
			}
		case "enum":
			no(bound, "", "其他", " "+limit.([]any)[0].(string))
			kept = append(kept, limit.([]any)...)
		case "minLength":
			no(bound, strings.Repeat("江", int(n)-1))
			kept = append(kept, strings.Repeat("江", int(n)))
		case "maxLength":
			no(bound, strings.Repeat("江", int(n)+1))
			kept = append(kept, strings.Repeat("江", int(n)))
		case "minimum":
			no(bound, n-1)
			kept = append(kept, n)
		case "maximum":
			no(bound, n+1)
			kept = append(kept, n)
		case "format":
			no(bound, "2026-02-30", "2026-13-01", "2026-1-1", "2026-06-30T00:00:00Z", "1999-")
			kept = append(kept, "2024-02-29")
		case "pattern":
			key := id + "/" + name
			if p["format"] == "date" {
				key = "date"
			}
			for _, v := range offPattern[key] {
				no(bound, v)
			}
		default:
			t.Errorf("%s: %s: no value is known that breaks %s", id, name, bound)
		}
	}
	return refused, kept
}

// TestShippedBounds breaks every bound of every property, one at a time: the request
// is refused for that property and for nothing else. On its bounds it is kept.
func TestShippedBounds(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	by := c.authorizeAll(t)
	for _, ty := range shipped(t) {
		t.Run(ty.ID, func(t *testing.T) {
			full := samples(t, ty.ID)[0].Data
			tried := 0
			check := func(what, path string, change func(data map[string]any)) {
				t.Helper()
				data := maps.Clone(full)
				change(data)
				tried++
				err := c.Check(t.Context(), callers[by[ty.ID]].Agency, requestFor(ty, data))
				if got := paths(err); path == "" && err != nil {
					t.Errorf("%s: %v %v", what, err, licenses.Problems(err))
				} else if path != "" && !cmp.Equal(got, []string{path}) {
					t.Errorf("%s: problems at %q (%v), want %s alone", what, got, err, path)
				}
			}
			check("the sample", "", func(map[string]any) {})
			check("an unknown member", "/data", func(d map[string]any) { d["colour"] = "red" })
			for _, name := range ty.Schema.(map[string]any)["required"].([]any) {
				check("without "+name.(string), "/data/"+name.(string), func(d map[string]any) { delete(d, name.(string)) })
			}
			for name, p := range properties(t, ty) {
				refused, kept := beyond(t, ty.ID, name, p)
				for bound, values := range refused {
					if len(values) == 0 {
						t.Errorf("%s: nothing breaks its %s", name, bound)
					}
					for _, v := range values {
						check(fmt.Sprintf("%s %s: %.60q", name, bound, fmt.Sprint(v)), "/data/"+name, func(d map[string]any) { d[name] = v })
					}
				}
				for bound := range p {
					if refused[bound] == nil {
						t.Errorf("%s: nothing breaks its %s", name, bound)
					}
				}
				for _, v := range kept {
					check(fmt.Sprintf("%s: %.60q", name, fmt.Sprint(v)), "", func(d map[string]any) { complete(d, name, v) })
				}
			}
			t.Logf("%d requests", tried)
		})
	}
}

// complete sets a property, and what the value makes necessary.
func complete(d map[string]any, name string, v any) {
	d[name] = v
	switch v {
	case "危险货物运输":
		if name == "scope" {
			d["dangerous_class"], d["safety_officer"] = "第3类 易燃液体", "魏戒之"
		}
	case "智力残疾", "精神残疾":
		d["guardian"] = "叶向荣"
	case "多重残疾":
		d["combined"] = "视力、听力"
	}
}

// paths returns where the problems of an error are, each once.
func paths(err error) []string {
	var list []string
	for _, p := range licenses.Problems(err) {
		list = append(list, p.Path)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestShippedConditions: what one answer makes necessary is asked for by its name.
func TestShippedConditions(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	by := c.authorizeAll(t)
	types := shipped(t)
	for _, tc := range []struct {
		name, id string
		change   func(map[string]any)
		want     []string
	}{
		{"dangerous goods", "road-transport", func(d map[string]any) { d["scope"] = "危险货物运输" }, []string{"/data/dangerous_class", "/data/safety_officer"}},
		{"dangerous goods, class named", "road-transport", func(d map[string]any) {
			d["scope"], d["dangerous_class"] = "危险货物运输", "第2类 气体"
		}, []string{"/data/safety_officer"}},
		{"other goods", "road-transport", func(d map[string]any) { d["scope"] = "大型物件运输" }, nil},
		{"intellectual", "disability-card", func(d map[string]any) { d["category"] = "智力残疾" }, []string{"/data/guardian"}},
		{"mental", "disability-card", func(d map[string]any) { d["category"] = "精神残疾" }, []string{"/data/guardian"}},
		{"multiple", "disability-card", func(d map[string]any) { d["category"] = "多重残疾" }, []string{"/data/combined"}},
		{"physical", "disability-card", func(d map[string]any) { d["category"] = "肢体残疾" }, nil},
		{"no category at all", "disability-card", func(d map[string]any) { delete(d, "category") }, []string{"/data/category"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ty := types[slices.Index(shippedIDs, tc.id)]
			data := maps.Clone(samples(t, tc.id)[0].Data)
			tc.change(data)
			err := c.Check(t.Context(), callers[by[tc.id]].Agency, requestFor(ty, data))
			if got := paths(err); !cmp.Equal(got, tc.want) || (err != nil) != (tc.want != nil) {
				t.Errorf("problems at %q (%v), want %q", got, err, tc.want)
			}
		})
	}
}

// TestShippedHolders: a type is for firms or for people.
func TestShippedHolders(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	by := c.authorizeAll(t)
	for _, ty := range shipped(t) {
		r := requestFor(ty, samples(t, ty.ID)[0].Data)
		if r.Holder.USCC != "" {
			r.Holder = licenses.Holder{Resident: resident}
		} else {
			r.Holder = licenses.Holder{USCC: firmCode}
		}
		if got := paths(c.Check(t.Context(), callers[by[ty.ID]].Agency, r)); !cmp.Equal(got, []string{"/holder"}) {
			t.Errorf("%s for the other kind of holder: problems at %q", ty.ID, got)
		}
	}
}
