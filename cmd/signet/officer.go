package main

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/approval"
)

// officerFlags say which city an officer speaks to, and with which key.
type officerFlags struct {
	server, caFile, demo, officer, keyFile string
	json                                   bool
}

func (f *officerFlags) register(c *cobra.Command) {
	p := c.PersistentFlags()
	p.StringVar(&f.server, "server", "", "the city's issuer, `URL` (default $"+envServer+")")
	p.StringVar(&f.caFile, "ca-file", "", "PEM `FILE` of the root that the server's certificate leads to (default the system's)")
	p.StringVar(&f.keyFile, "officer-key", "", "PEM `FILE` of the officer's approval key, readable by its owner alone")
	p.StringVar(&f.demo, "demo", "", "demo.json `FILE` of a demo city, for server and key at once")
	p.StringVar(&f.officer, "officer", "", "with --demo, the `USERNAME` of the officer to act as")
	p.BoolVar(&f.json, "json", false, "print JSON")
}

// officer calls the officers' API and signs every call.
type officer struct {
	server string
	key    crypto.Signer
	http   *http.Client
}

// connect returns the API as the flags say. It sends nothing yet.
func (f *officerFlags) connect(e *env) (*officer, error) {
	if f.demo != "" {
		return f.demoOfficer()
	}
	o := &officer{server: f.server}
	if o.server == "" {
		o.server = e.get(envServer)
	}
	if o.server == "" || f.keyFile == "" {
		return nil, usage(withHint(errors.New("no server or no officer's key was named"), "give --server and --officer-key; for a demo city, --demo DIR/demo.json and --officer USERNAME"))
	}
	checked, err := (&apiFlags{}).checked(e, account{server: o.server}, f.caFile)
	if err != nil {
		return nil, err
	}
	o.server = checked.server
	o.http = plainClient(checked)
	o.key, err = readOfficerKey(f.keyFile)
	return o, err
}

// plainClient speaks to one server, without a token.
func plainClient(a account) *http.Client {
	return &http.Client{Timeout: callTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: a.roots}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (f *officerFlags) demoOfficer() (*officer, error) {
	var demo city.Demo
	if err := readSecret(f.demo, maxDemo, &demo); err != nil {
		return nil, fmt.Errorf("read demo city: %w", err)
	}
	for _, u := range demo.Officers {
		if u.Username != f.officer || u.ApprovalKey == "" {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(u.ApprovalKey)
		if err != nil {
			return nil, fmt.Errorf("read demo city: %w", err)
		}
		key, err := parseOfficerKey(der)
		return &officer{server: demo.Issuer, key: key, http: plainClient(account{})}, err
	}
	return nil, usage(withHint(fmt.Errorf("the demo city has no officer %q with a key", f.officer), "see officers in demo.json"))
}

// readOfficerKey reads a private key that nobody else can read.
func readOfficerKey(path string) (crypto.Signer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read officer's key: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 || info.Size() > maxCredentials {
		return nil, withHint(fmt.Errorf("read officer's key: %s can be read by others", path), "chmod 400 it; and if others could read it until now, replace it")
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read officer's key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("read officer's key: %s holds no PKCS#8 key in PEM", path)
	}
	return parseOfficerKey(block.Bytes)
}

func parseOfficerKey(der []byte) (crypto.Signer, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("read officer's key: not PKCS#8")
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("read officer's key: no EC key")
	}
	return key, nil
}

// call signs a call and returns the body of its answer.
func (o *officer) call(ctx context.Context, method, path, key string, v any) ([]byte, error) {
	var body []byte
	if v != nil {
		var err error
		if body, err = json.Marshal(v); err != nil {
			return nil, fmt.Errorf("make request: %w", err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, o.server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	if v != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set(headerKey, key)
	}
	req.Header.Set("User-Agent", "signet")
	if err := approval.SignCall(req, body, o.server, o.key, time.Now()); err != nil {
		return nil, err
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call server: %w", reachable(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(resp)
	}
	return readBody(resp, maxAnswer)
}

// newApprovalHalt returns the command approval pause or approval resume.
func newApprovalHalt(e *env, f *officerFlags, verb, short string) *cobra.Command {
	var reason string
	c := &cobra.Command{Use: verb + " KEY", Short: short, Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the audit log")
	_ = c.MarkFlagRequired("reason")
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "POST", "/security/v1/officers/keys/"+url.PathEscape(args[0])+"/"+verb, "", map[string]string{"reason": reason})
		if err != nil {
			return err
		}
		var view struct {
			Key    string `json:"key"`
			Paused bool   `json:"paused"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) { list(w, "key", view.Key, "paused", fmt.Sprint(view.Paused)) })
	}
	return c
}
