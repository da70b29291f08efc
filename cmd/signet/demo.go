package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/obs"
)

// newDemo returns the command demo.
func newDemo(e *env) *cobra.Command {
	var o city.DemoOptions
	var verbose bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Make the demo city in a fresh directory, or open the one there, and serve it",
		Long: `Make the demo city in a fresh directory, or open the one that is there, and serve
it on loopback until interrupted. When it is ready, standard output says

  ready ISSUER DEMO_JSON

DEMO_JSON is a file with the credentials of the demo's agencies. Addresses are fixed
when the city is made: give --listen… then, or not at all.`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", "signet-demo", "`DIRECTORY` of the city")
	f.StringVar(&o.Database, "database", "", "sqlite:PATH or an empty PostgreSQL database's `URL` (default sqlite:DATA/signet.db)")
	f.StringVar(&o.Addresses.HTTPS, "listen", "", "`HOST:PORT` of https (default 127.0.0.1:8443)")
	f.StringVar(&o.HTTP, "listen-http", "", "`HOST:PORT` of plain http (default 127.0.0.1:8080)")
	f.StringVar(&o.MTLS, "listen-mtls", "", "`HOST:PORT` of https with client certificates (default 127.0.0.1:8444)")
	f.StringVar(&o.Debug, "listen-debug", "", "`HOST:PORT` of metrics and profiles (default 127.0.0.1:9090)")
	f.BoolVar(&o.HTTPS, "https", false, "make the issuer the https address, for clients that carry the demo's root")
	f.BoolVar(&verbose, "verbose", false, "log every request on standard error")
	c.RunE = func(c *cobra.Command, _ []string) error {
		level := new(slog.LevelVar)
		if !verbose {
			level.Set(slog.LevelWarn)
		}
		return e.demo(c.Context(), o, level)
	}
	return c
}

func (e *env) demo(ctx context.Context, o city.DemoOptions, level *slog.LevelVar) error {
	start := time.Now()
	o.Progress = func(step string) { e.say("%s", step) }
	options := city.Options{Logger: obs.NewLogger(e.stderr, level, false), Metrics: obs.NewRegistry()}
	c, l, err := city.OpenDemo(ctx, options, o)
	if err != nil {
		return err
	}
	ready := func() error {
		d, err := city.WriteDemo(o.Where)
		if err != nil {
			return err
		}
		return e.write([]byte(welcome(c, d, o.Where, time.Since(start))))
	}
	return errors.Join(c.Serve(ctx, l, city.ServeOptions{Level: level, Ready: ready}), c.Close())
}

// welcome says what there is to open and who can sign in.
func welcome(c *city.City, d city.Demo, w city.Where, took time.Duration) string {
	s := fmt.Sprintf("ready %s %s\n\nThe city of Jiangcheng is open (%.1f s). Stop it with Ctrl-C; its data stay in %s.\n\n", c.Issuer, w.DemoFile(), took.Seconds(), w.Data)
	s += "Addresses\n"
	for _, row := range [][2]string{
		{"/.well-known/oauth-authorization-server", "where tokens come from"},
		{"/trust/bundle", "the trust bundle that verifiers carry"},
		{"/status/snapshot", "the status snapshot"},
		{"/log/checkpoint", "the audit log's newest checkpoint"},
		{"/ca/city/ca.crt", "the city issuing CA"},
		{"/readyz", "whether all is well"},
	} {
		s += fmt.Sprintf("  %s%-42s %s\n", c.Issuer, row[0], row[1])
	}
	s += "\nPrograms that get tokens (client id; the secrets are in demo.json)\n"
	for _, a := range d.Agencies {
		s += fmt.Sprintf("  %-20s %s, issues %v\n", a.Client, a.Name, a.Types)
	}
	s += fmt.Sprintf("  %-20s the operator's command line\n", d.Operator.ID)
	s += fmt.Sprintf("\nTry, in another terminal\n  signet license issue --help\n  signet keys list --demo %s\n  signet tour\n", w.DemoFile())
	return s
}
