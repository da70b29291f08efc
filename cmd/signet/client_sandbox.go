package main

import (
	"bytes"
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const sandboxPath = "/oidc/sandbox/clients"

// sandboxRequest is what the service is asked for.
type sandboxRequest struct {
	Name        string         `json:"name"`
	Profile     string         `json:"profile"`
	Redirects   []string       `json:"redirect_uris"`
	JWKS        jsontext.Value `json:"jwks,omitzero"`
	Logouts     []string       `json:"post_logout_redirect_uris,omitempty"`
	Backchannel string         `json:"backchannel_logout_uri,omitzero"`
}

// sandboxFile is the file of --out: all that a program needs to sign people in.
type sandboxFile struct {
	Issuer   string         `json:"issuer"`
	ID       string         `json:"client_id"`
	Secret   string         `json:"client_secret,omitzero"` // profile basic
	Private  jsontext.Value `json:"private_jwk,omitzero"`   // profile fapi2
	Redirect string         `json:"redirect_uri"`
	Profile  string         `json:"profile"`
	Expires  time.Time      `json:"expires"`
}

// newClientSandbox returns the command client sandbox.
func newClientSandbox(e *env, f *apiFlags) *cobra.Command {
	s, out := sandboxRequest{}, ""
	c := &cobra.Command{
		Use:   "sandbox",
		Short: "Make a client to try a sign-in with: it needs no credentials and nobody's approval",
		Long: "Make a client of the city's sandbox. Invented people sign in at it and nobody else; it runs on this machine and ends after 30 days. For the profile\n" +
			"fapi2 a key is made here, and only its public half leaves this machine. What the program needs goes into a file that only its owner reads.",
		Args: cobra.NoArgs,
	}
	set := c.Flags()
	set.StringVar(&s.Name, "name", "My first client", "`NAME` that the page of test personas shows")
	set.StringVar(&s.Profile, "profile", "fapi2", "`PROFILE`: fapi2 or basic")
	set.StringArrayVar(&s.Redirects, "redirect", nil, "`URL` that people come back to, http on localhost or 127.0.0.1; again for more")
	set.StringArrayVar(&s.Logouts, "post-logout-redirect", nil, "`URL` that people may be sent to after signing out; again for more")
	set.StringVar(&s.Backchannel, "backchannel-logout", "", "`URL` that is told when a session ends")
	set.StringVar(&out, "out", "client.json", "new `FILE` for what the program needs, its secret or private key among it")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(s.Redirects) == 0 {
			return usage(withHint(errors.New("client sandbox needs --redirect"), "the address at which your program takes the answer, such as http://127.0.0.1:8000/callback"))
		}
		if s.Profile != "fapi2" && s.Profile != "basic" {
			return usage(errors.New("--profile is fapi2 or basic"))
		}
		a, err := f.stranger(e)
		if err != nil {
			return err
		}
		return f.addSandbox(c.Context(), e, a, s, out)
	}
	return c
}

// stranger returns the API for whoever has no credentials.
func (f *apiFlags) stranger(e *env) (*api, error) {
	if f.demo != "" {
		return f.connect(e, "")
	}
	a := account{server: f.server}
	if a.server == "" {
		a.server = e.get(envServer)
	}
	if a.server == "" {
		return nil, usage(withHint(errors.New("no server was named"), "give --server or set $%s; for a demo city, --demo DIR/demo.json", envServer))
	}
	a, err := f.checked(e, a, f.caFile)
	if err != nil {
		return nil, err
	}
	return newAPI(a, ""), nil
}

// addSandbox makes the client. Its file is made first, so that what is shown once is kept.
func (f *apiFlags) addSandbox(ctx context.Context, e *env, a *api, s sandboxRequest, out string) (err error) {
	file, err := os.OpenFile(out, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("make client file: %s is there already", out), "name another with --out, or take that one away: its client works until it ends")
	}
	if err != nil {
		return fmt.Errorf("make client file: %w", err)
	}
	defer func() {
		if err = errors.Join(err, file.Close()); err != nil {
			_ = os.Remove(out)
		}
	}()
	made := sandboxFile{Redirect: s.Redirects[0]}
	if s.Profile == "fapi2" {
		private, public, err := newClientKey()
		if err != nil {
			return err
		}
		made.Private, s.JWKS = private, public
	}
	answered, err := a.sandbox(ctx, s)
	if err != nil {
		return err
	}
	made.Issuer, made.ID, made.Secret, made.Profile, made.Expires = answered.Issuer, answered.ID, answered.Secret, answered.Profile, answered.Expires
	if err := json.MarshalWrite(file, made, jsontext.WithIndent("  ")); err != nil {
		return fmt.Errorf("write client file: %w", err)
	}
	made.Secret, made.Private = "", nil
	if f.json {
		return e.writeJSON(made)
	}
	var b bytes.Buffer
	list(&b, "client_id", made.ID, "profile", made.Profile, "redirect_uri", made.Redirect, "expires", stamp(made.Expires), "file", out)
	if err := e.write(b.Bytes()); err != nil {
		return err
	}
	e.say("next: your program reads %s, sends the browser to %s and takes the answer at %s; docs/relying-party.md has programs to begin with", out, made.Issuer, made.Redirect)
	return nil
}

// sandbox asks for a client, without a token.
func (a *api) sandbox(ctx context.Context, s sandboxRequest) (made sandboxFile, err error) {
	b, err := json.Marshal(s)
	if err != nil {
		return made, fmt.Errorf("make request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server+sandboxPath, strings.NewReader(string(b)))
	if err != nil {
		return made, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.do(req)
	if refused, ok := errors.AsType[*apiError](err); ok && refused.status == http.StatusNotFound {
		return made, withHint(errors.New("this city has no sandbox"), "its operator sets sandbox.enabled, or try a demo city: signet demo")
	}
	if err != nil {
		return made, err
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err = io.ReadAll(io.LimitReader(resp.Body, maxMetadata)); err != nil {
		return made, fmt.Errorf("read answer: %w", err)
	}
	if json.Unmarshal(b, &made) != nil || made.ID == "" {
		return made, errors.New("read answer: it is not the JSON that was expected")
	}
	if made.Issuer != a.server {
		return made, withHint(fmt.Errorf("the server calls itself %q", made.Issuer), "give --server exactly as the city's issuer is written")
	}
	return made, nil
}
