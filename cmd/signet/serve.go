package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/config"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/web"
)

// newServe returns the command serve.
func newServe(e *env) *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve a city that init has made",
		Long: `Serve a city that init has made. serve makes neither keys nor schema, and refuses to
start while it can read the root's key.`,
		Args: cobra.NoArgs,
	}
	addConfigFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		return e.serve(c.Context(), cfg)
	}
	return c
}

func (e *env) serve(ctx context.Context, cfg config.Config) error {
	if f, err := os.Open(cfg.RootKeyFile); err == nil {
		_ = f.Close()
		return withHint(fmt.Errorf("serve: the root's key %s can be read here", cfg.RootKeyFile),
			"move it to where the root is kept; the service never needs it")
	}
	where, err := whereOf(cfg)
	if err != nil {
		return err
	}
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		return err
	}
	o := city.Options{Where: where, Name: web.Text{ZH: cfg.Site.NameZH, EN: cfg.Site.NameEN}, BundleLife: cfg.Trust.BundleLife, SnapshotLife: cfg.Trust.SnapshotLife, HeadLife: cfg.Trust.HeadLife,
		CRLLife: cfg.CA.CRLLife, Backdate: cfg.CA.Backdate, BodyBytes: cfg.Limits.BodyBytes, BatchLines: int(cfg.Limits.BatchLines), Keys: keyPolicies(cfg), Profiles: profiles(cfg), PrivateAddresses: cfg.Egress.AllowPrivateAddressesInsecure, Sandbox: cfg.Sandbox.Enabled, Witnesses: witnesses(cfg), Logger: obs.NewLogger(e.stderr, level, cfg.Log.Format == "json"),
		Metrics: obs.NewRegistry()}
	if cfg.SourceOf("issuer") != "default" {
		o.Want.Issuer = cfg.Issuer
	}
	c, err := city.Open(ctx, o)
	if err != nil {
		return err
	}
	l, err := city.Listen(city.Addresses{HTTPS: cfg.Listen, HTTP: cfg.ListenHTTP, MTLS: cfg.ListenMTLS, Debug: cfg.ListenDebug})
	if err != nil {
		return errors.Join(err, c.Close())
	}
	ready := func() error { return e.write([]byte("ready " + c.Issuer + "\n")) }
	return errors.Join(c.Serve(ctx, l, city.ServeOptions{CertFile: cfg.TLS.CertFile, KeyFile: cfg.TLS.KeyFile, Level: level, Ready: ready}), c.Close())
}
