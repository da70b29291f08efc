package desk

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

//go:embed templates
var files embed.FS

// ClientID is under which name the desk asks the register for licences. No program
// may have it.
const ClientID = "desk"

// Options are what New needs. All but Now, Logger and Registerer are required.
type Options struct {
	DB         *db.DB
	Licenses   *licenses.Service
	Registry   *registry.Registry
	Sealer     registry.Sealer // the keyring
	Site       *web.Site
	Now        func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Service is the desk of every agency of one city, safe for concurrent use.
type Service struct {
	db       *db.DB
	licenses *licenses.Service
	registry *registry.Registry
	sealer   registry.Sealer
	pages    *web.Pages
	kinds    atomic.Pointer[kinds]
	now      func() time.Time
	log      *slog.Logger
	metrics  *metrics
	looking  chan struct{} // holds as many as look at a file
	walk     draftWalk
}

// New returns the service. A licence type whose schema no form can be made of is
// not offered at the desk, which is logged.
func New(o Options) (*Service, error) {
	if o.DB == nil || o.Licenses == nil || o.Registry == nil || o.Sealer == nil || o.Site == nil {
		return nil, errors.New("new desk: a database, licences, a registry, a sealer and a site are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	pages, err := o.Site.Pages(files)
	if err != nil {
		return nil, err
	}
	s := &Service{db: o.DB, licenses: o.Licenses, registry: o.Registry, sealer: o.Sealer, pages: pages, now: o.Now, log: o.Logger, metrics: newMetrics(o.Registerer),
		looking: make(chan struct{}, 2)}
	s.known()
	return s, nil
}

// maxForm bounds the body of a form.
const maxForm = 64 << 10

// postAttachment is the one form with a file.
const postAttachment = "POST /desk/applications/{id}/attachments"

// Mount adds the pages at /desk to mux.
func (s *Service) Mount(mux *http.ServeMux) {
	route := func(pattern string, f func(w http.ResponseWriter, r *http.Request, c *clerk) error) {
		mux.Handle(pattern, s.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
			if pattern == postAttachment {
				if err := web.ParseFiles(w, r, form.MaxUpload); err != nil {
					return err
				}
			}
			c, err := s.clerk(w, r, id)
			if err != nil {
				return err
			}
			return f(w, r, c)
		}))
	}
	route("GET /desk", s.getHome)
	route("GET /desk/applications", s.getApplications)
	route("GET /desk/licenses", s.getLicenses)
	route("POST /desk/search", s.postSearch)
	route("POST /desk/applications", s.postApplications)
	route("POST /desk/licenses", s.postLicenses)
	route("POST /desk/drafts", s.postDrafts)
	route("GET /desk/{type}", s.getType)
	route("GET /desk/licenses/{id}/{file}", s.getFile)
	route("POST /desk/licenses/{id}/{file}", s.postReplace)
	route("GET /desk/applications/{id}/attachments/{file}", s.getAttachment)
	route(postAttachment, s.postAttachment)
	s.mountFoundings(route)
	// /desk/{type}/new and /desk/licenses/{id} overlap, which a ServeMux refuses.
	route("GET /desk/{room}/{id}", s.room(s.getForm, s.getApplication, s.getLicense))
	route("POST /desk/{room}/{id}", s.room(s.postForm, s.postApplication, s.postLicense))
}

type handler func(w http.ResponseWriter, r *http.Request, c *clerk, id string) error

// room leads to one of three by the address.
func (s *Service) room(form, application, license handler) func(w http.ResponseWriter, r *http.Request, c *clerk) error {
	return func(w http.ResponseWriter, r *http.Request, c *clerk) error {
		room, id := r.PathValue("room"), r.PathValue("id")
		switch {
		case room == "applications":
			return application(w, r, c, id)
		case room == "licenses":
			return license(w, r, c, id)
		case id == "new":
			return form(w, r, c, room)
		default:
			return fault.New(fault.NotFound, "no such page")
		}
	}
}

// clerk is who is at the desk, and for which of their agencies.
type clerk struct {
	person   string
	agencies []agency
	agency   agency
	reviews  []string // ids of the agencies where they are a reviewer too
}

type agency struct {
	ID   string
	Name web.Text
	area string
}

var (
	textNotClerk = web.Text{ZH: "您的账号没有证照窗口岗位。如需开通，请联系本部门管理员。",
		EN: "Your account has no post at a licence desk. Ask your agency's administrator for one."}
	textNotYours = web.Text{ZH: "您不在该部门任职。", EN: "You do not work for that agency."}
)

// clerk finds for which agency the visitor works, and parses the form.
func (s *Service) clerk(w http.ResponseWriter, r *http.Request, id *web.Identity) (*clerk, error) {
	if err := web.ParseForm(w, r, maxForm); err != nil {
		return nil, err
	}
	c := &clerk{person: id.Person, reviews: id.Agencies(web.RoleReviewer)}
	for _, id := range slices.Compact(id.Agencies(web.RoleClerk)) {
		a, err := s.registry.FindAgency(r.Context(), id)
		if errors.Is(err, registry.ErrAgency) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.agencies = append(c.agencies, agency{a.ID, web.Text{ZH: a.NameZH, EN: a.NameEN}, a.Area})
	}
	if len(c.agencies) == 0 {
		return nil, web.Refuse(fault.Denied, textNotClerk)
	}
	c.agency = c.agencies[0]
	if chosen := r.Form.Get("agency"); chosen != "" && !c.choose(chosen) {
		return nil, web.Refuse(fault.Denied, textNotYours)
	}
	return c, nil
}

// place returns where an agency stands among the clerk's, -1 for one of others.
func (c *clerk) place(id string) int {
	return slices.IndexFunc(c.agencies, func(a agency) bool { return a.ID == id })
}

// choose makes c act for an agency and reports whether it is one of theirs.
func (c *clerk) choose(id string) bool {
	i := c.place(id)
	if i >= 0 {
		c.agency = c.agencies[i]
	}
	return i >= 0
}

// holds reports whether the clerk has a post at the agency for which they act.
func (c *clerk) holds(post string) bool {
	return post == web.RoleClerk || post == web.RoleReviewer && slices.Contains(c.reviews, c.agency.ID)
}

// at returns the address of a page of the clerk's agency. Pairs of names and values
// follow; empty values are left out.
func (c *clerk) at(path string, query ...string) string {
	q := url.Values{}
	if len(c.agencies) > 1 {
		q.Set("agency", c.agency.ID)
	}
	for i := 0; i+1 < len(query); i += 2 {
		if query[i+1] != "" {
			q.Set(query[i], query[i+1])
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	return path
}

// caller is the clerk as the register records them.
func (c *clerk) caller() web.Caller {
	return web.Caller{ClientID: ClientID, Person: c.person, Agency: c.agency.ID}
}

// may reports whether the clerk's agency has authority for a type now.
func (s *Service) may(ctx context.Context, c *clerk, licenseType string) (bool, error) {
	return s.registry.MayIssue(ctx, c.agency.ID, licenseType, c.agency.area, s.now())
}
