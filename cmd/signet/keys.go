package main

import (
	"encoding/json/v2"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

const scopeKeys = "keys"

// newKeys returns the command group keys.
func newKeys(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("keys", "See signing keys and move them along their lives",
		newKeysList(e, f), newKeysCalendar(e, f), newKeysEnroll(e, f), newKeysRotate(e, f), newKeysMove(e, f),
		newKeysHalt(e, f, "pause", "Keep a key from signing, at once and everywhere", "Nothing is lost: resume it, or mark it compromised."),
		newKeysHalt(e, f, "resume", "Let a paused key sign again", ""),
		newKeysCompromise(e, f), newKeysRewrap(e, f))
	f.register(c)
	c.AddCommand(newKeysKEK(e))
	return c
}

// keyView is a key as the API shows it.
type keyView struct {
	ID        string    `json:"id"`
	Purpose   string    `json:"purpose"`
	Owner     string    `json:"owner"`
	Alg       string    `json:"alg"`
	Backend   string    `json:"backend"`
	State     string    `json:"state"`
	Created   time.Time `json:"created"`
	Published time.Time `json:"published"`
	Activated time.Time `json:"activated"`
	Retiring  time.Time `json:"retiring"`
	Retired   time.Time `json:"retired"`
	Paused    time.Time `json:"paused"`
	Since     time.Time `json:"compromised_since"`
}

// latest returns when the key last changed, as far as the view tells.
func (k keyView) latest() time.Time {
	t := k.Created
	for _, next := range []time.Time{k.Published, k.Activated, k.Retiring, k.Retired, k.Paused, k.Since} {
		if next.After(t) {
			t = next
		}
	}
	return t
}

// newKeysList returns the command keys list.
func newKeysList(e *env, f *apiFlags) *cobra.Command {
	var purpose, owner string
	c := &cobra.Command{Use: "list", Short: "List keys", Args: cobra.NoArgs}
	c.Flags().StringVar(&purpose, "purpose", "", "only keys of this `PURPOSE`: ca, trust, status, ocsp, tls, token, log or permit")
	c.Flags().StringVar(&owner, "owner", "", "only keys of this `OWNER`: an agency, an issuer or the city")
	c.RunE = func(c *cobra.Command, _ []string) error {
		a, err := f.connect(e, scopeKeys)
		if err != nil {
			return err
		}
		b, err := a.call(c.Context(), request{method: "GET", path: keysPath(purpose, owner)})
		if err != nil {
			return err
		}
		var view struct {
			Keys []keyView `json:"keys"`
		}
		return e.show(answer{b, f.json}, &view, func(w io.Writer) {
			var rows [][]string
			for _, k := range view.Keys {
				state := k.State
				if !k.Paused.IsZero() {
					state += ", paused"
				}
				rows = append(rows, []string{k.ID, k.Purpose, k.Owner, k.Alg, k.Backend, state, stamp(k.latest())})
			}
			table(w, []string{"ID", "PURPOSE", "OWNER", "ALG", "BACKEND", "STATE", "SINCE"}, rows)
		})
	}
	return c
}

func keysPath(purpose, owner string) string {
	return "/security/v1/keys?" + url.Values{"purpose": {purpose}, "owner": {owner}}.Encode()
}

// newKeysEnroll returns the command keys enroll.
func newKeysEnroll(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "enroll AGENCY",
		Short: "Give an agency its permit keys: one in use and a published standby",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.postKey(c, e, "/security/v1/keys/enroll", map[string]string{"agency": args[0]})
		},
	}
}

// newKeysRotate returns the command keys rotate.
func newKeysRotate(e *env, f *apiFlags) *cobra.Command {
	var from string
	var hurry bool
	c := &cobra.Command{
		Use:   "rotate PURPOSE OWNER",
		Short: "Put the next key of a purpose into use",
		Long: `Put the next key of a purpose into use and the one in use to rest. What the old key
signed is still good. The next keys for trust, status and log are named by the root
beforehand, those of issuing CAs certified by it: see signet root. While somebody may
hold a bundle that does not name the next key, it is refused.

--from names the key to put to rest, by default the one in use now. With it, the
command can be repeated without rotating twice.`,
		Args: cobra.ExactArgs(2),
	}
	c.Flags().StringVar(&from, "from", "", "`ID` of the key to put to rest")
	c.Flags().BoolVar(&hurry, "before-verifiers-know", false, "rotate although somebody may hold a bundle or key set that does not name the next key")
	c.RunE = func(c *cobra.Command, args []string) error {
		a, err := f.connect(e, scopeKeys)
		if err != nil {
			return err
		}
		if from == "" {
			if from, err = a.activeKey(c, args[0], args[1]); err != nil {
				return err
			}
		}
		body, err := json.Marshal(map[string]any{"purpose": args[0], "owner": args[1], "from": from, "before_verifiers_know": hurry})
		if err != nil {
			return fmt.Errorf("make request: %w", err)
		}
		b, err := a.call(c.Context(), request{method: "POST", path: "/security/v1/keys/rotate", body: body})
		if err != nil && unanswered(err) {
			return withHint(err, "it may have been done: repeat the command with --from %s, and it is done once", from)
		}
		if err != nil {
			return err
		}
		return showKey(e, answer{b, f.json})
	}
	return c
}

// activeKey asks for the key in use.
func (a *api) activeKey(c *cobra.Command, purpose, owner string) (string, error) {
	b, err := a.call(c.Context(), request{method: "GET", path: keysPath(purpose, owner)})
	if err != nil {
		return "", err
	}
	var view struct {
		Keys []keyView `json:"keys"`
	}
	if err := json.Unmarshal(b, &view); err != nil {
		return "", fmt.Errorf("read answer: %w", err)
	}
	for _, k := range view.Keys {
		if k.State == "active" {
			return k.ID, nil
		}
	}
	return "", fmt.Errorf("%s has no key in use for the purpose %s", owner, purpose)
}

// newKeysMove returns the command keys move.
func newKeysMove(e *env, f *apiFlags) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "move ID STATE",
		Short: "Move one key to published, active, retiring or retired",
		Long: `Move one key along its life: staged, published, active, retiring, retired. Retiring
for good destroys the private half. For a stolen key see keys compromise.`,
		Args: cobra.ExactArgs(2),
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for the audit log")
	c.RunE = func(c *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(fmt.Errorf("keys move needs --reason"))
		}
		return f.postKey(c, e, "/security/v1/keys/"+url.PathEscape(args[0])+"/move", map[string]string{"to": args[1], "reason": reason})
	}
	return c
}

// postKey makes a call that may be repeated and prints the key that it answers.
func (f *apiFlags) postKey(c *cobra.Command, e *env, path string, v any) error {
	a, err := f.connect(e, scopeKeys)
	if err != nil {
		return err
	}
	b, err := a.post(c.Context(), path, v)
	if err != nil {
		return err
	}
	return showKey(e, answer{b, f.json})
}

// showKey prints one key.
func showKey(e *env, a answer) error {
	var k keyView
	return e.show(a, &k, func(w io.Writer) {
		list(w, "key", k.ID, "purpose", k.Purpose, "owner", k.Owner, "alg", k.Alg, "backend", k.Backend, "state", k.State,
			"created", stamp(k.Created), "published", stamp(k.Published), "activated", stamp(k.Activated),
			"retiring", stamp(k.Retiring), "retired", stamp(k.Retired),
			"paused", stamp(k.Paused), "compromised since", stamp(k.Since))
	})
}
