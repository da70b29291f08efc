package licenses_test

import (
	"encoding/json/v2"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const secondFirm = "91990102MA1F001414"

func numbers(list []*licenses.License) []string {
	var all []string
	for _, l := range list {
		all = append(all, l.Number)
	}
	return all
}

// shelf is a city with licences: three of the first firm, one of the second, and
// one of a teacher; the second is suspended, the third revoked.
func shelf(t *testing.T, d *db.DB) (c *city, food1, food2, food3, other, teach *licenses.License) {
	t.Helper()
	ctx := t.Context()
	c = newCity(t, d)
	p, err := c.reg.FindPerson(ctx, registry.Resident, resident)
	must(t, err)
	_, err = c.reg.AddFirm(ctx, "ceremony", registry.Firm{USCC: secondFirm, Name: "江城西山面馆有限公司", LegalRep: p.ID})
	must(t, err)
	food1, food2 = c.issue(t, "donghu", "1", food(nil)), c.issue(t, "donghu", "2", food(nil))
	food3 = c.issue(t, "donghu", "3", food(nil))
	other = c.issue(t, "donghu", "4", food(func(r *licenses.Request) { r.Holder.USCC = secondFirm }))
	teach = c.issue(t, "edu", "5", teacher())
	_, err = c.Act(ctx, callers["donghu"], food2.ID, licenses.Suspend, "复查", "")
	must(t, err)
	_, err = c.Act(ctx, callers["donghu"], food3.ID, licenses.Revoke, "注销", "")
	must(t, err)
	return c, food1, food2, food3, other, teach
}

func TestList(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, food1, food2, food3, other, teach := shelf(t, d)
		must(t, c.Begin(t.Context(), callers["donghu"], []licenses.Keyed{{Key: "crash", Request: food(nil)}}))
		waiting, err := c.ByKey(t.Context(), "donghu-api", "crash")
		must(t, err)
		for _, tc := range []struct {
			name   string
			filter licenses.Filter
			want   []*licenses.License
		}{
			{"all", licenses.Filter{}, []*licenses.License{waiting, other, food3, food2, food1}},
			{"of a type", licenses.Filter{Type: "food-business"}, []*licenses.License{waiting, other, food3, food2, food1}},
			{"of another type", licenses.Filter{Type: "teacher"}, nil},
			{"of no type", licenses.Filter{Type: "' OR 1=1"}, nil},
			{"issued", licenses.Filter{Status: licenses.Issued}, []*licenses.License{other, food1}},
			{"suspended", licenses.Filter{Status: licenses.Suspended}, []*licenses.License{food2}},
			{"revoked of a type", licenses.Filter{Status: licenses.Revoked, Type: "food-business"}, []*licenses.License{food3}},
			{"revoked of another type", licenses.Filter{Status: licenses.Revoked, Type: "teacher"}, nil},
			{"signing", licenses.Filter{Status: licenses.Signing}, []*licenses.License{waiting}},
			{"number", licenses.Filter{Number: food2.Number}, []*licenses.License{food2}},
			{"number and another status", licenses.Filter{Number: food2.Number, Status: licenses.Revoked}, nil},
			{"number of another agency", licenses.Filter{Number: teach.Number}, nil},
			{"firm", licenses.Filter{Holder: secondFirm}, []*licenses.License{other}},
			{"firm and status", licenses.Filter{Holder: firmCode, Status: licenses.Suspended}, []*licenses.License{food2}},
			{"person of another agency", licenses.Filter{Holder: resident}, nil},
			{"person of one's own", licenses.Filter{Agency: "jiangcheng-edu", Holder: resident}, []*licenses.License{teach}},
			{"impossible number", licenses.Filter{Holder: "91990101MA1F001176"}, nil},
			{"nobody", licenses.Filter{Holder: "990102199207130354"}, nil},
			{"after the last", licenses.Filter{After: food1.ID}, nil},
			{"after one", licenses.Filter{After: food3.ID}, []*licenses.License{food2, food1}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				if tc.filter.Agency == "" {
					tc.filter.Agency = "donghu-amr"
				}
				list, next, err := c.List(t.Context(), tc.filter)
				must(t, err)
				if diff := cmp.Diff(numbers(tc.want), numbers(list)); diff != "" || next != "" {
					t.Errorf("next %q, list %s", next, diff)
				}
			})
		}
		if _, _, err := c.List(t.Context(), licenses.Filter{}); fault.KindOf(err) != fault.Denied {
			t.Errorf("of no agency: %v", err)
		}
	})
}

