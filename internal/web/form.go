package web

import (
	"errors"
	"net/http"
	"strings"

	"github.com/signet-city/signet/internal/fault"
)

// ParseForm parses the query and the form of a request of at most most bytes. It
// fails with kind Invalid for a form that cannot be read, and with
// *http.MaxBytesError, which a page answers as too large, for a longer one.
func ParseForm(w http.ResponseWriter, r *http.Request, most int64) error {
	r.Body = http.MaxBytesReader(w, r.Body, most)
	return unread(r.ParseForm())
}

// ParseFiles is ParseForm for forms that may have files.
func ParseFiles(w http.ResponseWriter, r *http.Request, most int64) error {
	err := ParseForm(w, r, most)
	if err == nil && strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = unread(r.ParseMultipartForm(most))
	}
	return err
}

func unread(err error) error {
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); err == nil || tooLarge {
		return err
	}
	return fault.Wrap(fault.Invalid, "the form cannot be read", err)
}

// Field is one input of a form, as the template "field" draws it:
//
//	{{template "field" .Field}}
//
// Its label, hint and problem are tied to it for screen readers. The zero Type is
// a line of text.
type Field struct {
	Name  string
	Label Text
	Hint  Text
	Type  string // text, password, number, date, textarea, select, radio, hidden, file
	Value string

	Options      []Option // of select and radio
	Required     bool
	Autocomplete string // "" turns it off
	InputMode    string
	MaxLength    int
	Problem      Text // what is wrong with the value, both "" for nothing
}

// Option is one choice of a Field.
type Option struct {
	Value string
	Label Text
	Hint  Text
}

// Form is a list of fields and of problems that belong to none of them. The
// template "problems" draws the summary that stands above a form which was sent
// back, with a link to each field.
type Form struct {
	Fields   []Field
	Problems []Text
}

// Field returns the field with that name, nil if there is none.
func (f *Form) Field(name string) *Field {
	for i := range f.Fields {
		if f.Fields[i].Name == name {
			return &f.Fields[i]
		}
	}
	return nil
}

// Wrong reports whether the form has a problem.
func (f *Form) Wrong() bool {
	for _, x := range f.Fields {
		if x.Problem != (Text{}) {
			return true
		}
	}
	return len(f.Problems) > 0
}

// Blame puts a problem to the field with that name, or to the form if there is no
// such field. The first problem of a field stays.
func (f *Form) Blame(name string, problem Text) {
	x := f.Field(name)
	switch {
	case x == nil:
		f.Problems = append(f.Problems, problem)
	case x.Problem == (Text{}):
		x.Problem = problem
	}
}

// BlameFault puts what is wrong by err to the form, with the sentence that a page
// shows for it. It reports false for errors that are not the visitor's to mend.
func (f *Form) BlameFault(err error) bool {
	switch kindOf(err) {
	case fault.Invalid, fault.Conflict, fault.Denied, fault.NotFound, fault.TooLarge:
	default:
		return false
	}
	text, ok := explanation(err)
	if !ok {
		text = sentences[kindOf(err)].body
	}
	f.Problems = append(f.Problems, text)
	return true
}
