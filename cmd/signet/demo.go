package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/oidc/login"
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

DEMO_JSON is a file with the credentials of everybody in the demo. Addresses are
fixed when the city is made: give --listen… then, or not at all.`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.StringVar(&o.Data, "data", "signet-demo", "`DIRECTORY` of the city")
	f.StringVar(&o.Database, "database", "", "sqlite:PATH or an empty PostgreSQL database's `URL` (default sqlite:DATA/signet.db)")
	f.StringVar(&o.Addresses.HTTPS, "listen", "", "`HOST:PORT` of https (default 127.0.0.1:8443)")
	f.StringVar(&o.HTTP, "listen-http", "", "`HOST:PORT` of plain http (default 127.0.0.1:8080)")
	f.StringVar(&o.MTLS, "listen-mtls", "", "`HOST:PORT` of https with client certificates (default 127.0.0.1:8444)")
	f.StringVar(&o.Debug, "listen-debug", "", "`HOST:PORT` of metrics and profiles (default 127.0.0.1:9090)")
	f.StringSliceVar(&o.Apps, "listen-apps", nil, "`HOST:PORT,HOST:PORT` of the demo's two relying parties (default 127.0.0.1:8081,127.0.0.1:8082, or free ports)")
	f.BoolVar(&o.HTTPS, "https", false, "make the issuer the https address, for clients that carry the demo's root")
	f.BoolVar(&verbose, "verbose", false, "log every request on standard error")
	c.AddCommand(newDemoOTP(e))
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
	s += "Open in a browser\n"
	for _, row := range [][2]string{
		{"/", "the city's home page"},
		{"/account", "sign in, add a passkey, choose whom you act for"},
		{"/wallet", "a citizen's or a firm's permits, shown as QR codes"},
		{"/desk", "the licence desk, for clerks"},
		{"/verify/", "check a permit with the camera, a file or its text; works offline after one visit"},
	} {
		s += fmt.Sprintf("  %s%-12s %s\n", c.Issuer, row[0], row[1])
	}
	for _, site := range d.Clients {
		s += fmt.Sprintf("  %s/%*s %s\n", site.URL, len(c.Issuer)+11-len(site.URL), "", site.Name)
	}
	s += "\nWho can sign in (a code works once: signet demo otp prints the next)\n"
	for _, u := range d.Citizens {
		s += fmt.Sprintf("  %-14s %s  citizen  %s\n", u.Username, u.Password, u.Name)
	}
	for _, u := range d.Clerks {
		s += fmt.Sprintf("  %-14s %s  clerk at %s  %s\n", u.Username, u.Password, u.Agency, u.Name)
	}
	for _, f := range d.Firms {
		s += fmt.Sprintf("  for %s act %s  %s\n", f.USCC, strings.Join(f.Delegates, ", "), f.Name)
	}
	s += "\nPrograms: the agencies' clients and the operator's are in demo.json\n"
	s += fmt.Sprintf("\nTry, in another terminal\n  signet demo otp %s --data %s\n  signet license issue --help\n  signet keys list --demo %s\n  signet tour\n",
		d.Citizens[0].Username, w.Data, w.DemoFile())
	return s
}

// newDemoOTP returns the command demo otp.
func newDemoOTP(e *env) *cobra.Command {
	var w city.Where
	var asJSON bool
	c := &cobra.Command{
		Use:   "otp USERNAME",
		Short: "Print the one-time code that an authenticator app of somebody in the demo shows now",
		Args:  cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&w.Data, "data", "signet-demo", "`DIRECTORY` of the city")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(_ *cobra.Command, args []string) error {
		var d city.Demo
		if err := readSecret(w.DemoFile(), maxDemo, &d); err != nil {
			return withHint(fmt.Errorf("read demo city: %w", err), "make one with signet demo, or name its directory with --data")
		}
		for _, u := range slices.Concat(d.Citizens, d.Clerks, d.Officers) {
			if u.Username != args[0] {
				continue
			}
			now := time.Now()
			code, err := login.Code(u.TOTP, now)
			if err != nil {
				return err
			}
			left := 30 - now.Unix()%30
			if asJSON {
				return e.writeJSON(map[string]any{"username": u.Username, "otp": code, "seconds": left})
			}
			return e.write(fmt.Appendf(nil, "%s (for another %d s)\n", code, left))
		}
		return withHint(fmt.Errorf("nobody in the demo has the username %q", args[0]), "see citizens, clerks and officers in %s", w.DemoFile())
	}
	return c
}
