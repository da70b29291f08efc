package licenses_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// document is the served OpenAPI document, with a compiler that resolves what it
// refers to.
type document struct {
	root     map[string]any
	compiler *jsonschema.Compiler
}

const documentURL = "https://city.example/openapi.json"

func fetchDocument(t *testing.T, s server) document {
	t.Helper()
	code, body := s.do("GET", "/licenses/v1/openapi.json", "", "")
	if code != 200 {
		t.Fatalf("%d %s", code, body)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	must(t, err)
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	must(t, c.AddResource(documentURL, v))
	return document{v.(map[string]any), c}
}

// at follows a pointer's keys.
func (d document) at(keys ...string) any {
	v := any(d.root)
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// pointer writes keys as the fragment of an address (RFC 6901 section 6).
func pointer(keys ...string) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D").Replace(k))
	}
	return documentURL + "#" + b.String()
}

// TestDocumentAndRoutesAgree holds that every route is described, that everything
// described is a route, and that each says how a request is authorized.
func TestDocumentAndRoutesAgree(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	d := fetchDocument(t, serve(t, c))
	var described []string
	ids := map[string]bool{}
	for path, item := range d.at("paths").(map[string]any) {
		for method, op := range item.(map[string]any) {
			described = append(described, strings.ToUpper(method)+" "+path)
			o := op.(map[string]any)
			id, _ := o["operationId"].(string)
			if id == "" || ids[id] {
				t.Errorf("%s %s: operationId %q is missing or not its own", method, path, id)
			}
			ids[id] = true
			named := map[string]bool{}
			for _, p := range list(o["parameters"]) {
				if p := p.(map[string]any); p["in"] == "path" {
					named[p["name"].(string)] = true
				}
			}
			if strings.Contains(path, "{id}") != named["id"] || strings.Count(path, "{") != len(named) {
				t.Errorf("%s %s: its path's parameters are %v", method, path, named)
			}
			if _, ok := o["responses"].(map[string]any)["500"]; !ok && id != "describe" {
				t.Errorf("%s %s: nothing said of our own failures", method, path)
			}
		}
	}
	routes := c.Routes()
	slices.Sort(routes)
	slices.Sort(described)
	if !slices.Equal(routes, described) {
		t.Errorf("served and described differ:\n%s\n\n%s", strings.Join(routes, "\n"), strings.Join(described, "\n"))
	}
}

func list(v any) []any { l, _ := v.([]any); return l }

// TestDocumentExamples validates every example against its schema, wherever one
// stands, and holds that each body has one.
func TestDocumentExamples(t *testing.T) {
	d := fetchDocument(t, serve(t, newCity(t, testkit.SQLite(t))))
	seen := 0
	var walk func(v any, keys []string)
	walk = func(v any, keys []string) {
		switch v := v.(type) {
		case map[string]any:
			if example, ok := v["example"]; ok {
				schema, err := d.compiler.Compile(pointer(append(slices.Clone(keys), "schema")...))
				if err != nil {
					t.Errorf("%s: %v", strings.Join(keys, " "), err)
				} else if err := schema.Validate(example); err != nil {
					t.Errorf("%s: %v", strings.Join(keys, " "), err)
				}
				seen++
			}
			if target, ok := v["$ref"].(string); ok && d.at(strings.Split(strings.TrimPrefix(target, "#/"), "/")...) == nil {
				t.Errorf("%s: %s is nothing", strings.Join(keys, " "), target)
			}
			for _, k := range slices.Sorted(maps.Keys(v)) {
				if k != "example" {
					walk(v[k], append(slices.Clone(keys), k))
				}
			}
		case []any:
			for i, item := range v {
				walk(item, append(slices.Clone(keys), fmt.Sprint(i)))
			}
		}
	}
	walk(d.root, nil)
	if seen < 20 {
		t.Errorf("%d examples", seen)
	}
}

// TestAnswersAreAsDescribed asks for real and validates what comes against the
// schema for that status.
func TestAnswersAreAsDescribed(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	d := fetchDocument(t, s)
	l := c.issue(t, "donghu", "one", food(nil))
	const all, one = "/licenses/v1/licenses", "/licenses/v1/licenses/{id}"
	broken := text(t, food(func(r *licenses.Request) { r.Data = map[string]any{"seats": -1} }))
	tests := []struct {
		method, path, token, body, key string
		want                           int
	}{
		{"post", all, "donghu", text(t, food(nil)), "k", 201},
		{"post", all, "donghu", broken, "l", 400},
		{"post", all, "donghu", text(t, food(nil)), "", 400},
		{"post", all, "", text(t, food(nil)), "m", 401},
		{"post", all, "edu", text(t, food(nil)), "m", 403},
		{"post", all, "donghu", text(t, food(func(r *licenses.Request) { r.NotAfter = "2029-01-01" })), "k", 409},
		{"post", all, "donghu", `{"type":"` + strings.Repeat("x", 300<<10) + `"}`, "m", 413},
		{"get", all, "donghu", "", "", 200},
		{"get", all, "edu", "", "", 200}, // none
		{"get", one, "donghu", "", "", 200},
		{"get", one, "edu", "", "", 404},
		{"post", one + "/suspend", "donghu", `{"reason":"r"}`, "", 200},
		{"post", one + "/suspend", "donghu", `{"reason":"r"}`, "", 409},
		{"post", one + "/resume", "donghu", `{"reason":""}`, "", 400},
		{"post", one + "/resume", "donghu", `{"reason":"r"}`, "", 200},
		{"post", one + "/revoke", "narrow", `{"reason":"r"}`, "", 403},
		{"post", one + "/revoke", "donghu", `{"reason":"r"}`, "", 200},
		{"post", "/licenses/v1/batch", "", "{}", "", 401},
		{"post", one + "/renew", "donghu", `{"reason":"r"}`, "n", 409},
		{"post", one + "/renew", "donghu", `{"reason":"r"}`, "", 400},
		{"post", one + "/reprint", "edu", `{"reason":"r"}`, "o", 404},
		{"get", "/licenses/v1/types", "donghu", "", "", 200},
		{"get", "/licenses/v1/types", "", "", "", 401},
		{"post", "/licenses/v1/types", "donghu", `{"file":"x"}`, "", 403},
	}
	for _, tc := range tests {
		var headers []string
		if tc.key != "" {
			headers = []string{"Idempotency-Key", tc.key}
		}
		code, body := s.do(strings.ToUpper(tc.method), strings.ReplaceAll(tc.path, "{id}", l.ID), tc.token, tc.body, headers...)
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
	}
	_, body := s.do("POST", "/licenses/v1/batch", "donghu", `{"key":"b1",`+text(t, food(nil))[1:]+"\n{}\n"+`{"key":"b2",`+broken[1:]+"\nx\n")
	lines := bytes.Split(bytes.TrimSpace(body), []byte("\n"))
	if len(lines) != 4 {
		t.Fatalf("batch: %s", body)
	}
	for _, line := range lines {
		d.validate(t, "batch", line, "paths", "/licenses/v1/batch", "post", "responses", "200", "content", "application/x-ndjson", "schema")
	}
	if !bytes.Contains(lines[2], []byte(`"path":"/data/seats"`)) {
		t.Errorf("no path for what is wrong in a line: %s", lines[2])
	}
}

func (d document) validate(t *testing.T, name string, body []byte, keys ...string) {
	t.Helper()
	schema, err := d.compiler.Compile(pointer(keys...))
	if err != nil {
		t.Errorf("%s: not described: %v", name, err)
		return
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		t.Errorf("%s: %v\n%s", name, err, body)
	}
}
