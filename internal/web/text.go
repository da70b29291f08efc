package web

import (
	"context"
	"errors"
	"net/http"

	"golang.org/x/text/language"

	"github.com/signet-city/signet/internal/fault"
)

// Lang is a language of the pages, as it stands in html's lang attribute.
type Lang string

// The two languages.
const (
	ZH Lang = "zh"
	EN Lang = "en"
)

// Text is one sentence in both languages.
type Text struct{ ZH, EN string }

// In returns the text in a language.
func (t Text) In(l Lang) string {
	if l == EN {
		return t.EN
	}
	return t.ZH
}

// Visitor is what a browser has chosen about the pages' looks.
type Visitor struct {
	Lang  Lang
	Large bool // large text
}

const (
	langCookie = "signet-lang"
	textCookie = "signet-text"
)

// VisitorOf returns what the request's browser has chosen: by its cookies, else
// by Accept-Language, else Chinese.
func VisitorOf(r *http.Request) Visitor {
	var v Visitor
	if c, err := r.Cookie(langCookie); err == nil {
		v.Lang = Lang(c.Value)
	}
	if v.Lang != ZH && v.Lang != EN {
		v.Lang = preferred(r.Header.Get("Accept-Language"))
	}
	if c, err := r.Cookie(textCookie); err == nil {
		v.Large = c.Value == "large"
	}
	return v
}

// preferred returns the first of our languages in an Accept-Language header (RFC
// 9110 section 12.5.4). Who reads neither is likelier to read English. Every
// Chinese is Chinese here: by the tables of language.Matcher a reader of zh-HK would
// rather be given English than simplified characters.
func preferred(header string) Lang {
	if len(header) > maxAcceptLanguage {
		return ZH
	}
	tags, _, err := language.ParseAcceptLanguage(header)
	if err != nil {
		return ZH
	}
	found := ZH
	for _, tag := range tags {
		switch base, _ := tag.Base(); base.String() {
		case "zh", "cmn", "yue", "wuu", "nan", "hak", "gan", "hsn":
			return ZH
		case "en":
			return EN
		case "und", "mul":
		default:
			found = EN
		}
	}
	return found
}

// maxAcceptLanguage bounds what is read of a header: no browser sends more.
const maxAcceptLanguage = 1 << 10

// explained is an error with a sentence for the page's visitor.
type explained struct {
	error
	text Text
}

func (e *explained) Unwrap() error { return e.error }

// Explain adds to an error what its page says about it, in both languages.
func Explain(err error, text Text) error { return &explained{err, text} }

// Refuse returns a fault that a page explains in both languages.
func Refuse(kind fault.Kind, text Text) error {
	return Explain(fault.New(kind, text.EN), text)
}

// explanation returns the sentence that was added to err, or to what it wraps.
func explanation(err error) (Text, bool) {
	e, ok := errors.AsType[*explained](err)
	if !ok {
		return Text{}, false
	}
	return e.text, true
}

type visitorKey struct{}

func visitorOf(ctx context.Context) Visitor {
	v, ok := ctx.Value(visitorKey{}).(Visitor)
	if !ok {
		v.Lang = ZH
	}
	return v
}
