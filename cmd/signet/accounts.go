package main

import (
	"io"
	"net/url"

	"github.com/spf13/cobra"
)

// newPeople returns the command group people.
func newPeople(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("people", "End people's sign-ins, close and open their accounts",
		newAccountCommand(e, f, "signout", "End every sign-in of a person, at all sites"),
		newAccountCommand(e, f, "disable", "Close a person's account and end every sign-in"),
		newAccountCommand(e, f, "enable", "Open an account again that was closed"))
	f.register(c)
	return c
}

// newAccountCommand returns a command that acts on a person's account.
func newAccountCommand(e *env, f *apiFlags, verb, short string) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " PERSON",
		Short: short,
		Long: short + `.

PERSON is the id that registry person find prints. The person sees it in their
account's history; sites that want to be told of logouts are told. Repeating it is
harmless.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeRegistry)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "POST", path: "/login/v1/people/" + url.PathEscape(args[0]) + "/" + verb})
			if err != nil {
				return err
			}
			var v struct {
				Person   string `json:"person"`
				Disabled bool   `json:"disabled"`
			}
			return e.show(answer{b, f.json}, &v, func(w io.Writer) {
				state := "open"
				if v.Disabled {
					state = "closed"
				}
				list(w, "person", v.Person, "account", state)
			})
		},
	}
}