func TestListPages(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var all []string
		for i := range 7 {
			all = append(all, c.issue(t, "donghu", fmt.Sprint(i), food(nil)).ID)
		}
		slices.Sort(all) // ids of one millisecond are in no order
		slices.Reverse(all)
		for _, f := range []licenses.Filter{{}, {Type: "food-business"}, {Holder: firmCode}, {Status: licenses.Issued}} {
			f.Agency, f.Limit = "donghu-amr", 3
			var got []string
			for pages := 1; ; pages++ {
				list, next, err := c.List(t.Context(), f)
				must(t, err)
				for _, l := range list {
					got = append(got, l.ID)
				}
				if f.After = next; next == "" {
					if pages != 3 {
						t.Errorf("%d pages, want 3", pages)
					}
					break
				}
			}
			if diff := cmp.Diff(all, got); diff != "" {
				t.Errorf("%+v: %s", f, diff)
			}
		}
	})
}

func TestHeld(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c, food1, food2, food3, _, teach := shelf(t, d)
		p, err := c.reg.FindPerson(t.Context(), registry.Resident, resident)
		must(t, err)
		for _, tc := range []struct {
			name, kind, ref string
			want            []string
		}{
			{"firm", licenses.HolderFirm, firmCode, numbers([]*licenses.License{food3, food2, food1})},
			{"person", licenses.HolderPerson, p.ID, []string{teach.Number}},
			{"a firm's code as a person", licenses.HolderPerson, firmCode, nil},
			{"a person as a firm", licenses.HolderFirm, p.ID, nil},
			{"nobody", licenses.HolderPerson, "", nil},
		} {
			list, err := c.Held(t.Context(), tc.kind, tc.ref)
			must(t, err)
			if diff := cmp.Diff(tc.want, numbers(list)); diff != "" {
				t.Errorf("%s: %s", tc.name, diff)
			}
		}
		if got := food1.Holds(); got != "江城东湖老灶火锅餐饮有限公司" {
			t.Errorf("the holder's name is %q", got)
		}
	})
}

func TestByKey(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	want := c.issue(t, "donghu", "once", food(nil))
	got, err := c.ByKey(t.Context(), "donghu-api", "once")
	must(t, err)
	if got.ID != want.ID || got.Permit != want.Permit {
		t.Errorf("found %s, want %s", got.ID, want.ID)
	}
	if _, err := c.ByKey(t.Context(), "edu-api", "once"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("another client's key: %v", err)
	}
}

