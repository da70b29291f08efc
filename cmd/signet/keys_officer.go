package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/internal/keys"
)

// newKeysCalendar returns the command keys calendar.
func newKeysCalendar(e *env, f *apiFlags) *cobra.Command {
	var within time.Duration
	c := &cobra.Command{
		Use:   "calendar",
		Short: "Show what becomes of every key, and when",
		Long: `Show the next steps of every key in the order of their times. "schedule" does by
itself what is automatic; the rest waits for officers.`,
		Args: cobra.NoArgs,
	}
	c.Flags().DurationVar(&within, "within", 0, "only what is due within this `DURATION`, such as 720h")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeKeys)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: "/security/v1/calendar"})
		if err != nil {
			return err
		}
		var view struct {
			Steps []struct {
				Key       string    `json:"key"`
				Purpose   string    `json:"purpose"`
				Owner     string    `json:"owner"`
				Step      string    `json:"step"`
				At        time.Time `json:"at"`
				Automatic bool      `json:"automatic"`
			} `json:"steps"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, s := range view.Steps {
				who := "officers"
				if s.Automatic {
					who = "schedule"
				}
				if within == 0 || time.Until(s.At) <= within {
					rows = append(rows, []string{stamp(s.At), s.Step, s.Purpose, s.Owner, who, s.Key})
				}
			}
			table(w, []string{"WHEN", "STEP", "PURPOSE", "OWNER", "WHO", "KEY"}, rows)
		})
	}
	return c
}

// newKeysHalt returns the command keys pause or keys resume.
func newKeysHalt(e *env, f *apiFlags, verb, short, long string) *cobra.Command {
	var reason string
	c := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1)}
	if long != "" {
		c.Long = short + ".\n" + long
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the audit log")
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(fmt.Errorf("keys %s needs --reason", verb))
		}
		return f.postKey(c, e, "/security/v1/keys/"+url.PathEscape(args[0])+"/"+verb, map[string]string{"reason": reason})
	}
	return c
}

// newKeysCompromise returns the command keys compromise.
func newKeysCompromise(e *env, f *apiFlags) *cobra.Command {
	var reason, since string
	c := &cobra.Command{
		Use:   "compromise ID",
		Short: "Mark a key stolen since a time, replace it, and publish what says so",
		Long: `Mark a key stolen since a time. It never signs again; the next key takes its place;
its certificate is revoked; CRLs, bundle and head are published. Of a permit key, the
permits that the audit log knows from before that time stay good: the file of them is
published beside the bundle. The command may be repeated.`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&since, "since", "", "`TIME` of the theft at the latest, RFC 3339: what was signed before is still believed")
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the audit log")
	_ = c.MarkFlagRequired("since")
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(fmt.Errorf("keys compromise needs --reason"))
		}
		at, err := time.Parse(time.RFC3339, since)
		if err != nil {
			return usage(withHint(fmt.Errorf("--since is no time"), "want RFC 3339, such as 2026-11-28T09:00:00+08:00"))
		}
		return f.postKey(c, e, "/security/v1/keys/"+url.PathEscape(args[0])+"/compromise", map[string]any{"since": at, "reason": reason})
	}
	return c
}

// newKeysRewrap returns the command keys rewrap.
func newKeysRewrap(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "rewrap",
		Short: "Put the next key-encryption key in the place of the one in use",
		Long: `Seal every key and secret under the next key-encryption key: FILE.next beside the
one in use, made by keys kek and brought to every replica beforehand. Afterwards
replace FILE by FILE.next on each of them.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, err := f.connect(e, scopeKeys)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "POST", path: "/security/v1/keys/rewrap"})
			if err != nil {
				return err
			}
			return e.show(answer{b, f.json}, &struct{}{}, func(w io.Writer) { list(w, "keyring", "rewrapped") })
		},
	}
}

// newKeysKEK returns the command keys kek.
func newKeysKEK(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "kek FILE",
		Short: "Make a key-encryption key in a new file that its owner alone can read",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if _, err := keys.NewKEK(args[0]); err != nil {
				return err
			}
			return e.write(fmt.Appendf(nil, "kek: %s\n", args[0]))
		},
	}
}
