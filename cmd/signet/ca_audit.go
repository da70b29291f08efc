package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/cmd/city"
)

// maxBundle bounds a file of certificates.
const maxBundle = 64 << 20

// certificateAudit is one run of the command ca audit.
type certificateAudit struct {
	e       *env
	asJSON  bool
	take    func(ctx context.Context, file string, certs []*x509.Certificate) error // what is done with a file's
	tracer  *ca.Tracer
	total   int
	ours    int
	missing int
	skipped int // files of a directory that hold no certificate
}

// newCAAudit returns the command ca audit. It reads the database itself: a service
// that hides a certificate must not be the one to ask.
func newCAAudit(e *env) *cobra.Command {
	a := &certificateAudit{e: e}
	var from outside
	c := &cobra.Command{
		Use:   "audit FILE|DIRECTORY...",
		Short: "Find certificates that verify under the city's CAs and are not in the log",
		Long: `Read certificates, in PEM bundles or DER, and name each that a CA of this city has
signed, with any key and also through CAs among those read, and that the log does
not know. Each is a line

  FILE: SERIAL sha256:HASH is not in the log

and the last line is "audit: certificates=N ours=N missing=N". The exit code is 1 if
one is missing. That the log itself is whole is what signet audit verify says.

With --log, read the log from outside and nothing of the city's else: --root is the
root's certificate, --vkey the log's key, or --trust a root statement or bundle that
names it. Every entry is fetched and hashed, and the tree must be the one that the key
has signed. Certificates of issuing CAs must be among those read. --tls takes the
certificates that a server shows.`,
		Example: `  signet ca audit --log https://city.example/log --root root.pem --trust bundle.cbor --tls city.example:443 found.pem`,
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	c.Flags().BoolVar(&a.asJSON, "json", false, "print JSON, one object per line")
	from.flags(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if err := from.check(c, args); err != nil {
			return usage(err)
		}
		if from.log != "" {
			return a.outside(c.Context(), &from, args)
		}
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		where, err := whereOf(cfg)
		if err != nil {
			return err
		}
		err = city.WithTracer(c.Context(), city.Options{Where: where}, func(t *ca.Tracer) error {
			a.tracer, a.take = t, a.trace
			return a.all(c.Context(), args)
		})
		if err != nil {
			return err
		}
		return a.conclude()
	}
	return c
}

func (a *certificateAudit) conclude() error {
	if a.skipped > 0 {
		a.e.say("%d files hold no certificate", a.skipped)
	}
	line := fmt.Appendf(nil, "audit: certificates=%d ours=%d missing=%d\n", a.total, a.ours, a.missing)
	if a.asJSON {
		line = fmt.Appendf(nil, `{"certificates":%d,"ours":%d,"missing":%d}`+"\n", a.total, a.ours, a.missing)
	}
	if err := a.e.write(line); err != nil {
		return err
	}
	if a.missing > 0 {
		return &exitError{code: 1}
	}
	return nil
}

// all reads files and directories. A file that is named must hold certificates; one
// in a directory may hold something else.
func (a *certificateAudit) all(ctx context.Context, paths []string) error {
	for _, path := range paths {
		info, err := os.Stat(path)
		if path == "-" || err == nil && !info.IsDir() {
			if err := a.file(ctx, path); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("read certificates: %w", err)
		}
		err = filepath.WalkDir(path, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			if err = a.file(ctx, path); errors.Is(err, errNoCertificate) {
				a.skipped++
				return nil
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("read certificates: %w", err)
		}
	}
	return nil
}

var errNoCertificate = errors.New("it holds no certificate that can be read")

// file reads one file.
func (a *certificateAudit) file(ctx context.Context, path string) error {
	b, err := a.e.readFile(path, maxBundle)
	if err != nil {
		return err
	}
	certs, err := parseBundle(b)
	if err != nil {
		return fmt.Errorf("read certificates from %s: %w", path, err)
	}
	return a.take(ctx, path, certs)
}

// trace names those of a file that the database does not know.
func (a *certificateAudit) trace(ctx context.Context, path string, certs []*x509.Certificate) error {
	traces, err := a.tracer.Trace(ctx, certs)
	if err != nil {
		return err
	}
	for i, trace := range traces {
		if a.total++; a.total%10_000 == 0 {
			a.e.say("%d certificates, %d missing", a.total, a.missing)
		}
		if trace != ca.TraceForeign {
			a.ours++
		}
		if trace != ca.TraceMissing {
			continue
		}
		a.missing++
		if err := a.name(path, certs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (a *certificateAudit) name(path string, cert *x509.Certificate) error {
	serial, hash := profile.SerialString(cert.SerialNumber), sha256.Sum256(cert.Raw)
	if a.asJSON {
		return a.e.writeJSON(map[string]string{"file": path, "serial": serial, "sha256": fmt.Sprintf("%x", hash)})
	}
	return a.e.write(fmt.Appendf(nil, "%s: %s sha256:%x is not in the log\n", visible(path), serial, hash))
}

// parseBundle reads the certificates of a PEM bundle, or one in DER. Other blocks are
// passed over; a certificate that does not parse is none that a client accepts, and
// is refused.
func parseBundle(b []byte) (certs []*x509.Certificate, err error) {
	if !bytes.Contains(b, []byte("-----BEGIN ")) {
		cert, err := x509.ParseCertificate(b)
		if err != nil {
			return nil, errNoCertificate
		}
		return []*x509.Certificate{cert}, nil
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			continue
		}
		der := block.Bytes
		var first asn1.RawValue
		if _, err := asn1.Unmarshal(der, &first); block.Type == "TRUSTED CERTIFICATE" && err == nil {
			der = first.FullBytes // behind it stands for what it is trusted
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("certificate %d does not parse", len(certs)+1)
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 {
		return nil, errNoCertificate
	}
	return certs, nil
}
