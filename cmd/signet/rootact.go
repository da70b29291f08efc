package main

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/ca"
)

// maxRootFile is the longest request, response, key or certificate of a root.
const maxRootFile = 2 << 20

// newRootAct returns the command group root.
func newRootAct(e *env) *cobra.Command {
	f := &apiFlags{}
	online := []*cobra.Command{newRootAsk(e, f), newRootShow(e, f), newRootApply(e, f), newRootWithdraw(e, f)}
	for _, c := range online {
		f.register(c)
	}
	c := group("root", "Acts of the offline root: what it is asked, signs, and is applied",
		append(online, newRootNew(e), newRootReview(e), newRootSign(e))...)
	c.Long = `The root's key is kept offline. What the city wants of it travels as a file:

  signet root ask > request.json        here, with the officers' credentials
  signet root review request.json       on the root's machine: read it aloud
  signet root sign request.json ...     there; nothing else needs the root's key
  signet root apply response.json       here again

Every signature is in the audit log before the request leaves, and the response
is compared with it.`
	return c
}

// newRootAsk returns the command root ask.
func newRootAsk(e *env, f *apiFlags) *cobra.Command {
	var issuers []string
	var next, takeover string
	var former bool
	c := &cobra.Command{
		Use:   "ask",
		Short: "Prepare an act of the root and print the request",
		Long: `Prepare an act of the root and print the request. It renews the root statement, with
enough standby signers for bundles, statuses and the log, and the root's CRL.`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringSliceVar(&issuers, "issuer", nil, "`ID` of an issuing CA whose next key gets its certificate; again for more")
	c.Flags().StringVar(&next, "next", "", "`FILE` of the certificate of the root that is to follow: it is named in the statement")
	c.Flags().StringVar(&takeover, "switch", "", "`FILE` of the certificate of the named root, which now takes over: both roots sign")
	c.Flags().BoolVar(&former, "former", false, "the roots before sign their CRLs too: what they certified needs them")
	c.RunE = func(c *cobra.Command, _ []string) error {
		body := map[string]any{"issuers": append([]string{}, issuers...), "former": former}
		for name, path := range map[string]string{"next": next, "switch": takeover} {
			if path == "" {
				continue
			}
			cert, err := e.readCertificate(path)
			if err != nil {
				return err
			}
			body[name] = base64.StdEncoding.EncodeToString(cert.Raw)
		}
		a, err := f.connect(e, scopeKeys)
		if err != nil {
			return err
		}
		b, err := a.post(c.Context(), "/security/v1/root/ask", body)
		if err != nil {
			return err
		}
		return e.write(append(b, '\n'))
	}
	return c
}

// newRootShow returns the command root show.
func newRootShow(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "Print the request of the act that is under way", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := f.connect(e, scopeKeys)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "GET", path: "/security/v1/root"})
			if err != nil {
				return err
			}
			return e.write(append(b, '\n'))
		},
	}
}

// newRootApply returns the command root apply.
func newRootApply(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE", Short: "Apply the root's response; may be repeated", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := e.readFile(args[0], maxRootFile)
			if err != nil {
				return err
			}
			a, err := f.connect(e, scopeKeys)
			if err != nil {
				return err
			}
			b, err = a.call(c.Context(), request{method: "POST", path: "/security/v1/root/apply", body: b})
			if err != nil {
				return err
			}
			return e.show(answer{b, f.json}, &struct{}{}, func(w io.Writer) { list(w, "root", "applied") })
		},
	}
}

// newRootWithdraw returns the command root withdraw.
func newRootWithdraw(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "withdraw ID", Short: "Give up the act that is under way", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeKeys)
			if err != nil {
				return err
			}
			b, err := a.post(c.Context(), "/security/v1/root/withdraw", map[string]string{"id": args[0]})
			if err != nil {
				return err
			}
			return e.show(answer{b, f.json}, &struct{}{}, func(w io.Writer) { list(w, "root", "withdrawn") })
		},
	}
}

// newRootNew returns the command root new.
func newRootNew(e *env) *cobra.Command {
	var ceremony, passphrase, key, certificate string
	c := &cobra.Command{
		Use:   "new",
		Short: "Make a root that may follow the present one, on a machine without a network",
		Long: `Make a root that may follow the present one. Its name and life are those of the
reviewed file, in which the root has a name of its own. Have the present root name
it (signet root ask --next); months later let it take over (--switch).`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&ceremony, "ceremony", "", "`FILE` of the ceremony, reviewed")
	c.Flags().StringVar(&passphrase, "passphrase-file", "", "`FILE` with the passphrase of the new key")
	c.Flags().StringVar(&key, "key", "", "`FILE` to make, for the encrypted key")
	c.Flags().StringVar(&certificate, "certificate", "", "`FILE` to make, for the certificate")
	for _, name := range []string{"ceremony", "passphrase-file", "key", "certificate"} {
		_ = c.MarkFlagRequired(name)
	}
	c.RunE = func(*cobra.Command, []string) error {
		file, err := e.readFile(ceremony, maxRootFile)
		if err != nil {
			return err
		}
		plan, err := ca.ParseCeremony(file)
		if err != nil {
			return err
		}
		secret, err := e.readFile(passphrase, 4096)
		if err != nil {
			return err
		}
		der, keyPEM, err := ca.NewRoot(plan, bytes.TrimRight(secret, "\r\n"), time.Now())
		if err != nil {
			return err
		}
		if err := newFile(key, keyPEM, 0o400); err != nil {
			return err
		}
		if err := newFile(certificate, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
			return err
		}
		return e.write(fmt.Appendf(nil, "root: %s is the key, %s the certificate with the fingerprint %s\n", key, certificate, ca.Fingerprint(der)))
	}
	return c
}

