package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// env is what commands may touch of the process.
type env struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	environ        []string // NAME=VALUE
}

// get returns a variable of the environment, "" for none.
func (e *env) get(name string) string {
	for _, line := range e.environ {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// say tells a person something that is no result.
func (e *env) say(format string, args ...any) { say(e.stderr, fmt.Sprintf(format, args...)) }

// newRoot returns the whole command line.
func newRoot(e *env) *cobra.Command {
	root := group("signet", "A city's trust services in one program",
		newDemo(e),
		newTour(e),
		newInit(e),
		newMigrate(e),
		newServe(e),
		newFsck(e),
		newVerify(e),
		newKeys(e),
		newRootAct(e),
		newApproval(e),
		newCA(e),
		newWebhook(e),
		newClient(e),
		newPeople(e),
		newLicense(e),
		newRegistry(e),
		newAudit(e),
		newConfig(e),
	)
	root.Long = "Signet issues agency certificates and permits that anybody can check with no network."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	return root
}

// group returns a command that only holds others. Called without one of them, or
// with one that it does not have, it is called wrongly.
func group(use, short string, subs ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{Use: use, Short: short, Args: cobra.ArbitraryArgs, DisableFlagsInUseLine: true, SuggestionsMinimumDistance: 2}
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			_, _ = io.WriteString(c.ErrOrStderr(), c.UsageString())
			return usage(errors.New("which command?"))
		}
		err := fmt.Errorf("unknown command %q for %q", args[0], c.CommandPath())
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return usage(withHint(err, "did you mean %s?", strings.Join(near, " or ")))
		}
		return usage(withHint(err, "see %s --help", c.CommandPath()))
	}
	c.AddCommand(subs...)
	return c
}

// each calls begin when any command below c begins its work: what fails before is
// wrong usage.
func each(c *cobra.Command, begin func()) {
	if work := c.RunE; work != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			begin()
			return work(c, args)
		}
	}
	for _, sub := range c.Commands() {
		each(sub, begin)
	}
}
