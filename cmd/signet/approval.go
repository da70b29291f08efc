package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json/jsontext"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
)

// newApproval returns the command group approval.
func newApproval(e *env) *cobra.Command {
	f := &officerFlags{}
	c := group("approval", "Ask for what takes two officers, and approve it",
		newApprovalRequest(e, f), newApprovalList(e, f), newApprovalShow(e, f), newApprovalApprove(e, f),
		newApprovalDecide(e, f, "reject", "Refuse a request"), newApprovalDecide(e, f, "withdraw", "Take one's own request back"),
		newApprovalOfficers(e, f), newApprovalCode(e, f),
		newApprovalHalt(e, f, "pause", "Keep a key from signing, at once and everywhere, on one officer's word"),
		newApprovalHalt(e, f, "resume", "Let a paused key sign again"))
	f.register(c)
	founding := &apiFlags{}
	found := newApprovalFound(e, founding)
	c.AddCommand(found, newApprovalEnroll(e, f), newApprovalKey(e), newGlass(e, f))
	return c
}

// requestShown is a request as the API shows it.
type requestShown struct {
	ID        string            `json:"id"`
	Kind      string            `json:"kind"`
	State     string            `json:"state"`
	Show      []shownLine       `json:"show"`
	Resolved  jsontext.Value    `json:"resolved"`
	Requester string            `json:"requester"`
	Reason    string            `json:"reason"`
	Expires   time.Time         `json:"expires"`
	Decider   string            `json:"decider"`
	Note      string            `json:"note"`
	People    map[string]string `json:"people"`
}

type shownLine struct {
	Label struct {
		EN string `json:"en"`
	} `json:"label"`
	Value  string `json:"value"`
	Person string `json:"person"`
}

// who names a person as far as the answer does.
func (r *requestShown) who(id string) string {
	if name := r.People[id]; name != "" {
		return name + " (" + id + ")"
	}
	return id
}

func (r *requestShown) print(w io.Writer) {
	list(w, "request", r.ID, "kind", r.Kind, "state", r.State, "requester", r.who(r.Requester), "reason", r.Reason,
		"expires", stamp(r.Expires), "decider", r.who(r.Decider), "note", r.Note)
	for _, one := range r.Show {
		value := one.Value
		if one.Person != "" {
			value = r.who(one.Person)
		}
		_, _ = fmt.Fprintf(w, "  %s: %s\n", visible(one.Label.EN), visible(value)) // w is in memory
	}
	if r.Resolved != nil {
		_, _ = fmt.Fprintf(w, "  %s\n", visible(string(r.Resolved)))
	}
}

func (o *officer) show(e *env, f *officerFlags, b []byte) error {
	var r requestShown
	return e.show(answer{b, f.json}, &r, r.print)
}

// newApprovalRequest returns the command approval request.
func newApprovalRequest(e *env, f *officerFlags) *cobra.Command {
	var reason string
	var params, files []string
	c := &cobra.Command{
		Use:   "request KIND",
		Short: "Ask for something that another officer approves",
		Long: `Ask for something that another officer approves, within a day. The kinds and their
parameters:

  key.rotate       purpose, owner
  key.compromise   key, since (RFC 3339)
  root.apply       response (a file)
  keyring.rewrap
  lookup.rotate
  log.export       from, to (-1 is the newest)
  officer.add, officer.remove, officer.enrol   person`,
		Example: "  signet approval request key.rotate --param purpose=ca --param owner=city --reason 'five years are over'",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the other officers and the audit log; it names nobody")
	c.Flags().StringArrayVar(&params, "param", nil, "`NAME=VALUE` of a parameter; a number, true or false is one")
	c.Flags().StringArrayVar(&files, "file", nil, "`NAME=FILE` of a parameter that is a file")
	_ = c.MarkFlagRequired("reason")
	c.RunE = func(c *cobra.Command, args []string) error {
		values, err := e.parameters(params, files)
		if err != nil {
			return err
		}
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "POST", "/security/v1/requests", db.NewID(), map[string]any{"kind": args[0], "params": values, "reason": reason})
		if err != nil {
			return err
		}
		return o.show(e, f, b)
	}
	return c
}

// parameters reads NAME=VALUE.
func (e *env) parameters(params, files []string) (map[string]any, error) {
	values := map[string]any{}
	for _, p := range params {
		name, value, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage(errors.New("--param wants NAME=VALUE"))
		}
		values[name] = value
		if k := jsontext.Value(value).Kind(); (k == '0' || k == 't' || k == 'f') && jsontext.Value(value).IsValid() {
			values[name] = jsontext.Value(value)
		}
	}
	for _, p := range files {
		name, path, ok := strings.Cut(p, "=")
		if !ok || name == "" {
			return nil, usage(errors.New("--file wants NAME=FILE"))
		}
		b, err := e.readFile(path, maxRootFile)
		if err != nil {
			return nil, err
		}
		values[name] = base64.StdEncoding.EncodeToString(b)
	}
	return values, nil
}

