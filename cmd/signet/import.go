package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// Bounds of one call of an import. A file is sent in as many as it takes: each is
// answered well within the server's limits of size and time.
const (
	importLines = 500
	importBytes = 2 << 20
	maxLine     = 64 << 10
	tellEvery   = 2 * time.Second
)

// newLicenseImport returns the command license import.
func newLicenseImport(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "import FILE",
		Short: "Issue many licences, one request in JSON per line; - is standard input",
		Long: `Issue many licences. Each line is a request as license issue takes it, with a
member "key" besides: any text of up to 128 visible characters that no other line
has. For each line that is not empty one line of JSON is written, with its number
in the file and the licence or what is wrong; progress goes to standard error.

A line that was answered is durable. An import that broke off is run again from
the start: the lines that were done are answered again and not done twice.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			in := e.stdin
			if args[0] != "-" {
				file, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("read file: %w", err)
				}
				defer func() { _ = file.Close() }()
				in = file
			}
			a, err := f.connect(e, scopeLicenses)
			if err != nil {
				return err
			}
			i := &importer{api: a, env: e, told: time.Now()}
			err = i.run(c.Context(), in)
			i.tell()
			if err != nil {
				return withHint(err, "run the same command again: what is done is not done twice")
			}
			if i.refused > 0 {
				return fmt.Errorf("%d of %d lines were refused", i.refused, i.done)
			}
			return nil
		},
	}
}

// importer sends the lines of a file in batches and writes their results.
type importer struct {
	*api
	env  *env
	told time.Time

	read          int          // lines of the file read
	body          bytes.Buffer // the batch
	at            []int        // the number in the file of each of its lines
	done, refused int
}

// outcome is the result of one line.
type outcome struct {
	Line     int       `json:"line"`
	Key      string    `json:"key,omitzero"`
	ID       string    `json:"id,omitzero"`
	Number   string    `json:"number,omitzero"`
	Status   string    `json:"status,omitzero"`
	Permit   string    `json:"permit,omitzero"`
	Error    string    `json:"error,omitzero"`
	Message  string    `json:"message,omitzero"`
	Problems []problem `json:"problems,omitzero"`
}

// run reads the file to its end.
func (i *importer) run(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	for lines.Scan() {
		i.read++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		if len(i.at) == importLines || i.body.Len()+len(line) >= importBytes {
			if err := i.send(ctx); err != nil {
				return err
			}
		}
		i.body.Write(line)
		i.body.WriteByte('\n')
		i.at = append(i.at, i.read)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("line %d is longer than %d bytes", i.read+1, maxLine)
		}
		return errors.Join(i.send(ctx), fmt.Errorf("read file: %w", err))
	}
	return i.send(ctx)
}

// send sends the batch and writes its results as they arrive.
func (i *importer) send(ctx context.Context) error {
	if len(i.at) == 0 {
		return nil
	}
	resp, err := i.api.send(ctx, request{method: "POST", path: "/licenses/v1/batch", body: i.body.Bytes(), kind: "application/x-ndjson"})
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", i.at[0], i.at[len(i.at)-1], err)
	}
	defer func() { _ = resp.Body.Close() }()
	answers := bufio.NewScanner(io.LimitReader(resp.Body, maxAnswer))
	answers.Buffer(make([]byte, 0, 16<<10), maxLine)
	for n, line := range i.at {
		if !answers.Scan() {
			return fmt.Errorf("line %d was not answered: %w", line, orEnd(answers.Err()))
		}
		if err := i.result(answers.Bytes(), n+1, line); err != nil {
			return err
		}
	}
	i.body.Reset()
	i.at = i.at[:0]
	return nil
}

// orEnd says why an answer ended.
func orEnd(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// result writes the result of one line of the file, the n-th of its batch.
func (i *importer) result(answer []byte, n, line int) error {
	var o outcome
	if err := json.Unmarshal(answer, &o); err != nil || o.Line != n {
		return fmt.Errorf("line %d: the answer is not the one that was expected", line)
	}
	o.Line = line
	if err := i.env.writeJSON(o); err != nil {
		return err
	}
	i.done++
	if o.Error != "" {
		i.refused++
	}
	if time.Since(i.told) >= tellEvery {
		i.tell()
	}
	return nil
}

// tell tells how far the import is.
func (i *importer) tell() {
	i.told = time.Now()
	i.env.say("import: lines=%d issued=%d refused=%d", i.done, i.done-i.refused, i.refused)
}
