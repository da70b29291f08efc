package form

import (
	"net/url"
	"slices"

	"github.com/signet-city/signet/licenses"
)

// Save is what the button InSubmit says when a form is to be kept and not sent in. It
// is no input of its own, since a type's schema may have a property of any other name.
const Save = "save"

// Saves reports whether the button that keeps the form was pressed.
func Saves(values url.Values) bool { return slices.Equal(values[InSubmit], []string{Save}) }

// GoOn returns a draft as it was kept, without inputs that the form does not have (any
// more). What is wrong with it is said when it is sent in.
func (f *Form) GoOn(kept licenses.Draft) Draft {
	d := Draft{Values: map[string]string{}}
	for _, in := range f.All() {
		if v, ok := kept.Values[in.Name]; ok && len(v) <= maxValue {
			d.Values[in.Name] = v
		}
	}
	return d
}
