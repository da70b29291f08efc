package main

import (
	"io"
	"time"

	"github.com/spf13/cobra"
)

const pathFoundings = "/licenses/v1/foundings"

// foundingView is a founding as the API shows it.
type foundingView struct {
	ID      string       `json:"id"`
	Status  string       `json:"status"`
	Agency  string       `json:"agency"`
	Office  string       `json:"office"` // that decided, where it had taken the asked one's place
	Name    string       `json:"name"`
	USCC    string       `json:"uscc"`
	Order   string       `json:"certificate_order"`
	Reason  string       `json:"reason"`
	License *licenseView `json:"license"`
	Created time.Time    `json:"created"`
	Decided time.Time    `json:"decided"`
}

// newLicenseFound returns the command license found. All that it sends comes from a
// file, as in newRegistry: it names the legal representative by number.
func newLicenseFound(e *env, f *apiFlags) *cobra.Command {
	return f.postsFile(e, pathFoundings, showFounding, &cobra.Command{
		Use:   "found FILE",
		Short: "Found a firm from a request in JSON; - is standard input",
		Long: `Found a firm from a request in JSON; - is standard input.

The firm gets a new code, its business licence, an order for its sign-in certificate, and
its legal representative may act for it: all of that at one moment, or nothing. The
register fills in who represents the firm and on what day it was established: they are no
part of "data". Whoever acts for the firm brings the request for its certificate at
/firm, within 90 days.`,
		Example: `  signet license found request.json

where request.json holds
  {"name": "江城湖畔小馆餐饮有限公司", "representative": "…", "data":
    {"kind": "有限责任公司（自然人独资）", "capital_10k": 50, "currency": "人民币",
     "address": "江城市东湖区湖滨路18号", "industry": "住宿和餐饮业", "scope": "餐饮服务"}}

with the resident number of the legal representative, who stands in the register`,
	})
}

// showFounding prints a founding and what came of it.
func showFounding(e *env, a answer) error {
	var v foundingView
	return e.show(a, &v, func(w io.Writer) {
		list(w, "founding", v.ID, "status", v.Status, "agency", v.Agency, "office", v.Office, "name", v.Name, "reason", v.Reason, "uscc", v.USCC, "certificate_order", v.Order,
			"created", stamp(v.Created), "decided", stamp(v.Decided))
		if l := v.License; l != nil {
			list(w, "license", l.ID, "license.number", l.Number, "license.status", l.Status, "not_before", stamp(l.NotBefore), "not_after", stamp(l.NotAfter),
				"permit", l.Permit)
		}
	})
}
