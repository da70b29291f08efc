package ca

import (
	"strings"

	"github.com/signet-city/signet/internal/web"
)

// refusals are the reasons for which an approved request fails that pages explain.
var refusals = []error{errBlockedKey, errCompromisedKey, errKeyTaken, errSucceeded, errForeignAgency, errUnlicensed}

// nameRefused stands before a name that an agency may not have.
var nameRefused = web.Text{ZH: "该部门无权使用名称 ", EN: "the agency may not have the name "}

// NoteText returns what a page says for a request's Note, which is kept in English. A
// sentence that it does not know stays as it is; "" is none.
func NoteText(note string) web.Text {
	for _, err := range refusals {
		var f web.Form
		if f.BlameFault(err) && f.Problems[0].EN == note {
			return f.Problems[0]
		}
	}
	if name, ok := strings.CutPrefix(note, nameRefused.EN); ok {
		return web.Text{ZH: nameRefused.ZH + name, EN: note}
	}
	return web.Text{ZH: note, EN: note}
}
