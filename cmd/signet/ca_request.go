package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const pathRequests = "/ca/v1/requests"

// requestPoll is how often --wait looks.
const requestPoll = 2 * time.Second

// caRequestView is a request that waits for an officer, as the API shows it.
type caRequestView struct {
	ID        string    `json:"id"`
	State     string    `json:"state"`
	Profile   string    `json:"profile"`
	Agency    string    `json:"agency"`
	Firm      string    `json:"firm"`
	Person    string    `json:"person"`
	Issuer    string    `json:"issuer"`
	Name      string    `json:"name"`
	Hosts     []string  `json:"hosts"`
	Key       string    `json:"key_sha256"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Requester string    `json:"requester"`
	Decider   string    `json:"decider"`
	Reason    string    `json:"reason"`
	Note      string    `json:"note"`
	Serial    string    `json:"serial"`
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`
	Decided   time.Time `json:"decided"`
}

// caller makes one call: a client's with its token, or an officer's with a signature.
type caller interface {
	ask(ctx context.Context, method, path string) ([]byte, error)
}

func (a *api) ask(ctx context.Context, method, path string) ([]byte, error) {
	return a.call(ctx, request{method: method, path: path})
}

func (o *officer) ask(ctx context.Context, method, path string) ([]byte, error) {
	return o.call(ctx, method, path, "", nil)
}

// eitherFlags are an operator's, or with --officer or --officer-key an officer's.
type eitherFlags struct {
	api *apiFlags

	officer, keyFile string
}

func (f *eitherFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.keyFile, "officer-key", "", "call as an officer: PEM `FILE` of the approval key")
	c.Flags().StringVar(&f.officer, "officer", "", "with --demo, call as the officer with this `USERNAME`")
}

func (f *eitherFlags) officerFlags() *officerFlags {
	return &officerFlags{server: f.api.server, caFile: f.api.caFile, demo: f.api.demo, officer: f.officer, keyFile: f.keyFile, json: f.api.json}
}

func (f *eitherFlags) connect(e *env) (caller, error) {
	if f.officer != "" || f.keyFile != "" {
		return f.officerFlags().connect(e)
	}
	return f.api.connect(e, scopeCA)
}

// newCARequest returns the command group ca request.
func newCARequest(e *env, f *apiFlags) *cobra.Command {
	return group("request", "Look after requests for certificates that an officer decides on", newCARequestList(e, f), newCARequestShow(e, f),
		newCARequestWithdraw(e, f), newCARequestDecide(e, f, "approve", "Approve a request: the certificate is issued"),
		newCARequestDecide(e, f, "reject", "Reject a request"))
}

func showCARequest(e *env, a answer) error {
	var v caRequestView
	return e.show(a, &v, func(w io.Writer) { v.print(w) })
}

func (v *caRequestView) print(w io.Writer) {
	list(w, "id", v.ID, "state", v.State, "profile", v.Profile, "agency", v.Agency, "firm", v.Firm, "person", v.Person, "issuer", v.Issuer, "name", v.Name,
		"hosts", strings.Join(v.Hosts, " "), "key_sha256", v.Key, "not_before", stamp(v.NotBefore), "not_after", stamp(v.NotAfter), "requester", v.Requester,
		"created", stamp(v.Created), "expires", stamp(v.Expires), "decider", v.Decider, "decided", stamp(v.Decided), "reason", v.Reason, "note", v.Note, "serial", v.Serial)
}

// newCARequestList returns the command ca request list.
func newCARequestList(e *env, f *apiFlags) *cobra.Command {
	var agency, state, before string
	either := &eitherFlags{api: f}
	c := &cobra.Command{Use: "list", Short: "List requests, the newest first, a hundred at a time", Args: cobra.NoArgs}
	c.Flags().StringVar(&agency, "agency", "", "only requests of the agency with this `ID`")
	c.Flags().StringVar(&state, "state", "", "only requests in this `STATE`: waiting, approved, issued, rejected, withdrawn, expired or failed")
	c.Flags().StringVar(&before, "before", "", "only requests made before the one with this `ID`")
	either.register(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := either.connect(e)
		if err != nil {
			return err
		}
		b, err := a.ask(c.Context(), "GET", pathRequests+"?"+url.Values{"agency": {agency}, "state": {state}, "before": {before}}.Encode())
		if err != nil {
			return err
		}
		var view struct {
			Requests []caRequestView `json:"requests"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, v := range view.Requests {
				rows = append(rows, []string{v.ID, v.State, v.Profile, v.Agency + v.Firm, stamp(v.Created), v.Requester})
			}
			table(w, []string{"ID", "STATE", "PROFILE", "OF", "CREATED", "REQUESTER"}, rows)
		})
	}
	return c
}

// newCARequestShow returns the command ca request show.
func newCARequestShow(e *env, f *apiFlags) *cobra.Command {
	either := &eitherFlags{api: f}
	c := &cobra.Command{Use: "show ID", Short: "Show one request", Args: cobra.ExactArgs(1)}
	either.register(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := either.connect(e)
		if err != nil {
			return err
		}
		b, err := a.ask(c.Context(), "GET", pathRequests+"/"+url.PathEscape(args[0]))
		if err != nil {
			return err
		}
		return showCARequest(e, answer{b, f.json})
	}
	return c
}

// newCARequestWithdraw returns the command ca request withdraw.
func newCARequestWithdraw(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "withdraw ID",
		Short: "Take back a request that waits",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeCA)
			if err != nil {
				return err
			}
			b, err := a.call(c.Context(), request{method: "POST", path: pathRequests + "/" + url.PathEscape(args[0]) + "/withdraw"})
			if err != nil {
				return err
			}
			return showCARequest(e, answer{b, f.json})
		},
	}
}

// newCARequestDecide returns the command ca request approve or reject. The request's
// id and the verb make the idempotency key: a decision is made once.
func newCARequestDecide(e *env, f *apiFlags, verb, short string) *cobra.Command {
	var reason string
	either := &eitherFlags{api: f}
	c := &cobra.Command{Use: verb + " ID --reason TEXT", Short: short, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for whoever asked and the audit log; it names nobody")
	either.register(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		if reason == "" {
			return usage(errors.New("ca request " + verb + " needs --reason"))
		}
		o, err := either.officerFlags().connect(e)
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "POST", pathRequests+"/"+url.PathEscape(args[0])+"/"+verb, verb+":"+args[0], map[string]string{"reason": reason})
		if err != nil {
			return err
		}
		return showCARequest(e, answer{b, f.json})
	}
	return c
}

// awaitRequest looks at a request until it waits no more, and returns the answer
// about its certificate.
func (a *api) awaitRequest(ctx context.Context, e *env, v caRequestView) ([]byte, error) {
	if v.State == "waiting" {
		e.say("request %s waits for an officer", v.ID)
	}
	for v.State == "waiting" || v.State == "approved" {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(requestPoll):
		}
		b, err := a.call(ctx, request{method: "GET", path: pathRequests + "/" + url.PathEscape(v.ID)})
		if err != nil {
			return nil, err
		}
		if err := decode(b, &v); err != nil {
			return nil, err
		}
	}
	if v.State != "issued" {
		return nil, fmt.Errorf("request %s is %s: %s%s", v.ID, v.State, visible(v.Reason), visible(v.Note))
	}
	return a.call(ctx, request{method: "GET", path: pathCertificates + "/" + url.PathEscape(v.Serial)})
}
