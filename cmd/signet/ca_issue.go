package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// issueWish is what ca issue and ca renew ask for.
type issueWish struct {
	Profile   string   `json:"profile,omitzero"`
	Agency    string   `json:"agency,omitzero"`
	Firm      string   `json:"firm,omitzero"`
	Person    string   `json:"person,omitzero"`
	Issuer    string   `json:"issuer,omitzero"`
	Name      string   `json:"name,omitzero"`
	Hosts     []string `json:"hosts,omitzero"`
	CSR       string   `json:"csr"`
	NotBefore string   `json:"not_before,omitzero"`
	NotAfter  string   `json:"not_after,omitzero"`
}

// issueFlags are what ca issue and ca renew have in common.
type issueFlags struct {
	*apiFlags
	wish          issueWish
	csr, out, key string
	wait          bool
}

func (f *issueFlags) register(c *cobra.Command) {
	p := c.Flags()
	p.StringVar(&f.csr, "csr", "", "PEM `FILE` of the certificate request (PKCS #10)")
	p.StringVar(&f.wish.NotAfter, "not-after", "", "`TIME` until which it is valid (RFC 3339; default as long as the profile says)")
	p.StringVar(&f.out, "out", "", "write the certificate and its issuer's to this PEM `FILE`")
	p.StringVar(&f.key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	p.BoolVar(&f.wait, "wait", false, "where an officer decides, wait for that")
}

// newCAIssue returns the command ca issue.
func newCAIssue(e *env, api *apiFlags) *cobra.Command {
	f := &issueFlags{apiFlags: api}
	c := &cobra.Command{
		Use:   "issue --csr FILE [--profile PROFILE] [--agency ID | --firm USCC | --person ID]",
		Short: "Certify a key that its holder keeps",
		Long: `Certify a key that its holder keeps. The profiles:

  permit          an agency's key that signs permits (the default)
  document        an agency's key that signs documents
  system-server   a server of an agency: --host for each of its names
  system-client   a program of an agency: --name
  officer         somebody who works at an agency: --agency and --person
  firm, citizen   with which they sign in: --firm or --person

Most of them wait for an officer (signet ca request); --wait waits too.`,
		Args: cobra.NoArgs,
	}
	p := c.Flags()
	p.StringVar(&f.wish.Profile, "profile", "", "`PROFILE` of the certificate")
	p.StringVar(&f.wish.Agency, "agency", "", "`ID` of the agency")
	p.StringVar(&f.wish.Firm, "firm", "", "`USCC` of the firm")
	p.StringVar(&f.wish.Person, "person", "", "`ID` of the person in the registry")
	p.StringVar(&f.wish.Issuer, "issuer", "", "`ID` of the issuing CA, for a firm or a citizen (default the city's)")
	p.StringVar(&f.wish.Name, "name", "", "`NAME` of the program")
	p.StringArrayVar(&f.wish.Hosts, "host", nil, "DNS name or IP address of the server, `HOST`; may be repeated (default those in the request)")
	p.StringVar(&f.wish.NotBefore, "not-before", "", "`TIME` from which it is valid (RFC 3339; default now)")
	f.register(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if f.csr == "" || f.wish.Agency == "" && f.wish.Firm == "" && f.wish.Person == "" {
			return usage(errors.New("ca issue needs --csr, and --agency, --firm or --person"))
		}
		return f.issue(c, e, pathCertificates)
	}
	return c
}

// newCARenew returns the command ca renew.
func newCARenew(e *env, api *apiFlags) *cobra.Command {
	f := &issueFlags{apiFlags: api}
	c := &cobra.Command{
		Use:   "renew SERIAL --csr FILE",
		Short: "Issue the successor of a certificate; the old one stays until it ends",
		Long: "Issue the successor of a certificate, for the same key or another one, by today's rules. With\n" +
			"another key it waits for an officer where a new certificate would.",
		Args: cobra.ExactArgs(1),
	}
	f.register(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if f.csr == "" {
			return usage(errors.New("ca renew needs --csr"))
		}
		return f.issue(c, e, pathCertificates+"/"+url.PathEscape(args[0])+"/renew")
	}
	return c
}

// issue makes the call and keeps what comes of it.
func (f *issueFlags) issue(c *cobra.Command, e *env, path string) error {
	for _, value := range []string{f.wish.NotBefore, f.wish.NotAfter} {
		if _, err := time.Parse(time.RFC3339, value); value != "" && err != nil {
			return usage(fmt.Errorf("%q is no RFC 3339 time", value))
		}
	}
	pem, err := e.readFile(f.csr, maxInput)
	if err != nil {
		return err
	}
	f.wish.CSR = string(pem)
	body, err := json.Marshal(f.wish)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	a, err := f.connect(e, scopeCA)
	if err != nil {
		return err
	}
	b, err := a.keyed(c.Context(), request{method: "POST", path: path, body: body, key: f.key})
	if err != nil {
		return err
	}
	var pending struct {
		Request caRequestView `json:"request"`
	}
	if err := decode(b, &pending); err != nil {
		return err
	}
	if pending.Request.ID != "" {
		if !f.wait {
			return e.show(answer{b, f.json}, &pending, pending.Request.print)
		}
		if b, err = a.awaitRequest(c.Context(), e, pending.Request); err != nil {
			return err
		}
	}
	return f.keep(e, answer{b, f.json})
}

// keep prints the certificate and writes it to the file that was named.
func (f *issueFlags) keep(e *env, a answer) error {
	var v certificateView
	if err := showCertificate(e, a, &v); err != nil {
		return err
	}
	if f.out == "" {
		return nil
	}
	if err := os.WriteFile(f.out, []byte(v.Certificate+v.Chain), 0o644); err != nil {
		return withHint(fmt.Errorf("write certificate: %w", err), "it was issued: signet ca show %s", v.Serial)
	}
	return nil
}
