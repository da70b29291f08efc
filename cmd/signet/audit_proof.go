package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/verify/trust"
)

// proofFlags say what to check a proof with.
type proofFlags struct {
	check, root, trust, data string
	keys, witnesses          []string
	json                     bool
}

// newAuditProof returns the command audit proof. It makes proofs from the database
// itself, and checks them with nothing but the keys named.
func newAuditProof(e *env) *cobra.Command {
	var f proofFlags
	c := &cobra.Command{
		Use:   "proof {EVENT | --check FILE}",
		Short: "Prove to anybody what one event says and that the log holds it",
		Long: `Print the proof of an event, given by its id, or of a certificate, given as
sha256: and the hash of its DER. It is a text (C2SP tlog-proof) that holds the
event, its salt, the way to the root of the tree, and the signed checkpoint: who
gets it reads the event. The database is read directly.

With --check, check such a text with no network and no database, and print what it
proves. The log's key is given with --vkey, or found from the city's root with
--root and --trust; --data DIR takes both from DIR/public. With --witness, that
witness must have signed too. The exit code is 1 if anything is wrong.`,
		Example: `  signet audit proof 06eejv1000000000000000000g > event.tlog-proof
  signet audit proof --check event.tlog-proof --root root.pem --trust bundle.cbor`,
		Args: cobra.MaximumNArgs(1),
	}
	addConfigFlags(c, "data", "database", "kek-file", "pkcs11.module", "pkcs11.token", "pkcs11.pin-file")
	flags := c.Flags()
	flags.StringVar(&f.check, "check", "", "check the proof in this `FILE`; - is standard input")
	flags.StringArrayVar(&f.keys, "vkey", nil, "with --check, a `KEY` of the log as name+hash+key; again for more")
	flags.StringVar(&f.root, "root", "", "with --check, PEM `FILE` of the root certificate that is pinned, or of its public key")
	flags.StringVar(&f.trust, "trust", "", "with --root, `FILE` of the root statement, or of a trust bundle")
	flags.StringArrayVar(&f.witnesses, "witness", nil, "with --check, the `KEY` of a witness that must have cosigned; again for more")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 && f.check == "":
			return usage(errors.New("which event? give its id, or --check FILE"))
		case len(args) == 1 && f.check != "":
			return usage(errors.New("an event or --check, not both"))
		case f.check != "":
			f.data = c.Flag("data").Value.String()
			return f.run(e)
		}
		for _, name := range []string{"vkey", "root", "trust", "witness"} {
			if c.Flags().Changed(name) {
				return usage(fmt.Errorf("--%s goes with --check", name))
			}
		}
		return f.prove(c, e, args[0])
	}
	return c
}

// prove prints the proof of an event.
func (f *proofFlags) prove(c *cobra.Command, e *env, event string) error {
	cfg, err := loadConfig(c, e)
	if err != nil {
		return err
	}
	where, err := whereOf(cfg)
	if err != nil {
		return err
	}
	p, err := city.AuditProof(c.Context(), city.Options{Where: where}, event)
	if err != nil {
		return err
	}
	if !f.json {
		return e.write(p.Encode())
	}
	return e.writeJSON(struct {
		Event string `json:"event"`
		Seq   int64  `json:"seq"`
		Size  int64  `json:"size"`
		Proof string `json:"proof"`
	}{event, p.Index, p.Checkpoint.Size, string(p.Encode())})
}

// run checks a proof and prints what it proves.
func (f *proofFlags) run(e *env) error {
	k, err := f.logKeys(e)
	if err != nil {
		return usage(err)
	}
	b, err := e.readFile(f.check, audit.MaxProof)
	if err != nil {
		return err
	}
	p, r, err := city.CheckProof(b, k)
	if err != nil {
		return fmt.Errorf("check proof: %w", err)
	}
	proved := provedView{Event: r.ID, Seq: r.Seq, At: r.At, Kind: r.Kind, Actor: r.Actor, Object: r.Object, Data: r.Data, Certificate: r.Certificate,
		Log: p.Checkpoint.Origin, Size: p.Checkpoint.Size, Witnesses: len(k.Witnesses)}
	if f.json {
		return e.writeJSON(proved)
	}
	return proved.write(e)
}

// logKeys reads whom to believe.
func (f *proofFlags) logKeys(e *env) (k city.LogKeys, err error) {
	if f.data != "" && f.root == "" && len(f.keys) == 0 {
		public := filepath.Join(f.data, "public")
		f.root, f.trust = filepath.Join(public, "root.pem"), filepath.Join(public, "bundle.cbor")
	}
	k = city.LogKeys{Keys: f.keys, Witnesses: f.witnesses, Now: time.Now()}
	switch {
	case f.root == "" && f.trust != "":
		return k, errors.New("--trust proves nothing without --root")
	case f.root == "" && len(f.keys) == 0:
		return k, withHint(errors.New("no key of the log is known"), "give --vkey, or --root and --trust")
	case f.root == "":
		return k, nil
	case f.trust == "":
		return k, withHint(errors.New("the root alone does not name the log's key"), "give --trust, a root statement or a trust bundle")
	}
	if k.Root, err = readRoot(e, f.root); err != nil {
		return k, err
	}
	k.Trust, err = e.readFile(f.trust, trust.MaxBundle)
	return k, err
}

// provedView is what a proof proves.
type provedView struct {
	Event       string         `json:"event,omitzero"` // certificates have none
	Seq         int64          `json:"seq"`
	At          time.Time      `json:"at,omitzero"`
	Kind        string         `json:"kind"`
	Actor       string         `json:"actor,omitzero"`
	Object      string         `json:"object,omitzero"`
	Data        map[string]any `json:"data,omitempty"`
	Certificate []byte         `json:"certificate,omitempty"` // DER
	Log         string         `json:"log"`
	Size        int64          `json:"size"`
	Witnesses   int            `json:"witnesses"` // those asked for, which all have cosigned
}

func (v *provedView) write(e *env) error {
	pairs := []string{"event", v.Event, "seq", strconv.FormatInt(v.Seq, 10), "at", stamp(v.At), "kind", v.Kind, "actor", v.Actor, "object", v.Object}
	for _, name := range slices.Sorted(maps.Keys(v.Data)) {
		value := fmt.Sprint(v.Data[name])
		if b, ok := v.Data[name].([]byte); ok {
			value = hex.EncodeToString(b)
		}
		pairs = append(pairs, "data."+visible(name), value)
	}
	pairs = append(pairs, "log", v.Log, "size", strconv.FormatInt(v.Size, 10), "witnesses", strconv.Itoa(v.Witnesses))
	w := &strings.Builder{}
	list(w, pairs...)
	return e.write([]byte(w.String()))
}
