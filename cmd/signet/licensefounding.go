package main

import (
	"net/url"

	"github.com/spf13/cobra"
)

// newLicenseFounding returns the command license founding.
func newLicenseFounding(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "founding ID",
		Short: "Show where an application for a new firm stands",
		Long: `Show where an application for a new firm stands, by the id that license found printed or
that stands in the address of the application's page: submitted, founded, rejected with
its reason, or withdrawn, and what was founded. It is shown to the agency that was asked
and to those that took its place.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeLicenses)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "GET", path: pathFoundings + "/" + url.PathEscape(args[0])})
			if err != nil {
				return err
			}
			return showFounding(e, answer{b, f.json})
		},
	}
}