// newApprovalList returns the command approval list.
func newApprovalList(e *env, f *officerFlags) *cobra.Command {
	var state string
	c := &cobra.Command{Use: "list", Short: "List requests", Args: cobra.NoArgs}
	c.Flags().StringVar(&state, "state", "open", "only requests in this `STATE`: open, approved, done, failed, rejected, withdrawn or expired")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "GET", "/security/v1/requests?"+url.Values{"state": {state}}.Encode(), "", nil)
		if err != nil {
			return err
		}
		var view struct {
			Requests []requestShown `json:"requests"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, r := range view.Requests {
				rows = append(rows, []string{r.ID, r.Kind, r.State, r.who(r.Requester), stamp(r.Expires)})
			}
			table(w, []string{"ID", "KIND", "STATE", "REQUESTER", "EXPIRES"}, rows)
		})
	}
	return c
}

// newApprovalShow returns the command approval show.
func newApprovalShow(e *env, f *officerFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Show exactly what a request would do", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.connect(e)
			if err != nil {
				return err
			}
			b, err := o.call(c.Context(), "GET", "/security/v1/requests/"+url.PathEscape(args[0]), "", nil)
			if err != nil {
				return err
			}
			return o.show(e, f, b)
		},
	}
}

// newApprovalApprove returns the command approval approve.
func newApprovalApprove(e *env, f *officerFlags) *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "approve ID",
		Short: "Approve another officer's request with the key on this machine",
		Long: `Approve another officer's request. The statement that is signed is read on this
machine, and what it says is shown before: a page that lies cannot change it.`,
		Args: cobra.ExactArgs(1),
	}
	c.Flags().BoolVar(&yes, "yes", false, "approve without asking once more")
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		path := "/security/v1/requests/" + url.PathEscape(args[0])
		statement, err := o.call(c.Context(), "GET", path+"/statement", "", nil)
		if err != nil {
			return err
		}
		if err := o.confirm(e, args[0], statement, yes); err != nil {
			return err
		}
		sign1, err := approval.SignCOSE(statement, o.key)
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "POST", path+"/approve", "", map[string][]byte{"cose": sign1})
		if err != nil {
			return err
		}
		return o.show(e, f, b)
	}
	return c
}

// confirm shows what the statement says and asks whether it is meant.
func (o *officer) confirm(e *env, id string, statement []byte, yes bool) error {
	s, err := approval.ParseStatement(statement)
	if err != nil {
		return fmt.Errorf("read statement: %w", err)
	}
	if s.Request != id || s.Origin != o.server {
		return errors.New("the server sent a statement about something else: do not approve, and tell the other officers")
	}
	e.say("%s", "you approve "+s.Kind+":")
	e.say("%s", "  "+visible(string(s.Resolved)))
	e.say("%s", "  asked for by person "+visible(s.Requester)+", until "+stamp(time.Unix(s.Expires, 0))+", statement "+approval.ChallengeText(statement))
	if yes {
		return nil
	}
	e.say("%s", "type yes to sign:")
	b := make([]byte, 16)
	n, err := e.stdin.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read answer: %w", err)
	}
	if strings.TrimSpace(string(b[:n])) != "yes" {
		return errors.New("not approved")
	}
	return nil
}

// newApprovalDecide returns the commands approval reject and withdraw.
func newApprovalDecide(e *env, f *officerFlags, verb, short string) *cobra.Command {
	var reason string
	c := &cobra.Command{Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1)}
	if verb == "reject" {
		c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the requester and the audit log")
		_ = c.MarkFlagRequired("reason")
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		body := map[string]string{}
		if verb == "reject" {
			body["reason"] = reason
		}
		b, err := o.call(c.Context(), "POST", "/security/v1/requests/"+url.PathEscape(args[0])+"/"+verb, "", body)
		if err != nil {
			return err
		}
		return o.show(e, f, b)
	}
	return c
}

// newApprovalOfficers returns the command approval officers.
func newApprovalOfficers(e *env, f *officerFlags) *cobra.Command {
	return &cobra.Command{
		Use: "officers", Short: "List the officers and their credentials for approvals", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := f.connect(e)
			if err != nil {
				return err
			}
			b, err := o.call(c.Context(), "GET", "/security/v1/officers", "", nil)
			if err != nil {
				return err
			}
			var view struct {
				Officers []struct {
					Person      string           `json:"person"`
					Name        string           `json:"name"`
					Credentials []jsontext.Value `json:"credentials"`
				} `json:"officers"`
			}
			return e.show(answer{b, f.json}, &view, func(w io.Writer) {
				var rows [][]string
				for _, one := range view.Officers {
					rows = append(rows, []string{one.Person, one.Name, fmt.Sprint(len(one.Credentials))})
				}
				table(w, []string{"PERSON", "NAME", "CREDENTIALS"}, rows)
			})
		},
	}
}

// newApprovalCode returns the command approval code.
func newApprovalCode(e *env, f *officerFlags) *cobra.Command {
	return &cobra.Command{
		Use: "code ID", Short: "Draw the enrolment code that an approved request gives leave for", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o, err := f.connect(e)
			if err != nil {
				return err
			}
			b, err := o.call(c.Context(), "POST", "/security/v1/requests/"+url.PathEscape(args[0])+"/code", "", struct{}{})
			if err != nil {
				return err
			}
			var view struct {
				Person  string    `json:"person"`
				Code    string    `json:"code"`
				Expires time.Time `json:"expires"`
			}
			return e.show(answer{b, f.json}, &view, func(w io.Writer) {
				list(w, "person", view.Person, "code", view.Code, "expires", stamp(view.Expires))
			})
		},
	}
}

// newApprovalFound returns the command approval found.
func newApprovalFound(e *env, f *apiFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "found FILE",
		Short: "Make the first officers, from a file in JSON; prints their enrolment codes",
		Long: `Make the first officers: at least three persons of the registry, and the keys of the
quorum that can replace the officers (SubjectPublicKeyInfo in base64, made by
approval key, kept offline). From then on officers change by approved requests.`,
		Example: `  {"officers": ["PERSON", "PERSON", "PERSON"], "quorum": {"keys": ["BASE64", "BASE64"], "need": 2}}`,
		Args:    cobra.ExactArgs(1),
	}
	// The group's own flags say which officer; this one comes before there are any.
	c.Flags().StringVar(&f.credentials, "credentials", "", "`FILE` with client_id and client_secret in JSON (default $"+envCredentials+")")
	c.RunE = func(c *cobra.Command, args []string) error {
		body, err := e.readJSON(args[0])
		if err != nil {
			return err
		}
		for name, to := range map[string]*string{"server": &f.server, "ca-file": &f.caFile, "demo": &f.demo} {
			if *to, err = c.Flags().GetString(name); err != nil {
				return err
			}
		}
		if f.json, err = c.Flags().GetBool("json"); err != nil {
			return err
		}
		a, err := f.connect(e, scopeKeys)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "POST", path: "/security/v1/officers/found", body: body})
		if err != nil {
			return err
		}
		return e.showCodes(answer{b, f.json})
	}
	return c
}

// showCodes prints enrolment codes: they are shown this once.
func (e *env) showCodes(a answer) error {
	var view struct {
		Codes []struct {
			Person  string    `json:"person"`
			Code    string    `json:"code"`
			Expires time.Time `json:"expires"`
		} `json:"codes"`
	}
	return e.show(a, &view, func(w io.Writer) {
		var rows [][]string
		for _, one := range view.Codes {
			rows = append(rows, []string{one.Person, one.Code, stamp(one.Expires)})
		}
		table(w, []string{"PERSON", "CODE", "EXPIRES"}, rows)
	})
}

// newApprovalEnroll returns the command approval enroll.
func newApprovalEnroll(e *env, f *officerFlags) *cobra.Command {
	var person, code, name string
	c := &cobra.Command{
		Use:   "enroll",
		Short: "Enrol the key on this machine for approvals, with a one-time code",
		Args:  cobra.NoArgs,
	}
	c.Flags().StringVar(&person, "person", "", "`ID` of the officer's person")
	c.Flags().StringVar(&code, "code-file", "", "`FILE` with the code")
	c.Flags().StringVar(&name, "name", "key", "`NAME` of the credential")
	_ = c.MarkFlagRequired("person")
	_ = c.MarkFlagRequired("code-file")
	c.RunE = func(c *cobra.Command, _ []string) error {
		secret, err := e.readFile(code, 4096)
		if err != nil {
			return err
		}
		o, err := f.connect(e)
		if err != nil {
			return err
		}
		spki, err := x509.MarshalPKIXPublicKey(o.key.Public())
		if err != nil {
			return err
		}
		b, err := o.call(c.Context(), "POST", "/security/v1/officers/enroll", "", map[string]any{
			"person": person, "code": strings.TrimSpace(string(secret)), "key": base64.StdEncoding.EncodeToString(spki), "name": name})
		if err != nil {
			return err
		}
		var view struct {
			ID  string `json:"id"`
			Key string `json:"key"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) { list(w, "credential", view.ID, "key", view.Key) })
	}
	return c
}

// newApprovalKey returns the command approval key.
func newApprovalKey(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "key FILE",
		Short: "Make an approval key in a new file; prints its public half in base64",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
			if err != nil {
				return err
			}
			der, err := x509.MarshalPKCS8PrivateKey(key)
			if err != nil {
				return err
			}
			if err := newFile(args[0], pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o400); err != nil {
				return err
			}
			spki, err := x509.MarshalPKIXPublicKey(key.Public())
			if err != nil {
				return err
			}
			return e.write([]byte(base64.StdEncoding.EncodeToString(spki) + "\n"))
		},
	}
}
