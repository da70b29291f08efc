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
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/oidc"
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
	People []struct {
		Name     string `yaml:"name"`
		Resident string `yaml:"resident"`
	} `yaml:"people"`
	Firms []struct {
		USCC  string `yaml:"uscc"`
		Name  string `yaml:"name"`
		Legal string `yaml:"legal"`
	} `yaml:"firms"`
	Operators []struct {
		ID   string `yaml:"id"`
		Name string `yaml:"name"`
		Role string `yaml:"role"`
	} `yaml:"operators"`
}

// Demo is what demo.json holds. Nobody signs in in a browser yet, so it names
// programs and whom they may issue licences to.
type Demo struct {
	Issuer    string `json:"issuer"`
	HTTPSBase string `json:"https_base"`
	HTTPBase  string `json:"http_base"`
	MTLSBase  string `json:"mtls_base"`
	RootPEM   string `json:"root_pem"` // a path

	Operator     DemoClient   `json:"operator_client"`
	Agencies     []DemoAgency `json:"agencies"`
	Firms        []DemoFirm   `json:"firms"`
	People       []DemoPerson `json:"people"`
	LicenseTypes []string     `json:"license_types"`
}

// DemoClient is a program's credentials.
type DemoClient struct {
	ID     string `json:"client_id"`
	Secret string `json:"client_secret"`
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

// DemoFirm is a firm of the demo city. Its delegates come with sign-in.
type DemoFirm struct {
	USCC      string   `json:"uscc"`
	Name      string   `json:"name"`
	Delegates []string `json:"delegates"`
}

// DemoPerson is an invented person.
type DemoPerson struct {
	Name     string `json:"name"`
	Resident string `json:"resident"`
}

// DemoOptions say where a demo city is and where it listens.
type DemoOptions struct {
	Where
	Addresses      // empty ones: those of the city there, or the defaults
	HTTPS     bool // the issuer is the https listener's address
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
	if kept == (Bases{}) {
		err = makeDemo(ctx, o, demo, bases)
	}
	if err == nil {
		o.Where, o.Want = demo.Where, bases
		var c *City
		if c, err = Open(ctx, o); err == nil {
			return c, l, nil
		}
	}
	return nil, nil, errors.Join(err, l.Close())
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
func makeDemo(ctx context.Context, o Options, demo DemoOptions, bases Bases) error {
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
	made, err := c.populate(ctx, demo)
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

func (c *City) populate(ctx context.Context, demo DemoOptions) (Demo, error) {
	var p population
	d := yaml.NewDecoder(strings.NewReader(string(demoPopulation)))
	d.KnownFields(true)
	if err := d.Decode(&p); err != nil {
		return Demo{}, err
	}
	root, err := filepath.Abs(filepath.Join(demo.public(), "root.pem"))
	if err != nil {
		return Demo{}, err
	}
	out := Demo{Issuer: c.Issuer, HTTPSBase: c.HTTPS, HTTPBase: c.HTTP, MTLSBase: c.MTLS, RootPEM: root}
	demo.Progress("people, firms and operators")
	if err := c.populatePeople(ctx, p, &out); err != nil {
		return Demo{}, err
	}
	demo.Progress("agencies, their certificates and keys")
	if err := c.populateAgencies(ctx, p, &out); err != nil {
		return Demo{}, err
	}
	types, err := licenses.ShippedTypes()
	for _, t := range types {
		out.LicenseTypes = append(out.LicenseTypes, t.ID)
	}
	return out, err
}

func (c *City) populatePeople(ctx context.Context, p population, out *Demo) error {
	ids := map[string]string{}
	for _, one := range p.People {
		added, _, err := c.Registry.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: one.Resident, Name: one.Name})
		if err != nil {
			return err
		}
		ids[one.Resident] = added.ID
		out.People = append(out.People, DemoPerson{Name: one.Name, Resident: one.Resident})
	}
	for _, f := range p.Firms {
		if _, err := c.Registry.AddFirm(ctx, "ceremony", registry.Firm{USCC: f.USCC, Name: f.Name, LegalRep: ids[f.Legal]}); err != nil {
			return err
		}
		out.Firms = append(out.Firms, DemoFirm{USCC: f.USCC, Name: f.Name, Delegates: []string{}})
	}
	for _, op := range p.Operators {
		if _, err := c.Registry.AddOperator(ctx, "ceremony", registry.Operator{ID: op.ID, Name: op.Name, Role: registry.Role(op.Role)}); err != nil {
			return err
		}
	}
	_, secret, err := c.OIDC.AddClient(ctx, "ceremony", operator)
	out.Operator = DemoClient{ID: operator.ID, Secret: secret}
	return err
}

func (c *City) populateAgencies(ctx context.Context, p population, out *Demo) error {
	area := map[string]string{}
	for _, a := range p.Agencies {
		_, err := c.Registry.AddAgency(ctx, "ceremony", registry.Agency{ID: a.ID, USCC: a.USCC, NameZH: a.ZH, NameEN: a.EN,
			Level: registry.Level(a.Level), Parent: a.Parent, Area: a.Area, Issuer: a.Issuer})
		if err != nil {
			return err
		}
		area[a.ID] = a.Area
		id := a.ID + "-api"
		_, secret, err := c.OIDC.AddClient(ctx, "ceremony", oidc.Client{ID: id, Name: a.EN, Agency: a.ID, Profile: oidc.ProfileService,
			Scopes: []string{licenses.Scope}})
		if err != nil {
			return err
		}
		out.Agencies = append(out.Agencies, DemoAgency{ID: a.ID, Name: a.ZH, Level: a.Level, Client: id, Secret: secret, Types: []string{}})
	}
	from := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, a := range p.Authorities {
		_, err := c.Registry.Authorize(ctx, "ceremony", registry.Authority{Agency: a.Agency, Type: a.Type, Area: area[a.Agency],
			From: from, Until: from.AddDate(20, 0, 0)})
		if err != nil {
			return err
		}
		for i := range out.Agencies {
			if out.Agencies[i].ID == a.Agency {
				out.Agencies[i].Types = append(out.Agencies[i].Types, a.Type)
			}
		}
	}
	for _, a := range p.Agencies {
		if _, err := c.Enroll(ctx, a.ID, "ceremony"); err != nil {
			return err
		}
	}
	return nil
}

// WriteDemo writes demo.json in one move, readable by its owner alone, and returns
// what it holds.
func WriteDemo(w Where) (Demo, error) {
	b, err := os.ReadFile(filepath.Join(w.Data, demoSecrets))
	if err != nil {
		return Demo{}, fmt.Errorf("write demo.json: %w", err)
	}
	var d Demo
	if err := json.Unmarshal(b, &d); err != nil {
		return Demo{}, fmt.Errorf("write demo.json: %w", err)
	}
	return d, writeFile(w.DemoFile(), b, 0o600)
}
