package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

const scopeClients = "clients"

// newClient returns the command group client.
func newClient(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("client", "Manage the programs that may use the APIs", newClientList(e, f), newClientShow(e, f), newClientAdd(e, f), newClientUpdate(e, f), newClientDisable(e, f),
		newClientSandbox(e, f))
	f.register(c)
	return c
}

// newClientList returns the command client list.
func newClientList(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List clients", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeClients)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: "/oidc/v1/clients"})
		if err != nil {
			return err
		}
		var view struct {
			Clients []clientView `json:"clients"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, v := range view.Clients {
				rows = append(rows, []string{v.ID, v.Agency, strings.Join(v.Scopes, " "), v.Name, stamp(v.Disabled)})
			}
			table(w, []string{"ID", "AGENCY", "SCOPES", "NAME", "DISABLED"}, rows)
		})
	}
	return c
}

// newClientAdd returns the command client add.
func newClientAdd(e *env, f *apiFlags) *cobra.Command {
	var v clientView
	var out string
	c := &cobra.Command{
		Use:   "add",
		Short: "Add a client; its secret, if it has one, is shown this once",
		Long: "Add a client. A program that acts for itself has the profile service and a secret, or with --auth private_key_jwt a key. A site that signs people in\n" +
			"has the profile fapi2 and a key, or the profile basic and a secret, for older systems. Without --profile a client with --redirect-uri is of fapi2.",
		Args: cobra.NoArgs,
	}
	set := c.Flags()
	flags := newClientFlags(set)
	set.StringVar(&v.ID, "id", "", "client `ID` (default one is made)")
	set.StringVar(&v.Agency, "agency", "", "`ID` of the agency whose program it is (default none: the city's own)")
	set.StringVar(&v.Profile, "profile", "", "`PROFILE`: service, fapi2 or basic (default fapi2 with --redirect-uri, service without)")
	set.StringVar(&v.Auth, "auth", "", "how it proves itself: client_secret_basic or private_key_jwt (default private_key_jwt for fapi2)")
	set.StringVar(&v.Sector, "sector", "", "`HOST` that stands for the sites among which a person has one number (default the agency's)")
	set.StringVar(&out, "out", "", "write the credentials to this new `FILE`, for --credentials, and not to standard output")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := flags.apply(&v); err != nil {
			return err
		}
		if v.Name == "" || len(v.Scopes) == 0 {
			return usage(errors.New("client add needs --name and --scope"))
		}
		if v.Profile == "" {
			v.Profile = "service"
			if len(v.Redirects) > 0 {
				v.Profile = "fapi2"
			}
		}
		if out != "" && (v.Profile == "fapi2" || v.Auth == "private_key_jwt") {
			return usage(errors.New("a client that proves itself with a key has no secret for --out"))
		}
		return f.addClient(c, e, v, out)
	}
	return c
}

// addClient adds the client. The file for its secret is made first: a secret that
// cannot be kept is not asked for.
func (f *apiFlags) addClient(c *cobra.Command, e *env, v clientView, out string) (err error) {
	var file *os.File
	if out != "" {
		if file, err = os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("make credentials file: %w", err)
		}
		defer func() {
			err = errors.Join(err, file.Close())
			if err != nil {
				_ = os.Remove(out)
			}
		}()
	}
	a, err := f.connect(e, scopeClients)
	if err != nil {
		return err
	}
	b, err := a.post(c.Context(), "/oidc/v1/clients", v)
	if err != nil {
		return err
	}
	var added struct {
		clientView `json:",inline"`
		Secret     string `json:"client_secret,omitzero"`
	}
	if err := json.Unmarshal(b, &added); err != nil {
		return errors.New("read answer: it is not the JSON that was expected")
	}
	if file == nil {
		return e.show(answer{b, f.json}, &added, func(w io.Writer) {
			list(w, "client_id", added.ID, "client_secret", added.Secret)
		})
	}
	if err := json.MarshalWrite(file, credentials{added.ID, added.Secret}); err != nil {
		return withHint(fmt.Errorf("write credentials file: %w", err), "the secret is lost: signet client disable %s, and add another", added.ID)
	}
	if f.json {
		return e.writeJSON(added.clientView)
	}
	return e.write([]byte("client_id: " + visible(added.ID) + "\n"))
}

// newClientDisable returns the command client disable.
func newClientDisable(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "disable ID",
		Short: "End a client: it gets no more tokens and those it has stop working",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := f.connect(e, scopeClients)
			if err != nil {
				return err
			}
			if _, err := a.call(c.Context(), request{method: "POST", path: clientPath(args[0]) + "/disable"}); err != nil {
				return err
			}
			if f.json {
				return e.writeJSON(map[string]any{"id": args[0], "disabled": true})
			}
			return e.write([]byte("disabled: " + args[0] + "\n"))
		},
	}
}
