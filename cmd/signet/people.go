package main

import (
	"cmp"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

// fileCommand returns a command that sends a file in JSON and shows the answer.
// The file may name people by their numbers, which so stay out of the process list.
func fileCommand[V any](e *env, f *apiFlags, c *cobra.Command, path string, people func(v *V, w io.Writer)) *cobra.Command {
	c.Args = cobra.ExactArgs(1)
	c.RunE = func(c *cobra.Command, args []string) error {
		body, err := e.readJSON(args[0])
		if err != nil {
			return err
		}
		var v V
		return f.registry(c, e, request{method: "POST", path: path, body: body}, &v, func(w io.Writer) { people(&v, w) })
	}
	return c
}

// delegationView is a delegation as the API shows it.
type delegationView struct {
	Firm      string    `json:"firm"`
	Person    string    `json:"person"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"`
	Withdrawn time.Time `json:"withdrawn"`
	Created   time.Time `json:"created"`
}

// newDelegate returns the command registry delegate.
func newDelegate(e *env, f *apiFlags) *cobra.Command {
	return fileCommand(e, f, &cobra.Command{
		Use:   "delegate FILE",
		Short: "Let a person act for a firm, from a file in JSON; - is standard input",
		Long: `Let a person act for a firm, from a file in JSON; - is standard input.

The person is named by document, or by the id that registry person add printed.
Without "from" it begins now, without "until" it lasts until it is withdrawn. A
firm's legal representative acts for it anyway.`,
		Example: `  {"firm": "…", "kind": "resident", "number": "…", "until": "2027-01-01T00:00:00+08:00"}
  {"firm": "…", "person": "…"}`,
	}, "delegations", func(v *delegationView, w io.Writer) {
		list(w, "firm", v.Firm, "person", v.Person, "from", stamp(v.From), "until", cmp.Or(stamp(v.Until), "until it is withdrawn"), "created", stamp(v.Created))
	})
}

// newWithdraw returns the command registry withdraw.
func newWithdraw(e *env, f *apiFlags) *cobra.Command {
	type view struct {
		Firm   string `json:"firm"`
		Person string `json:"person"`
		MayAct bool   `json:"may_act"`
	}
	return fileCommand(e, f, &cobra.Command{
		Use:   "withdraw FILE",
		Short: "End a person's delegations of a firm, from a file in JSON; - is standard input",
		Long: `End a person's delegations of a firm, those to come too, from a file in JSON; -
is standard input. It counts at once, also where the person is signed in.`,
		Example: `  {"firm": "…", "kind": "resident", "number": "…"}
  {"firm": "…", "person": "…"}`,
	}, "delegations/withdraw", func(v *view, w io.Writer) {
		may := "no"
		if v.MayAct {
			may = "yes, as legal representative"
		}
		list(w, "firm", v.Firm, "person", v.Person, "may act", may)
	})
}

// postsView are a person's posts as the API shows them.
type postsView struct {
	Person string `json:"person"`
	Posts  []struct {
		Agency  string    `json:"agency"`
		Role    string    `json:"role"`
		Created time.Time `json:"created"`
	} `json:"posts"`
}

func showPosts(v *postsView, w io.Writer) {
	list(w, "person", v.Person)
	var rows [][]string
	for _, p := range v.Posts {
		if p.Agency == "" {
			p.Agency = "(city)"
		}
		rows = append(rows, []string{p.Role, p.Agency, stamp(p.Created)})
	}
	table(w, []string{"ROLE", "AGENCY", "SINCE"}, rows)
}

// newEmploy returns the command registry employ.
func newEmploy(e *env, f *apiFlags) *cobra.Command {
	return fileCommand(e, f, &cobra.Command{
		Use:   "employ FILE",
		Short: "Give a person a post at an agency, from a file in JSON; - is standard input",
		Long: `Give a person a post, from a file in JSON; - is standard input, and show the posts
that the person holds.

The role is clerk, at an agency's licence desk; reviewer, for a clerk who takes the
steps that a licence type keeps for reviewers, beside the post of clerk; identity, at an agency's desk that
proves people anew who have lost what they sign in with; or officer. An officer of no
agency ("") is the city's.`,
		Example: `  {"kind": "resident", "number": "…", "agency": "donghu-amr", "role": "clerk"}
  {"person": "…", "agency": "", "role": "officer"}`,
	}, "posts", showPosts)
}

// newDismiss returns the command registry dismiss.
func newDismiss(e *env, f *apiFlags) *cobra.Command {
	return fileCommand(e, f, &cobra.Command{
		Use:   "dismiss FILE",
		Short: "End a person's post, from a file in JSON; - is standard input",
		Long: `End a person's post, from a file in JSON; - is standard input, and show the posts
that the person still holds.`,
		Example: `  {"kind": "resident", "number": "…", "agency": "donghu-amr", "role": "clerk"}`,
	}, "posts/end", showPosts)
}

// newFirmDelegations returns the command registry firm delegations.
func newFirmDelegations(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "delegations USCC",
		Short: "List who may or might act for a firm",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var v struct {
				Delegations []delegationView `json:"delegations"`
			}
			r := request{method: "GET", path: "firms/" + url.PathEscape(args[0]) + "/delegations"}
			return f.registry(c, e, r, &v, func(w io.Writer) {
				var rows [][]string
				for _, d := range v.Delegations {
					rows = append(rows, []string{d.Person, stamp(d.From), stamp(d.Until), stamp(d.Withdrawn)})
				}
				table(w, []string{"PERSON", "FROM", "UNTIL", "WITHDRAWN"}, rows)
			})
		},
	}
}