// TestCheckAgreesWithIssue asks both of the same requests.
func TestCheckAgreesWithIssue(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	set := func(name string, v any) func(*licenses.Request) {
		return func(r *licenses.Request) { r.Data[name] = v }
	}
	for i, tc := range []struct {
		name   string
		agency string
		change func(*licenses.Request)
		kind   fault.Kind
		paths  []string
	}{
		{"right", "donghu-amr", nil, 0, nil},
		{"no such agency", "nobody", nil, fault.Denied, nil},
		{"no authority", "jiangcheng-edu", nil, fault.Denied, nil},
		{"unknown type", "donghu-amr", func(r *licenses.Request) { r.Type = "nothing" }, fault.Denied, nil},
		{"no data", "donghu-amr", func(r *licenses.Request) { r.Data = nil }, fault.Invalid, []string{"/data"}},
		{"no holder", "donghu-amr", func(r *licenses.Request) { r.Holder.USCC = "" }, fault.Invalid, []string{"/holder"}},
		{"person for a firm's", "donghu-amr", func(r *licenses.Request) { r.Holder = licenses.Holder{Resident: resident} }, fault.Invalid, []string{"/holder"}},
		{"unregistered and wrong", "donghu-amr", func(r *licenses.Request) {
			r.Holder.USCC, r.Data["seats"] = secondFirm, float64(-1)
		}, fault.Invalid, []string{"/data/seats", "/holder/uscc"}},
		{"everything", "donghu-amr", func(r *licenses.Request) {
			r.Holder.USCC, r.NotBefore, r.NotAfter = "9199", "2027-01-02", "2027-01-01"
			delete(r.Data, "trade_name")
			delete(r.Data, "premises")
			r.Data["area_m2"], r.Data["category"], r.Data["supervisor"], r.Data["online"] = "80", "小摊", "", true
		}, fault.Invalid, []string{"/data/area_m2", "/data/category", "/data/online", "/data/premises", "/data/supervisor", "/data/trade_name", "/holder", "/not_after"}},
		{"turns the text around", "donghu-amr", set("trade_name", "老灶\u202e火锅"), fault.Invalid, []string{"/data"}},
		{"unknown member", "donghu-amr", set("owner", "x"), fault.Invalid, []string{"/data"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := food(tc.change)
			err := c.Check(t.Context(), tc.agency, r)
			if (err == nil) != (tc.paths == nil && tc.kind == 0) || err != nil && fault.KindOf(err) != tc.kind {
				t.Fatalf("check says %v, want kind %v", err, tc.kind)
			}
			var paths []string
			for _, p := range licenses.Problems(err) {
				paths = append(paths, p.Path)
				if p.Text.EN == "" || !han.MatchString(p.Text.ZH) || strings.Contains(p.Text.ZH+p.Text.EN, "小摊") {
					t.Errorf("%s says %q", p.Path, p.Text)
				}
			}
			slices.Sort(paths)
			if diff := cmp.Diff(tc.paths, paths); diff != "" {
				t.Error(diff)
			}
			results, failed := c.Issue(t.Context(), web.Caller{ClientID: "c", Agency: tc.agency}, []licenses.Keyed{{Key: fmt.Sprint(i), Request: r}})
			if failed == nil {
				failed = results[0].Err
			}
			if (failed == nil) != (err == nil) {
				t.Errorf("check says %v, issue %v", err, failed)
			}
		})
	}
}

var han = regexp.MustCompile(`\p{Han}`)

// TestEveryRuleIsToldInBothLanguages breaks one rule of a schema after another.
func TestEveryRuleIsToldInBothLanguages(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	for rule, v := range map[string]any{
		"type: integer":                       "x",
		"type: string":                        float64(1),
		"type: [string, 'null']":              true,
		"enum: [a, b]":                        "c",
		"const: a":                            "b",
		"type: string, pattern: ^a$":          "b",
		"type: string, format: date":          "2026-02-30",
		"type: string, format: uri":           "no",
		"type: string, minLength: 1":          "",
		"type: string, minLength: 3":          "ab",
		"type: string, maxLength: 1":          "ab",
		"type: number, minimum: 0.5":          float64(0),
		"type: number, maximum: 2":            float64(3),
		"type: number, exclusiveMinimum: 0":   float64(0),
		"type: number, exclusiveMaximum: 2.5": 2.5,
		"type: integer, multipleOf: 5":        float64(3),
		"not: {type: string}":                 "x",
		"type: array, maxItems: 0":            []any{"x"},
	} {
		t.Run(rule, func(t *testing.T) {
			b := strings.Replace(typeFile, "RULE", "{"+rule+"}", 1)
			typ, err := licenses.ParseType([]byte(b))
			must(t, err)
			s, err := licenses.New(t.Context(), licenses.Options{DB: c.db, Ring: c.ring, Registry: c.reg, Types: []*licenses.Type{typ}})
			must(t, err)
			problems := licenses.Problems(s.Check(t.Context(), "jiangcheng-edu", licenses.Request{Type: "teacher",
				Holder: licenses.Holder{Resident: resident}, Data: map[string]any{"x": v}}))
			if len(problems) == 0 {
				t.Fatal("nothing is wrong")
			}
			for _, p := range problems {
				if p.Path != "/data/x" || !han.MatchString(p.Text.ZH) || han.MatchString(p.Text.EN) || p.Text.EN == "" || strings.HasSuffix(p.Text.ZH, "0000") {
					t.Errorf("%s: %q", p.Path, p.Text)
				}
			}
		})
	}
}

