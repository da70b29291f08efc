package ca

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Owner is the owner of the keys that serve the whole city: trust-list and status
// signers, checkpoints and TLS.
const Owner = "city"

// Root is the issuer of the issuing CAs' certificates.
const Root = "root"

// Agencies finds agencies. The registry provides it.
type Agencies interface {
	FindAgency(ctx context.Context, id string) (registry.Agency, error)
}

// Holders finds whom certificates of firms and people are about. The registry
// provides it.
type Holders interface {
	FindFirm(ctx context.Context, uscc string) (registry.Firm, error)
	PersonByID(ctx context.Context, id string) (registry.Person, error)
	PostsOf(ctx context.Context, person string) ([]registry.Post, error)
	// ActedFor reports, in the caller's transaction, whether a person acted for a firm at
	// any moment from since until now.
	ActedFor(ctx context.Context, tx db.Tx, person, firm string, since, now time.Time) (bool, error)
}

// Options are what Open needs. DB, Ring, Agencies and BaseURL are required.
type Options struct {
	DB          *db.DB
	Ring        *keys.Ring
	Agencies    Agencies
	Holders     Holders                         // nil: firms and people get no certificates
	Officers    Officers                        // nil: nobody decides on requests
	Licensed    Licensed                        // nil: orders are not used here
	Profiles    map[profile.Kind]profile.Policy // how this city narrows profiles; nil: not at all
	BaseURL     string                          // plain http, no path: stands in certificates
	Tokens      web.TokenChecker                // nil: Mount leaves out the administration
	Instance    byte                            // first byte of serial numbers, 1 to 127; 0 means 1
	Backdate    time.Duration                   // of what begins without a time of its own; 0 means 5 minutes, at most an hour, below 0 none
	CRLLifetime time.Duration                   // 0 means 24 hours; a CRL is renewed after half of it

	OCSPLifetime time.Duration // of an answer; 0 means 12 hours; renewed after half of it
	OCSPCache    int           // answers in memory; 0 means 65536, about 80 MB
	OCSPFresh    int           // answers a second that are signed for one client: with a nonce, or "unknown"; 0 means 200 of each

	CheckEvery time.Duration // how often Run checks what is published; 0 means never

	Now        func() time.Time      // nil means time.Now
	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil: metrics are not registered
}

// CA is the authority of one city, safe for concurrent use.
type CA struct {
	db       *db.DB
	ring     *keys.Ring
	agencies Agencies
	holders  Holders
	officers Officers
	licensed Licensed
	profiles map[profile.Kind]profile.Policy
	base     string
	tokens   web.TokenChecker
	instance byte
	crlLife  time.Duration
	backdate time.Duration
	now      func() time.Time
	log      *slog.Logger
	metrics  *metrics
	random   io.Reader
	linter   *lint.Linter

	checkEvery time.Duration

	plan    Ceremony
	roots   atomic.Pointer[roots]
	issuers map[string]Issuer

	jobs     sync.Map // *x509.CertificateRequest → *job, while it is being issued
	shards   shards
	refusals budget // of events about refusals
	ocsp     *responder
	checks   checks
	kick     chan struct{} // a revocation waits for its CRL

	mu        sync.Mutex         // guards what follows
	signers   map[string]*signer // by key id; old ones stay, for their CRLs
	endedSeen time.Time          // up to when firms without a licence were looked at
}

// Issuer is an issuing CA of the city: its place, not its key.
type Issuer struct {
	ID    string
	Level registry.Level
	Area  string // GB/T 2260
}

// ErrNoCity is returned by Open where no ceremony was finished.
var ErrNoCity = fault.New(fault.NotFound, "no ceremony was held here: run signet init")

// Open returns the authority of the city kept in o.DB. It fails with ErrNoCity if
// there is none.
func Open(ctx context.Context, o Options) (*CA, error) {
	if o.DB == nil || o.Ring == nil || o.Agencies == nil {
		return nil, errors.New("open ca: a database, a keyring and a registry are required")
	}
	if err := checkBase(o.BaseURL); err != nil {
		return nil, err
	}
	for kind, p := range o.Profiles {
		if _, err := p.Narrow(kind); err != nil {
			return nil, fmt.Errorf("open ca: %w", err)
		}
	}
	if o.Backdate > maxBackdate {
		return nil, errors.New("open ca: a validity begins an hour ago at the earliest")
	}
	c := &CA{db: o.DB, ring: o.Ring, agencies: o.Agencies, holders: o.Holders, officers: o.Officers, licensed: o.Licensed, profiles: o.Profiles, base: o.BaseURL, tokens: o.Tokens, instance: o.Instance, crlLife: o.CRLLifetime, backdate: o.Backdate, checkEvery: o.CheckEvery,
		now: o.Now, log: o.Logger, random: rand.Reader, kick: make(chan struct{}, 1), signers: map[string]*signer{}}
	c.setDefaults()
	var err error
	if c.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("open ca: %w", err)
	}
	if c.linter, err = lint.New(); err != nil {
		return nil, fmt.Errorf("open ca: %w", err)
	}
	if err := c.load(ctx); err != nil {
		return nil, fmt.Errorf("open ca: %w", err)
	}
	for id := range c.issuers {
		if _, err := c.active(ctx, id); err != nil {
			return nil, fmt.Errorf("open ca: issuer %s: %w", id, err)
		}
	}
	if c.ocsp, err = newResponder(c, o); err != nil {
		return nil, fmt.Errorf("open ca: %w", err)
	}
	return c, nil
}

