package status_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/licenses/status"
)

// deltaDir is where the published vectors of deltas live; docs/spec/elr1.md
// describes their form.
const deltaDir = "../../docs/spec/vectors/elr1-delta"

// deltaExpect gives the word that a vector expects.
func deltaExpect(err error) string {
	for want, word := range map[error]string{status.ErrBase: "other_base", status.ErrMalformed: expectMalformed, status.ErrTooLarge: expectTooLarge, status.ErrSignature: expectSignature} {
		if errors.Is(err, want) {
			return word
		}
	}
	if err == nil {
		return expectValid
	}
	return err.Error()
}

// text returns the vector's file.
func (c deltaCase) text(t testing.TB) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(p256Key.Public())
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "expect: %s\ncomment: %s\nalg: -7\nspki: %s\nbase: %x\n", deltaExpect(c.want), c.name, base64.StdEncoding.EncodeToString(spki), file(t, c.base))
	if s, _, err := apply(c.delta, c.base); err == nil {
		fmt.Fprintf(&b, "result: %x\n", s.Hash())
	}
	fmt.Fprintf(&b, "\n%x\n", c.delta)
	return b.Bytes()
}

// TestDeltaVectors holds that the published vectors are these cases, and that each
// does what it says.
func TestDeltaVectors(t *testing.T) {
	names := map[string]bool{}
	for _, c := range deltaCases(t) {
		if len(c.delta) > status.MaxDelta/2 {
			continue // the tests have it; a file of megabytes helps nobody
		}
		name := strings.ReplaceAll(c.name, " ", "-") + ".txt"
		names[name] = true
		path := filepath.Join(deltaDir, name)
		if *update {
			if err := os.MkdirAll(deltaDir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, c.text(t), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, c.text(t)) {
			t.Errorf("%s is another than the test makes: run with -update", name)
		}
	}
	entries, err := os.ReadDir(deltaDir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !names[e.Name()] {
			t.Errorf("%s: no test makes it", e.Name())
		}
	}
}