const typeFile = `
id: teacher
code: 9
identifier: 11990100MB00000017009
names: {zh: 证, en: licence}
holder: person
number_prefix: T
years: 1
status_hours: 1
schema: {type: object, properties: {x: RULE}}
`

// wholeRange is how SQLite says that it begins in an index where the page does.
var wholeRange = regexp.MustCompile(`\(agency=\? AND (type>\? AND )?\(type,id\)[<>]\(\?,\?\)( AND type<\?)?\)`)

// byID is how the engines say that they walk all licences in the order of their ids.
var byID = regexp.MustCompile(`licenses_1 \(id[<>]|Scan( Backward)? using licenses_pkey on licenses[^_]*$`)

// TestListUsesIndexes asks both engines how they would find licences among many.
func TestListUsesIndexes(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		fill(t, d)
		for _, tc := range []struct {
			name string
			f    licenses.Filter
			want string
		}{
			{"all", licenses.Filter{Agency: "a1"}, "licenses_by_agency"},
			{"next page", licenses.Filter{Agency: "a1", After: "3"}, "licenses_by_agency"},
			{"type", licenses.Filter{Agency: "a1", Type: "t1"}, "licenses_by_agency"},
			{"issued", licenses.Filter{Agency: "a1", Status: licenses.Issued}, "licenses_by_agency"},
			{"revoked", licenses.Filter{Agency: "a1", Status: licenses.Revoked}, "licenses_listed_by_state"},
			{"revoked of a type", licenses.Filter{Agency: "a1", Type: "t1", Status: licenses.Revoked}, "licenses_listed_by_state"},
			{"expired", licenses.Filter{Agency: "a1", Status: licenses.Expired}, "licenses_expired_by_type"},
			{"about to expire", licenses.Filter{Agency: "a1", Type: "t1", Status: licenses.Expired}, "licenses_due"},
			{"due", licenses.Filter{}, "licenses_due"},
			{"number", licenses.Filter{Agency: "a1", Type: "t1", Number: "n17"}, "number"},
			{"holder", licenses.Filter{Agency: "a1", Type: "t1", Holder: "h17"}, "licenses_by_holder"},
			{"held", licenses.Filter{}, "licenses_by_holder"},
		} {
			var estates []registry.Estate // its own, those of an agency that it took over whole, and one type of another's
			for _, e := range []registry.Estate{{Agency: "a1", Type: "t1"}, {Agency: "a1", Type: "t2"}, {Agency: "a1", Type: "t3"},
				{Agency: "a2", Type: "t1"}, {Agency: "a2", Type: "t2"}, {Agency: "a2", Type: "t3"}, {Agency: "a3", Type: "t1"}} {
				if tc.f.Type == "" || tc.f.Type == e.Type {
					estates = append(estates, e)
				}
			}
			// SQLite's planner goes by the limit alone, PostgreSQL's also by how many there
			// are: of so few it would rather read all that are listed for a page of 20.
			limits := map[string][]int{db.SQLite: {1, 20, 200}, db.PostgreSQL: {1}}[d.Engine()]
			for i := range 2 * len(limits) {
				f := tc.f
				f.Oldest, f.Limit = i%2 == 1, limits[i/2]
				query, args := licenses.ListQuery(f, estates...)
				switch tc.name {
				case "held":
					query, args = licenses.HeldQuery, []any{"h17", "firm", 500}
				case "due":
					query, args = licenses.DueQuery, []any{int64(1000), 256}
				}
				plan := testkit.Plan(t, d, query, args...)
				number := strings.Contains(plan, "licenses_number_key") || strings.Contains(plan, "(number=?)")
				if !(tc.want == "number" && number) && !strings.Contains(plan, tc.want) ||
					strings.Contains(plan, "Seq Scan on licenses") || strings.Contains(plan, "SCAN licenses\n") || byID.MatchString(plan) {
					t.Errorf("%s, want %s:\n%s\n%s", tc.name, tc.want, query, plan)
				}
				if d.Engine() == db.SQLite && tc.want == "licenses_by_agency" && !wholeRange.MatchString(plan) {
					t.Errorf("%s reads more of the index than it needs:\n%s", tc.name, plan)
				}
			}
		}
	})
}

