package city

import (
	"context"
	_ "embed"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

//go:embed ceremony.yaml
var demoCeremony []byte

//go:embed demo.yaml
var demoPopulation []byte

// population is demo.yaml.
type population struct {
	Agencies []struct {
		ID     string `yaml:"id"`
		USCC   string `yaml:"uscc"`
		ZH     string `yaml:"zh"`
		EN     string `yaml:"en"`
		Level  string `yaml:"level"`
		Parent string `yaml:"parent"`
		Area   string `yaml:"area"`
		Issuer string `yaml:"issuer"`
	} `yaml:"agencies"`
	Authorities []struct {
		Agency string `yaml:"agency"`
		Type   string `yaml:"type"`
	} `yaml:"authorities"`
	People []inhabitant `yaml:"people"`
	Staff  []inhabitant `yaml:"staff"`
	Firms  []struct {
		USCC  string `yaml:"uscc"`
		Name  string `yaml:"name"`
		Legal string `yaml:"legal"`
	} `yaml:"firms"`
	Delegates []struct {
		Firm string `yaml:"firm"`
		User string `yaml:"user"`
	} `yaml:"delegates"`
	Sites []struct {
		Client  string `yaml:"client"`
		Agency  string `yaml:"agency"`
		Profile string `yaml:"profile"`
		ZH      string `yaml:"zh"`
		EN      string `yaml:"en"`
	} `yaml:"sites"`
	Operators []struct {
		ID   string `yaml:"id"`
		Name string `yaml:"name"`
		Role string `yaml:"role"`
	} `yaml:"operators"`
}

// inhabitant is somebody who can sign in.
type inhabitant struct {
	Name     string `yaml:"name"`
	User     string `yaml:"user"`
	Resident string `yaml:"resident"`
	Role     string `yaml:"role"`
	Agency   string `yaml:"agency"`
}

// Demo is what demo.json holds: everything that somebody needs who tries the demo
// city or tests it from outside.
type Demo struct {
	Issuer    string `json:"issuer"`
	HTTPSBase string `json:"https_base"`
	HTTPBase  string `json:"http_base"`
	MTLSBase  string `json:"mtls_base"`
	RootPEM   string `json:"root_pem"` // a path

	Operator     DemoClient   `json:"operator_client"`
	Clients      []DemoSite   `json:"clients"`
	Citizens     []DemoUser   `json:"citizens"`
	Officers     []DemoUser   `json:"officers"`
	Clerks       []DemoUser   `json:"clerks"`
	Agencies     []DemoAgency `json:"agencies"`
	Firms        []DemoFirm   `json:"firms"`
	People       []DemoPerson `json:"people"`
	LicenseTypes []string     `json:"license_types"`
}

// DemoClient is a program's credentials: a secret, or for the profile fapi2 a key.
type DemoClient struct {
	ID         string         `json:"client_id"`
	Secret     string         `json:"client_secret,omitzero"`
	PrivateJWK jsontext.Value `json:"private_jwk,omitzero"`
}

// DemoSite is a relying party of the demo: an agency's own site.
type DemoSite struct {
	DemoClient   `json:",inline"`
	RedirectURIs []string `json:"redirect_uris"`
	Profile      string   `json:"profile"`
	Name         string   `json:"name"`
	NameEN       string   `json:"name_en"`
	Agency       string   `json:"agency"`
	URL          string   `json:"url"`
}

// DemoUser is how somebody invented signs in.
type DemoUser struct {
	Username string       `json:"username"`
	Password string       `json:"password"`
	TOTP     string       `json:"totp_secret"` // base32
	Name     string       `json:"name"`
	Agency   string       `json:"agency,omitzero"` // of a clerk
	Passkey  *DemoPasskey `json:"passkey,omitempty"`

	// Of an officer: their person, and the key with which they approve in the command
	// line, or the code with which they enrol a passkey for approvals on the page.
	Person       string `json:"person,omitzero"`
	ApprovalKey  string `json:"approval_key_pkcs8,omitzero"`
	ApprovalCode string `json:"approval_code,omitzero"`
}

// DemoPasskey is a passkey as a browser's virtual authenticator takes it. Its bytes
// are chosen so that their base64 and base64url texts are the same: the DevTools
// protocol takes the one, WebDriver the other.
type DemoPasskey struct {
	CredentialID string `json:"credential_id"`
	UserHandle   string `json:"user_handle"`
	PrivateKey   string `json:"private_key_pkcs8"`
	SignCount    uint32 `json:"sign_count"`
	RPID         string `json:"rp_id"`
}

// DemoAgency is an agency with its API client.
type DemoAgency struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Level  string   `json:"level"`
	Client string   `json:"api_client_id"`
	Secret string   `json:"api_client_secret"`
	Types  []string `json:"license_types"`
}

