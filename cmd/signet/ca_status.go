package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/url"

	"github.com/spf13/cobra"
)

// newCARevoke returns the command ca revoke.
func newCARevoke(e *env, f *apiFlags) *cobra.Command {
	var reason, from string
	c := &cobra.Command{
		Use:   "revoke SERIAL --reason REASON",
		Short: "Revoke a certificate for good",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "`REASON` of RFC 5280: unspecified, keyCompromise, affiliationChanged, superseded, cessationOfOperation or privilegeWithdrawn;\n"+
		"cACompromise for issuing CAs, aACompromise for agencies' permit keys. What is revoked already can become keyCompromise, and nothing else")
	c.Flags().StringVar(&from, "invalid-from", "", "`TIME` (RFC 3339) from which on the key is not to be trusted, with keyCompromise")
	f.changesStatus(e, c, "revoke", func() (map[string]string, error) {
		switch reason {
		case "":
			return nil, usage(errors.New("ca revoke needs --reason"))
		case "certificateHold":
			return nil, usage(errors.New("a hold is not for good: use signet ca hold"))
		}
		members := map[string]string{"reason": reason}
		if from != "" {
			members["invalid_from"] = from
		}
		return members, nil
	})
	return c
}

// newCAHold returns the command ca hold.
func newCAHold(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "hold SERIAL",
		Short: "Revoke a certificate until it is released or revoked for good",
		Args:  cobra.ExactArgs(1),
	}
	f.changesStatus(e, c, "revoke", func() (map[string]string, error) { return map[string]string{"reason": "certificateHold"}, nil })
	return c
}

// newCARelease returns the command ca release.
func newCARelease(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "release SERIAL",
		Short: "Take back the hold of a certificate",
		Args:  cobra.ExactArgs(1),
	}
	f.changesStatus(e, c, "release", func() (map[string]string, error) { return map[string]string{}, nil })
	return c
}

// changesStatus makes a command call an address under a certificate with what wish
// returns, and show the certificate as it is then.
func (f *apiFlags) changesStatus(e *env, c *cobra.Command, address string, wish func() (map[string]string, error)) {
	key := c.Flags().String("idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, args []string) error {
		members, err := wish()
		if err != nil {
			return err
		}
		body, err := json.Marshal(members)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, err := f.connect(e, scopeCA)
		if err != nil {
			return err
		}
		b, err := a.keyed(c.Context(), request{method: "POST", path: pathCertificates + "/" + url.PathEscape(args[0]) + "/" + address, body: body, key: *key})
		if err != nil {
			return err
		}
		return showCertificate(e, answer{b, f.json}, &certificateView{})
	}
}
