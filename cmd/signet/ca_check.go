package main

import (
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
)

// newCACheck returns the command ca check. It reads the database itself: what it
// compares is what the service says to strangers.
func newCACheck(e *env) *cobra.Command {
	var url, root string
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Fetch what the CA has published, as a stranger, and compare it with the register",
		Long: `Fetch the CAs' certificates, the CRLs and some OCSP answers by HTTP, and compare
them with the database: signatures, lifetimes, numbers, entries. Each problem is
a line; the last line is

  check: certificates=N crls=N answers=N problems=N

The exit code is 1 if there is a problem.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	c.Flags().StringVar(&url, "url", "", "fetch from this `ADDRESS` instead of that which stands in certificates")
	c.Flags().StringVar(&root, "root", "", "`FILE` of the root that must be published")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON, one object")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		where, err := whereOf(cfg)
		if err != nil {
			return err
		}
		var cert *x509.Certificate
		if root != "" {
			if cert, err = e.readCertificate(root); err != nil {
				return err
			}
		}
		found, err := city.CheckPublished(c.Context(), city.Options{Where: where}, url, cert)
		if err != nil {
			return err
		}
		if asJSON {
			err = e.writeJSON(found)
		} else {
			var lines []byte
			for _, p := range found.Problems {
				lines = fmt.Appendf(lines, "%s: %s\n", visible(p.Where), visible(p.Detail))
			}
			err = e.write(fmt.Appendf(lines, "check: certificates=%d crls=%d answers=%d problems=%d\n", found.Certificates, found.CRLs, found.Answers, len(found.Problems)))
		}
		if err == nil && len(found.Problems) > 0 {
			return &exitError{code: 1}
		}
		return err
	}
	return c
}
