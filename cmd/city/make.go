package city

import (
	"context"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/oidc"
	bundle "github.com/signet-city/signet/verify/trust"
)

// incomplete marks a directory in which a city is being made. Make writes it first
// and removes it last.
const incomplete = "INCOMPLETE"

// MakeOptions are what Make needs.
type MakeOptions struct {
	Where
	Bases
	Ceremony    []byte // the reviewed file
	Passphrase  []byte // of the root key's file
	RootKeyFile string // where the root's encrypted key goes; must not exist
	// OperatorFile is where the credentials of the first client go, which may add
	// others; "" makes none.
	OperatorFile string
	demo         bool // made by demo: may be thrown away when it was cut off
	Now          func() time.Time
	Logger       *slog.Logger
	Progress     func(step string) // nil for none
}

// Make makes a city: database, schema, key-encryption key, secrets and the
// ceremony. It is all or nothing: what an aborted attempt leaves, Open refuses. It
// fails with kind Conflict where there is a city already.
func Make(ctx context.Context, o MakeOptions) error {
	if err := o.begin(ctx); err != nil {
		return fmt.Errorf("make city: %w", err)
	}
	return o.finish()
}

// begin makes the city and leaves the marker of an unfinished one.
func (o MakeOptions) begin(ctx context.Context) error {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	plan, err := ca.ParseCeremony(o.Ceremony)
	if err != nil {
		return err
	}
	if err := makeDirectory(o.Where, o.maker()); err != nil {
		return err
	}
	d, err := makeDatabase(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return o.hold(ctx, d, plan)
}

// maker is what the marker says.
func (o MakeOptions) maker() string {
	if o.demo {
		return makerDemo
	}
	return "init"
}

// makerDemo marks what may be thrown away when it was cut off.
const makerDemo = "demo"

// finish removes the marker, durably: a marker that came back would have a demo
// city made anew.
func (w Where) finish() error {
	return errors.Join(os.Remove(filepath.Join(w.Data, incomplete)), syncDir(w.Data))
}

// makeDirectory puts the marker, which names who makes the city, before anything
// else. It fails with kind Conflict where a city is that was finished.
func makeDirectory(w Where, maker string) error {
	if err := os.MkdirAll(w.Data, 0o700); err != nil {
		return err
	}
	marker := filepath.Join(w.Data, incomplete)
	if _, err := os.Stat(marker); errors.Is(err, fs.ErrNotExist) {
		for _, path := range []string{w.kekFile(), filepath.Join(w.Data, "signet.db")} {
			if _, err := os.Stat(path); err == nil {
				return fault.New(fault.Conflict, "there is a city already: "+path)
			}
		}
	}
	f, err := os.OpenFile(marker, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(maker)
	return errors.Join(err, f.Sync(), f.Close(), os.MkdirAll(w.public(), 0o700), syncDir(w.Data))
}

func makeDatabase(ctx context.Context, o MakeOptions) (*db.DB, error) {
	o.Progress("database and schema")
	if err := db.Create(ctx, o.database()); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	d, err := db.Open(ctx, o.database(), db.Options{Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	if err := d.Migrate(ctx); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	if _, err := readBases(ctx, d); fault.KindOf(err) != fault.NotFound {
		if err == nil {
			err = fault.New(fault.Conflict, "there is a city in this database already")
		}
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// hold makes the keys and holds the ceremony.
func (o MakeOptions) hold(ctx context.Context, d *db.DB, plan ca.Ceremony) error {
	o.Progress("key-encryption key and secrets")
	if _, err := keys.NewKEK(o.kekFile()); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	ring, err := openRing(ctx, d, Options{Where: o.Where, Now: o.Now, Logger: o.Logger})
	if err != nil {
		return err
	}
	defer func() { _ = ring.Close() }()
	for _, name := range []string{keys.SecretData, keys.SecretLookup, licenses.PermutationSecret} {
		if err := ring.MakeSecret(ctx, name, "ceremony"); err != nil && fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
	o.Progress("ceremony: root, issuing CAs, signers, certificates")
	made, err := ca.Hold(ctx, ca.CeremonyOptions{Ceremony: plan, DB: d, Ring: ring, Passphrase: o.Passphrase, BaseURL: o.HTTP,
		Backend: o.backend(), Keep: o.keepRoot, Now: o.Now, Logger: o.Logger})
	if err != nil {
		return err
	}
	if err := o.makeTokenKey(ctx, ring); err != nil {
		return err
	}
	root := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made.RootCertificate})
	if err := writeFile(filepath.Join(o.public(), "root.pem"), root, 0o644); err != nil {
		return err
	}
	if err := writeBases(ctx, d, o.Bases); err != nil {
		return err
	}
	if err := o.makeOperator(ctx, d, ring); err != nil {
		return err
	}
	return d.Update(ctx, func(tx db.Tx) error { return writeSetting(ctx, tx, settingComplete, "1") })
}

// makeTokenKey puts the first key that signs tokens into use, and publishes the next.
func (o MakeOptions) makeTokenKey(ctx context.Context, ring *keys.Ring) error {
	for range 2 { // the one that follows is in the first key set
		k, err := ring.Create(ctx, keys.Spec{Purpose: keys.PurposeToken, Owner: owner, Alg: keys.ES256, Backend: o.backend(), Actor: "ceremony"})
		if err != nil {
			return err
		}
		if err := ring.Move(ctx, k.ID, keys.Published, "ceremony", "first"); err != nil {
			return err
		}
	}
	_, _, err := ring.Promote(ctx, keys.PurposeToken, owner, "ceremony")
	return err
}

// operator is the city's own first client.
var operator = oidc.Client{ID: "operator-cli", Name: "signet command line", Profile: oidc.ProfileService,
	Scopes: []string{ScopeKeys, audit.Scope, "ca", "registry", "clients"}}

// makeOperator adds the client that can add all others, and writes its
// credentials as the command line takes them.
func (o MakeOptions) makeOperator(ctx context.Context, d *db.DB, ring *keys.Ring) error {
	if o.OperatorFile == "" {
		return nil
	}
	people, err := registry.New(registry.Options{DB: d, Sealer: ring, Now: o.Now, Logger: o.Logger})
	if err != nil {
		return err
	}
	provider, err := oidc.New(oidc.Options{DB: d, Keys: ring, Agencies: people, Issuer: o.Issuer, KeyOwner: owner, Scopes: scopes, Now: o.Now, Logger: o.Logger})
	if err != nil {
		return err
	}
	c, secret, err := provider.AddClient(ctx, "ceremony", operator)
	if err != nil {
		return err
	}
	b, err := json.Marshal(DemoClient{ID: c.ID, Secret: secret})
	if err != nil {
		return err
	}
	return writeFile(o.OperatorFile, append(b, '\n'), 0o600)
}

// keepRoot writes the root's encrypted key where nothing is yet.
func (o MakeOptions) keepRoot(rootKeyPEM []byte) error {
	if err := os.MkdirAll(filepath.Dir(o.RootKeyFile), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(o.RootKeyFile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o400)
	if errors.Is(err, os.ErrExist) {
		return fault.New(fault.Conflict, "a root key is there already: "+o.RootKeyFile)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(rootKeyPEM)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(o.RootKeyFile)))
}

// writeFile replaces a file in one move.
func writeFile(path string, b []byte, mode os.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// Migrate brings the schema of an existing database up to this program's.
func Migrate(ctx context.Context, w Where, log *slog.Logger) error {
	d, err := db.Open(ctx, w.database(), db.Options{Logger: log})
	if err != nil {
		return err
	}
	return errors.Join(d.Migrate(ctx), d.Close())
}

// noteSigner returns what signs checkpoints now.
func (c *City) noteSigner(ctx context.Context) (note.Signer, error) {
	return c.Ring.NoteSigner(ctx, c.origin())
}

// logVerifiers returns the checkpoint keys that the root statement names: nobody
// who holds the database alone can add one.
func (c *City) logVerifiers(context.Context) ([]note.Verifier, error) {
	statement, pin := c.CA.RootNow()
	root, err := bundle.OpenRoot(statement, pin, time.Now())
	if err != nil {
		return nil, err
	}
	var verifiers []note.Verifier
	for _, s := range root.Log {
		public, err := bundle.ParsePublic(s.Alg, s.Public)
		if err != nil {
			return nil, err
		}
		text, err := keys.VerifierKey(c.origin(), public)
		if err != nil {
			return nil, err
		}
		v, err := note.NewVerifier(text)
		if err != nil {
			return nil, err
		}
		verifiers = append(verifiers, v)
	}
	return verifiers, nil
}

// certify issues the certificate of a staged permit key and attaches it.
func (c *City) certify(ctx context.Context, agency string, k keys.Key, actor string) error {
	cert, err := c.CA.IssuePermitSigning(ctx, agency, k, actor)
	if err != nil {
		return err
	}
	return c.Ring.Certify(ctx, k.ID, cert.DER, actor)
}
