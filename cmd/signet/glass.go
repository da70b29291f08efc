package main

import (
	"bytes"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/internal/approval"
)

// newGlass returns the command group approval glass.
func newGlass(e *env, f *officerFlags) *cobra.Command {
	c := group("glass", "Replace the officers by the offline quorum, when no two of them are left",
		newGlassStatement(e, f), newGlassSign(e), newGlassApply(e, f))
	c.Long = `Replace the officers by the offline quorum:

  signet approval glass statement PERSON PERSON PERSON > new.json    here
  signet approval glass sign new.json --key quorum-1.key > 1.json    on each keeper's machine
  signet approval glass apply new.json 1.json 2.json                 here: prints the new codes

Every credential of the former officers ends. The statement is good for seven days
and as long as the officers stay the same.`
	return c
}

// glassFile is the statement on its way to the quorum, and a signature on its way
// back.
type glassFile struct {
	Statement []byte `json:"statement"`
	Signature []byte `json:"signature,omitempty"`
}

func (e *env) readGlass(path string) (g glassFile, err error) {
	b, err := e.readFile(path, maxRootFile)
	if err != nil {
		return g, err
	}
	if err := json.Unmarshal(b, &g, json.RejectUnknownMembers(true)); err != nil {
		return g, fmt.Errorf("%s is no file of approval glass", path)
	}
	return g, nil
}

// open makes a call that nobody's credential stands behind.
func (f *officerFlags) open(e *env, c *cobra.Command, path string, v any) ([]byte, error) {
	server := f.server
	if server == "" {
		server = e.get(envServer)
	}
	if err := checkServer(server); err != nil {
		return nil, usage(withHint(err, "give --server"))
	}
	body, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req, err := http.NewRequestWithContext(c.Context(), http.MethodPost, server+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	a, err := (&apiFlags{}).checked(e, account{server: server}, f.caFile)
	if err != nil {
		return nil, err
	}
	resp, err := plainClient(a).Do(req)
	if err != nil {
		return nil, fmt.Errorf("call server: %w", reachable(err))
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return nil, refusal(resp)
	}
	return readBody(resp, maxAnswer)
}

// newGlassStatement returns the command approval glass statement.
func newGlassStatement(e *env, f *officerFlags) *cobra.Command {
	return &cobra.Command{
		Use: "statement PERSON PERSON PERSON...", Short: "Print the statement that makes these people the officers", Args: cobra.MinimumNArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			b, err := f.open(e, c, "/security/v1/officers/glass/statement", map[string][]string{"officers": args})
			if err != nil {
				return err
			}
			return e.write(append(bytes.TrimSpace(b), '\n'))
		},
	}
}

// newGlassSign returns the command approval glass sign.
func newGlassSign(e *env) *cobra.Command {
	var key string
	c := &cobra.Command{Use: "sign FILE", Short: "Sign the statement with a key of the quorum, on a machine without a network", Args: cobra.ExactArgs(1)}
	c.Flags().StringVar(&key, "key", "", "PEM `FILE` of the key, readable by its owner alone")
	_ = c.MarkFlagRequired("key")
	c.RunE = func(_ *cobra.Command, args []string) error {
		g, err := e.readGlass(args[0])
		if err != nil {
			return err
		}
		s, err := approval.ParseStatement(g.Statement)
		if err != nil {
			return fmt.Errorf("read statement: %w", err)
		}
		if s.Kind != approval.KindBreakGlass {
			return errors.New("this statement does not replace the officers: the quorum signs nothing else")
		}
		e.say("%s", "you sign for "+visible(s.Origin)+": "+visible(strings.TrimSpace(string(s.Resolved))))
		signer, err := readOfficerKey(key)
		if err != nil {
			return err
		}
		if g.Signature, err = approval.SignCOSE(g.Statement, signer); err != nil {
			return err
		}
		return e.writeJSON(g)
	}
	return c
}

// newGlassApply returns the command approval glass apply.
func newGlassApply(e *env, f *officerFlags) *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE SIGNED...", Short: "Replace the officers; prints the new officers' enrolment codes", Args: cobra.MinimumNArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			g, err := e.readGlass(args[0])
			if err != nil {
				return err
			}
			var signatures [][]byte
			for _, path := range args[1:] {
				signed, err := e.readGlass(path)
				if err != nil {
					return err
				}
				if !bytes.Equal(signed.Statement, g.Statement) || signed.Signature == nil {
					return fmt.Errorf("%s signs another statement, or none", path)
				}
				signatures = append(signatures, signed.Signature)
			}
			b, err := f.open(e, c, "/security/v1/officers/glass/apply", map[string]any{"statement": g.Statement, "signatures": signatures})
			if err != nil {
				return err
			}
			return e.showCodes(answer{b, f.json})
		},
	}
}
