package city

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/agency"
	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/console"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/egress"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/trust"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/internal/webhook"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/desk"
	"github.com/signet-city/signet/licenses/wallet"
	"github.com/signet-city/signet/oidc"
	"github.com/signet-city/signet/oidc/account"
	"github.com/signet-city/signet/oidc/login"
	"github.com/signet-city/signet/verify/scanner"
)

// Where says where a city is kept.
type Where struct {
	Data     string             // its directory
	Database string             // sqlite:PATH or postgres://…; "" means sqlite:DATA/signet.db
	KEKFile  string             // "" means DATA/kek
	PKCS11   *keys.PKCS11Config // nil for none

	Concurrent int // signatures that the token is asked for at once; 0 means 4
}

func (w Where) database() string {
	if w.Database == "" {
		return "sqlite:" + filepath.Join(w.Data, "signet.db")
	}
	return w.Database
}

func (w Where) kekFile() string {
	if w.KEKFile == "" {
		return filepath.Join(w.Data, "kek")
	}
	return w.KEKFile
}

// nextKEKFile is beside the key-encryption key that it is to follow.
func (w Where) nextKEKFile() string { return w.kekFile() + ".next" }

// nextKEK returns the key-encryption key that may follow, nil for none.
func (w Where) nextKEK() ([]byte, error) {
	kek, err := keys.LoadKEK(w.nextKEKFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return kek, err
}

func (w Where) public() string { return filepath.Join(w.Data, "public") }

// backend is where new keys are made.
func (w Where) backend() string {
	if w.PKCS11 != nil {
		return "pkcs11"
	}
	return "file"
}

// Options are what Open needs besides where the city is. Zero values work.
type Options struct {
	Where
	Name                               web.Text // of the site, on every page; "" means a name without a city
	Demo                               bool     // the pages say that all is invented
	Want                               Bases    // refuse a city that was made for others; "" accepts what is kept
	BundleLife, SnapshotLife, HeadLife time.Duration
	CRLLife, Backdate                  time.Duration
	Witnesses                          []string          // of the log, each "URL VERIFIERKEY"
	Keys                               map[string]string // policies of keys by purpose, see Policies; nil means the defaults
	Profiles                           map[string]string // how profiles of certificates are narrowed, see Profiles; nil: not at all
	PrivateAddresses                   bool              // sites and agencies may name loopback and private addresses to be called at: see egress.Options
	Sandbox                            bool              // developers may make clients that invented people sign in at
	BodyBytes                          int64             // largest body of an API call; 0 means 8 MiB
	BatchLines                         int               // of one batch; 0 means 10,000
	Now                                func() time.Time
	Logger                             *slog.Logger
	Metrics                            *prometheus.Registry
}

// City is an open city.
type City struct {
	Bases
	DB        *db.DB
	Ring      *keys.Ring
	Log       *audit.Log
	Registry  *registry.Registry
	CA        *ca.CA
	Site      *web.Site
	Login     *login.Service
	OIDC      *oidc.Provider
	Account   *account.Service
	Licenses  *licenses.Service
	Desk      *desk.Service
	Agency    *agency.Service
	Wallet    *wallet.Service
	Trust     *trust.Publisher
	Approvals *approval.Service
	Console   *console.Console
	Outbox    *outbox.Outbox
	Egress    *egress.Client
	Webhooks  *webhook.Service
	Health    *obs.Health

	backend   string
	bodyBytes int64
	log       *slog.Logger
	metrics   *prometheus.Registry
	home      *home
	apps      []http.Handler // of the demo's relying parties, in the order of Listeners.Apps
	policies  map[string]keys.Policy
	schedule  *schedule
	now       func() time.Time
	rotating  sync.Mutex // one rotation at a time in this process; the ring's compare-and-swap keeps replicas apart
}

// owner is whose keys serve the whole city.
const owner = ca.Owner

// scopes are what access tokens may be asked for.
var scopes = []string{licenses.Scope, ScopeKeys, audit.Scope, "ca", "registry", "clients"}

// Open opens a city that Make has made. It creates nothing.
func Open(ctx context.Context, o Options) (*City, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	if o.BodyBytes == 0 {
		o.BodyBytes = 8 << 20
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &City{backend: o.backend(), bodyBytes: o.BodyBytes, log: o.Logger, metrics: o.Metrics, now: o.Now, Health: obs.NewHealth(),
		schedule: newSchedule(o.Metrics, db.NewID())}
	var err error
	if c.policies, err = Policies(o.Keys, o.BundleLife); err != nil {
		return nil, err
	}
	if err := c.open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open city: %w", err), c.Close())
	}
	return c, nil
}

func (c *City) open(ctx context.Context, o Options) (err error) {
	if c.DB, err = db.Open(ctx, o.database(), db.Options{Logger: o.Logger}); err != nil {
		return err
	}
	if err := c.DB.CheckSchema(ctx); err != nil {
		return err
	}
	if c.Bases, err = readBases(ctx, c.DB); err != nil {
		return err
	}
	if err := c.check(o.Want); err != nil {
		return err
	}
	if c.Ring, err = openRing(ctx, c.DB, o); err != nil {
		return err
	}
	if err := c.openServices(ctx, o); err != nil {
		return err
	}
	c.Health.Add("database", c.DB.Ping)
	return nil
}

func openRing(ctx context.Context, d *db.DB, o Options) (*keys.Ring, error) {
	kek, err := keys.LoadKEK(o.kekFile())
	if err != nil {
		return nil, err
	}
	k := keys.Options{DB: d, KEK: kek, NextKEK: o.nextKEK, PKCS11: o.PKCS11, Concurrent: o.Concurrent, Now: o.Now, Logger: o.Logger}
	if o.Metrics != nil {
		k.Registerer = o.Metrics
	}
	return keys.Open(ctx, k)
}

func (c *City) openServices(ctx context.Context, o Options) (err error) {
	witnesses, err := o.witnesses()
	if err != nil {
		return err
	}
	c.Log = audit.New(audit.Options{DB: c.DB, Origin: c.origin(), Signer: c.noteSigner, Witnesses: witnesses, Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if c.Registry, err = registry.New(registry.Options{DB: c.DB, Sealer: c.Ring, Now: o.Now, Logger: o.Logger}); err != nil {
		return err
	}
	if err := c.openOutbox(o); err != nil {
		return err
	}
	if err := c.openSignIn(o); err != nil {
		return err
	}
	certificates, err := Profiles(o.Profiles)
	if err != nil {
		return err
	}
	c.CA, err = ca.Open(ctx, ca.Options{DB: c.DB, Ring: c.Ring, Agencies: c.Registry, Holders: c.Registry, Officers: deciders{c}, Licensed: licensed{c}, Profiles: certificates, BaseURL: c.HTTP, Tokens: c.OIDC, CRLLifetime: o.CRLLife, Backdate: o.Backdate, CheckEvery: checkEvery,
		Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if err != nil {
		return err
	}
	types, err := licenses.ShippedTypes()
	if err != nil {
		return err
	}
	c.Licenses, err = licenses.New(ctx, licenses.Options{DB: c.DB, Ring: c.Ring, Registry: c.Registry, Types: types, Tokens: c.OIDC, Orders: c.CA, BatchLines: o.BatchLines,
		Changed: func() { c.Trust.Poke() }, Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if err != nil {
		return err
	}
	if err := c.openWebhooks(o); err != nil {
		return err
	}
	if err := c.openPages(o); err != nil {
		return err
	}
	if err := c.openTrust(o); err != nil {
		return err
	}
	return c.openOfficers(o)
}

// openSignIn opens what knows people: pages ask sign-in who is there, sign-in
// asks the provider where its forms may lead, and the provider asks sign-in which
// sessions live.
func (c *City) openSignIn(o Options) (err error) {
	if o.Name == (web.Text{}) {
		o.Name = web.Text{ZH: "一网通办", EN: "City services"}
	}
	c.Site, err = web.NewSite(web.SiteOptions{Name: o.Name, Places: places(), Demo: o.Demo, Logger: o.Logger,
		Identify: func(r *http.Request) (*web.Identity, error) { return c.Login.Identify(r) }})
	if err != nil {
		return err
	}
	c.Login, err = login.New(login.Options{DB: c.DB, Sealer: c.Ring, Registry: c.Registry, Site: c.Site, Issuer: c.Issuer,
		FormTo: func(ctx context.Context, next string) string { return c.OIDC.FormTo(ctx, next) },
		Ended: func(ctx context.Context, tx db.Tx, session string) error {
			return c.OIDC.SessionEnded(ctx, tx, session)
		},
		More: account.Links(), Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if err != nil {
		return err
	}
	c.OIDC, err = oidc.New(oidc.Options{DB: c.DB, Keys: c.Ring, Agencies: c.Registry, Issuer: c.Issuer, KeyOwner: owner, MakeKeys: c.makeTokenKeys, Scopes: scopes,
		Site: c.Site, People: c.Registry, Firms: c.Registry, Sessions: c.Login, Hold: c.Login.HoldSession, SignOut: c.Login.SignOut, Queue: c.queueLogouts,
		Assurance: c.Login, NumberACR: login.ACRVerified, Fetcher: fetcher{c.Egress}, Sandbox: o.Sandbox, Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	return err
}

func (c *City) openPages(o Options) (err error) {
	c.Desk, err = desk.New(desk.Options{DB: c.DB, Licenses: c.Licenses, Registry: c.Registry, Sealer: c.Ring, Site: c.Site,
		Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if err != nil {
		return err
	}
	if c.Wallet, err = wallet.New(wallet.Options{Licenses: c.Licenses, Registry: c.Registry, Applications: c.Desk, Foundings: c.Licenses,
		ACR: []string{login.ACRVerified, login.ACRPhishingResistant}, Site: c.Site, Now: o.Now, Logger: o.Logger}); err != nil {
		return err
	}
	if c.Account, err = account.New(account.Options{Site: c.Site, Logins: c.Login, Consents: consents{c.OIDC}, Logger: o.Logger}); err != nil {
		return err
	}
	c.Agency, err = agency.New(agency.Options{CA: c.CA, Registry: c.Registry, Firms: c.Registry, Now: o.Now, Officers: deciders{c}, Site: c.Site, ACR: login.ACRPhishingResistant})
	if err != nil {
		return err
	}
	c.home, err = newHome(c.Site, o.Demo)
	return err
}

func (c *City) openTrust(o Options) (err error) {
	c.Trust, err = trust.New(trust.Options{DB: c.DB, Ring: c.Ring, Owner: owner, Registry: c.Registry, Types: c.Licenses.Published, Statuses: c.Licenses,
		Checkpoint: c.checkpoint, Genuine: c.Licenses.Genuine, Root: c.CA.RootNow, Dir: o.public(),
		StatusURI: c.Issuer + "/status/snapshot", BundleLife: o.BundleLife, SnapshotLife: o.SnapshotLife, HeadLife: o.HeadLife,
		Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	return err
}

// witnesses returns those who cosign the log's checkpoints.
func (o Options) witnesses() (list []*audit.Witness, err error) {
	for i, text := range o.Witnesses {
		url, key, _ := strings.Cut(strings.TrimSpace(text), " ")
		w, err := audit.NewWitness(audit.WitnessOptions{URL: url, Key: strings.TrimSpace(key)})
		if err != nil {
			return nil, fmt.Errorf("witness %d: %w", i+1, err)
		}
		list = append(list, w)
	}
	return list, nil
}

// origin names the log: the issuer without its scheme, C2SP tlog-checkpoint.
func (c *City) origin() string {
	_, host, _ := strings.Cut(c.Issuer, "://")
	return host + "/log"
}

// checkpoint returns the newest checkpoint for the head, nil while there is none.
func (c *City) checkpoint(ctx context.Context) ([]byte, error) {
	cp, err := c.Log.Latest(ctx)
	if errors.Is(err, audit.ErrNoCheckpoint) {
		return nil, nil
	}
	return cp.Note, err
}

// Close closes the database and the keyring.
func (c *City) Close() error {
	var errs []error
	if c.Ring != nil {
		errs = append(errs, c.Ring.Close())
	}
	if c.DB != nil {
		errs = append(errs, c.DB.Close())
	}
	return errors.Join(errs...)
}

// Work does what happens without a request, until ctx ends: follows other
// replicas' keys, keeps their schedule, seals the log, publishes trust and CRLs, completes licences.
func (c *City) Work(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{c.Ring.Run, c.Log.Run, c.Licenses.Run, c.Trust.Run, c.CA.Run, c.Login.Run, c.OIDC.Run, c.Desk.Run, c.runSchedule, c.Approvals.Run, c.Outbox.Run, c.Webhooks.Run} {
		g.Go(func() error { return run(ctx) })
	}
	return g.Wait()
}

// Handler serves every public address of the city.
func (c *City) Handler() http.Handler {
	mux := http.NewServeMux()
	c.Health.Mount(mux)
	c.OIDC.Mount(mux)
	c.Licenses.Mount(mux)
	c.Registry.Mount(mux, c.OIDC)
	c.CA.Mount(mux)
	c.Webhooks.Mount(mux)
	c.Trust.Mount(mux)
	c.Log.Mount(mux)
	c.Log.MountExport(mux, c.OIDC, c.allowExport)
	c.mountSecurity(mux)
	c.Site.Mount(mux)
	c.Login.Mount(mux)
	c.Login.MountAccounts(mux, c.OIDC)
	c.Account.Mount(mux)
	c.Desk.Mount(mux)
	c.Agency.Mount(mux)
	c.Console.Mount(mux)
	c.Wallet.Mount(mux)
	c.home.mount(mux)
	scanner.Mount(mux, c.log)
	return c.Site.Cover(mux)
}

// RootCertificate returns what verifiers pin.
func (c *City) RootCertificate() *x509.Certificate { return c.CA.RootCertificate() }
