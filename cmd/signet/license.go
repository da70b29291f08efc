package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	scopeLicenses = "licenses"
	pathLicenses  = "/licenses/v1/licenses"
)

// newLicense returns the command group license.
func newLicense(e *env) *cobra.Command {
	f := &apiFlags{asAgency: true}
	c := group("license", "Issue an agency's licences and change their status",
		newLicenseIssue(e, f),
		newLicenseImport(e, f),
		newLicenseFound(e, f),
		newLicenseFounding(e, f),
		newLicenseShow(e, f),
		newLicenseList(e, f),
		newLicenseQR(e, f),
		newLicenseAct(e, f, "suspend", "Suspend a licence"),
		newLicenseAct(e, f, "resume", "End the suspension of a licence"),
		newLicenseAct(e, f, "revoke", "Revoke a licence for good"),
		newLicenseReplace(e, f, "renew", "--reason WHY", "Renew a licence for a further period"),
		newLicenseReplace(e, f, "change", "--data FILE --reason WHY", "Change what a licence says, for the rest of its period"),
		newLicenseReplace(e, f, "reprint", "--reason WHY", "Issue a licence once more after it was lost or copied"),
		newLicenseHistory(e, f),
		newLicenseType(e),
	)
	f.register(c)
	return c
}

// licenseView is a licence as the API shows it.
type licenseView struct {
	ID         string                    `json:"id"`
	Number     string                    `json:"number"`
	Version    int                       `json:"version"`
	Identifier string                    `json:"identifier"`
	Type       string                    `json:"type"`
	Agency     string                    `json:"agency"`
	Status     string                    `json:"status"`
	Reason     string                    `json:"reason"`
	Holder     string                    `json:"holder"`
	Data       map[string]jsontext.Value `json:"data"`
	NotBefore  time.Time                 `json:"not_before"`
	NotAfter   time.Time                 `json:"not_after"`
	Created    time.Time                 `json:"created"`
	Changed    time.Time                 `json:"changed"`
	Permit     string                    `json:"permit"`
}

// showLicense prints one licence.
func showLicense(e *env, a answer) error {
	var l licenseView
	return e.show(a, &l, func(w io.Writer) {
		list(w, "license", l.ID, "number", l.Number, "version", strconv.Itoa(l.Version), "identifier", l.Identifier, "type", l.Type, "agency", l.Agency,
			"status", l.Status, "reason", l.Reason, "holder", l.Holder, "not_before", stamp(l.NotBefore), "not_after", stamp(l.NotAfter),
			"created", stamp(l.Created), "changed", stamp(l.Changed))
		for _, name := range slices.Sorted(maps.Keys(l.Data)) {
			list(w, "data."+visible(name), plain(l.Data[name]))
		}
		list(w, "permit", l.Permit)
	})
}

// plain writes a JSON value, a string without its quotes.
func plain(v jsontext.Value) string {
	var s string
	if json.Unmarshal(v, &s) == nil {
		return s
	}
	return string(v)
}

// newLicenseIssue returns the command license issue.
func newLicenseIssue(e *env, f *apiFlags) *cobra.Command {
	return f.postsFile(e, pathLicenses, showLicense, &cobra.Command{
		Use:   "issue FILE",
		Short: "Issue one licence from a request in JSON; - is standard input",
		Example: `  signet license issue request.json

where request.json holds
  {"type": "food-business", "holder": {"uscc": "…"}, "data": {…}, "not_before": "2027-01-01", "not_after": "2031-12-31"}`,
	})
}

// postsFile has a command send a request from a file to the licences' API, under an
// idempotency key, and show the answer.
func (f *apiFlags) postsFile(e *env, path string, show func(*env, answer) error, c *cobra.Command) *cobra.Command {
	var key string
	c.Args = cobra.ExactArgs(1)
	c.Flags().StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, args []string) error {
		body, err := e.readJSON(args[0])
		if err != nil {
			return err
		}
		a, err := f.connect(e, scopeLicenses)
		if err != nil {
			return err
		}
		b, err := a.keyed(c.Context(), request{method: "POST", path: path, body: body, key: key})
		if err != nil {
			return err
		}
		return show(e, answer{b, f.json})
	}
	return c
}

