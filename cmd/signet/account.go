package main

import (
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const (
	maxCredentials = 64 << 10
	maxDemo        = 4 << 20
)

// Variables of the environment that name the server and the file of credentials.
const (
	envServer      = "SIGNET_SERVER"
	envCredentials = "SIGNET_CREDENTIALS"
)

// apiFlags say which city a command speaks to, and as whom.
type apiFlags struct {
	server, credentials, demo, agency, caFile string

	asAgency bool // the command is for an agency's client, not the city's
	json     bool
}

// register adds the flags to a group of commands.
func (f *apiFlags) register(c *cobra.Command) {
	p := c.PersistentFlags()
	p.StringVar(&f.server, "server", "", "the city's issuer, `URL` (default $"+envServer+")")
	p.StringVar(&f.credentials, "credentials", "", "`FILE` with client_id and client_secret in JSON (default $"+envCredentials+")")
	p.StringVar(&f.caFile, "ca-file", "", "PEM `FILE` of the root that the server's certificate leads to (default the system's)")
	p.StringVar(&f.demo, "demo", "", "demo.json `FILE` of a demo city, for server, credentials and root at once")
	p.BoolVar(&f.json, "json", false, "print JSON")
	if f.asAgency {
		p.StringVar(&f.agency, "agency", "", "with --demo, the `ID` of the agency to act for")
	}
}

// account is a client of one city.
type account struct {
	server     string // the issuer
	id, secret string
	roots      *x509.CertPool // nil for the system's
}

// account finds out whom to speak to and as whom.
func (f *apiFlags) account(e *env) (account, error) {
	if f.demo != "" {
		return f.demoAccount(e)
	}
	if f.agency != "" {
		return account{}, usage(errors.New("--agency goes with --demo; else the credentials say which agency's client this is"))
	}
	a := account{server: f.server}
	if a.server == "" {
		a.server = e.get(envServer)
	}
	if a.server == "" {
		return account{}, usage(withHint(errors.New("no server was named"), "give --server or set $%s; for a demo city, --demo DIR/demo.json", envServer))
	}
	path := f.credentials
	if path == "" {
		path = e.get(envCredentials)
	}
	if path == "" {
		return account{}, usage(withHint(errors.New("no credentials were named"), "give --credentials or set $%s to a file; signet client add --out makes one", envCredentials))
	}
	var c credentials
	if err := readSecret(path, maxCredentials, &c, json.RejectUnknownMembers(true)); err != nil {
		return account{}, fmt.Errorf("read credentials: %w", err)
	}
	if c.ID == "" || c.Secret == "" {
		return account{}, fmt.Errorf("read credentials: %s lacks client_id or client_secret", path)
	}
	a.id, a.secret = c.ID, c.Secret
	return f.checked(e, a, f.caFile)
}

// credentials is the file of --credentials.
type credentials struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
}

// checked refuses a server to which a secret may not be sent, and reads the root.
func (f *apiFlags) checked(e *env, a account, roots string) (account, error) {
	if err := checkServer(a.server); err != nil {
		return account{}, err
	}
	if roots == "" {
		return a, nil
	}
	b, err := e.readFile(roots, maxInput)
	if err != nil {
		return account{}, err
	}
	if a.roots, err = pool(b); err != nil {
		return account{}, fmt.Errorf("read root: %s %w", roots, err)
	}
	return a, nil
}

// demoAccount takes everything from a demo city's description.
func (f *apiFlags) demoAccount(e *env) (account, error) {
	if f.server != "" || f.credentials != "" {
		return account{}, usage(errors.New("--demo brings its own server and credentials"))
	}
	var d struct {
		Issuer   string      `json:"issuer"`
		Root     string      `json:"root_pem"`
		Operator credentials `json:"operator_client"`
		Agencies []struct {
			ID     string `json:"id"`
			Client string `json:"api_client_id"`
			Secret string `json:"api_client_secret"`
		} `json:"agencies"`
	}
	if err := readSecret(f.demo, maxDemo, &d); err != nil {
		return account{}, fmt.Errorf("read demo city: %w", err)
	}
	a := account{server: d.Issuer, id: d.Operator.ID, secret: d.Operator.Secret}
	if f.asAgency {
		var ids []string
		for _, agency := range d.Agencies {
			ids = append(ids, agency.ID)
		}
		i := slices.Index(ids, f.agency)
		if i < 0 {
			return account{}, usage(withHint(fmt.Errorf("which agency? %q is none", f.agency), "--agency is one of %s", strings.Join(ids, ", ")))
		}
		a.id, a.secret = d.Agencies[i].Client, d.Agencies[i].Secret
	}
	if a.id == "" || a.secret == "" {
		return account{}, fmt.Errorf("read demo city: %s has no client for this command", f.demo)
	}
	roots := f.caFile
	if roots == "" && strings.HasPrefix(a.server, "https:") {
		roots = d.Root
	}
	return f.checked(e, a, roots)
}

// checkServer accepts an issuer: https, or http on this machine, and nothing
// behind the host.
func checkServer(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || s != u.Scheme+"://"+u.Host {
		// It is not repeated: a password may stand in it.
		return usage(withHint(errors.New("the server is not named as an issuer is"), "it is written https://HOST or https://HOST:PORT, with nothing behind"))
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return usage(fmt.Errorf("server %q would get the secret in the clear: only https, or http on this machine", s))
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// readSecret decodes a JSON file that nobody but its owner may read.
func readSecret(path string, limit int64, v any, options ...json.Options) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return withHint(fmt.Errorf("%s can be read by others", path), "chmod 600 %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return err
	}
	if int64(len(b)) > limit {
		return fmt.Errorf("%s is larger than %d bytes", path, limit)
	}
	// The parser's error could repeat a secret.
	if json.Unmarshal(b, v, options...) != nil {
		return fmt.Errorf("%s is not the JSON that was expected", path)
	}
	return nil
}
