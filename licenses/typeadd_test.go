package licenses_test

import (
	"context"
	"encoding/json/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

var operator = web.Caller{ClientID: "operator", Scopes: []string{licenses.TypesScope}}

const stall = `
id: market-stall
code: 60
identifier: "11990100MB00000017060"
names: {zh: 集市摊位证, en: Market stall}
holder: firm
number_prefix: TW
years: 2
status_hours: 24
schema:
  type: object
  additionalProperties: false
  required: [place]
  properties:
    place: {type: string, minLength: 1, maxLength: 60}
    kind: {type: string, enum: [果蔬, 水产]}
    note: {type: string, maxLength: 60}
fields:
  - {no: 4, property: place, names: {zh: 摊位, en: Stall}}
  - {no: 5, property: kind, names: {zh: 品类, en: Kind}, list: kind}
lists:
  - id: kind
    codes:
      - {code: 1, value: 果蔬, names: {zh: 果蔬, en: Produce}}
      - {code: 2, value: 水产, names: {zh: 水产, en: Fish}}
dictionary: 东湖集市摊位
`

// swap returns stall with texts replaced in pairs.
func swap(pairs ...string) []byte { return []byte(strings.NewReplacer(pairs...).Replace(stall)) }

// stall2 has a field, a code and another period more.
var stall2 = swap("years: 2", "years: 3", "lists:", "  - {no: 6, property: note, names: {zh: 备注, en: Note}}\nlists:",
	"enum: [果蔬, 水产]", "enum: [果蔬, 水产, 熟食]", "dictionary:", "      - {code: 3, value: 熟食, names: {zh: 熟食, en: Cooked}}\ndictionary:")

func (c *city) authorize(t *testing.T, agency, licenseType string) {
	t.Helper()
	a, err := c.reg.FindAgency(t.Context(), agency)
	must(t, err)
	_, err = c.reg.Authorize(t.Context(), "ceremony", registry.Authority{Agency: agency, Type: licenseType, Area: a.Area,
		From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(20, 0, 0).Truncate(time.Second)})
	must(t, err)
}

func stallRequest(data map[string]any) licenses.Request {
	return licenses.Request{Type: "market-stall", Holder: licenses.Holder{USCC: firmCode}, Data: data}
}

// TestTypesAreAddedWithoutARestart: another replica issues under a version that was
// added elsewhere, and older licences stay what they were.
func TestTypesAreAddedWithoutARestart(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		shipped, err := licenses.ShippedTypes()
		must(t, err)
		other, err := licenses.New(t.Context(), licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: shipped, Tokens: tokens{}})
		must(t, err)
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = other.Run(ctx) })
		defer running.Wait()
		defer stop()

		c.authorize(t, "donghu-amr", "market-stall")
		if err := issueWith(t, other, "early", stallRequest(map[string]any{"place": "A1"})); fault.KindOf(err) != fault.Invalid {
			t.Fatalf("issued under a type that does not exist: %v", err)
		}
		changes := c.changes
		added, fresh, err := c.AddType(t.Context(), operator, []byte(stall))
		must(t, err)
		if added.Version != 1 || !fresh || c.changes == changes {
			t.Fatalf("version %d, new %v, published %d", added.Version, fresh, c.changes-changes)
		}
		if again, fresh, err := c.AddType(t.Context(), operator, []byte(stall)); err != nil || fresh || again.Version != 1 {
			t.Fatalf("added twice: %v %v", fresh, err)
		}
		eventually(t, func() bool { return len(other.Types()) == len(shipped)+1 })
		must(t, issueWith(t, other, "first", stallRequest(map[string]any{"place": "A1", "kind": "水产", "note": "n"})))

		second, _, err := c.AddType(t.Context(), operator, stall2)
		must(t, err)
		if second.Version != 2 {
			t.Fatalf("version %d", second.Version)
		}
		eventually(t, func() bool { return other.TypesGeneration() == c.TypesGeneration() })
		must(t, issueWith(t, other, "second", stallRequest(map[string]any{"place": "A2", "kind": "熟食", "note": "n"})))
		for key, want := range map[string]int{"first": 1, "second": 2} {
			l, err := c.ByKey(t.Context(), "donghu-api", key)
			must(t, err)
			if l.TypeVersion != want || l.NotAfter.Sub(l.NotBefore) < time.Duration(want)*365*24*time.Hour {
				t.Errorf("%s is of version %d until %v, want version %d", key, l.TypeVersion, l.NotAfter, want)
			}
		}
		c.wantClean(t, 2) // the permit of the first has no field 6, though its data have a note
		reopened, err := licenses.New(t.Context(), licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: shipped, Tokens: tokens{}})
		must(t, err)
		if len(reopened.Types()) != len(shipped)+1 || len(reopened.Published()) != len(shipped)+1 {
			t.Errorf("%d types after a restart", len(reopened.Types()))
		}
	})
}

