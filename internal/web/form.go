package web

import "github.com/signet-city/signet/internal/fault"

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
