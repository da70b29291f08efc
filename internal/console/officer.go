package console

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Bounds of what browsers send.
const (
	maxForm   = 256 << 10 // a form with its files
	maxScript = 32 << 10  // what the script sends
)

// officer is who is at the page.
type officer struct{ person string }

// actor returns the officer as events name them.
func (o officer) actor() string { return "person:" + o.person }

var (
	errNotOfficer = web.Refuse(fault.Denied, web.Text{ZH: "这里仅供安全官使用。担任安全官须由一名现任安全官申请、另一名批准。",
		EN: "This is for security officers. To become one, one officer has to ask for it and another has to approve it."})
	errWeak = web.Refuse(fault.Denied, web.Text{ZH: "请使用通行密钥登录：此处不接受其他登录方式。", EN: "Sign in with a passkey: no other proof is enough here."})
)

type handler func(w http.ResponseWriter, r *http.Request, o officer) error

// enter returns the officer whose session this is. It fails with errNotOfficer, and
// with errWeak for an officer who has not signed in with a passkey.
func (c *Console) enter(r *http.Request, id *web.Identity) (officer, error) {
	is, err := c.o.Approvals.IsOfficer(r.Context(), id.Person)
	switch {
	case err != nil:
		return officer{}, err
	case !is:
		c.metrics.refused.WithLabelValues(refusedOfficer).Inc()
		return officer{}, errNotOfficer
	case id.ACR != c.o.ACR:
		c.metrics.refused.WithLabelValues(refusedProof).Inc()
		return officer{}, errWeak
	}
	return officer{id.Person}, nil
}

// page makes a page of f that officers alone can open.
func (c *Console) page(f handler) http.Handler {
	return c.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
		o, err := c.enter(r, id)
		if errors.Is(err, errWeak) {
			return c.drawWeak(w, r)
		}
		if err != nil {
			return err
		}
		if r.Method == http.MethodPost {
			if err := web.ParseFiles(w, r, maxForm); err != nil {
				return err
			}
		}
		return f(w, r, o)
	})
}

// weakPage is what weak.html sees.
type weakPage struct{ SignIn string }

// drawWeak asks an officer to sign in with a passkey.
func (c *Console) drawWeak(w http.ResponseWriter, r *http.Request) error {
	next := "/security"
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		next = web.LocalPath(r.URL.RequestURI())
	}
	return c.pages.Render(w, r, web.Page{Template: "weak", Title: titleWeak, Status: http.StatusForbidden,
		Data: weakPage{"/login?reauth=1&next=" + url.QueryEscape(next)}})
}

// said is what the script is told when something is refused: a sentence in the
// visitor's language.
type said struct {
	Say string `json:"say"`
}

// script makes an answer to the pages' script of f, which officers alone get.
func (c *Console) script(f handler) http.Handler {
	return c.pages.Handler(func(w http.ResponseWriter, r *http.Request) error {
		web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			err := c.runScript(w, r, f)
			list, ok := says(err)
			if err == nil || !ok {
				return err
			}
			return web.WriteJSON(w, web.Status(err), said{list[0].In(web.VisitorOf(r).Lang)})
		}, c.log).ServeHTTP(w, r)
		return nil
	})
}

func (c *Console) runScript(w http.ResponseWriter, r *http.Request, f handler) error {
	id := web.IdentityOf(r.Context())
	if id == nil {
		return errWeak
	}
	o, err := c.enter(r, id)
	if err != nil {
		return err
	}
	return f(w, r, o)
}

// says returns the sentences that a page shows for what an officer did. It reports
// false for errors that are not theirs to mend.
func says(err error) ([]web.Text, bool) {
	var f web.Form
	if err == nil || !f.BlameFault(err) {
		return nil, false
	}
	list := f.Problems
	// Some faults are meant for programs: their sentence is one of the details.
	if public := fault.Public(err); public != list[0].EN {
		list = append(list, web.Text{ZH: "详情：" + public, EN: "In detail: " + public})
	}
	for _, p := range fault.Problems(err) {
		line := p.Message
		if p.Path != "" {
			line = p.Path + ": " + p.Message
		}
		list = append(list, web.Text{ZH: line, EN: line})
	}
	return list, true
}