func issueWith(t *testing.T, s *licenses.Service, key string, r licenses.Request) error {
	t.Helper()
	results, err := s.Issue(t.Context(), callers["donghu"], []licenses.Keyed{{Key: key, Request: r}})
	must(t, err)
	return results[0].Err
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never happened")
		}
	}
}

// TestTypesAreAppendOnly: what permits carry stays, and every problem is named.
func TestTypesAreAppendOnly(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	_, _, err := c.AddType(t.Context(), operator, []byte(stall))
	must(t, err)
	cases := []struct {
		name  string
		file  []byte
		paths string
	}{
		{"code", swap("code: 60", "code: 61"), "/code"},
		{"identifier", swap("17060", "17061"), "/identifier"},
		{"holder", swap("holder: firm", "holder: person"), "/holder"},
		{"prefix", swap("prefix: TW", "prefix: TX"), "/number_prefix"},
		{"dictionary changed", swap("东湖集市摊位", "东湖集市"), "/dictionary"},
		{"dictionary gone", swap("dictionary: 东湖集市摊位", ""), "/dictionary"},
		{"field renumbered", swap("no: 5", "no: 7"), "/fields/5"},
		{"field of another property", swap("no: 4, property: place", "no: 4, property: note"), "/fields/4/property"},
		{"field of no list", swap(", list: kind", ""), "/fields/5/list"},
		{"code gone", swap("      - {code: 2, value: 水产, names: {zh: 水产, en: Fish}}\n", ""), "/lists/kind/2"},
		{"codes swapped", swap("code: 1, value: 果蔬", "code: 2, value: 果蔬", "code: 2, value: 水产", "code: 1, value: 水产"), "/lists/kind/1/value /lists/kind/2/value"},
		{"list renamed", swap("id: kind", "id: sort", "list: kind", "list: sort"), "/fields/5/list /lists/kind"},
		{"two at once", swap("code: 60", "code: 61", "no: 5", "no: 7"), "/code /fields/5"},
		{"code of another type", swap("market-stall", "other", "code: 60", "code: 1", "17060", "17062", "东湖集市摊位", "x"), "/code"},
		{"identifier and dictionary of another type", swap("market-stall", "other", "code: 60", "code: 61"), "/identifier /dictionary"},
		{"names too long for a bundle", swap("zh: 集市摊位证", "zh: "+strings.Repeat("长", 90)), ""},
		{"no type file", []byte("a: [1"), ""},
		{"two documents", []byte(stall + "---\nid: x\n"), ""},
		{"wrong in itself", swap("years: 2", "years: 0", "code: 60", "code: 0"), "/code /years"},
		{"empty", nil, ""},
		{"too large", []byte(stall + strings.Repeat("#", 256<<10)), ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := c.AddType(t.Context(), operator, tc.file)
			if fault.KindOf(err) != fault.Invalid {
				t.Fatalf("added: %v", err)
			}
			var paths []string
			for _, p := range fault.Problems(err) {
				paths = append(paths, p.Path)
			}
			if got := strings.Join(paths, " "); got != tc.paths {
				t.Errorf("problems at %q, want %q: %v", got, tc.paths, err)
			}
			if _, err := c.CheckType(t.Context(), tc.file); fault.KindOf(err) != fault.Invalid {
				t.Errorf("checked: %v", err)
			}
		})
	}
	if c.TypesGeneration() != 1 {
		t.Errorf("generation %d after refusals", c.TypesGeneration())
	}
}

