package licenses_test

import (
	"encoding/json/v2"
	"fmt"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// TestFoundingsAreAsDescribed asks for real and validates what comes against the
// document.
func TestFoundingsAreAsDescribed(t *testing.T) {
	f := newFounders(t, testkit.SQLite(t))
	s := serve(t, f.city)
	d := fetchDocument(t, s)
	waiting := f.apply(t, claim("待审有限公司"))
	const all, one = "/licenses/v1/foundings", "/licenses/v1/foundings/{id}"
	good := text(t, plan(nil))
	for _, tc := range []struct {
		method, path, id, token, body, key string
		want                               int
	}{
		{"post", all, "", "donghu", good, "k", 201},
		{"post", all, "", "donghu", good, "k", 201},
		{"post", all, "", "donghu", text(t, plan(func(r *licenses.FoundingRequest) { r.Name = "别名有限公司" })), "k", 409},
		{"post", all, "", "donghu", `{"name":"","representative":"","data":{}}`, "l", 400},
		{"post", all, "", "donghu", `{"name":"甲","representative":"` + resident + `","data":{},"uscc":"` + firmCode + `"}`, "l", 400},
		{"post", all, "", "donghu", `[`, "l", 400},
		{"post", all, "", "donghu", good, "", 400},
		{"post", all, "", "donghu", `{"name":"` + strings.Repeat("x", 300<<10) + `"}`, "l", 413},
		{"post", all, "", "", good, "l", 401},
		{"post", all, "", "narrow", good, "l", 403},
		{"post", all, "", "edu", good, "l", 403},
		{"post", all, "", "homeless", good, "l", 403},
		{"get", one, waiting, "donghu", "", "", 200},
		{"get", one, waiting, "edu", "", "", 404},
		{"get", one, "x", "donghu", "", "", 404},
		{"get", one, waiting, "", "", "", 401},
	} {
		var headers []string
		if tc.key != "" {
			headers = []string{"Idempotency-Key", tc.key}
		}
		code, body := s.do(strings.ToUpper(tc.method), strings.ReplaceAll(tc.path, "{id}", tc.id), tc.token, tc.body, headers...)
		name := fmt.Sprint(tc.method, " ", tc.path, " as ", tc.token, ": ", code)
		if code != tc.want {
			t.Errorf("%s, want %d: %s", name, tc.want, body)
			continue
		}
		keys := []string{"paths", tc.path, tc.method, "responses", fmt.Sprint(code)}
		if target, ok := d.at(append(keys, "$ref")...).(string); ok {
			keys = strings.Split(strings.TrimPrefix(target, "#/"), "/")
		}
		d.validate(t, name, body, append(keys, "content", "application/json", "schema")...)
		if strings.Contains(string(body), resident) {
			t.Errorf("%s: the representative's number is told: %s", name, body)
		}
		if code == 201 {
			var got struct {
				ID      string
				License struct{ ID, Permit string }
			}
			must(t, json.Unmarshal(body, &got, json.MatchCaseInsensitiveNames(true)))
			code, body := s.do("GET", all+"/"+got.ID, "donghu", "")
			if code != 200 || !strings.Contains(string(body), got.License.Permit) || got.License.Permit == "" {
				t.Errorf("%d %s", code, body)
			}
			d.validate(t, "founded", body, "paths", one, "get", "responses", "200", "content", "application/json", "schema")
		}
	}
}
