package approval

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// People is what is asked of the registry.
type People interface {
	// PersonByID fails with kind NotFound if there is nobody with that id.
	PersonByID(ctx context.Context, id string) (registry.Person, error)
}

// Options are what New needs. DB, People and Issuer are required.
type Options struct {
	DB         *db.DB
	People     People
	Issuer     string // origin of the service, as in its tokens; no passkeys where its host is an IP address
	Operations []Operation
	Life       time.Duration // how long a request waits for its approval, to MaxLife; 0 means 24 h
	Every      time.Duration // Run's pause between two sweeps; 0 means 5 s
	Now        func() time.Time
	Logger     *slog.Logger // nil discards
	Registerer prometheus.Registerer
}

// Service keeps officers and requests. It is safe for concurrent use, also by
// several processes on one database.
type Service struct {
	o          Options
	rpID       string
	passkeys   *webauthn.WebAuthn // nil where there are none
	operations map[string]Operation
	kinds      []string
	log        *slog.Logger
	metrics    *metrics
}

// New returns the service. It fails when something required is missing or an
// operation cannot work.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.People == nil {
		return nil, errors.New("approval: database and people are required")
	}
	if o.Life == 0 {
		o.Life = 24 * time.Hour
	}
	if o.Life < time.Minute || o.Life > MaxLife*time.Second {
		return nil, errors.New("approval: a request's life is from a minute to 7 days")
	}
	if o.Every == 0 {
		o.Every = 5 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o, operations: map[string]Operation{}, log: o.Logger, metrics: newMetrics(o.Registerer)}
	if err := s.setIssuer(o.Issuer); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	if err := s.register(append(s.own(), o.Operations...)); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	return s, nil
}

// setIssuer takes the origin that statements name and passkeys are bound to.
func (s *Service) setIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Scheme+"://"+u.Host != issuer || !isVisible(issuer, maxOrigin) {
		return errors.New("the issuer must be an origin, https://HOST[:PORT]")
	}
	s.rpID = u.Hostname()
	if net.ParseIP(s.rpID) != nil { // WebAuthn knows domains only
		return nil
	}
	s.passkeys, err = webauthn.New(&webauthn.Config{RPID: s.rpID, RPDisplayName: s.rpID, RPOrigins: []string{issuer}})
	return err
}

// lock makes this transaction the only one that depends on or changes the set of
// officers, and returns the set's version.
func lock(ctx context.Context, tx db.Tx) (version int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE approval_state SET version = version WHERE one = 1 RETURNING version`).Scan(&version)
	return version, err
}

// advance is lock for a transaction that changes the set.
func advance(ctx context.Context, tx db.Tx) (version int64, err error) {
	err = tx.QueryRowContext(ctx, `UPDATE approval_state SET version = version + 1 WHERE one = 1 RETURNING version`).Scan(&version)
	return version, err
}

// permanent reports whether an error is somebody's answer and not a part that is
// away or broken.
func permanent(err error) bool {
	switch fault.KindOf(err) {
	case fault.Invalid, fault.NotFound, fault.Conflict, fault.Denied, fault.TooLarge:
		return true
	default:
		return false
	}
}

// person fails with kind Invalid for somebody who is not in the registry.
func (s *Service) person(ctx context.Context, id string) (registry.Person, error) {
	p, err := s.o.People.PersonByID(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return p, web.Refuse(fault.Invalid, web.Text{ZH: "登记簿中没有此人。", EN: "this person is not in the registry"})
	}
	return p, err
}
