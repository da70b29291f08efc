package console

import (
	"testing"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/keys"
)

func TestEventWords(t *testing.T) {
	for kind, want := range map[string]string{
		"keys.pause":            "Key paused",
		"license.issue.intent":  "Licence issued (announced)",
		"trust.bundle.outcome":  "Trust bundle published (completed)",
		"approval.run.outcome":  "Request carried out (completed)",
		"license.issue.between": "license.issue.between", // what has no words is shown as it is
		".intent":               ".intent",
		"":                      "",
	} {
		if got := eventWord(kind).EN; got != want {
			t.Errorf("%q is %q, want %q", kind, got, want)
		}
	}
	for kind, words := range eventWords {
		if words.ZH == "" || words.EN == "" || words.ZH == words.EN {
			t.Errorf("%s is not in both languages", kind)
		}
	}
}

// TestStates: every state has a word.
func TestStates(t *testing.T) {
	for _, s := range []keys.State{keys.Staged, keys.Published, keys.Active, keys.Retiring, keys.Retired, keys.Compromised} {
		if keyTags[s].Word.ZH == "" || keyTags[s].Word.EN == "" || since(keys.Key{State: s}) != since(keys.Key{}) {
			t.Errorf("state %s", s)
		}
	}
	for _, s := range append(ended, approval.Open) {
		if requestTags[s].Word.ZH == "" || requestTags[s].Word.EN == "" {
			t.Errorf("state %s", s)
		}
	}
}

func TestParseTime(t *testing.T) {
	const want = "2026-11-02 01:30:00 +0000 UTC"
	for _, text := range []string{"2026-11-02T09:30", "2026-11-02 09:30", "2026/11/02  09:30", "2026-11-02T09:30:00"} {
		if at, err := parseTime(text); err != nil || at.UTC().String() != want {
			t.Errorf("%q is %v, %v", text, at, err)
		}
	}
	for _, text := range []string{"", "2026-11-02", "09:30", "2026-13-02T09:30", "2026-11-02T24:30", "2026-11-02T09:30Z", "now"} {
		if at, err := parseTime(text); err == nil {
			t.Errorf("%q is %v", text, at)
		}
	}
}