// TestTypesAddedAtOnce: versions stand in one line, and none is built on one that
// it was not checked against.
func TestTypesAddedAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		var won, refused atomic.Int32
		var wg sync.WaitGroup
		for _, code := range []string{"61", "62", "63", "64"} {
			wg.Go(func() {
				_, fresh, err := c.AddType(t.Context(), operator, swap("code: 60", "code: "+code))
				switch {
				case err == nil && fresh:
					won.Add(1)
				case fault.KindOf(err) == fault.Invalid:
					refused.Add(1)
				default:
					t.Errorf("code %s: %v", code, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || refused.Load() != 3 {
			t.Errorf("%d added one type with different codes, %d were refused", won.Load(), refused.Load())
		}
	})
}

func TestTypesOverHTTP(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	mux := newMux(c)
	body := func(file string) string { return `{"file": ` + quote(file) + `}` }
	cases := []struct {
		name, method, path, token, body string
		status                          int
		says                            string
	}{
		{"an agency adds none", "POST", "/licenses/v1/types", "donghu", body(stall), 403, "scope registry"},
		{"nobody adds none", "POST", "/licenses/v1/types", "", body(stall), 401, ""},
		{"unknown member", "POST", "/licenses/v1/types", "narrow", `{"file": "", "x": 1}`, 400, ""},
		{"no schema", "POST", "/licenses/v1/types", "narrow", body("id: x"), 400, `{"path":"/schema","message":"\"urn:signet:`},
		{"wrong file", "POST", "/licenses/v1/types", "narrow", body("id: X\nschema: true"), 400, "/number_prefix"},
		{"checked", "POST", "/licenses/v1/types/check", "narrow", body(stall), 200, `"version":1`},
		{"not yet there", "GET", "/licenses/v1/types/market-stall", "donghu", "", 404, ""},
		{"added", "POST", "/licenses/v1/types", "narrow", body(stall), 201, `"version":1`},
		{"added again", "POST", "/licenses/v1/types", "narrow", body(stall), 200, `"version":1`},
		{"shown to an agency", "GET", "/licenses/v1/types/market-stall", "donghu", "", 200, "东湖集市摊位"},
		{"no such version", "GET", "/licenses/v1/types/market-stall?version=2", "narrow", "", 404, ""},
		{"no version", "GET", "/licenses/v1/types/market-stall?version=-1", "narrow", "", 400, ""},
		{"listed", "GET", "/licenses/v1/types", "narrow", "", 200, `"id":"market-stall","version":1`},
		{"to nobody", "GET", "/licenses/v1/types", "", "", 401, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			status, got := call(t, mux, tc.method, tc.path, tc.token, tc.body)
			if status != tc.status || !strings.Contains(got, tc.says) {
				t.Errorf("status %d, want %d and %q: %s", status, tc.status, tc.says, got)
			}
		})
	}
}

func quote(s string) string {
	b, _ := json.Marshal(s) // a string always can be
	return string(b)
}

func newMux(c *city) http.Handler {
	mux := http.NewServeMux()
	c.Mount(mux)
	return mux
}

func call(t *testing.T, h http.Handler, method, path, token, body string) (int, string) {
	t.Helper()
	return serveKeyed(h, method, path, token, "", body)
}

func callKeyed(t *testing.T, h http.Handler, path, token, key, body string) (int, string) {
	t.Helper()
	return serveKeyed(h, "POST", path, token, key, body)
}

func serveKeyed(h http.Handler, method, path, token, key, body string) (int, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}
