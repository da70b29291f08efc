package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/audit"
)

// outside says how the command ca audit reads a log that is somebody else's.
type outside struct {
	log         string // address
	root, trust string // files
	keys        []string
	servers     []string
}

func (o *outside) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.log, "log", "", "`ADDRESS` of the log, to read it from outside")
	f.StringVar(&o.root, "root", "", "with --log, PEM `FILE` of the root certificate")
	f.StringVar(&o.trust, "trust", "", "with --log, `FILE` of the root statement, or of a trust bundle, that names the log's key")
	f.StringArrayVar(&o.keys, "vkey", nil, "with --log, a `KEY` of the log as name+hash+key; again for more")
	f.StringArrayVar(&o.servers, "tls", nil, "with --log, `HOST:PORT` of a server whose certificates to look at; again for more")
}

func (o *outside) check(c *cobra.Command, args []string) error {
	if o.log == "" {
		for _, name := range []string{"root", "trust", "vkey", "tls"} {
			if c.Flags().Changed(name) {
				return fmt.Errorf("--%s goes with --log", name)
			}
		}
		return cobra.MinimumNArgs(1)(c, args)
	}
	switch {
	case !strings.HasPrefix(o.log, "https://") && !strings.HasPrefix(o.log, "http://"):
		return errors.New("the log's address begins with https:// or http://")
	case o.root == "":
		return withHint(errors.New("which certificates are the city's?"), "give --root, the root's certificate")
	case len(args)+len(o.servers) == 0:
		return errors.New("which certificates? name files, or servers with --tls")
	}
	return nil
}

// suspect is a certificate under the city's root that is looked for in the log.
type suspect struct {
	file string
	cert *x509.Certificate
	seen bool
}

// outside reads the certificates, then the log, and names what it does not hold.
func (a *certificateAudit) outside(ctx context.Context, o *outside, paths []string) error {
	k, root, err := o.trusted(a.e)
	if err != nil {
		return err
	}
	lineage := ca.NewLineage(root)
	var read []suspect
	a.take = func(_ context.Context, file string, certs []*x509.Certificate) error {
		for _, cert := range certs {
			read = append(read, suspect{file: file, cert: cert})
		}
		return nil
	}
	for _, server := range o.servers {
		certs, err := served(ctx, server)
		if err != nil {
			return err
		}
		_ = a.take(ctx, server, certs) // it only keeps them
	}
	if err := a.all(ctx, paths); err != nil {
		return err
	}
	wanted := a.ofLineage(lineage, read)
	checkpoint, err := city.ScanLog(ctx, o.fetcher(root), k, func(index int64, entry [32]byte) {
		for _, s := range wanted[entry] {
			s.seen = true
		}
		if n := index + 1; n%1_000_000 == 0 {
			a.e.say("%d entries", n)
		}
	})
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	a.e.say("the log has %d entries", checkpoint.Size)
	for i := range read {
		if list := wanted[sha256.Sum256(read[i].cert.Raw)]; len(list) == 0 || read[i].seen {
			continue
		}
		a.missing++
		if err := a.name(read[i].file, read[i].cert); err != nil {
			return err
		}
	}
	return a.conclude()
}

// ofLineage counts, and returns those under the city's root by the hash of their DER.
func (a *certificateAudit) ofLineage(lineage *ca.Lineage, read []suspect) map[[32]byte][]*suspect {
	certs := make([]*x509.Certificate, len(read))
	for i := range read {
		certs[i] = read[i].cert
	}
	wanted := map[[32]byte][]*suspect{}
	for i, ours := range lineage.Verify(certs) {
		a.total++
		if ours {
			a.ours++
			hash := sha256.Sum256(certs[i].Raw)
			wanted[hash] = append(wanted[hash], &read[i])
		}
	}
	return wanted
}

// trusted reads whom to believe.
func (o *outside) trusted(e *env) (k city.LogKeys, root *x509.Certificate, err error) {
	b, err := e.readFile(o.root, maxInput)
	if err != nil {
		return k, nil, fmt.Errorf("read root: %w", err)
	}
	certs, err := parseBundle(b)
	if err != nil || len(certs) != 1 {
		return k, nil, usage(fmt.Errorf("read root: %s is not one certificate", o.root))
	}
	f := proofFlags{root: o.root, trust: o.trust, keys: o.keys}
	if o.trust == "" {
		f.root = "" // a key that is named needs no statement
	}
	k, err = f.logKeys(e)
	if err != nil {
		return k, nil, usage(err)
	}
	return k, certs[0], nil
}

// fetcher returns what fetches the log's files. Who serves them is not believed, so
// that the city's own root will do beside those of the system.
func (o *outside) fetcher(root *x509.Certificate) func(ctx context.Context, path string) ([]byte, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AddCert(root)
	client := &http.Client{Timeout: callTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
	base := strings.TrimSuffix(o.log, "/") + "/"
	return func(ctx context.Context, path string) ([]byte, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+path, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(r)
		if err != nil {
			return nil, reachable(err)
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			return nil, fmt.Errorf("%s: status %d", base+path, resp.StatusCode)
		}
		b, err := io.ReadAll(io.LimitReader(resp.Body, audit.MaxCheckpoint+1))
		if err == nil && len(b) > audit.MaxCheckpoint {
			err = fmt.Errorf("%s is too large", base+path)
		}
		return b, err
	}
}

// served returns the certificates that a server shows.
func served(ctx context.Context, address string) ([]*x509.Certificate, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, usage(fmt.Errorf("--tls %s: want HOST:PORT", address))
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	// Nothing is said to the server and nothing that it says is believed: what it shows
	// is judged afterwards.
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("read certificates from %s: %w", visible(address), err)
	}
	defer func() { _ = conn.Close() }()
	return conn.(*tls.Conn).ConnectionState().PeerCertificates, nil
}
