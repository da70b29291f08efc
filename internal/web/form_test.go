package web_test

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

func TestBlame(t *testing.T) {
	first, second := web.Text{ZH: "一", EN: "one"}, web.Text{ZH: "二", EN: "two"}
	f := &web.Form{Fields: []web.Field{{Name: "a"}, {Name: "b"}}}
	if f.Wrong() || f.Field("a") == nil || f.Field("c") != nil {
		t.Error("a fresh form")
	}
	f.Blame("a", first)
	f.Blame("a", second)
	f.Blame("c", second)
	want := &web.Form{Fields: []web.Field{{Name: "a", Problem: first}, {Name: "b"}}, Problems: []web.Text{second}}
	if diff := cmp.Diff(want, f); diff != "" || !f.Wrong() {
		t.Error(diff)
	}
}

func TestBlameFault(t *testing.T) {
	explained := web.Text{ZH: "已提交", EN: "Sent already"}
	tests := []struct {
		name string
		err  error
		want string // English, "" for errors that are not the visitor's
	}{
		{"explained", web.Refuse(fault.Conflict, explained), "Sent already"},
		{"invalid", fault.New(fault.Invalid, "x"), "What was sent is incomplete or incorrect. Go back, check it and try again."},
		{"internal", errors.New("x"), ""},
		{"internal, explained", web.Explain(errors.New("x"), explained), ""},
		{"unavailable", fault.New(fault.Unavailable, "x"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := &web.Form{}
			took := f.BlameFault(tt.err)
			got := ""
			if len(f.Problems) > 0 {
				got = f.Problems[0].EN
			}
			if took != (tt.want != "") || got != tt.want {
				t.Errorf("took %v: %q", took, got)
			}
		})
	}
}

// TestFieldsAreTied looks at what the template makes of each field for screen
// readers and keyboards.
func TestFieldsAreTied(t *testing.T) {
	site := newSite(t, nil)
	pages, err := site.Pages(fstest.MapFS{"templates/f.html": {Data: []byte(`{{define "content"}}{{template "problems" .}}{{range .Fields}}{{template "field" .}}{{end}}{{end}}`)}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := pages.Draw(web.Visitor{Lang: web.EN}, nil, web.Page{Template: "f", Data: filled(true)})
	if err != nil {
		t.Fatal(err)
	}
	body := string(b)
	for _, text := range []string{
		`<input type="hidden" name="key" value="k1">`,
		`<a href="#name">Fill this in</a>`, `<li>This has changed</li>`,
		`<label for="name">Name of the firm</label>`, `aria-describedby="name-hint name-problem"`, `id="name-hint"`, `id="name-problem"`, `aria-invalid="true"`,
		`value="东湖&lt;小面&gt;"`, `maxlength="80"`, ` required`, `inputmode="numeric"`, `autocomplete="current-password"`, `autocomplete="off"`,
		`<option value="b" selected>Class B</option>`, `<fieldset class="field wrong" id="class"`, `name="class" value="a" checked required`,
	} {
		if !strings.Contains(body, text) {
			t.Errorf("lacks %s", text)
		}
	}
	if strings.Contains(body, `type="password" value="x`) || strings.Count(body, `role="alert"`) != 1 {
		t.Error(body)
	}
}
