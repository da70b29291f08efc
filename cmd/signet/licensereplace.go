package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// versionView is one of the licences that share a number.
type versionView struct {
	Version int    `json:"version"`
	ID      string `json:"id"`
	Kind    string `json:"kind,omitempty"`
}

// replacementBody is what the API takes to replace a licence.
type replacementBody struct {
	Reason   string         `json:"reason"`
	Data     jsontext.Value `json:"data,omitzero"` // {} is sent: the schema says what it lacks
	NotAfter string         `json:"not_after,omitempty"`
}

// newLicenseReplace returns the command license renew, change or reprint.
func newLicenseReplace(e *env, f *apiFlags, kind, use, short string) *cobra.Command {
	var reason, key, file, until string
	c := &cobra.Command{Use: kind + " ID " + use, Short: short, Args: cobra.ExactArgs(1),
		Long: short + ".\n\nThe number and the holder stay, and the version rises. The former version counts as revoked once the new one is signed."}
	flags := c.Flags()
	flags.StringVar(&reason, "reason", "", "`WHY`, for the record")
	flags.StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	if kind != "reprint" {
		flags.StringVar(&file, "data", "", "`FILE` with all the data in JSON; - is standard input")
	}
	if kind == "renew" {
		flags.StringVar(&until, "until", "", "last `DAY`, such as 2031-12-31; as long as the type says if it is not given")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case strings.TrimSpace(reason) == "":
			return usage(fmt.Errorf("license %s needs --reason", kind))
		case kind == "change" && file == "":
			return usage(errors.New("license change needs --data, a file with all the data"))
		}
		body := replacementBody{Reason: reason, NotAfter: until}
		if file != "" {
			var err error
			if body.Data, err = e.readJSON(file); err != nil {
				return err
			}
		}
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, err := f.connect(e, scopeLicenses)
		if err != nil {
			return err
		}
		b, err = a.keyed(c.Context(), request{method: "POST", path: pathLicenses + "/" + url.PathEscape(args[0]) + "/" + kind, body: b, key: key})
		if err != nil {
			return err
		}
		return showLicense(e, answer{b, f.json})
	}
	return c
}

// newLicenseHistory returns the command license history.
func newLicenseHistory(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "history ID",
		Short: "List the versions of a licence, from any of them",
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
			var l struct {
				ID       string        `json:"id"`
				Number   string        `json:"number"`
				Versions []versionView `json:"versions"`
			}
			if err := json.Unmarshal(b, &l); err != nil {
				return fmt.Errorf("read answer: %w", err)
			}
			if l.Versions == nil { // the API names them only where there are several
				l.Versions = []versionView{{Version: 1, ID: l.ID}}
			}
			if f.json {
				return e.writeJSON(map[string]any{"number": l.Number, "versions": l.Versions})
			}
			w := &strings.Builder{}
			versions(w, l.Versions)
			return e.write([]byte(w.String()))
		},
	}
}

// versions prints the versions of a licence, the first one first.
func versions(w io.Writer, all []versionView) {
	var rows [][]string
	for _, v := range all {
		kind := v.Kind
		if kind == "" {
			kind = "issued"
		}
		rows = append(rows, []string{strconv.Itoa(v.Version), v.ID, kind})
	}
	table(w, []string{"VERSION", "ID", "KIND"}, rows)
}
