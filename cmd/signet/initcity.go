package main

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/config"
	"github.com/signet-city/signet/internal/obs"
)

// newInit returns the command init.
func newInit(e *env) *cobra.Command {
	var ceremony, passphrase, httpBase, httpsBase, mtlsBase string
	c := &cobra.Command{
		Use:   "init",
		Short: "Hold the ceremony: make a city from one reviewed file",
		Long: `Hold the ceremony: make the database, the key-encryption key, the root, the issuing
CAs, the signers and the first certificates from one file that was reviewed before.
Either all of it is there at the end, or serve finds no city.

The root's key is written to --root-key-file, encrypted under the passphrase, and
nowhere else. Move that file and the passphrase to where the root is kept: serve
refuses to start while it can read it.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c)
	c.Flags().StringVar(&ceremony, "ceremony", "", "`FILE` of the ceremony, reviewed")
	c.Flags().StringVar(&passphrase, "passphrase-file", "", "`FILE` with the passphrase of the root's key")
	c.Flags().StringVar(&httpsBase, "https-base", "", "public `URL` of the https listener (default the issuer)")
	c.Flags().StringVar(&httpBase, "http-base", "", "public `URL` of the plain listener; stands in certificates (default http://HOST of the issuer)")
	c.Flags().StringVar(&mtlsBase, "mtls-base", "", "public `URL` of the listener that asks for client certificates (default https://HOST of the issuer and its port)")
	_ = c.MarkFlagRequired("ceremony")
	_ = c.MarkFlagRequired("passphrase-file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		o, err := e.makeOptions(cfg, ceremony, passphrase, city.Bases{HTTPS: httpsBase, HTTP: httpBase, MTLS: mtlsBase})
		if err != nil {
			return err
		}
		if err := city.Make(c.Context(), o); err != nil {
			return err
		}
		return e.write(fmt.Appendf(nil, "init: the city is made; its root certificate is %s/public/root.pem\n"+
			"init: the operator's credentials, for --credentials, are %s\n"+
			"init: move %s away from this machine before signet serve\n", cfg.Data, o.OperatorFile, cfg.RootKeyFile))
	}
	return c
}

func (e *env) makeOptions(cfg config.Config, ceremony, passphrase string, b city.Bases) (city.MakeOptions, error) {
	where, err := whereOf(cfg)
	if err != nil {
		return city.MakeOptions{}, err
	}
	plan, err := e.readFile(ceremony, 1<<20)
	if err != nil {
		return city.MakeOptions{}, err
	}
	secret, err := e.readFile(passphrase, 4096)
	if err != nil {
		return city.MakeOptions{}, err
	}
	if cfg.Issuer == "" {
		return city.MakeOptions{}, usage(fmt.Errorf("init: an issuer is required: it stands in tokens for the city's life"))
	}
	b.Issuer = cfg.Issuer
	_, host, _ := strings.Cut(cfg.Issuer, "://")
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	fill := func(to *string, scheme, address string, usual string) {
		if *to != "" {
			return
		}
		*to = scheme + "://" + name
		if _, port, err := net.SplitHostPort(address); err == nil && port != usual {
			*to += ":" + port
		}
	}
	fill(&b.HTTPS, "https", cfg.Listen, "443")
	fill(&b.HTTP, "http", cfg.ListenHTTP, "80")
	fill(&b.MTLS, "https", cfg.ListenMTLS, "443")
	return city.MakeOptions{Where: where, Bases: b, Ceremony: plan, Passphrase: bytes.TrimRight(secret, "\r\n"), RootKeyFile: cfg.RootKeyFile, OperatorFile: filepath.Join(cfg.Data, "operator.json"),
		Logger: obs.NewLogger(e.stderr, nil, false), Progress: func(step string) { e.say("%s", step) }}, nil
}