// newLicenseShow returns the command license show.
func newLicenseShow(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show ID",
		Short: "Show one licence",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeLicenses)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "GET", path: pathLicenses + "/" + url.PathEscape(args[0])})
			if err != nil {
				return err
			}
			return showLicense(e, answer{b, f.json})
		},
	}
}

// newLicenseList returns the command license list.
func newLicenseList(e *env, f *apiFlags) *cobra.Command {
	var number, holder, after string
	var limit int
	c := &cobra.Command{Use: "list", Short: "List the agency's licences in the order in which they were made", Args: cobra.NoArgs}
	flags := c.Flags()
	flags.StringVar(&number, "number", "", "only the licence with this `NUMBER`")
	flags.StringVar(&holder, "holder", "", "only licences of the firm with this `USCC`")
	flags.StringVar(&after, "after", "", "begin after the licence with this `ID`")
	flags.IntVar(&limit, "limit", 50, "at most so many, up to 200")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeLicenses)
		if err != nil {
			return err
		}
		q := url.Values{"limit": {strconv.Itoa(limit)}}
		for name, value := range map[string]string{"number": number, "holder": holder, "after": after} {
			if value != "" {
				q.Set(name, value)
			}
		}
		b, err := a.call(c.Context(), request{method: "GET", path: pathLicenses + "?" + q.Encode()})
		if err != nil {
			return err
		}
		var view struct {
			Licenses []licenseView `json:"licenses"`
			Next     string        `json:"next"`
		}
		err = e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, l := range view.Licenses {
				rows = append(rows, []string{l.ID, l.Number, l.Type, l.Status, l.Holder, stamp(l.NotAfter)})
			}
			table(w, []string{"ID", "NUMBER", "TYPE", "STATUS", "HOLDER", "UNTIL"}, rows)
		})
		if view.Next != "" && err == nil {
			e.say("there may be more: --after %s", view.Next)
		}
		return err
	}
	return c
}

// newLicenseQR returns the command license qr.
func newLicenseQR(e *env, f *apiFlags) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "qr ID --out FILE",
		Short: "Write the permit as a QR code, PNG or SVG by the file's name",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&out, "out", "", "`FILE` to write, ending in .png or .svg")
	c.RunE = func(c *cobra.Command, args []string) error {
		kind := strings.ToLower(filepath.Ext(out))
		if kind != ".png" && kind != ".svg" {
			return usage(errors.New("license qr needs --out, a file that ends in .png or .svg"))
		}
		a, err := f.connect(e, scopeLicenses)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: pathLicenses + "/" + url.PathEscape(args[0]) + "/qr" + kind})
		if err != nil {
			return err
		}
		if err := os.WriteFile(out, b, 0o600); err != nil {
			return fmt.Errorf("write QR code: %w", err)
		}
		if f.json {
			return e.writeJSON(map[string]any{"id": args[0], "file": out, "bytes": len(b)})
		}
		return e.write([]byte("wrote: " + visible(out) + "\n"))
	}
	return c
}

// newLicenseAct returns the command license suspend, resume or revoke.
func newLicenseAct(e *env, f *apiFlags, act, short string) *cobra.Command {
	var reason, key string
	c := &cobra.Command{Use: act + " ID --reason WHY", Short: short, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the record")
	c.Flags().StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(fmt.Errorf("license %s needs --reason", act))
		}
		body, err := json.Marshal(map[string]string{"reason": reason})
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, err := f.connect(e, scopeLicenses)
		if err != nil {
			return err
		}
		b, err := a.keyed(c.Context(), request{method: "POST", path: pathLicenses + "/" + url.PathEscape(args[0]) + "/" + act, body: body, key: key})
		if err != nil {
			return err
		}
		return showLicense(e, answer{b, f.json})
	}
	return c
}
