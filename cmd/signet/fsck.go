package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
)

// newFsck returns the command fsck.
func newFsck(e *env) *cobra.Command {
	var ledger string
	var asJSON bool
	c := &cobra.Command{
		Use:   "fsck",
		Short: "Recompute the log, re-lint every certificate, re-check every licence",
		Long: `Recompute the audit log, lint every certificate again, compare every licence with
its record and its permit, every new firm with its licence, its delegation and the
order for its certificate, and find every act of a ledger that was kept outside.
Nothing is changed. Each problem is a line; the last line is

  fsck: events=N certificates=N licenses=N problems=N

The exit code is 1 if there is a problem. A licence that a crash left in signing is
completed by the service within seconds of its start: run fsck after that.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	c.Flags().StringVar(&ledger, "ledger", "", "`FILE` of acknowledged acts, such as a tour's ledger.jsonl")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object per line")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		where, err := whereOf(cfg)
		if err != nil {
			return err
		}
		var entries []city.Entry
		if ledger != "" {
			if entries, err = city.ReadLedger(ledger); err != nil {
				return err
			}
		}
		var failed error
		report := func(what, problem string) { failed = errors.Join(failed, e.fsckProblem(asJSON, what, problem)) }
		n, err := city.Fsck(c.Context(), city.Options{Where: where}, entries, report)
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		if asJSON {
			err = e.writeJSON(n)
		} else {
			err = e.write(fmt.Appendf(nil, "fsck: events=%d certificates=%d licenses=%d problems=%d\n", n.Events, n.Certificates, n.Licenses, n.Problems))
		}
		if err == nil && n.Problems > 0 {
			return &exitError{code: 1}
		}
		return err
	}
	return c
}

func (e *env) fsckProblem(asJSON bool, what, problem string) error {
	if asJSON {
		return e.writeJSON(map[string]string{"what": what, "problem": problem})
	}
	return e.write([]byte(visible(what) + ": " + visible(problem) + "\n"))
}