// DemoFirm is a firm of the demo city. Its delegates are usernames, the legal
// representative's first.
type DemoFirm struct {
	USCC      string   `json:"uscc"`
	Name      string   `json:"name"`
	Delegates []string `json:"delegates"`
}

// DemoPerson is an invented person whom licences may be issued to.
type DemoPerson struct {
	Name     string `json:"name"`
	Resident string `json:"resident"`
}

// DemoOptions say where a demo city is and where it listens.
type DemoOptions struct {
	Where
	Addresses          // empty ones: those of the city there, or the defaults
	Apps      []string // where the relying parties listen; empty: the ports kept, or 8081 and 8082 where they are free
	HTTPS     bool     // the issuer is the https listener's address
	Progress  func(string)
}

const demoSecrets = "demo-secrets.json" // what demo.json is written from: secrets are not kept in the database

// DemoFile returns the path of demo.json.
func (w Where) DemoFile() string { return filepath.Join(w.Data, "demo.json") }

// OpenDemo opens the sockets of a demo city, makes the city if there is none, and
// opens it. A half-made one in its own directory is made anew.
func OpenDemo(ctx context.Context, o Options, demo DemoOptions) (*City, *Listeners, error) {
	if demo.Progress == nil {
		demo.Progress = func(string) {}
	}
	kept, err := keptBases(ctx, demo.Where)
	if err != nil {
		return nil, nil, err
	}
	addresses, err := demo.addresses(kept)
	if err != nil {
		return nil, nil, err
	}
	l, err := Listen(addresses)
	if err != nil {
		return nil, nil, err
	}
	bases := demo.bases(l)
	o.Name, o.Demo = web.Text{ZH: "江城一网通办", EN: "Jiangcheng City Services"}, true
	o.PrivateAddresses = true // its sites are on loopback
	o.Sandbox = true
	c, err := demo.open(ctx, o, l, bases, kept == (Bases{}))
	if err != nil {
		return nil, nil, errors.Join(err, l.Close())
	}
	return c, l, nil
}

func (o DemoOptions) open(ctx context.Context, city Options, l *Listeners, bases Bases, fresh bool) (*City, error) {
	sites, err := o.listenApps(l, fresh)
	if err == nil && fresh {
		err = makeDemo(ctx, city, o, bases, sites)
	}
	if err != nil {
		return nil, err
	}
	city.Where, city.Want = o.Where, bases
	c, err := Open(ctx, city)
	if err != nil {
		return nil, err
	}
	if err := o.openApps(c, city.Logger); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// keptBases returns the addresses of the city at w, none if none was finished.
func keptBases(ctx context.Context, w Where) (Bases, error) {
	if _, err := os.Stat(filepath.Join(w.Data, incomplete)); err == nil {
		if w.Database != "" {
			return Bases{}, fault.New(fault.Conflict, "the making of a city in this database was cut off: give an empty database and directory")
		}
		return Bases{}, nil
	}
	d, err := db.Open(ctx, w.database(), db.Options{})
	if errors.Is(err, fs.ErrNotExist) {
		return Bases{}, emptyDirectory(w.Data)
	}
	if err != nil {
		return Bases{}, err
	}
	defer func() { _ = d.Close() }()
	if err := d.CheckSchema(ctx); err != nil {
		if _, stat := os.Stat(w.kekFile()); w.Database != "" && errors.Is(stat, fs.ErrNotExist) {
			return Bases{}, nil // an empty PostgreSQL database
		}
		return Bases{}, err
	}
	b, err := readBases(ctx, d)
	if fault.KindOf(err) == fault.NotFound {
		return Bases{}, nil
	}
	return b, err
}

// clearUnfinished removes what the making of a demo city left when it was cut off.
func clearUnfinished(w Where) error {
	maker, err := os.ReadFile(filepath.Join(w.Data, incomplete))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && string(maker) != "" && string(maker) != makerDemo {
		return fault.New(fault.Conflict, "signet init was cut off in "+w.Data+": give another directory with --data")
	}
	return errors.Join(err, os.RemoveAll(w.Data))
}

// emptyDirectory refuses a directory that holds something else than a city.
func emptyDirectory(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.Name() != "ledger.jsonl" {
			return fault.New(fault.Conflict, "the directory "+dir+" is neither empty nor a city: give another with --data")
		}
	}
	return err
}

