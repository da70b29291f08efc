package main

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// maxKeySet bounds the file of a client's keys; the service takes 64 kB.
const maxKeySet = 64 << 10

// clientView is a client as the API shows it.
type clientView struct {
	ID        string    `json:"id,omitzero"`
	Name      string    `json:"name"`
	Agency    string    `json:"agency,omitzero"`
	Scopes    []string  `json:"scopes"`
	Profile   string    `json:"profile"`
	Redirects []string  `json:"redirect_uris,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	Disabled  time.Time `json:"disabled,omitzero"`

	Auth        string         `json:"token_endpoint_auth_method,omitzero"`
	JWKS        jsontext.Value `json:"jwks,omitzero"`
	JWKSURI     string         `json:"jwks_uri,omitzero"`
	DPoP        bool           `json:"dpop_bound_access_tokens,omitzero"`
	IDTokenAlg  string         `json:"id_token_signed_response_alg,omitzero"`
	IDTokenKey  string         `json:"id_token_encrypted_response_alg,omitzero"`
	IDTokenEnc  string         `json:"id_token_encrypted_response_enc,omitzero"`
	UserinfoKey string         `json:"userinfo_encrypted_response_alg,omitzero"`
	UserinfoEnc string         `json:"userinfo_encrypted_response_enc,omitzero"`
	DefaultACR  string         `json:"default_acr,omitzero"`
	Sector      string         `json:"sector_identifier,omitzero"`
	Contacts    []string       `json:"contacts,omitempty"`
	Logouts     []string       `json:"post_logout_redirect_uris,omitempty"`
	Backchannel string         `json:"backchannel_logout_uri,omitzero"`
	Session     bool           `json:"backchannel_logout_session_required,omitzero"`
}

// clientFlags are the flags of what may be changed later, and v what they are set to.
type clientFlags struct {
	v    clientView
	jwks string // a file
	set  *pflag.FlagSet
}

func newClientFlags(set *pflag.FlagSet) *clientFlags {
	f := &clientFlags{set: set}
	v := &f.v
	set.StringVar(&v.Name, "name", "", "`NAME` for people")
	set.StringArrayVar(&v.Scopes, "scope", nil, "`SCOPE` that it may ask for; again for more")
	set.StringArrayVar(&v.Redirects, "redirect-uri", nil, "`URL` that people come back to; again for more")
	set.StringVar(&f.jwks, "jwks", "", "`FILE` with its public keys, a JWK Set")
	set.StringVar(&v.JWKSURI, "jwks-uri", "", "https `URL` of its public keys, instead of --jwks")
	set.BoolVar(&v.DPoP, "dpop", false, "bind its tokens to a key (RFC 9449); always so for fapi2")
	set.StringVar(&v.IDTokenAlg, "id-token-alg", "", "`ALG` that its ID tokens are signed with (default ES256)")
	set.StringVar(&v.IDTokenKey, "id-token-encryption", "", "`ALG` by which its ID tokens are encrypted: ECDH-ES+A128KW, ECDH-ES+A256KW or RSA-OAEP-256")
	set.StringVar(&v.IDTokenEnc, "id-token-encryption-enc", "", "`ENC` of that: A128GCM or A256GCM (default A256GCM)")
	set.StringVar(&v.UserinfoKey, "userinfo-encryption", "", "`ALG` by which userinfo is encrypted")
	set.StringVar(&v.UserinfoEnc, "userinfo-encryption-enc", "", "`ENC` of that")
	set.StringVar(&v.DefaultACR, "default-acr", "", "`LEVEL` asked for when a request names none")
	set.StringArrayVar(&v.Contacts, "contact", nil, "mail `ADDRESS` of those who run it; again for more")
	set.StringArrayVar(&v.Logouts, "post-logout-redirect-uri", nil, "`URL` that people may be sent to after signing out; again for more")
	set.StringVar(&v.Backchannel, "backchannel-logout-uri", "", "`URL` that is told when a session ends")
	set.BoolVar(&v.Session, "backchannel-logout-session-required", false, "name the session when telling")
	return f
}

// apply puts what was given on the command line into a client.
func (f *clientFlags) apply(to *clientView) error {
	v := f.v
	for name, put := range map[string]func(){
		"name": func() { to.Name = v.Name }, "scope": func() { to.Scopes = v.Scopes }, "redirect-uri": func() { to.Redirects = kept(v.Redirects) },
		"jwks-uri": func() { to.JWKSURI, to.JWKS = v.JWKSURI, nil }, "dpop": func() { to.DPoP = v.DPoP },
		"id-token-alg":        func() { to.IDTokenAlg = v.IDTokenAlg },
		"id-token-encryption": func() { to.IDTokenKey, to.IDTokenEnc = v.IDTokenKey, v.IDTokenEnc }, "id-token-encryption-enc": func() { to.IDTokenEnc = v.IDTokenEnc },
		"userinfo-encryption": func() { to.UserinfoKey, to.UserinfoEnc = v.UserinfoKey, v.UserinfoEnc }, "userinfo-encryption-enc": func() { to.UserinfoEnc = v.UserinfoEnc },
		"default-acr": func() { to.DefaultACR = v.DefaultACR }, "contact": func() { to.Contacts = kept(v.Contacts) },
		"post-logout-redirect-uri": func() { to.Logouts = kept(v.Logouts) }, "backchannel-logout-uri": func() { to.Backchannel = v.Backchannel },
		"backchannel-logout-session-required": func() { to.Session = v.Session },
	} {
		if f.set.Changed(name) {
			put()
		}
	}
	if !f.set.Changed("jwks") {
		return nil
	}
	b, err := readKeySet(f.jwks)
	if err != nil {
		return err
	}
	to.JWKS = b
	if !f.set.Changed("jwks-uri") {
		to.JWKSURI = ""
	}
	return nil
}

// kept drops the empty text by which a list is emptied.
func kept(list []string) []string {
	if len(list) == 1 && list[0] == "" {
		return nil
	}
	return list
}

// readKeySet reads a file of public keys. A private one does not leave this machine.
func readKeySet(path string) (jsontext.Value, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	defer func() { _ = file.Close() }()
	b, err := io.ReadAll(io.LimitReader(file, maxKeySet+1))
	if err != nil {
		return nil, fmt.Errorf("read key set: %w", err)
	}
	var set struct {
		Keys []map[string]jsontext.Value `json:"keys"`
	}
	if len(b) > maxKeySet || json.Unmarshal(b, &set) != nil || len(set.Keys) == 0 {
		return nil, fmt.Errorf("read key set: %s is no JWK Set of at most 64 kB", path)
	}
	for _, k := range set.Keys {
		if _, ok := k["d"]; ok {
			return nil, withHint(errors.New("read key set: a key in it is private"), "give the public halves alone: the members d, p, q, dp, dq and qi stay with the client")
		}
	}
	return b, nil
}

// newClientShow returns the command client show.
func newClientShow(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{Use: "show ID", Short: "Show what is known of a client", Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		a, err := f.connect(e, scopeClients)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: clientPath(args[0])})
		if err != nil {
			return err
		}
		return f.showClient(e, b)
	}}
}

// newClientUpdate returns the command client update.
func newClientUpdate(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{Use: "update ID", Short: "Change what is known of a client; what is not named stays", Args: cobra.ExactArgs(1)}
	flags := newClientFlags(c.Flags())
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := f.connect(e, scopeClients)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: clientPath(args[0])})
		if err != nil {
			return err
		}
		var v clientView
		if err := json.Unmarshal(b, &v); err != nil {
			return errors.New("read answer: it is not the JSON that was expected")
		}
		if err := flags.apply(&v); err != nil {
			return err
		}
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if b, err = a.call(c.Context(), request{method: "PUT", path: clientPath(args[0]), body: body}); err != nil {
			return err
		}
		return f.showClient(e, b)
	}
	return c
}

func clientPath(id string) string { return "/oidc/v1/clients/" + url.PathEscape(id) }

func (f *apiFlags) showClient(e *env, b []byte) error {
	var v clientView
	return e.show(answer{b, f.json}, &v, func(w io.Writer) {
		list(w, "id", v.ID, "name", v.Name, "agency", v.Agency, "profile", v.Profile, "scopes", strings.Join(v.Scopes, " "),
			"redirect_uris", strings.Join(v.Redirects, " "), "authentication", v.Auth, "keys", keysInWords(v), "dpop", fmt.Sprint(v.DPoP),
			"id_token", strings.TrimSpace(v.IDTokenAlg+" "+v.IDTokenKey+" "+v.IDTokenEnc), "userinfo", strings.TrimSpace(v.UserinfoKey+" "+v.UserinfoEnc),
			"default_acr", v.DefaultACR, "sector", v.Sector, "contacts", strings.Join(v.Contacts, " "),
			"post_logout_redirect_uris", strings.Join(v.Logouts, " "), "backchannel_logout_uri", v.Backchannel,
			"created", stamp(v.Created), "disabled", stamp(v.Disabled))
	})
}

// keysInWords says where a client's keys are.
func keysInWords(v clientView) string {
	var set struct {
		Keys []struct {
			ID string `json:"kid"`
		} `json:"keys"`
	}
	if v.JWKSURI != "" {
		return v.JWKSURI
	}
	if json.Unmarshal(v.JWKS, &set) != nil {
		return ""
	}
	var ids []string
	for _, k := range set.Keys {
		ids = append(ids, k.ID)
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", len(ids), strings.Join(ids, " ")))
}
