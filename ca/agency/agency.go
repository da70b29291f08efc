package agency

import (
	"context"
	"embed"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

//go:embed templates
var files embed.FS

// Registry finds agencies and people by their ids.
type Registry interface {
	FindAgency(ctx context.Context, id string) (registry.Agency, error)
	PersonByID(ctx context.Context, id string) (registry.Person, error)
}

// Officers says who decides.
type Officers interface {
	IsOfficer(ctx context.Context, person string) (bool, error)
}

// Options are what New needs, all of them but Now.
type Options struct {
	CA       *ca.CA
	Registry Registry
	Firms    Firms
	Officers Officers
	Site     *web.Site
	ACR      string           // of a session that was opened with a passkey: no other decides
	Now      func() time.Time // nil means time.Now
}

// Service serves the pages, safe for concurrent use.
type Service struct {
	o     Options
	pages *web.Pages
}

// New returns the service. It fails if an option is missing.
func New(o Options) (*Service, error) {
	if o.CA == nil || o.Registry == nil || o.Firms == nil || o.Officers == nil || o.Site == nil || o.ACR == "" {
		return nil, errors.New("new agency pages: an authority, a registry, firms, officers, a site and an ACR are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	pages, err := o.Site.Pages(files)
	if err != nil {
		return nil, err
	}
	return &Service{o, pages}, nil
}

// maxForm bounds the body of a form: a CSR, pasted and as a file.
const maxForm = 4 * ca.MaxCSR

// Mount adds the pages at /agency and /firm to mux.
func (s *Service) Mount(mux *http.ServeMux) {
	route := func(pattern string, f func(w http.ResponseWriter, r *http.Request, v *visitor) error) {
		mux.Handle(pattern, s.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
			if err := web.ParseFiles(w, r, maxForm); err != nil {
				return err
			}
			v, err := s.visitor(r, id)
			if err != nil {
				return err
			}
			return f(w, r, v)
		}))
	}
	s.mountFirm(mux)
	route("GET /agency", s.getHome)
	route("GET /agency/new", s.getAsk)
	route("POST /agency/new", s.postAsk)
	route("GET /agency/requests/{id}", s.getRequest)
	route("POST /agency/requests/{id}", s.postRequest)
	route("GET /agency/certificates/{serial}", s.getCertificate)
	route("GET /agency/certificates/{serial}/{file}", s.getFile)
}

// visitor is who looks, and for which of their agencies.
type visitor struct {
	person   string
	agencies []registry.Agency
	agency   registry.Agency // the one chosen; without ID for an officer who has none
	officer  bool
	strong   bool // signed in with a passkey
}

var (
	textNobody   = web.Text{ZH: "您没有在任何部门任职，也不是安全官，不能查看部门证书。", EN: "You have no post at an agency and are no security officer: an agency's certificates are not for you."}
	textNotYours = web.Text{ZH: "您不在该部门任职。", EN: "You do not work for that agency."}
	errNotFound  = web.Refuse(fault.NotFound, web.Text{ZH: "没有此项内容。", EN: "There is no such thing."})
)

func (s *Service) visitor(r *http.Request, id *web.Identity) (*visitor, error) {
	v := &visitor{person: id.Person, strong: id.ACR == s.o.ACR}
	var ids []string
	for _, role := range id.Roles {
		ids = append(ids, role.Agency)
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		a, err := s.o.Registry.FindAgency(r.Context(), id)
		if errors.Is(err, registry.ErrAgency) {
			continue
		}
		if err != nil {
			return nil, err
		}
		v.agencies = append(v.agencies, a)
	}
	var err error
	if v.officer, err = s.o.Officers.IsOfficer(r.Context(), id.Person); err != nil {
		return nil, err
	}
	if len(v.agencies) == 0 && !v.officer {
		return nil, web.Refuse(fault.Denied, textNobody)
	}
	if len(v.agencies) > 0 {
		v.agency = v.agencies[0]
	}
	if chosen := r.Form.Get("agency"); chosen != "" && !v.choose(chosen) {
		return nil, web.Refuse(fault.Denied, textNotYours)
	}
	return v, nil
}

// choose makes v look at an agency and reports whether it is one of theirs.
func (v *visitor) choose(id string) bool {
	i := slices.IndexFunc(v.agencies, func(a registry.Agency) bool { return a.ID == id })
	if i >= 0 {
		v.agency = v.agencies[i]
	}
	return i >= 0
}

// at returns the address of a page for the visitor's agency.
func (v *visitor) at(path string) string {
	if len(v.agencies) > 1 {
		path += "?" + url.Values{"agency": {v.agency.ID}}.Encode()
	}
	return path
}

func nameOf(a registry.Agency) web.Text { return web.Text{ZH: a.NameZH, EN: a.NameEN} }

// who names an actor for people: a person by name, a program by its client.
func (s *Service) who(ctx context.Context, actor string) (string, error) {
	id, ok := strings.CutPrefix(actor, "person:")
	if !ok {
		return strings.TrimPrefix(actor, "client:"), nil
	}
	p, err := s.o.Registry.PersonByID(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return id, nil
	}
	return p.Name, err
}
