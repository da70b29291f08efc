package rp_test

import (
	"os"
	"strings"
	"testing"
)

// block is one block of code of the page.
type block struct {
	kind string // sh, js, go
	name string // of the file that it is, or how a script is run: "" to its end, serve, operator
	text string
}

const page = "../../docs/relying-party.md"

// The headings of the page under which there is code.
const (
	byNode   = "With Node.js: openid-client, profile fapi2"
	byGo     = "With Go: go-oidc and oauth2, profile basic"
	byCurl   = "With curl, to see what happens"
	operator = "Going to production"
)

// blocks returns the page's blocks by the heading that they stand under.
func blocks(t *testing.T) map[string][]block {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	found, heading := map[string][]block{}, ""
	var open *block
	for line := range strings.Lines(string(b)) {
		info, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case fence && open == nil:
			kind, name, _ := strings.Cut(info, " ")
			open = &block{kind: kind, name: name}
		case fence:
			found[heading] = append(found[heading], *open)
			open = nil
		case open != nil:
			open.text += line
		case strings.HasPrefix(line, "## "):
			heading = strings.TrimSpace(line[3:])
		}
	}
	if open != nil {
		t.Fatal("a block has no end")
	}
	return found
}

// No block stands where no test runs it, or is of a kind that none runs.
func TestEveryBlockIsRun(t *testing.T) {
	all := blocks(t)
	want := map[string][]string{byNode: {"sh ", "js app.mjs", "sh serve"}, byGo: {"sh ", "go main.go", "sh serve"}, byCurl: {"sh ", "sh "}, operator: {"sh operator"}}
	for heading, list := range all {
		var kinds []string
		for _, b := range list {
			kinds = append(kinds, b.kind+" "+b.name)
		}
		if strings.Join(kinds, ",") != strings.Join(want[heading], ",") {
			t.Errorf("under %q there are the blocks %q, and run are %q", heading, kinds, want[heading])
		}
	}
	if len(all) != len(want) {
		t.Errorf("code under %d headings, and run under %d", len(all), len(want))
	}
}
