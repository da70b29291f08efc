package form

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// kind is how a property is asked for.
type kind string

const (
	text    kind = "text"
	whole   kind = "integer"
	number  kind = "number"
	yesNo   kind = "boolean"
	day     kind = "date"
	oneOf   kind = "choice"
	uscc    kind = "uscc"     // of the holder
	citizen kind = "resident" // of the holder
)

// The inputs that every form has besides those of the type's schema. No property
// may have the name of one, nor one that begins with desk- or wallet-: those are inputs
// of single pages.
const (
	InHolder = "holder"
	InFrom   = "not_before"
	InUntil  = "not_after"
	InKey    = "key"
	InAgency = "agency"
	InSubmit = "submit"
)

// radioMost is up to how many choices all stand open to be seen.
const radioMost = 5

// Input is one property as a form asks for it.
type Input struct {
	Name     string // of the property, and of the input
	Label    web.Text
	kind     kind
	hint     web.Text
	options  []web.Option
	required bool
}

// Form asks for what a licence of a type needs.
type Form struct {
	Type   *licenses.Type
	Inputs []Input // of the data
	holder *Input  // nil for a form that the holder fills in
	dates  []Input // of the validity; empty for a form that the holder fills in
	name   *Input  // of a new firm; nil for every other form
}

// ForHolder returns the form without what its holder does not say: whose licence it
// will be, which follows from who is signed in, and how long it will be valid.
func (f *Form) ForHolder() *Form { return &Form{Type: f.Type, Inputs: f.Inputs} }

// ForNext returns the form of the next version of a licence: with the data, where they
// may change, and with the last day, where that is asked for. A nil form has no data.
func (f *Form) ForNext(data, until bool) *Form {
	next := &Form{Type: &licenses.Type{}}
	if f != nil {
		next.Type = f.Type
	}
	if f != nil && data {
		next.Inputs = f.Inputs
	}
	if until {
		next.dates = []Input{{Name: InUntil, kind: day, Label: web.Text{ZH: "有效期至", EN: "Valid until"},
			hint: web.Text{ZH: "最后一天；不填则按证照类型的期限延续", EN: "The last day. Left empty: as long as the type says"}}}
	}
	return next
}

// New makes a form of the type's schema: an object of texts, choices, dates,
// numbers and answers of yes or no. It fails for any other property, and for one
// that would share its name with an input of the desk's own.
func New(t *licenses.Type) (*Form, error) {
	schema, _ := t.Schema.(map[string]any)
	properties, _ := schema["properties"].(map[string]any)
	if len(properties) == 0 {
		return nil, errors.New("make form: the schema names no properties")
	}
	holder := holderInput(t)
	f := &Form{Type: t, holder: &holder, dates: dateInputs(t)}
	required, _ := schema["required"].([]any)
	for _, name := range order(t, properties) {
		if slices.Contains([]string{InHolder, InFrom, InUntil, InKey, InAgency, InSubmit}, name) || strings.HasPrefix(name, "desk-") || strings.HasPrefix(name, "wallet-") {
			return nil, fmt.Errorf("make form: property %s has the name of an input of the desk", name)
		}
		property, _ := properties[name].(map[string]any)
		in := Input{Name: name, required: slices.Contains(required, any(name)), Label: labelOf(t, name)}
		if err := in.describe(t, property); err != nil {
			return nil, fmt.Errorf("make form: property %s: %w", name, err)
		}
		f.Inputs = append(f.Inputs, in)
	}
	return f, nil
}

