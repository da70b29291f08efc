package main

import (
	"encoding/json/v2"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/internal/registry"
)

const (
	scopeRegistry = "registry"
	pathRegistry  = "/registry/v1/"
)

// newRegistry returns the command group registry. What is added comes as a file in
// the API's own JSON; a person's number stays out of the process list, the shell's
// history and addresses.
func newRegistry(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("registry", "Keep the register of agencies, firms and people",
		group("agency", "Agencies and what they may issue",
			newAgencyList(e, f), newAgencyFind(e, f), newAgencyAdd(e, f), newAgencySucceed(e, f),
			newAgencyAuthorities(e, f), newAgencyAuthorize(e, f)),
		group("firm", "Firms", newFirmList(e, f), newFirmFind(e, f), newFirmAdd(e, f), newFirmDelegations(e, f)),
		group("person", "People", newPersonFind(e, f), newPersonAdd(e, f)),
		newDelegate(e, f), newWithdraw(e, f), newEmploy(e, f), newDismiss(e, f),
	)
	f.register(c)
	return c
}

// registry makes a call that may be repeated and shows the answer.
func (f *apiFlags) registry(c *cobra.Command, e *env, r request, v any, people func(w io.Writer)) error {
	a, err := f.connect(e, scopeRegistry)
	if err != nil {
		return err
	}
	r.path = pathRegistry + r.path
	b, err := a.call(c.Context(), r)
	if err != nil {
		return err
	}
	return e.show(answer{b, f.json}, v, people)
}

// agencyView is an agency as the API shows it.
type agencyView struct {
	ID        string    `json:"id"`
	USCC      string    `json:"uscc"`
	NameZH    string    `json:"name_zh"`
	NameEN    string    `json:"name_en"`
	Level     string    `json:"level"`
	Parent    string    `json:"parent"`
	Area      string    `json:"area"`
	Issuer    string    `json:"issuer"`
	Successor string    `json:"successor"`
	Created   time.Time `json:"created"`
}

func (f *apiFlags) showAgency(c *cobra.Command, e *env, r request) error {
	var v agencyView
	return f.registry(c, e, r, &v, func(w io.Writer) {
		list(w, "agency", v.ID, "uscc", v.USCC, "name_zh", v.NameZH, "name_en", v.NameEN, "level", v.Level, "parent", v.Parent,
			"area", v.Area, "issuer", v.Issuer, "successor", v.Successor, "created", stamp(v.Created))
	})
}

// newAgencyList returns the command registry agency list.
func newAgencyList(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List agencies", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		var v struct {
			Agencies []agencyView `json:"agencies"`
		}
		return f.registry(c, e, request{method: "GET", path: "agencies"}, &v, func(w io.Writer) {
			var rows [][]string
			for _, a := range v.Agencies {
				rows = append(rows, []string{a.ID, a.Level, a.Area, a.Issuer, a.USCC, a.Successor, a.NameZH + " " + a.NameEN})
			}
			table(w, []string{"ID", "LEVEL", "AREA", "ISSUER", "USCC", "SUCCESSOR", "NAME"}, rows)
		})
	}
	return c
}

// newAgencyFind returns the command registry agency find.
func newAgencyFind(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "find ID",
		Short: "Show one agency",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.showAgency(c, e, request{method: "GET", path: "agencies/" + url.PathEscape(args[0])})
		},
	}
}

// newAgencyAdd returns the command registry agency add.
func newAgencyAdd(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "add FILE",
		Short:   "Add an agency from a file in JSON; - is standard input",
		Example: `  {"id": "donghu-amr", "uscc": "…", "name_zh": "…", "name_en": "…", "level": "district", "parent": "jiangcheng-amr", "area": "990101", "issuer": "donghu"}`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := e.readJSON(args[0])
			if err != nil {
				return err
			}
			return f.showAgency(c, e, request{method: "POST", path: "agencies", body: body})
		},
	}
}

// newAgencySucceed returns the command registry agency succeed.
func newAgencySucceed(e *env, f *apiFlags) *cobra.Command {
	var s registry.Succession
	c := &cobra.Command{
		Use:   "succeed ID SUCCESSOR",
		Short: "Name the agency that takes another's place",
		Long: `Name the agency that takes another's place, once and for all. What the former one issued stays valid; the
successor suspends, renews and revokes it, as far as it has authority for the type.

  merged or renamed: once for each former agency
  split:             once for each type that another agency takes, with --type

With --authorities, what the former may issue ends for it two minutes later, and begins for the successor.
The successor needs a permit key of its own by then: signet keys list.`,
		Example: `  signet registry agency succeed donghu-health jiangcheng-health --authorities
  signet registry agency succeed donghu-amr donghu-food --type food-business --authorities`,
		Args: cobra.ExactArgs(2),
	}
	c.Flags().StringVar(&s.Type, "type", "", "only for licences of this `TYPE`")
	c.Flags().BoolVar(&s.Authorities, "authorities", false, "the authorities change hands too")
	c.RunE = func(c *cobra.Command, args []string) error {
		s.Successor = args[1]
		body, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		return f.showAgency(c, e, request{method: "POST", path: "agencies/" + url.PathEscape(args[0]) + "/successor", body: body})
	}
	return c
}

// authorityView is what an agency may issue, as the API shows it.
type authorityView struct {
	Agency string    `json:"agency"`
	Type   string    `json:"type"`
	Area   string    `json:"area"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until"`
}

