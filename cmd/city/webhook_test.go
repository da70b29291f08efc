package city

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/webhook"
)

// TestWebhookTypes holds that docs/spec/webhooks.md names what receivers are told.
func TestWebhookTypes(t *testing.T) {
	page, err := os.ReadFile("../../docs/spec/webhooks.md")
	if err != nil {
		t.Fatal(err)
	}
	c := &City{}
	for _, a := range []webhook.Area{c.licenseArea(), c.certificateArea()} {
		var named []string
		for line := range strings.Lines(string(page)) {
			cells := strings.Split(line, "|")
			if len(cells) < 5 || strings.TrimSpace(cells[2]) != "`"+a.Base+"`" {
				continue
			}
			for name := range strings.SplitSeq(cells[4], ",") {
				named = append(named, strings.Trim(strings.TrimSpace(name), "`"))
			}
		}
		slices.Sort(named)
		if told := slices.Sorted(maps.Values(a.Kinds)); !slices.Equal(named, told) {
			t.Errorf("%s tells %v, and the page says %v", a.Name, told, named)
		}
	}
}