// newRootReview returns the command root review.
func newRootReview(e *env) *cobra.Command {
	var root string
	var asJSON bool
	c := &cobra.Command{
		Use:   "review FILE",
		Short: "Show what a request wants the root to sign",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&root, "root", "", "`FILE` of the root's certificate, kept where the root is")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	_ = c.MarkFlagRequired("root")
	c.RunE = func(_ *cobra.Command, args []string) error {
		_, q, err := e.review(args[0], root)
		if err != nil {
			return err
		}
		if asJSON {
			return e.writeJSON(q)
		}
		return e.write(reviewText(q))
	}
	return c
}

// review reads a request for the root that is at hand.
func (e *env) review(request, root string) ([]byte, ca.RootRequest, error) {
	file, err := e.readFile(request, maxRootFile)
	if err != nil {
		return nil, ca.RootRequest{}, err
	}
	pin, err := e.readCertificate(root)
	if err != nil {
		return nil, ca.RootRequest{}, err
	}
	q, err := ca.ReviewRoot(file, pin)
	return file, q, err
}

// reviewText is the request for people to read aloud.
func reviewText(q ca.RootRequest) []byte {
	var b bytes.Buffer
	day := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	fmt.Fprintf(&b, "request %s\n", q.ID)
	for i, r := range q.Roots {
		role := "signs"
		if i > 0 {
			role = "signs too, and takes over"
		}
		fmt.Fprintf(&b, "root %s: %s; fingerprint %s\n", r.Key, role, ca.Fingerprint(r.DER))
	}
	for _, r := range q.Former {
		fmt.Fprintf(&b, "root %s: signs its CRL, and nothing else; fingerprint %s\n", r.Key, ca.Fingerprint(r.DER))
	}
	s := q.Statement
	fmt.Fprintf(&b, "root statement %d, until %s\n", s.Version, day(time.Unix(s.Expires, 0)))
	for _, one := range []struct {
		what string
		n    int
	}{{"trust bundles", len(s.Bundle)}, {"statuses", len(s.Status)}, {"the log", len(s.Log)}} {
		fmt.Fprintf(&b, "  keys that may sign %s: %d\n", one.what, one.n)
	}
	if len(s.Next) > 0 {
		fmt.Fprintf(&b, "  names a next root: key %s\n", ca.Fingerprint(s.Next))
	}
	for _, c := range q.Certificates {
		fmt.Fprintf(&b, "certificate of the issuing CA %s: %s, %s to %s, key %s\n", c.Issuer, c.CommonName, day(c.NotBefore), day(c.NotAfter), ca.Fingerprint(c.Public))
	}
	for _, c := range q.CRLs {
		fmt.Fprintf(&b, "CRL %d of %s, until %s, revoked: %d\n", c.Number, c.By, day(c.Until), len(c.Entries))
		for _, one := range c.Entries {
			fmt.Fprintf(&b, "  %s since %s, reason %d\n", one.Serial, day(one.At), one.Reason)
		}
	}
	return b.Bytes()
}

// newRootSign returns the command root sign.
func newRootSign(e *env) *cobra.Command {
	var root string
	var keyFiles, passphrases []string
	c := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a request that was reviewed, on a machine without a network; prints the response",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&root, "root", "", "`FILE` of the root's certificate, kept where the root is")
	c.Flags().StringArrayVar(&keyFiles, "key", nil, "`FILE` of the root's encrypted key; where other roots sign too, again for theirs")
	c.Flags().StringArrayVar(&passphrases, "passphrase-file", nil, "`FILE` with its passphrase; one for each key, in their order")
	for _, name := range []string{"root", "key", "passphrase-file"} {
		_ = c.MarkFlagRequired(name)
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if len(keyFiles) != len(passphrases) {
			return usage(errors.New("root sign: want one --passphrase-file for each --key"))
		}
		file, q, err := e.review(args[0], root)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(reviewText(q))) {
			e.say("%s", strings.TrimRight(line, "\n"))
		}
		pin, err := e.readCertificate(root)
		if err != nil {
			return err
		}
		var signers []crypto.Signer
		for i, path := range keyFiles {
			s, err := e.readRootKey(path, passphrases[i])
			if err != nil {
				return err
			}
			signers = append(signers, s)
		}
		response, err := ca.SignRootRequest(file, pin, signers, time.Now())
		if err != nil {
			return err
		}
		return e.write(append(response, '\n'))
	}
	return c
}

func (e *env) readRootKey(path, passphrase string) (crypto.Signer, error) {
	b, err := e.readFile(path, maxRootFile)
	if err != nil {
		return nil, err
	}
	secret, err := e.readFile(passphrase, 4096)
	if err != nil {
		return nil, err
	}
	return ca.LoadRootKey(b, bytes.TrimRight(secret, "\r\n"))
}

// readCertificate reads one certificate in PEM or DER.
func (e *env) readCertificate(path string) (*x509.Certificate, error) {
	b, err := e.readFile(path, maxRootFile)
	if err != nil {
		return nil, err
	}
	if block, _ := pem.Decode(b); block != nil {
		b = block.Bytes
	}
	cert, err := x509.ParseCertificate(b)
	if err != nil {
		return nil, withHint(fmt.Errorf("%s is no certificate", path), "want one certificate in PEM or DER")
	}
	return cert, nil
}

// newFile makes a file that must not be there yet, and makes sure that it stays.
func newFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}
