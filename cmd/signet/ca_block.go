package main

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"github.com/spf13/cobra"
)

const pathBlocked = "/ca/v1/blocked-keys"

// newCABlock returns the command group ca block.
func newCABlock(e *env, f *apiFlags) *cobra.Command {
	return group("block", "Keep public keys from being certified", newCABlockAdd(e, f), newCABlockList(e, f))
}

// newCABlockAdd returns the command ca block add.
func newCABlockAdd(e *env, f *apiFlags) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "add FILE|SHA256... --reason TEXT",
		Short: "Block public keys for good",
		Long: "Block up to a hundred public keys for good. Each is the PEM file of a public key, a certificate\n" +
			"or a certificate request, or the SHA-256 of the SubjectPublicKeyInfo in hex. Certificates that\n" +
			"there are for the keys stay: see signet ca revoke.",
		Args: cobra.MinimumNArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "`TEXT` that says why")
	c.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return usage(errors.New("ca block add needs --reason"))
		}
		wish := struct {
			SHA256 []string `json:"sha256"`
			Reason string   `json:"reason"`
		}{Reason: reason}
		for _, arg := range args {
			sum, err := e.keySum(arg)
			if err != nil {
				return err
			}
			wish.SHA256 = append(wish.SHA256, sum)
		}
		body, err := json.Marshal(wish)
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, err := f.connect(e, scopeCA)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "POST", path: pathBlocked, body: body})
		if err != nil {
			return err
		}
		return e.show(answer{b, f.json}, &wish, func(w io.Writer) {
			for _, sum := range wish.SHA256 {
				_, _ = fmt.Fprintln(w, visible(sum)) // w is in memory
			}
		})
	}
	return c
}

// keySum returns the SHA-256, in hex, of the public key that a file holds or that
// the text is already.
func (e *env) keySum(arg string) (string, error) {
	if sum, err := hex.DecodeString(arg); err == nil && len(sum) == sha256.Size {
		return arg, nil
	}
	b, err := e.readFile(arg, maxInput)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return "", fmt.Errorf("%s holds no public key in PEM", arg)
	}
	var spki []byte
	switch block.Type {
	case "CERTIFICATE":
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			spki = cert.RawSubjectPublicKeyInfo
		}
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
		if csr, err := x509.ParseCertificateRequest(block.Bytes); err == nil {
			spki = csr.RawSubjectPublicKeyInfo
		}
	case "PUBLIC KEY":
		spki = block.Bytes
	}
	key, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return "", fmt.Errorf("%s holds no public key", arg)
	}
	if spki, err = x509.MarshalPKIXPublicKey(key); err != nil { // as the service encodes it
		return "", fmt.Errorf("%s holds no public key that is certified here", arg)
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:]), nil
}

// newCABlockList returns the command ca block list.
func newCABlockList(e *env, f *apiFlags) *cobra.Command {
	var after string
	c := &cobra.Command{Use: "list", Short: "List blocked keys in the order of their hashes, a hundred at a time", Args: cobra.NoArgs}
	c.Flags().StringVar(&after, "after", "", "begin after this `SHA256`")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeCA)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: pathBlocked + "?" + url.Values{"after": {after}}.Encode()})
		if err != nil {
			return err
		}
		var view struct {
			Keys []struct {
				SHA256 string    `json:"sha256"`
				Reason string    `json:"reason"`
				At     time.Time `json:"at"`
			} `json:"keys"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, v := range view.Keys {
				rows = append(rows, []string{v.SHA256, stamp(v.At), v.Reason})
			}
			table(w, []string{"SHA256", "AT", "REASON"}, rows)
		})
	}
	return c
}
