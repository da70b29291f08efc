package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
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
		newCAHold(e, f), newCARelease(e, f), newCACheck(e), newCAAudit(e), newCANames(e, f), newCABlock(e, f))
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
	Certificate string    `json:"certificate"`
	Chain       string    `json:"chain"`
}

// showCertificate prints one certificate, its PEM last.
func showCertificate(e *env, a answer, v *certificateView) error {
	return e.show(a, v, func(w io.Writer) {
		list(w, "serial", v.Serial, "issuer", v.Issuer, "profile", v.Profile, "agency", v.Agency, "subject", v.Subject, "status", v.Status,
			"not_before", stamp(v.NotBefore), "not_after", stamp(v.NotAfter), "reason", v.Reason, "revoked_at", stamp(v.RevokedAt))
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

// newCAIssue returns the command ca issue.
func newCAIssue(e *env, f *apiFlags) *cobra.Command {
	var agency, csr, from, until, out, key string
	c := &cobra.Command{
		Use:   "issue --agency ID --csr FILE",
		Short: "Certify a key that an agency keeps itself, for signing permits",
		Args:  cobra.NoArgs,
	}
	flags := c.Flags()
	flags.StringVar(&agency, "agency", "", "`ID` of the agency")
	flags.StringVar(&csr, "csr", "", "PEM `FILE` of the certificate request (PKCS #10)")
	flags.StringVar(&from, "not-before", "", "`TIME` from which it is valid (RFC 3339; default now)")
	flags.StringVar(&until, "not-after", "", "`TIME` until which it is valid (RFC 3339; default as long as the profile says)")
	flags.StringVar(&out, "out", "", "write the certificate and its issuer's to this PEM `FILE`")
	flags.StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if agency == "" || csr == "" {
			return usage(errors.New("ca issue needs --agency and --csr"))
		}
		pem, err := e.readFile(csr, maxInput)
		if err != nil {
			return err
		}
		wish := map[string]string{"agency": agency, "csr": string(pem)}
		for name, value := range map[string]string{"not_before": from, "not_after": until} {
			if value == "" {
				continue
			}
			if _, err := time.Parse(time.RFC3339, value); err != nil {
				return usage(fmt.Errorf("%q is no RFC 3339 time", value))
			}
			wish[name] = value
		}
		body, err := json.Marshal(wish)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		return f.issueCertificate(c, e, request{method: "POST", path: pathCertificates, body: body, key: key}, out)
	}
	return c
}

// issueCertificate makes the call and keeps what comes of it.
func (f *apiFlags) issueCertificate(c *cobra.Command, e *env, r request, out string) error {
	a, err := f.connect(e, scopeCA)
	if err != nil {
		return err
	}
	b, err := a.keyed(c.Context(), r)
	if err != nil {
		return err
	}
	var v certificateView
	if err := showCertificate(e, answer{b, f.json}, &v); err != nil {
		return err
	}
	if out == "" {
		return nil
	}
	if err := os.WriteFile(out, []byte(v.Certificate+v.Chain), 0o644); err != nil {
		return withHint(fmt.Errorf("write certificate: %w", err), "it was issued: signet ca show %s", v.Serial)
	}
	return nil
}
