package console

import (
	"context"
	"embed"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

//go:embed templates assets
var files embed.FS

// People is what is asked of the registry: names.
type People interface {
	// PersonByID fails with kind NotFound if there is nobody with that id.
	PersonByID(ctx context.Context, id string) (registry.Person, error)
}

// Root is what is asked of whoever carries files to the offline root.
type Root interface {
	// OpenRootAct returns the request's file of the act under way, or fails with kind
	// NotFound.
	OpenRootAct(ctx context.Context) (file []byte, err error)
}

// Options are what New needs. All but Forms, ByRoot, Now, Logger and Registerer are
// required.
type Options struct {
	Site      *web.Site
	Approvals *approval.Service
	People    People
	Root      Root

	// Keys returns every key, and Calendar the next steps of those in the order of
	// their times.
	Keys     func(ctx context.Context) ([]keys.Key, error)
	Calendar func(ctx context.Context) ([]keys.Step, error)

	// ByRoot reports whether a step that is not automatic takes the offline root. Nil is
	// never.
	ByRoot func(s keys.Step) bool

	// Pause stops a key at once, on one officer's word, and Resume lets it sign again.
	// They fail as those of keys.Ring do.
	Pause, Resume func(ctx context.Context, id, actor, reason string) error

	// Events returns at most limit records of the log, the newest first, only those
	// older than the one with the id before; "" is from the newest on. History returns
	// all records about an object, in their order.
	Events  func(ctx context.Context, before string, limit int) ([]audit.Record, error)
	History func(ctx context.Context, object string) ([]audit.Record, error)

	Forms []Form // for the kinds of requests that the pages offer, in their order
	ACR   string // of a session that was opened with a passkey: no other may enter

	// Caller returns the person who calls the JSON API, proved by their token. It fails
	// as web.Authorize does. That the person is an officer is asked here.
	Caller func(r *http.Request) (person string, err error)

	Now        func() time.Time
	Logger     *slog.Logger // nil discards
	Registerer prometheus.Registerer
}

// Console is the officers' pages and API of one city, safe for concurrent use.
type Console struct {
	o       Options
	pages   *web.Pages
	forms   []*ask // in the order of the pages
	log     *slog.Logger
	metrics *metrics
}

// New returns the console. It fails when something required is missing, for a form
// of a kind that cannot be asked for, and for one that no request can be made of.
func New(o Options) (*Console, error) {
	switch {
	case o.Site == nil || o.Approvals == nil || o.People == nil || o.Root == nil:
		return nil, errors.New("new console: a site, approvals, people and a root are required")
	case o.Keys == nil || o.Calendar == nil || o.Pause == nil || o.Resume == nil:
		return nil, errors.New("new console: keys, their calendar, pause and resume are required")
	case o.Events == nil || o.History == nil || o.Caller == nil || o.ACR == "":
		return nil, errors.New("new console: the log's events, who calls and the assurance of a passkey are required")
	}
	if o.ByRoot == nil {
		o.ByRoot = func(keys.Step) bool { return false }
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
	c := &Console{o: o, pages: pages, log: o.Logger, metrics: newMetrics(o.Registerer)}
	if c.forms, err = c.asks(); err != nil {
		return nil, err
	}
	return c, nil
}

// Mount adds the pages at /security and the API at /security/v1/requests,
// /security/v1/officers and /security/v1/credentials to mux.
func (c *Console) Mount(mux *http.ServeMux) {
	mux.Handle("GET /security", c.page(c.getHome))
	mux.Handle("GET /security/keys/{id}", c.page(c.getKey))
	mux.Handle("POST /security/keys/{id}", c.page(c.postKey))
	mux.Handle("GET /security/requests", c.page(c.getRequests))
	mux.Handle("GET /security/requests/new", c.page(c.getKinds))
	mux.Handle("GET /security/requests/new/{kind}", c.page(c.getAsk))
	mux.Handle("POST /security/requests/new/{kind}", c.page(c.postAsk))
	mux.Handle("GET /security/requests/{id}", c.page(c.getRequest))
	mux.Handle("POST /security/requests/{id}/{act}", c.acts())
	mux.Handle("GET /security/officers", c.page(c.getOfficers))
	mux.Handle("POST /security/officers/key", c.page(c.postKeyCredential))
	mux.Handle("POST /security/officers/passkey/begin", c.script(c.beginPasskey))
	mux.Handle("POST /security/officers/passkey/finish", c.script(c.finishPasskey))
	mux.Handle("POST /security/officers/credentials/{id}/remove", c.page(c.postRemove))
	mux.Handle("GET /security/log", c.page(c.getLog))
	mux.Handle("GET /security/root", c.page(c.getRoot))
	mux.Handle("GET /security/root/request", c.page(c.getRootRequest))
	c.mountAPI(mux)
}

// acts leads to what is done to a request. An address for each would overlap that
// of new requests, which a ServeMux refuses.
func (c *Console) acts() http.Handler {
	acts := map[string]http.Handler{
		"reject":   c.page(c.postReject),
		"withdraw": c.page(c.postWithdraw),
		"code":     c.page(c.postCode),
		"begin":    c.script(c.beginApproval),
		"finish":   c.script(c.finishApproval),
	}
	nothing := c.page(func(http.ResponseWriter, *http.Request, officer) error { return errNowhere })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if act := acts[r.PathValue("act")]; act != nil {
			act.ServeHTTP(w, r)
			return
		}
		nothing.ServeHTTP(w, r)
	})
}

var errNowhere = fault.New(fault.NotFound, "there is nothing at this address")