// fill writes 20,000 rows of ten agencies that look like licences.
func fill(t *testing.T, d *db.DB) {
	t.Helper()
	series, id := "generate_series(1, 20000) AS s(n)", "lpad(n::text, 26, '0')"
	cast := "::text::bytea"
	if d.Engine() == db.SQLite {
		series = "(WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n FROM s)"
		id, cast = "substr('00000000000000000000000000' || n, -26)", " || ''"
	}
	blob := "CAST('x' AS BLOB)"
	if d.Engine() == db.PostgreSQL {
		blob = "'x'" + cast
	}
	must(t, d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), `INSERT INTO licenses (id, number, type, agency, holder_kind, holder, record, status, place, client,
			request_key, request_hash, not_after, created_at, changed_at)
			SELECT `+id+`, 'n' || n, 't' || (1 + n % 3), 'a' || (n % 10), 'firm', 'h' || (n % 5000), `+blob+`,
			CASE n % 7 WHEN 1 THEN 'revoked' WHEN 2 THEN 'expired' ELSE 'issued' END, n, 'c', 'k' || n, `+blob+`,
			4000000000000000 + n, n, n FROM `+series)
		return err
	}))
	if d.Engine() == db.SQLite { // the service never analyses it
		return
	}
	must(t, d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), "ANALYZE")
		return err
	}))
}

// TestListOverHTTP pages and filters as agencies' systems do.
func TestListOverHTTP(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		mux := newMux(c)
		var made []string
		for i := range 3 {
			made = append(made, c.issue(t, "donghu", fmt.Sprint("k", i), food(nil)).ID)
		}
		_, err := c.Act(t.Context(), callers["donghu"], made[1], licenses.Suspend, "r", "")
		must(t, err)
		_, err = c.Replace(t.Context(), callers["donghu"], made[2], licenses.Replacement{Kind: licenses.Reprinted, Reason: "r", Key: "again"})
		must(t, err)
		reprint := c.byKey(t, "again").ID
		more := map[string]bool{"limit=2": true, "type=food-business&limit=1": true, "holder=" + firmCode + "&limit=1": true}
		for query, want := range map[string][]string{
			"":                                   append(slices.Clone(made), reprint),
			"limit=2":                            made[:2],
			"limit=2&after=" + made[1]:           {made[2], reprint},
			"after=" + reprint:                   nil,
			"status=suspended":                   {made[1]},
			"status=issued":                      {made[0], reprint},
			"status=replaced":                    {made[2]},
			"type=food-business&limit=1":         made[:1],
			"type=teacher":                       nil,
			"type=nothing":                       nil,
			"holder=" + firmCode:                 append(slices.Clone(made), reprint),
			"holder=" + firmCode + "&limit=1":    made[:1],
			"holder=nobody":                      nil,
			"holder=" + db.NewID():               nil,
			"status=replaced&holder=" + firmCode: {made[2]},
		} {
			status, body := call(t, mux, "GET", "/licenses/v1/licenses?"+query, "donghu", "")
			var page struct {
				Licenses []struct {
					ID string `json:"id"`
				} `json:"licenses"`
				Next string `json:"next"`
			}
			must(t, json.Unmarshal([]byte(body), &page))
			var got []string
			for _, l := range page.Licenses {
				got = append(got, l.ID)
			}
			if status != 200 || !slices.Equal(got, want) || (page.Next != "") != more[query] {
				t.Errorf("%s: %d %v, want %v; next %q", query, status, got, want, page.Next)
			}
		}
		for _, query := range []string{"limit=0", "limit=201", "limit=x", "status=gone", "status=" + url.QueryEscape("issued' OR 1=1 --")} {
			if status, body := call(t, mux, "GET", "/licenses/v1/licenses?"+query, "donghu", ""); status != 400 {
				t.Errorf("%s: %d %s", query, status, body)
			}
		}
	})
}