// order returns the properties as the type's fields stand, then the others by name:
// a schema's own order is lost when it is read.
func order(t *licenses.Type, properties map[string]any) []string {
	var names []string
	for _, f := range t.Fields {
		if properties[f.Property] != nil {
			names = append(names, f.Property)
		}
	}
	var others []string
	for name := range properties {
		if !slices.Contains(names, name) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	return append(names, others...)
}

func labelOf(t *licenses.Type, property string) web.Text {
	for _, f := range t.Fields {
		if f.Property == property {
			return web.Text(f.Names)
		}
	}
	return web.Text{ZH: property, EN: property}
}

// describe says how the property is asked for.
func (in *Input) describe(t *licenses.Type, property map[string]any) error {
	if _, ok := property["enum"]; ok {
		in.kind = oneOf
		return in.choices(t, property)
	}
	low, high := bound(property, "minimum"), bound(property, "maximum")
	switch property["type"] {
	case "string":
		in.kind, in.hint = text, lengths(property)
		if property["format"] == "date" {
			in.kind, in.hint = day, web.Text{}
		}
	case "integer":
		in.kind, in.hint = whole, between(web.Text{ZH: "整数", EN: "Whole number"}, low, high)
	case "number":
		in.kind, in.hint = number, between(web.Text{ZH: "数字", EN: "Number"}, low, high)
	case "boolean":
		in.kind = yesNo
		in.options = []web.Option{{Value: "true", Label: web.Text{ZH: "是", EN: "Yes"}}, {Value: "false", Label: web.Text{ZH: "否", EN: "No"}}}
	default:
		return errors.New("no input can be made of it")
	}
	return nil
}

// choices lists the values of an enum with their names.
func (in *Input) choices(t *licenses.Type, property map[string]any) error {
	values, _ := property["enum"].([]any)
	for _, v := range values {
		value, ok := v.(string)
		if !ok || value == "" {
			return errors.New("its choices are not all texts")
		}
		in.options = append(in.options, web.Option{Value: value, Label: codeName(t, in.Name, value)})
	}
	return nil
}

// codeName is the name of a value by the code list of its field.
func codeName(t *licenses.Type, property, value string) web.Text {
	for _, f := range t.Fields {
		for _, l := range t.Lists {
			if f.Property != property || f.List == "" || l.ID != f.List {
				continue
			}
			for _, c := range l.Codes {
				if c.Value == value {
					return web.Text(c.Names)
				}
			}
		}
	}
	return web.Text{ZH: value, EN: value}
}

// bound returns a numeric bound as it is shown, "" for none.
func bound(property map[string]any, name string) string {
	v, ok := property[name].(float64)
	if !ok {
		return ""
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

func between(what web.Text, low, high string) web.Text {
	switch {
	case low != "" && high != "":
		return web.Text{ZH: what.ZH + "，" + low + " 至 " + high, EN: what.EN + " from " + low + " to " + high}
	case low != "":
		return web.Text{ZH: what.ZH + "，不小于 " + low, EN: what.EN + ", at least " + low}
	case high != "":
		return web.Text{ZH: what.ZH + "，不大于 " + high, EN: what.EN + ", at most " + high}
	}
	return what
}

func lengths(property map[string]any) web.Text {
	low, high := bound(property, "minLength"), bound(property, "maxLength")
	if low == "0" || low == "1" {
		low = ""
	}
	switch {
	case low != "" && high != "":
		return web.Text{ZH: low + " 至 " + high + " 个字", EN: low + " to " + high + " characters"}
	case low != "":
		return web.Text{ZH: "至少 " + low + " 个字", EN: "At least " + low + " characters"}
	case high != "":
		return web.Text{ZH: "最多 " + high + " 个字", EN: "Up to " + high + " characters"}
	}
	return web.Text{}
}

func holderInput(t *licenses.Type) Input {
	if t.Holder == licenses.HolderFirm {
		return Input{Name: InHolder, kind: uscc, required: true, Label: web.Text{ZH: "持证企业的统一社会信用代码", EN: "Unified social credit code of the holder"},
			hint: web.Text{ZH: "18 位，见营业执照", EN: "18 characters, as on the business licence"}}
	}
	return Input{Name: InHolder, kind: citizen, required: true, Label: web.Text{ZH: "持证人的公民身份号码", EN: "Resident number of the holder"},
		hint: web.Text{ZH: "18 位，见居民身份证", EN: "18 characters, as on the resident identity card"}}
}

func dateInputs(t *licenses.Type) []Input {
	return []Input{
		{Name: InFrom, kind: day, Label: web.Text{ZH: "生效日期", EN: "Valid from"}, hint: web.Text{ZH: "不填则为签发当日", EN: "Left empty: the day of issue"}},
		{Name: InUntil, kind: day, Label: web.Text{ZH: "有效期至", EN: "Valid until"}, hint: web.Text{
			ZH: fmt.Sprintf("最后一天；不填则自生效日期起 %d 年", t.Years), EN: fmt.Sprintf("The last day. Left empty: %d years from the beginning", t.Years)}},
	}
}

// All returns every input in the order of the page.
func (f *Form) All() []Input {
	var all []Input
	for _, in := range []*Input{f.holder, f.name} {
		if in != nil {
			all = append(all, *in)
		}
	}
	return slices.Concat(all, f.Inputs, f.dates)
}

// Find returns the input with that name.
func (f *Form) Find(name string) (Input, bool) {
	all := f.All()
	i := slices.IndexFunc(all, func(in Input) bool { return in.Name == name })
	if i < 0 {
		return Input{}, false
	}
	return all[i], true
}

// field draws the input with a value.
func (in Input) field(value string) web.Field {
	x := web.Field{Name: in.Name, Label: in.Label, Hint: in.hint, Value: value, Required: in.required, Options: in.options}
	if !in.required {
		x.Label.ZH, x.Label.EN = x.Label.ZH+"（选填）", x.Label.EN+" (optional)"
	}
	switch in.kind {
	case day:
		x.Type = "date"
	case whole:
		x.InputMode = "numeric"
	case number:
		x.InputMode = "decimal"
	case oneOf, yesNo:
		x.Type, x.Options = in.offer()
	}
	return x
}

// offer adds to the choices one that says that nothing is chosen: of a list that
// is closed, and of one that may be left empty, so that a choice can be taken back.
func (in Input) offer() (kind string, options []web.Option) {
	none := web.Option{Label: web.Text{ZH: "不填写", EN: "Not stated"}}
	switch {
	case len(in.options) > radioMost:
		if in.required {
			none.Label = web.Text{ZH: "请选择", EN: "Choose one"}
		}
		return "select", append([]web.Option{none}, in.options...)
	case in.required:
		return "radio", in.options
	default:
		return "radio", append(slices.Clone(in.options), none)
	}
}

// Written is a value of the data as it stands in an input.
func Written(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	default:
		return strings.TrimSpace(fmt.Sprint(v))
	}
}

// Shown is a value of the data as a page shows it.
func (in Input) Shown(v any) web.Text {
	s := Written(v)
	for _, o := range in.options {
		if o.Value == s {
			return o.Label
		}
	}
	return web.Text{ZH: s, EN: s}
}
