package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
)

// maxInput bounds a file that a command reads into memory, unless it has a
// tighter bound.
const maxInput = 1 << 20

// answer is what the API said, for a program as it came and for people in words.
type answer struct {
	raw    []byte
	asJSON bool
}

// show decodes an answer into v and prints it.
func (e *env) show(a answer, v any, people func(w io.Writer)) error {
	if err := json.Unmarshal(a.raw, v); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if a.asJSON {
		return e.write(append(a.raw, '\n'))
	}
	w := &strings.Builder{}
	people(w)
	return e.write([]byte(w.String()))
}

// decode reads an answer.
func decode(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// write writes a result.
func (e *env) write(b []byte) error {
	if _, err := e.stdout.Write(b); err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return nil
}

// writeJSON writes v as one line.
func (e *env) writeJSON(v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("write result: %w", err)
	}
	return e.write(append(b, '\n'))
}

// table writes rows under their heads.
func table(w io.Writer, head []string, rows [][]string) {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{head}, rows...) {
		shown := make([]string, len(row))
		for i, cell := range row {
			shown[i] = visible(cell)
		}
		_, _ = fmt.Fprintln(t, strings.Join(shown, "\t")) // b is in memory
	}
	_ = t.Flush()
	for line := range strings.Lines(b.String()) {
		_, _ = fmt.Fprintln(w, strings.TrimRight(line, " \n")) // so is w
	}
}

// list writes the names and values of one thing, leaving out what is empty.
func list(w io.Writer, pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			_, _ = fmt.Fprintf(w, "%s: %s\n", pairs[i], visible(pairs[i+1]))
		}
	}
}

// stamp writes a time for people, "" for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// readFile reads a file of at most limit bytes; "-" is standard input.
func (e *env) readFile(path string, limit int64) ([]byte, error) {
	in, name := e.stdin, "standard input"
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		defer func() { _ = f.Close() }()
		in, name = f, path
	}
	b, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("read file: %s is larger than %d bytes", name, limit)
	}
	return b, nil
}

// readJSON reads a file that holds one JSON object, as the API takes it.
func (e *env) readJSON(path string) (jsontext.Value, error) {
	b, err := e.readFile(path, maxInput)
	if err != nil {
		return nil, err
	}
	v := jsontext.Value(strings.TrimPrefix(string(b), "\ufeff"))
	if err := v.Compact(); err != nil {
		return nil, fmt.Errorf("read file: %s is no JSON: %w", path, syntactic(err))
	}
	if v.Kind() != '{' {
		return nil, fmt.Errorf("read file: %s is no JSON object", path)
	}
	return v, nil
}

// syntactic tells where JSON is wrong without repeating it: it may be personal.
func syntactic(err error) error {
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("at byte %d", s.ByteOffset)
	}
	return errors.New("it cannot be read")
}
