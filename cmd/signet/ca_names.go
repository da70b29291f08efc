package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"
)

const pathNames = "/ca/v1/names"

// nameView is a name as the API shows it.
type nameView struct {
	Name   string `json:"name"`
	Agency string `json:"agency"`
}

// newCANames returns the command group ca names.
func newCANames(e *env, f *apiFlags) *cobra.Command {
	return group("names", "Say which names agencies may have for their servers", newCANamesList(e, f),
		newCANamesChange(e, f, "PUT", "add", "Give an agency a host, an IP address or, as .ZONE, all below a zone"),
		newCANamesChange(e, f, "DELETE", "remove", "Take a name from an agency; certificates that there are stay"))
}

// newCANamesList returns the command ca names list.
func newCANamesList(e *env, f *apiFlags) *cobra.Command {
	var agency, after string
	c := &cobra.Command{Use: "list", Short: "List names in their order, a thousand at a time", Args: cobra.NoArgs}
	c.Flags().StringVar(&agency, "agency", "", "only names of the agency with this `ID`")
	c.Flags().StringVar(&after, "after", "", "begin after this `NAME`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeCA)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: pathNames + "?" + url.Values{"agency": {agency}, "after": {after}}.Encode()})
		if err != nil {
			return err
		}
		var view struct {
			Names []nameView `json:"names"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, v := range view.Names {
				rows = append(rows, []string{v.Name, v.Agency})
			}
			table(w, []string{"NAME", "AGENCY"}, rows)
		})
	}
	return c
}

// newCANamesChange returns the command that gives or takes a name.
func newCANamesChange(e *env, f *apiFlags, method, use, short string) *cobra.Command {
	var agency string
	c := &cobra.Command{Use: use + " NAME --agency ID", Short: short, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&agency, "agency", "", "`ID` of the agency")
	c.RunE = func(c *cobra.Command, args []string) error {
		if agency == "" {
			return usage(errors.New("ca names " + use + " needs --agency"))
		}
		body, err := json.Marshal(nameView{args[0], agency})
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, err := f.connect(e, scopeCA)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: method, path: pathNames, body: body})
		if err != nil {
			return err
		}
		var v nameView
		return e.show(answer{b, f.json}, &v, func(w io.Writer) { list(w, "name", v.Name, "agency", v.Agency) })
	}
	return c
}
