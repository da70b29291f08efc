package desk

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
	textTwice   = web.Text{ZH: "填写了多次", EN: "was given more than once"}
	textHidden  = web.Text{ZH: "含有不可见字符，请重新输入", EN: "has characters that cannot be seen: type it again"}
	textTooBig  = web.Text{ZH: "数字过大", EN: "is too large a number"}
	textTooLong = web.Text{ZH: "内容过长", EN: "is too long"}
)

// draft is a form as it was sent in.
type draft struct {
	request  licenses.Request
	values   map[string]string // as they are shown again
	problems []licenses.Problem
}

// read makes a request of a form's values. What cannot be read as the schema wants
// goes into the request as it stands, so that the schema says what is wrong with
// it; problems holds what the schema could not say.
func (f *form) read(values url.Values) draft {
	d := draft{request: licenses.Request{Type: f.licenseType.ID, Data: map[string]any{}}, values: map[string]string{}}
	for _, in := range f.inputs {
		if v := d.take(values, in, "/data/"+escape(in.name)); v != "" {
			d.request.Data[in.name] = d.value(in, v)
		}
	}
	number := d.take(values, f.holder, "/holder")
	if f.holder.kind == uscc {
		d.request.Holder.USCC = number
	} else {
		d.request.Holder.Resident = number
	}
	d.request.NotBefore = d.take(values, f.dates[0], "/not_before")
	d.request.NotAfter = d.take(values, f.dates[1], "/not_after")
	return d
}

// escape makes a name one member of a JSON pointer, RFC 6901 section 3.
func escape(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }

// take returns the value of an input, tidied, "" for none.
func (d *draft) take(values url.Values, in input, path string) string {
	blame := func(t web.Text) string {
		d.problems = append(d.problems, licenses.Problem{Path: path, Text: t})
		return ""
	}
	if len(values[in.name]) > 1 {
		return blame(textTwice)
	}
	raw := values.Get(in.name)
	if len(raw) > maxValue {
		return blame(textTooLong)
	}
	v := tidy(in.kind, raw)
	d.values[in.name] = v
	if strings.ContainsFunc(v, hidden) {
		d.values[in.name] = strings.Map(visible, v)
		return blame(textHidden)
	}
	return v
}

// hidden reports what does not belong in a line of text: control and format
// characters, those that turn the text around, and what is no UTF-8.
func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }

func visible(r rune) rune {
	if hidden(r) {
		return -1
	}
	return r
}

// tidy is kind to what people type and paste: full-width digits and letters, and
// spaces, in what is a number or a date; spaces around everything else.
func tidy(k kind, v string) string {
	switch k {
	case uscc, citizen, whole, number:
		return compact(v)
	case day:
		return date(compact(v))
	default:
		return strings.TrimSpace(v)
	}
}

// compact returns a number as it is meant: NFKC, in capitals, with no spaces. What
// is no UTF-8 becomes a character that hidden finds.
func compact(v string) string {
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
func (d *draft) value(in input, v string) any {
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
			d.problems = append(d.problems, licenses.Problem{Path: "/data/" + escape(in.name), Text: textTooBig})
			return v
		}
		if err == nil {
			return n
		}
	}
	return v
}

// fields draws the form with a draft, and its problems beside those of the draft.
func (f *form) fields(d draft, problems []licenses.Problem) web.Form {
	var page web.Form
	for _, in := range f.all() {
		page.Fields = append(page.Fields, in.field(d.values[in.name]))
	}
	for _, p := range append(d.problems, problems...) {
		name := property(p.Path)
		in, ok := f.find(name)
		if !ok {
			in.label = web.Text{ZH: "填写的内容", EN: "What was filled in"}
		}
		page.Blame(name, web.Text{ZH: in.label.ZH + p.Text.ZH, EN: in.label.EN + " " + p.Text.EN})
	}
	return page
}

// property returns the name of the input to which a problem belongs.
func property(path string) string {
	if name, ok := strings.CutPrefix(path, "/data/"); ok {
		name, _, _ = strings.Cut(name, "/")
		return strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
	}
	name, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return name
}
