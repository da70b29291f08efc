package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const (
	scopeCA          = "ca"
	pathCertificates = "/ca/v1/certificates"
)

// newCA returns the command group ca.
func newCA(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("ca", "Issue and revoke certificates", newCAList(e, f), newCAFind(e, f), newCAExpiring(e, f), newCAShow(e, f), newCAIssue(e, f), newCARevoke(e, f),
		newCAHold(e, f), newCARelease(e, f), newCACheck(e), newCAAudit(e), newCARenew(e, f), newCARequest(e, f), newCANames(e, f), newCABlock(e, f))
	f.register(c)
	return c
}

// certificateView is a certificate as the API shows it.
type certificateView struct {
	Serial      string    `json:"serial"`
	Issuer      string    `json:"issuer"`
	Profile     string    `json:"profile"`
	Agency      string    `json:"agency"`
	Subject     string    `json:"subject"`
	Status      string    `json:"status"`
	NotBefore   time.Time `json:"not_before"`
	NotAfter    time.Time `json:"not_after"`
	Reason      string    `json:"reason"`
	RevokedAt   time.Time `json:"revoked_at"`
	InvalidFrom time.Time `json:"invalid_from,omitzero"`
	Certificate string    `json:"certificate"`
	Chain       string    `json:"chain"`
}

// showCertificate prints one certificate, its PEM last.
func showCertificate(e *env, a answer, v *certificateView) error {
	return e.show(a, v, func(w io.Writer) {
		list(w, "serial", v.Serial, "issuer", v.Issuer, "profile", v.Profile, "agency", v.Agency, "subject", v.Subject, "status", v.Status,
			"not_before", stamp(v.NotBefore), "not_after", stamp(v.NotAfter), "reason", v.Reason, "revoked_at", stamp(v.RevokedAt), "invalid_from", stamp(v.InvalidFrom))
		for line := range strings.Lines(v.Certificate) {
			_, _ = fmt.Fprintln(w, visible(strings.TrimRight(line, "\n"))) // w is in memory
		}
	})
}

// newCAShow returns the command ca show.
func newCAShow(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show SERIAL",
		Short: "Show one certificate",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeCA)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "GET", path: pathCertificates + "/" + url.PathEscape(args[0])})
			if err != nil {
				return err
			}
			return showCertificate(e, answer{b, f.json}, &certificateView{})
		},
	}
}
