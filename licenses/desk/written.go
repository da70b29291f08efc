package desk

import (
	"strings"
	"time"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/form"
)

var (
	textNone = web.Text{ZH: "（无）", EN: "(none)"}
	shanghai = time.FixedZone("CST", 8*60*60)
)

// period compares a date of two versions, as Shanghai's calendar has it.
func period(label web.Text, before, after time.Time) difference {
	day := func(t time.Time) web.Text {
		s := t.In(shanghai).Format(time.DateOnly)
		return web.Text{ZH: s, EN: s}
	}
	return difference{Label: label, Before: day(before), After: day(after), Differs: day(before) != day(after)}
}

// oneLine makes one line of what a textarea sends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// mapVisible leaves out what cannot be seen.
func mapVisible(s string) string { return strings.Map(form.Visible, s) }
