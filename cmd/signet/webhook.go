package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// webhookAreas are what one may hear about, with the scope that it takes.
var webhookAreas = map[string]struct{ base, scope string }{
	"licenses": {"/licenses/v1", "licenses"},
	"ca":       {"/ca/v1", scopeCA},
}

// webhookFlags say about what to hear.
type webhookFlags struct {
	apiFlags
	area string
}

// open returns the API and the base of the area's addresses.
func (f *webhookFlags) open(e *env) (*api, string, error) {
	area, ok := webhookAreas[f.area]
	if !ok {
		return nil, "", usage(errors.New("--area is licenses or ca"))
	}
	f.asAgency = f.agency != "" // without one, the operator's client hears of every agency
	a, err := f.connect(e, area.scope)
	return a, area.base, err
}

// newWebhook returns the command group webhook.
func newWebhook(e *env) *cobra.Command {
	f := &webhookFlags{apiFlags: apiFlags{asAgency: true}}
	c := group("webhook", "Let other systems hear of what happens",
		newWebhookList(e, f), newWebhookAdd(e, f), newWebhookRemove(e, f), newWebhookAct(e, f, "rotate", "Give a webhook a new secret; the one before signs too for a day"),
		newWebhookAct(e, f, "test", "Send a webhook a call that says nothing"), newWebhookEvents(e, f))
	f.register(c)
	c.PersistentFlags().StringVar(&f.area, "area", "licenses", "what to hear about: `AREA` licenses or ca")
	return c
}

// webhookView is a webhook as the API shows it.
type webhookView struct {
	ID     string   `json:"id"`
	URL    string   `json:"url"`
	Types  []string `json:"types"`
	State  string   `json:"state"`
	Reason string   `json:"reason"`
	Secret string   `json:"secret"`
}

func (v webhookView) list(w io.Writer) {
	list(w, "webhook", v.ID, "url", v.URL, "types", strings.Join(v.Types, " "), "state", v.State, "reason", v.Reason, "secret", v.Secret)
}

func newWebhookList(e *env, f *webhookFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List webhooks", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			a, base, err := f.open(e)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "GET", path: base + "/webhooks"})
			if err != nil {
				return err
			}
			var view struct {
				Webhooks []webhookView `json:"webhooks"`
			}
			return e.show(answer{b, f.json}, &view, func(w io.Writer) {
				var rows [][]string
				for _, v := range view.Webhooks {
					rows = append(rows, []string{v.ID, v.State, v.URL, strings.Join(v.Types, " ")})
				}
				table(w, []string{"WEBHOOK", "STATE", "URL", "TYPES"}, rows)
			})
		},
	}
}

func newWebhookAdd(e *env, f *webhookFlags) *cobra.Command {
	var types []string
	var key string
	c := &cobra.Command{
		Use: "add URL --type TYPE…", Short: "Add a webhook; its secret is shown this once", Args: cobra.ExactArgs(1),
		Long: `Add a webhook. What happens is sent to URL by POST, signed as docs/spec/webhooks.md
says, until it is answered with success. The secret is shown this once.`,
	}
	c.Flags().StringSliceVar(&types, "type", nil, "`TYPE` of what to hear of, such as license.issued; may be repeated")
	c.Flags().StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, args []string) error {
		body, err := json.Marshal(map[string]any{"url": args[0], "types": types})
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		a, base, err := f.open(e)
		if err != nil {
			return err
		}
		b, err := a.keyed(c.Context(), request{method: "POST", path: base + "/webhooks", body: body, key: key})
		if err != nil {
			return err
		}
		var v webhookView
		return e.show(answer{b, f.json}, &v, func(w io.Writer) { v.list(w) })
	}
	return c
}

func newWebhookRemove(e *env, f *webhookFlags) *cobra.Command {
	return &cobra.Command{
		Use: "remove ID", Short: "Remove a webhook", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, base, err := f.open(e)
			if err != nil {
				return err
			}
			_, err = a.call(c.Context(), request{method: "DELETE", path: base + "/webhooks/" + url.PathEscape(args[0])})
			return err
		},
	}
}

// newWebhookAct returns the command webhook rotate or webhook test.
func newWebhookAct(e *env, f *webhookFlags, verb, short string) *cobra.Command {
	var key string
	c := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&key, "idempotency-key", "", "`KEY` that an earlier run of this command told you")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, base, err := f.open(e)
		if err != nil {
			return err
		}
		b, err := a.keyed(c.Context(), request{method: "POST", path: base + "/webhooks/" + url.PathEscape(args[0]) + "/" + verb, key: key})
		if err != nil {
			return err
		}
		var v webhookView
		return e.show(answer{b, f.json}, &v, func(w io.Writer) { v.list(w) })
	}
	return c
}

// newWebhookEvents returns the command webhook events.
func newWebhookEvents(e *env, f *webhookFlags) *cobra.Command {
	var after int64
	var wait time.Duration
	c := &cobra.Command{
		Use: "events", Short: "Read what happened, from a place of the log on", Args: cobra.NoArgs,
		Long: `Read what happened, from a place of the log on. The last line says after which place
to go on: whoever does misses nothing and sees nothing twice.`,
	}
	c.Flags().Int64Var(&after, "after", -1, "begin after this `PLACE`; -1 is the beginning")
	c.Flags().DurationVar(&wait, "wait", 0, "wait up to this `DURATION` for something to happen, at most 30s")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, base, err := f.open(e)
		if err != nil {
			return err
		}
		q := url.Values{"after": {strconv.FormatInt(after, 10)}, "wait": {strconv.FormatInt(int64(wait/time.Second), 10)}}
		b, err := a.call(c.Context(), request{method: "GET", path: base + "/events?" + q.Encode()})
		if err != nil {
			return err
		}
		var view struct {
			Events []struct {
				Seq  int64          `json:"seq"`
				Type string         `json:"type"`
				At   time.Time      `json:"at"`
				Data map[string]any `json:"data"`
			} `json:"events"`
			Next int64 `json:"next"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, v := range view.Events {
				about, err := json.Marshal(v.Data, json.Deterministic(true))
				if err != nil {
					about = []byte(err.Error())
				}
				rows = append(rows, []string{strconv.FormatInt(v.Seq, 10), stamp(v.At), v.Type, string(about)})
			}
			table(w, []string{"PLACE", "TIME", "TYPE", "ABOUT"}, rows)
			list(w, "next", strconv.FormatInt(view.Next, 10))
		})
	}
	return c
}
