package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
)

const maxCheckpoint = 64 << 10

// newAudit returns the command group audit.
func newAudit(e *env) *cobra.Command {
	return group("audit", "Prove what happened", newAuditVerify(e), newAuditProof(e), newAuditExport(e))
}

// newAuditVerify returns the command audit verify. It reads the database itself: a
// service that hides something must not be the one to ask.
func newAuditVerify(e *env) *cobra.Command {
	var checkpoints []string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify",
		Short: "Recompute the audit log and name what was tampered with",
		Long: `Recompute the audit log from the database. Each problem is a line

  edited|removed|reordered|truncated|forked EVENT

and the last line is "audit: size=N problems=N". The exit code is 1 if there is a
problem. A log that was cut off, restored from an old backup or made anew shows
itself only against a checkpoint that was kept elsewhere: name those with
--checkpoint. Signatures of witnesses under them do not matter.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	c.Flags().StringArrayVar(&checkpoints, "checkpoint", nil, "`FILE` of a checkpoint kept elsewhere, such as one from /log/checkpoint; again for more")
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
		notes := make([][]byte, len(checkpoints))
		for i, path := range checkpoints {
			if notes[i], err = e.readFile(path, maxCheckpoint); err != nil {
				return err
			}
		}
		var failed error
		report := func(kind, event, detail string) {
			failed = errors.Join(failed, e.auditProblem(asJSON, kind, event, detail))
		}
		size, problems, err := city.AuditVerify(c.Context(), city.Options{Where: where}, notes, report)
		if err = errors.Join(err, failed); err != nil {
			return err
		}
		return e.auditTotal(asJSON, size, problems)
	}
	return c
}

// auditProblem writes one problem as it is found.
func (e *env) auditProblem(asJSON bool, kind, event, detail string) error {
	if asJSON {
		return e.writeJSON(struct {
			Kind   string `json:"kind"`
			Event  string `json:"event"`
			Detail string `json:"detail"`
		}{kind, event, detail})
	}
	e.say("%s %s: %s", kind, event, detail)
	return e.write(fmt.Appendf(nil, "%s %s\n", kind, event))
}

// auditTotal writes the last line.
func (e *env) auditTotal(asJSON bool, size int64, problems int) error {
	line := fmt.Appendf(nil, "audit: size=%d problems=%d\n", size, problems)
	if asJSON {
		line = fmt.Appendf(nil, `{"size":%d,"problems":%d}`+"\n", size, problems)
	}
	if err := e.write(line); err != nil {
		return err
	}
	if problems > 0 {
		return &exitError{1, nil}
	}
	return nil
}