// newAgencyAuthorities returns the command registry agency authorities.
func newAgencyAuthorities(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "authorities ID",
		Short: "List what an agency may issue",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			var v struct {
				Authorities []authorityView `json:"authorities"`
			}
			r := request{method: "GET", path: "agencies/" + url.PathEscape(args[0]) + "/authorities"}
			return f.registry(c, e, r, &v, func(w io.Writer) {
				var rows [][]string
				for _, a := range v.Authorities {
					rows = append(rows, []string{a.Type, a.Area, stamp(a.From), stamp(a.Until)})
				}
				table(w, []string{"TYPE", "AREA", "FROM", "UNTIL"}, rows)
			})
		},
	}
}

// newAgencyAuthorize returns the command registry agency authorize.
func newAgencyAuthorize(e *env, f *apiFlags) *cobra.Command {
	var licenseType, area, from, until string
	c := &cobra.Command{
		Use:   "authorize ID --type TYPE --area AREA --from TIME --until TIME",
		Short: "Let an agency issue a type of licence in an area",
		Args:  cobra.ExactArgs(1),
	}
	flags := c.Flags()
	flags.StringVar(&licenseType, "type", "", "`ID` of the licence type")
	flags.StringVar(&area, "area", "", "`AREA` of GB/T 2260, six digits")
	flags.StringVar(&from, "from", "", "`TIME` from which (RFC 3339)")
	flags.StringVar(&until, "until", "", "`TIME` until which (RFC 3339)")
	c.RunE = func(c *cobra.Command, args []string) error {
		for _, t := range []string{from, until} {
			if _, err := time.Parse(time.RFC3339, t); err != nil {
				return usage(fmt.Errorf("agency authorize needs --from and --until, RFC 3339 times: %q is none", t))
			}
		}
		body, err := json.Marshal(map[string]string{"type": licenseType, "area": area, "from": from, "until": until})
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		var v authorityView
		r := request{method: "POST", path: "agencies/" + url.PathEscape(args[0]) + "/authorities", body: body}
		return f.registry(c, e, r, &v, func(w io.Writer) {
			list(w, "agency", v.Agency, "type", v.Type, "area", v.Area, "from", stamp(v.From), "until", stamp(v.Until))
		})
	}
	return c
}

// firmView is a firm as the API shows it.
type firmView struct {
	USCC     string    `json:"uscc"`
	Name     string    `json:"name"`
	LegalRep string    `json:"legal_rep"`
	Created  time.Time `json:"created"`
}

func (f *apiFlags) showFirm(c *cobra.Command, e *env, r request) error {
	var v firmView
	return f.registry(c, e, r, &v, func(w io.Writer) {
		list(w, "firm", v.USCC, "name", v.Name, "legal_rep", v.LegalRep, "created", stamp(v.Created))
	})
}

// newFirmList returns the command registry firm list.
func newFirmList(e *env, f *apiFlags) *cobra.Command {
	var after string
	var limit int
	c := &cobra.Command{Use: "list", Short: "List firms in the order of their codes", Args: cobra.NoArgs}
	c.Flags().StringVar(&after, "after", "", "begin after the firm with this `USCC`")
	c.Flags().IntVar(&limit, "limit", 100, "at most so many, up to 1000")
	c.RunE = func(c *cobra.Command, _ []string) error {
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		if after != "" {
			q.Set("after", after)
		}
		var v struct {
			Firms []firmView `json:"firms"`
			After string     `json:"after"`
		}
		err := f.registry(c, e, request{method: "GET", path: "firms?" + q.Encode()}, &v, func(w io.Writer) {
			var rows [][]string
			for _, firm := range v.Firms {
				rows = append(rows, []string{firm.USCC, firm.LegalRep, firm.Name})
			}
			table(w, []string{"USCC", "LEGAL_REP", "NAME"}, rows)
		})
		if v.After != "" && err == nil {
			e.say("there may be more: --after %s", v.After)
		}
		return err
	}
	return c
}

// newFirmFind returns the command registry firm find.
func newFirmFind(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "find USCC",
		Short: "Show one firm",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.showFirm(c, e, request{method: "GET", path: "firms/" + url.PathEscape(args[0])})
		},
	}
}

// newFirmAdd returns the command registry firm add.
func newFirmAdd(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "add FILE",
		Short:   "Add a firm from a file in JSON; - is standard input",
		Example: `  {"uscc": "…", "name": "…", "legal_rep": "the id that registry person add printed"}`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			body, err := e.readJSON(args[0])
			if err != nil {
				return err
			}
			return f.showFirm(c, e, request{method: "POST", path: "firms", body: body})
		},
	}
}

// personView is a person as the API shows one.
type personView struct {
	ID      string    `json:"id"`
	Kind    string    `json:"kind"`
	Number  string    `json:"number"`
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

func showPerson(v *personView, w io.Writer) {
	list(w, "person", v.ID, "kind", v.Kind, "number", v.Number, "name", v.Name, "created", stamp(v.Created))
}

// newPersonAdd returns the command registry person add.
func newPersonAdd(e *env, f *apiFlags) *cobra.Command {
	return fileCommand(e, f, &cobra.Command{
		Use:     "add FILE",
		Short:   "Add a person from a file in JSON; - is standard input",
		Example: `  {"kind": "resident", "number": "…", "name": "…"}`,
	}, "people", showPerson)
}

// newPersonFind returns the command registry person find.
func newPersonFind(e *env, f *apiFlags) *cobra.Command {
	return fileCommand(e, f, &cobra.Command{
		Use:     "find FILE",
		Short:   "Find a person by a file in JSON; - is standard input",
		Example: `  {"kind": "resident", "number": "…"}`,
	}, "people/find", showPerson)
}