func (c *CA) setDefaults() {
	if c.instance == 0 {
		c.instance = 1
	}
	if c.backdate == 0 {
		c.backdate = usualBackdate
	}
	c.backdate = max(c.backdate, 0)
	if c.crlLife == 0 {
		c.crlLife = 24 * time.Hour
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
}

// load reads what the ceremony left.
func (c *CA) load(ctx context.Context) error {
	var s state
	var before []rootOf
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		if s, before, err = readRoots(ctx, tx); err != nil {
			return err
		}
		c.issuers, err = readIssuers(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	if c.plan, err = ParseCeremony(s.plan); err != nil {
		return fmt.Errorf("stored ceremony: %w", err)
	}
	return c.setRoots(s, before)
}

// checkBase accepts scheme http and a host, and nothing behind it.
func checkBase(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" || u.Host == "" || u.User != nil || s != "http://"+u.Host || strings.ToLower(s) != s {
		return fault.New(fault.Invalid, "the base address of the CA must be http://HOST or http://HOST:PORT")
	}
	return nil
}

// Addresses that stand in certificates.
func crlURL(base, issuer string, shard int64) string {
	return fmt.Sprintf("%s/ca/%s/crl/%d.crl", base, issuer, shard)
}

// responderOf returns the address of the issuer's OCSP responder, "" for kinds of
// which nobody is asked there.
func responderOf(base string, kind profile.Kind, issuer string) string {
	if rules, ok := kind.Rules(); !ok || !rules.Responder() {
		return ""
	}
	return fmt.Sprintf("%s/ca/%s/ocsp", base, issuer)
}

// caURL names the certificate by its key: after a rotation the older ones must
// still find theirs.
func caURL(base, issuer string, cert *x509.Certificate) string {
	return fmt.Sprintf("%s/ca/%s/%x.crt", base, issuer, cert.SubjectKeyId)
}

// Plan returns the reviewed file that the ceremony followed.
func (c *CA) Plan() Ceremony { return c.plan }

// Issuers returns the issuing CAs by their ids.
func (c *CA) Issuers() map[string]Issuer {
	m := make(map[string]Issuer, len(c.issuers))
	for id, i := range c.issuers {
		m[id] = i
	}
	return m
}

// Run publishes CRLs as they change or grow old, renews the city's own
// certificates, marks abandoned intents, revokes what ended with a firm's licence and checks what is published, until ctx ends. Any number of replicas
// may run it.
func (c *CA) Run(ctx context.Context) error {
	const poll, slow = 2 * time.Second, time.Minute
	changed := c.db.Watch(ctx, rootTopic)
	var beside sync.WaitGroup // these wait for no CRLs
	defer beside.Wait()
	beside.Go(func() { c.runChecks(ctx) })
	beside.Go(func() { c.ocsp.run(ctx) })
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	var last time.Time
	for {
		c.follow(ctx)
		c.nameNew(ctx)
		if err := c.PublishCRLs(ctx); err != nil && ctx.Err() == nil {
			c.log.ErrorContext(ctx, "publish CRLs", slog.Any("cause", err))
		}
		if now := c.now(); now.Sub(last) >= slow {
			last = now
			c.maintain(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		case <-c.kick:
		case <-changed:
		}
	}
}

func (c *CA) maintain(ctx context.Context) {
	c.completeActs(ctx)
	if _, err := c.Recover(ctx); err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "recover intents", slog.Any("cause", err))
	}
	if err := c.SweepRequests(ctx); err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "sweep requests", slog.Any("cause", err))
	}
	if err := c.RevokeUnlicensed(ctx); err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "revoke certificates of unlicensed firms", slog.Any("cause", err))
	}
	if err := c.RenewServices(ctx); err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "renew service certificates", slog.Any("cause", err))
	}
	c.ocsp.renew(ctx)
	c.countExpiring(ctx)
}
