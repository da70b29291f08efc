package licenses_test

import (
	"bufio"
	"encoding/json/v2"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

// batchLines returns n lines of a batch.
func batchLines(t *testing.T, n int) []string {
	t.Helper()
	lines := make([]string, n)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"key":"cut-%d",`, i) + text(t, food(nil))[1:] + "\n"
	}
	return lines
}

// TestBatchCutOff breaks a batch off at several points, with lines sent that nobody
// read the answers of, and half a line: what was answered stays, and all sent again
// gives the same licences for it, each once.
func TestBatchCutOff(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.Service = c.replica(t) // which takes longer batches than the fixture
		s := serve(t, c)
		lines := batchLines(t, 2*licenses.Batch+20)
		answered := map[string]string{} // id by key
		for _, cut := range []int{licenses.Batch, licenses.Batch + 7, 2*licenses.Batch + 3} {
			for key, id := range s.cutBatch(lines[:cut], lines[cut][:len(lines[cut])/2]) {
				if before, ok := answered[key]; ok && before != id {
					t.Errorf("%s became %s and then %s", key, before, id)
				}
				answered[key] = id
			}
		}
		if len(answered) < licenses.Batch {
			t.Fatalf("%d lines were answered: nothing was cut off half-way", len(answered))
		}
		last := s.batch(strings.Join(lines, ""))
		for i, a := range last {
			if a.Permit == "" || answered[a.Key] != "" && answered[a.Key] != a.ID {
				t.Errorf("line %d: %+v, was %s", i+1, a, answered[a.Key])
			}
		}
		if len(last) != len(lines) {
			t.Errorf("%d answers to %d lines", len(last), len(lines))
		}
		c.wantClean(t, len(lines))
	})
}

// cutBatch sends whole lines and a part of another, reads the answers to the whole
// parts of a batch and breaks the connection off.
func (s server) cutBatch(lines []string, part string) map[string]string {
	s.t.Helper()
	in, out := io.Pipe()
	r, err := http.NewRequestWithContext(s.t.Context(), "POST", s.URL+"/licenses/v1/batch", in)
	must(s.t, err)
	r.Header.Set("Authorization", "Bearer donghu")
	r.Header.Set("Content-Type", "application/x-ndjson")
	go func() { _, _ = io.WriteString(out, strings.Join(lines, "")+part) }()
	resp, err := s.Client().Do(r)
	must(s.t, err)
	ids := map[string]string{}
	answers := bufio.NewScanner(resp.Body)
	answers.Buffer(nil, 1<<20)
	for len(ids) < len(lines)/licenses.Batch*licenses.Batch && answers.Scan() {
		var a answer
		must(s.t, json.Unmarshal(answers.Bytes(), &a, json.MatchCaseInsensitiveNames(true)))
		if a.Permit == "" {
			s.t.Fatalf("%s", answers.Bytes())
		}
		ids[a.Key] = a.ID
	}
	_ = out.CloseWithError(io.ErrUnexpectedEOF)
	_ = resp.Body.Close()
	return ids
}