// addresses are where to listen: as asked, else where the city there was made
// for, else the defaults. The demo listens on loopback only.
func (o DemoOptions) addresses(kept Bases) (Addresses, error) {
	a := o.Addresses
	for _, one := range []struct {
		to         *string
		base, port string
	}{{&a.HTTPS, kept.HTTPS, "8443"}, {&a.HTTP, kept.HTTP, "8080"}, {&a.MTLS, kept.MTLS, "8444"}, {&a.Debug, "", "9090"}} {
		switch {
		case *one.to == "" && one.base != "":
			u, err := url.Parse(one.base)
			if err != nil {
				return a, err
			}
			*one.to = "127.0.0.1:" + u.Port()
		case *one.to == "":
			*one.to = "127.0.0.1:" + one.port
		}
		host, port, err := net.SplitHostPort(*one.to)
		if err != nil {
			return a, fault.Wrap(fault.Invalid, "an address to listen on is HOST:PORT", err)
		}
		if host == "" || host == "localhost" {
			*one.to = "127.0.0.1:" + port
		} else if !net.ParseIP(host).IsLoopback() {
			return a, fault.New(fault.Invalid, "the demo listens on loopback only, not on "+host)
		}
	}
	return a, nil
}

func (o DemoOptions) bases(l *Listeners) Bases {
	b := Bases{
		HTTPS: "https://localhost:" + strconv.Itoa(Port(l.HTTPS)),
		HTTP:  "http://localhost:" + strconv.Itoa(Port(l.HTTP)),
		MTLS:  "https://localhost:" + strconv.Itoa(Port(l.MTLS)),
	}
	b.Issuer = b.HTTP
	if o.HTTPS {
		b.Issuer = b.HTTPS
	}
	return b
}

// makeDemo makes the demo city and everybody in it. The marker of an unfinished
// city stays until the last of them is there.
func makeDemo(ctx context.Context, o Options, demo DemoOptions, bases Bases, sites []string) error {
	// Only now are the sockets ours: before, the half-made city could have been one
	// that another process was making.
	if err := clearUnfinished(demo.Where); err != nil {
		return err
	}
	passphrase := []byte("demo-" + db.NewID()) // nobody needs this root again
	err := MakeOptions{demo: true, Where: demo.Where, Bases: bases, Ceremony: demoCeremony, Passphrase: passphrase,
		RootKeyFile: filepath.Join(demo.Data, "ceremony", "root.key"), Now: o.Now, Logger: o.Logger, Progress: demo.Progress}.begin(ctx)
	if err != nil {
		return fmt.Errorf("make demo city: %w", err)
	}
	if err := writeFile(filepath.Join(demo.Data, "ceremony", "passphrase"), append(passphrase, '\n'), 0o400); err != nil {
		return err
	}
	o.Where, o.Metrics = demo.Where, nil
	c, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	made, err := c.populate(ctx, demo, sites)
	if err != nil {
		return fmt.Errorf("populate demo city: %w", err)
	}
	b, err := json.Marshal(made, jsontext.WithIndent("  "))
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(demo.Data, demoSecrets), b, 0o600); err != nil {
		return err
	}
	return demo.finish()
}

// WriteDemo writes demo.json in one move, readable by its owner alone, and returns
// what it holds.
func WriteDemo(w Where) (Demo, error) {
	d, b, err := readDemo(w)
	if err != nil {
		return Demo{}, fmt.Errorf("write demo.json: %w", err)
	}
	return d, writeFile(w.DemoFile(), b, 0o600)
}

// readDemo returns what demo.json is to hold, and its text.
func readDemo(w Where) (d Demo, b []byte, err error) {
	if b, err = os.ReadFile(filepath.Join(w.Data, demoSecrets)); err != nil {
		return Demo{}, nil, err
	}
	return d, b, json.Unmarshal(b, &d)
}
