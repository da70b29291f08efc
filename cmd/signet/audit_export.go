package main

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/internal/audit"
)

// exportFlags say what to export and where to.
type exportFlags struct {
	apiFlags
	from, to int64
	out      string
	request  string
}

// newAuditExport returns the command audit export.
func newAuditExport(e *env) *cobra.Command {
	var f exportFlags
	c := &cobra.Command{
		Use:   "export",
		Short: "Hand out what the events say; that it was done is an event itself",
		Long: `Hand out the sealed events, each a line of JSON with its sequence number, what it
says, its salt, the bytes that were hashed, and its leaf in the tree. The last line
holds the newest checkpoint. Each leaf is recomputed on the way, and of the whole
log the root too: a file that is not whole is an error, and is not kept.

The service records the export before it sends the first byte. What is exported is
not hashed: whoever gets it reads it.`,
		Args: cobra.NoArgs,
	}
	f.register(c)
	flags := c.Flags()
	flags.Int64Var(&f.from, "from", 0, "`SEQ` of the first event")
	flags.Int64Var(&f.to, "to", -1, "`SEQ` of the last event (default the newest that is sealed)")
	flags.StringVarP(&f.out, "out", "o", "", "write to this new `FILE`, and a summary to standard output")
	flags.StringVar(&f.request, "request", "", "`ID` of the approved request log.export, where there are officers")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.from < 0 || c.Flags().Changed("to") && f.to < f.from {
			return usage(errors.New("--from and --to are sequence numbers, the first not after the last"))
		}
		return f.run(c, e)
	}
	return c
}

// run exports to the file, which is made first: nothing is handed out that cannot
// be kept.
func (f *exportFlags) run(c *cobra.Command, e *env) error {
	if f.out != "" {
		file, err := os.OpenFile(f.out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("make export file: %w", err)
		}
		s, err := f.export(c, e, file)
		if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
			return errors.Join(err, os.Remove(f.out))
		}
		return f.summary(e, s)
	}
	s, err := f.export(c, e, e.stdout)
	if err != nil {
		return err
	}
	e.say("%s", summaryLine(s))
	return nil
}

// export copies the export to w and checks it.
func (f *exportFlags) export(c *cobra.Command, e *env, w io.Writer) (s audit.ExportSummary, err error) {
	a, err := f.connect(e, audit.Scope)
	if err != nil {
		return s, err
	}
	if err := a.authorize(c.Context()); err != nil {
		return s, err
	}
	query := url.Values{"from": {strconv.FormatInt(f.from, 10)}}
	if f.to >= 0 {
		query.Set("to", strconv.FormatInt(f.to, 10))
	}
	if f.request != "" {
		query.Set("request", f.request)
	}
	a.http.Timeout = 0 // a large log takes longer than a call
	resp, err := a.send(c.Context(), request{method: "GET", path: "/log/v1/export?" + query.Encode()})
	if err != nil {
		return s, err
	}
	defer func() { _ = resp.Body.Close() }()
	told := time.Now()
	return audit.CheckExport(resp.Body, w, nil, func(events int64) {
		if time.Since(told) >= tellEvery {
			told = time.Now()
			e.say("exported %d events", events)
		}
	})
}

// summary writes what a file holds.
func (f *exportFlags) summary(e *env, s audit.ExportSummary) error {
	if !f.json {
		return e.write([]byte(summaryLine(s) + "\n"))
	}
	return e.writeJSON(struct {
		Events int64  `json:"events"`
		From   int64  `json:"from"`
		To     int64  `json:"to"`
		Erased int64  `json:"erased"`
		Log    string `json:"log"`
		Size   int64  `json:"size"`
		Whole  bool   `json:"whole"`
	}{s.Events, s.From, s.To, s.Erased, s.Origin, s.Size, s.Whole})
}

func summaryLine(s audit.ExportSummary) string {
	return fmt.Sprintf("export: events=%d from=%d to=%d erased=%d size=%d whole=%t", s.Events, s.From, s.To, s.Erased, s.Size, s.Whole)
}
