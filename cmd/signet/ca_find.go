package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// certificateSearch is what the commands that list certificates have in common.
type certificateSearch struct {
	path  string
	query map[string]*string
}

// searchesCertificates makes a command call an address of lists and print a page.
func searchesCertificates(e *env, f *apiFlags, c *cobra.Command, path string) *certificateSearch {
	s := &certificateSearch{path: path, query: map[string]*string{}}
	s.flag(c, "agency", "agency", "only certificates of the agency with this `ID`")
	s.flag(c, "profile", "profile", "only certificates of this `PROFILE`")
	s.flag(c, "after", "after", "go on at this `PLACE`, which the page before named")
	s.flag(c, "limit", "limit", "at most this `NUMBER` (default 100)")
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) > 0 {
			s.query["q"] = &args[0]
		}
		return s.run(c, e, f)
	}
	return s
}

func (s *certificateSearch) flag(c *cobra.Command, name, parameter, usage string) {
	s.query[parameter] = c.Flags().String(name, "", usage)
}

func (s *certificateSearch) run(c *cobra.Command, e *env, f *apiFlags) error {
	a, err := f.connect(e, scopeCA)
	if err != nil {
		return err
	}
	q := url.Values{}
	for name, value := range s.query {
		if *value != "" {
			q.Set(name, *value)
		}
	}
	b, err := a.call(c.Context(), request{method: "GET", path: s.path + "?" + q.Encode()})
	if err != nil {
		return err
	}
	var view struct {
		Certificates []certificateView `json:"certificates"`
		Next         string            `json:"next"`
	}
	err = e.show(answer{b, f.json}, &view, func(w io.Writer) {
		var rows [][]string
		for _, v := range view.Certificates {
			status := v.Status
			if v.Reason == "certificateHold" {
				status = "held"
			}
			rows = append(rows, []string{v.Serial, v.Issuer, v.Profile, v.Agency, status, stamp(v.NotAfter), v.Subject})
		}
		table(w, []string{"SERIAL", "ISSUER", "PROFILE", "AGENCY", "STATUS", "UNTIL", "SUBJECT"}, rows)
	})
	if err == nil && view.Next != "" {
		_, _ = fmt.Fprintf(e.stderr, "signet: there is more: --after %s\n", visible(strings.TrimSpace(view.Next))) // a hint
	}
	return err
}

// newCAList returns the command ca list.
func newCAList(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List certificates in the order of their serial numbers, a hundred at a time", Args: cobra.NoArgs}
	searchesCertificates(e, f, c, pathCertificates).flag(c, "status", "status", "only certificates with this `STATUS`: issued, held, revoked, intent or abandoned")
	return c
}

// newCAFind returns the command ca find.
func newCAFind(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "find TEXT", Short: "Find certificates by a part of their subject's name or the beginning of their serial number", Args: cobra.ExactArgs(1)}
	s := searchesCertificates(e, f, c, pathCertificates)
	s.flag(c, "status", "status", "only certificates with this `STATUS`: issued, held, revoked, intent or abandoned")
	s.flag(c, "expires-before", "expires_before", "only certificates that end before this `TIME` (RFC 3339)")
	s.flag(c, "expires-after", "expires_after", "only certificates that end at this `TIME` or later (RFC 3339)")
	return c
}

// newCAExpiring returns the command ca expiring.
func newCAExpiring(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "expiring", Short: "List certificates in force that end soon, the first to end first", Args: cobra.NoArgs}
	searchesCertificates(e, f, c, "/ca/v1/expiring").flag(c, "within", "within", "within this `TIME` from now, in days or hours: 30d, 12h (default 30d)")
	return c
}
