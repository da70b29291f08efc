// Package wallet is /wallet: people, and firms through those who act for them,
// see their permits and show them as QR codes.
//
// At /wallet/apply they apply for more, keep a form that is half filled in, answer what
// the agency asks, and see where their applications stand. At /wallet/found a person
// applies for a new firm.
//
// It owns no state. Whom a page is about follows from who is signed in: the
// person, or the firm that they act for, and whether they may act for it is asked
// of the registry at every request, so that a withdrawn delegation shows nothing.
// Nobody finds another's permit: there is none by that id. A permit that does not
// count is never shown large without saying so.
package wallet

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

//go:embed templates assets
var files embed.FS

// Licenses is what the wallet needs of package licenses.
type Licenses interface {
	Held(ctx context.Context, kind, ref string) ([]*licenses.License, error)
	Types() []*licenses.Type
}

// Registry is what the wallet needs of package registry.
type Registry interface {
	FindAgency(ctx context.Context, id string) (registry.Agency, error)
	FirmsOf(ctx context.Context, person string, at time.Time) ([]registry.Firm, error)
	MayActFor(ctx context.Context, person, uscc string, at time.Time) (bool, error)
}

// Options are what New needs. Licenses, Registry and Site are required.
type Options struct {
	Licenses Licenses
	Registry Registry
	Site     *web.Site
	// Applications is where holders apply; nil for a wallet without that.
	Applications Applications
	// Foundings is where people apply for new firms, at the agencies that Applications
	// names; nil for a wallet without that.
	Foundings Foundings
	// ACR are the levels of a session that is sure enough for Foundings, the least one
	// first.
	ACR    []string
	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

// Service is the wallet, safe for concurrent use.
type Service struct {
	o     Options
	pages *web.Pages
}

// New returns the wallet. It fails when something required is missing or the site
// has files of the same names.
func New(o Options) (*Service, error) {
	if o.Licenses == nil || o.Registry == nil || o.Site == nil {
		return nil, errors.New("new wallet: licences, a registry and a site are required")
	}
	if o.Foundings != nil && (o.Applications == nil || len(o.ACR) == 0) {
		return nil, errors.New("new wallet: new firms take applications and a level of sign-in")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Service{o: o}
	var err error
	s.pages, err = o.Site.Pages(files)
	return s, err
}

// Mount adds /wallet and what is below it to mux.
func (s *Service) Mount(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, *web.Identity) error{
		"GET /wallet":             s.getWallet,
		"GET /wallet/{id}":        s.getPermit,
		"GET /wallet/{id}/show":   s.getShow,
		"GET /wallet/{id}/qr.svg": s.getSVG,
		"GET /wallet/{id}/qr.png": s.getPNG,
	} {
		mux.Handle(pattern, s.pages.SignedIn(serve))
	}
	if s.o.Applications != nil {
		s.mountApply(mux)
	}
	if s.o.Foundings != nil {
		s.mountFound(mux)
	}
}

// holder is whose permits a page shows.
type holder struct {
	Name string
	Firm string // USCC, "" for the person
	Lost bool   // the person no longer acts for the firm: there is nothing to show
	kind string
	ref  string

	Firms []registry.Firm // for which the person may act
}

// holder finds whose permits id may see now.
func (s *Service) holder(ctx context.Context, id *web.Identity) (holder, error) {
	firms, err := s.o.Registry.FirmsOf(ctx, id.Person, s.o.Now())
	if err != nil {
		return holder{}, err
	}
	if id.Firm == "" {
		return holder{Name: id.Name, Firms: firms, kind: licenses.HolderPerson, ref: id.Person}, nil
	}
	may, err := s.o.Registry.MayActFor(ctx, id.Person, id.Firm, s.o.Now())
	if err != nil {
		return holder{}, err
	}
	return holder{Name: id.FirmName, Firm: id.Firm, Lost: !may, Firms: firms, kind: licenses.HolderFirm, ref: id.Firm}, nil
}

// held returns the permits of h, what counts before what does not, and among these
// the newest first.
func (s *Service) held(ctx context.Context, h holder) ([]permit, error) {
	if h.Lost {
		return nil, nil
	}
	list, err := s.o.Licenses.Held(ctx, h.kind, h.ref)
	if err != nil {
		return nil, err
	}
	permits := make([]permit, 0, len(list))
	for _, l := range list {
		p, err := s.permit(ctx, l)
		if err != nil {
			return nil, err
		}
		permits = append(permits, p)
	}
	slices.SortStableFunc(permits, func(a, b permit) int { return a.Status.rank - b.Status.rank })
	return permits, nil
}

// find returns a permit of the signed-in holder, or licenses.ErrNotFound: also for
// one that is another's.
func (s *Service) find(ctx context.Context, id *web.Identity, permitID string) (permit, holder, error) {
	h, err := s.holder(ctx, id)
	if err != nil {
		return permit{}, h, err
	}
	list, err := s.held(ctx, h)
	if err != nil {
		return permit{}, h, err
	}
	for _, p := range list {
		if p.ID == permitID {
			return p, h, nil
		}
	}
	return permit{}, h, errNotHeld
}
