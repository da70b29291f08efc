package form

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// maxExact is the largest integer that every reader of a permit holds exactly.
const maxExact = 1<<53 - 1

// maxValue bounds one value of a form, in bytes, where the schema does not.
const maxValue = 4096

var (
	textTwice = web.Text{ZH: "填写了多次", EN: "was given more than once"}
	// TextHidden is what is said of a text in which Hidden finds a character.
	TextHidden  = web.Text{ZH: "含有不可见字符，请重新输入", EN: "has characters that cannot be seen: type it again"}
	textTooBig  = web.Text{ZH: "数字过大", EN: "is too large a number"}
	textTooLong = web.Text{ZH: "内容过长", EN: "is too long"}
)

// Draft is a form as it was sent in.
type Draft struct {
	Request  licenses.Request  // with no holder and no dates where the form asks for none
	Name     string            // of a new firm, where the form asks for it
	Values   map[string]string // as they are shown again
	Problems []licenses.Problem
}

// Read makes a request of a form's values. What cannot be read as the schema wants
// goes into the request as it stands, so that the schema says what is wrong with
// it; problems holds what the schema could not say.
func (f *Form) Read(values url.Values) Draft {
	d := Draft{Request: licenses.Request{Type: f.Type.ID, Data: map[string]any{}}, Values: map[string]string{}}
	for _, in := range f.Inputs {
		if v := d.take(values, in, "/data/"+escape(in.Name)); v != "" {
			d.Request.Data[in.Name] = d.value(in, v)
		}
	}
	if f.holder != nil {
		number := d.take(values, *f.holder, "/holder")
		if f.holder.kind == uscc {
			d.Request.Holder.USCC = number
		} else {
			d.Request.Holder.Resident = number
		}
	}
	if f.name != nil {
		d.Name = d.take(values, *f.name, "/name")
	}
	for _, in := range f.dates {
		if in.Name == InFrom {
			d.Request.NotBefore = d.take(values, in, "/not_before")
		} else {
			d.Request.NotAfter = d.take(values, in, "/not_after")
		}
	}
	return d
}

// escape makes a name one member of a JSON pointer, RFC 6901 section 3.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// take returns the value of an input, tidied, "" for none.
func (d *Draft) take(values url.Values, in Input, path string) string {
	blame := func(t web.Text) string {
		d.Problems = append(d.Problems, licenses.Problem{Path: path, Text: t})
		return ""
	}
	if len(values[in.Name]) > 1 {
		return blame(textTwice)
	}
	raw := values.Get(in.Name)
	if len(raw) > maxValue {
		return blame(textTooLong)
	}
	v := tidy(in.kind, raw)
	if len(v) > maxValue { // NFKC makes eighteen letters of one
		return blame(textTooLong)
	}
	d.Values[in.Name] = v
	if strings.ContainsFunc(v, Hidden) {
		d.Values[in.Name] = strings.Map(Visible, v)
		return blame(TextHidden)
	}
	return v
}

// Hidden reports what does not belong in a line of text: control and format
// characters, those that turn the text around, and what is no UTF-8.
func Hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }

// Visible drops what is hidden: a mapping for strings.Map.
func Visible(r rune) rune {
	if Hidden(r) {
		return -1
	}
	return r
}

// tidy is kind to what people type and paste: full-width digits and letters, and
// spaces, in what is a number or a date; spaces around everything else.
func tidy(k kind, v string) string {
	switch k {
	case uscc, citizen, whole, number:
		return Compact(v)
	case day:
		return date(Compact(v))
	default:
		return strings.TrimSpace(v)
	}
}

// Compact returns a number as it is meant: NFKC, in capitals, with no spaces. What
// is no UTF-8 becomes a character that Hidden finds.
func Compact(v string) string {
	v = norm.NFKC.String(strings.ToValidUTF8(v, "\uFFFD"))
	return strings.ToUpper(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, v))
}

var dateSigns = strings.NewReplacer("年", "-", "月", "-", "日", "", "/", "-", ".", "-")

// date writes the usual ways of a date as ISO 8601 does, and leaves the rest alone.
func date(v string) string {
	if t, err := time.Parse("2006-1-2", dateSigns.Replace(v)); err == nil {
		return t.Format(time.DateOnly)
	}
	return v
}

// value reads v as the schema wants it.
func (d *Draft) value(in Input, v string) any {
	switch in.kind {
	case yesNo:
		if b, err := strconv.ParseBool(v); err == nil && strconv.FormatBool(b) == v {
			return b
		}
	case whole, number:
		if strings.Trim(v, "0123456789.-") != "" {
			return v
		}
		n, err := strconv.ParseFloat(v, 64)
		if math.Abs(n) > maxExact { // what is out of range is infinite
			d.Problems = append(d.Problems, licenses.Problem{Path: "/data/" + escape(in.Name), Text: textTooBig})
			return v
		}
		if err == nil {
			return n
		}
	}
	return v
}

// Fields draws the form with a draft, and its problems beside those of the draft.
func (f *Form) Fields(d Draft, problems []licenses.Problem) web.Form {
	var page web.Form
	for _, in := range f.All() {
		page.Fields = append(page.Fields, in.field(d.Values[in.Name]))
	}
	for _, p := range append(d.Problems, problems...) {
		name := Property(p.Path)
		page.Blame(name, f.About(name, p.Text))
	}
	return page
}

// About puts before a problem what it is about: the input with that name, or all of them.
func (f *Form) About(name string, problem web.Text) web.Text {
	in, ok := f.Find(name)
	if !ok {
		in.Label = web.Text{ZH: "填写的内容", EN: "What was filled in"}
	}
	return web.Text{ZH: in.Label.ZH + problem.ZH, EN: in.Label.EN + " " + problem.EN}
}

// Property returns the name of the input to which a problem belongs.
func Property(path string) string {
	if name, ok := strings.CutPrefix(path, "/data/"); ok {
		name, _, _ = strings.Cut(name, "/")
		return strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}
