package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
)

// Bounds of one call of an import. A file is sent in as many as it takes: each is
// answered well within the server's limits of size and time.
const (
	importLines = 500
	importBytes = 2 << 20
	maxLine     = 64 << 10
)

// importFlags are those of license import.
type importFlags struct {
	resume   bool
	failures string
}

// newLicenseImport returns the command license import.
func newLicenseImport(e *env, f *apiFlags) *cobra.Command {
	var o importFlags
	c := &cobra.Command{
		Use:   "import FILE",
		Short: "Issue many licences, one request in JSON per line; - is standard input",
		Long: `Issue many licences. Each line is a request as license issue takes it, with a
member "key" besides: any text of up to 128 visible characters that no other line
has. A line of a file that has none gets one made of the file's content and the
line's number: give keys where the file may change between two runs. The file may
be packed with gzip. For each line that is not empty one line of JSON is written,
with its number in the file and the licence or what is wrong; progress goes to
standard error. With --json the last line is a summary.

A line that was answered is durable. Where the server fails amid a batch the import
ends; a line that it could not take counts as not answered. An import that broke off is run again from
the start: the lines that were done are answered again and not done twice. With
--resume it goes on behind the last line that was answered, which it finds in
FILE.import, and writes results of the rest alone. Where the server asks to wait
the import waits.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return importFile(c.Context(), e, f, o, args[0])
		},
	}
	c.Flags().BoolVar(&o.resume, "resume", false, "go on where an import of the same file broke off")
	c.Flags().StringVar(&o.failures, "failures", "", "`file` that the results of refused lines go to as well")
	return c
}

// importFile imports one file.
func importFile(ctx context.Context, e *env, f *apiFlags, o importFlags, path string) (err error) {
	if o.resume && path == "-" {
		return usage(errors.New("--resume needs a file: standard input cannot be read again"))
	}
	in, err := openInput(e, path)
	if err != nil {
		return err
	}
	defer in.close()
	a, err := f.connect(e, scopeLicenses)
	if err != nil {
		return err
	}
	i := &importer{api: a, env: e, in: in, begun: time.Now(), progress: newProgress(e)}
	if o.resume {
		if i.mark, err = loadMark(path, in, a); err != nil {
			return err
		}
	}
	if o.failures != "" {
		file, err := openFailures(o.failures, i.mark.Line > 0)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, file.Close()) }()
		i.failures = file
	}
	return i.finish(i.run(ctx), f.json)
}

// importer sends the lines of a file in batches and writes their results.
type importer struct {
	*api
	env      *env
	in       *input
	mark     mark      // of what was answered; with no path nothing is kept
	failures io.Writer // nil for none
	begun    time.Time
	progress *progress

	read          int          // lines of the file read
	body          bytes.Buffer // the batch
	at            []int        // the number in the file of each of its lines
	done, refused int
}

// finish tells what became of the import, which ended with err.
func (i *importer) finish(err error, asJSON bool) error {
	i.progress.end(i)
	if asJSON {
		err = errors.Join(err, i.env.writeJSON(struct {
			Lines    int     `json:"lines"`
			Issued   int     `json:"issued"`
			Refused  int     `json:"refused"`
			Resumed  int     `json:"resumed_after,omitzero"` // the line of the file
			Seconds  float64 `json:"seconds"`
			Complete bool    `json:"complete"`
		}{i.done, i.done - i.refused, i.refused, i.mark.begin, time.Since(i.begun).Seconds(), err == nil}))
	}
	if err != nil {
		if i.mark.path != "" {
			return withHint(err, "run the same command again: it goes on behind line %d", i.mark.Line)
		}
		return withHint(err, "run the same command again: what is done is not done twice")
	}
	if err := i.mark.remove(); err != nil {
		return err
	}
	if i.refused > 0 {
		return fmt.Errorf("%d of %d lines were refused", i.refused, i.done)
	}
	return nil
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
func (i *importer) run(ctx context.Context) error {
	lines := bufio.NewScanner(i.in)
	lines.Buffer(make([]byte, 0, 16<<10), maxLine)
	for lines.Scan() {
		i.read++
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 || i.read <= i.mark.begin {
			continue
		}
		line, err := i.in.keyed(line, i.read)
		if err != nil {
			return err
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

// send sends the batch, again where the server asks to wait, and writes its results as
// they arrive.
func (i *importer) send(ctx context.Context) error {
	if len(i.at) == 0 {
		return nil
	}
	first, last := i.at[0], i.at[len(i.at)-1]
	resp, err := i.patient(ctx, request{method: "POST", path: "/licenses/v1/batch", body: i.body.Bytes(), kind: "application/x-ndjson"})
	if err != nil {
		return fmt.Errorf("lines %d to %d: %w", first, last, err)
	}
	defer func() { _ = resp.Body.Close() }()
	err = errors.Join(i.results(resp.Body), i.mark.save())
	if err == nil {
		i.body.Reset()
		i.at = i.at[:0]
	}
	return err
}

// results reads a result for each line of the batch.
func (i *importer) results(body io.Reader) error {
	answers := bufio.NewScanner(io.LimitReader(body, maxAnswer))
	answers.Buffer(make([]byte, 0, 16<<10), maxLine)
	for n, line := range i.at {
		if !answers.Scan() {
			return fmt.Errorf("line %d was not answered: %w", line, orEnd(answers.Err()))
		}
		if err := i.result(answers.Bytes(), n+1, line); err != nil {
			return err
		}
	}
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
	if o.Error == "unavailable" || o.Error == "internal" { // nobody looked at the line: it is sent again
		return fmt.Errorf("line %d: the server could not take it: %w", line, &apiError{Kind: o.Error, Message: o.Message})
	}
	o.Line = line
	if err := i.env.writeJSON(o); err != nil {
		return err
	}
	if err := i.failed(o); err != nil {
		return err
	}
	i.done++
	i.mark.Line, i.mark.Key = line, o.Key
	i.progress.tell(i)
	return nil
}

// failed counts a line that was refused, and keeps its result.
func (i *importer) failed(o outcome) error {
	if o.Error == "" {
		return nil
	}
	i.refused++
	if i.failures == nil {
		return nil
	}
	b, err := json.Marshal(o)
	if err == nil {
		_, err = i.failures.Write(append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write failures: %w", err)
	}
	return nil
}
