package agency

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// Firms says for whom people act.
type Firms interface {
	FirmsOf(ctx context.Context, person string, at time.Time) ([]registry.Firm, error)
}

// mountFirm adds the pages at /firm: a firm's ordered certificates, for whoever acts for
// the firm at that moment, whomever the session acts for.
func (s *Service) mountFirm(mux *http.ServeMux) {
	for pattern, serve := range map[string]func(http.ResponseWriter, *http.Request, *web.Identity) error{
		"GET /firm":                    s.getFirm,
		"GET /firm/orders/{id}":        s.getOrder,
		"POST /firm/orders/{id}":       s.postOrder,
		"GET /firm/orders/{id}/{file}": s.getOrderFile,
	} {
		mux.Handle(pattern, s.pages.SignedIn(func(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
			if err := web.ParseFiles(w, r, maxForm); err != nil {
				return err
			}
			return serve(w, r, id)
		}))
	}
}

// Where an order stands, for people.
var (
	orderOpen = tag{web.Text{ZH: "待使用", EN: "Not used yet"}, "wait"}
	orderOver = tag{web.Text{ZH: "已过期", EN: "Expired"}, ""}
)

// orderTag says where an order stands; p is the request that was brought, if any.
func orderTag(o ca.Order, p ca.Pending, now time.Time) tag {
	switch {
	case p.ID != "" && p.State != ca.Failed:
		return stateTag(p.State)
	case !now.Before(o.ExpiresAt):
		return orderOver
	}
	return orderOpen
}

// firmPage is what firm.html sees.
type firmPage struct{ Orders []row }

func (s *Service) getFirm(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	firms, err := s.o.Firms.FirmsOf(r.Context(), id.Person, s.o.Now())
	if err != nil {
		return err
	}
	var data firmPage
	for _, f := range firms {
		orders, err := s.o.CA.OrdersOf(r.Context(), f.USCC)
		if err != nil {
			return err
		}
		for _, o := range orders {
			p, err := s.brought(r.Context(), o)
			if err != nil {
				return err
			}
			data.Orders = append(data.Orders, row{Address: "/firm/orders/" + o.ID, Profile: profileWord(profile.Firm), Of: f.Name, At: o.CreatedAt, Tag: orderTag(o, p, s.o.Now())})
		}
	}
	return s.pages.Render(w, r, web.Page{Template: "firm", Title: web.Text{ZH: "企业证书", EN: "Firms' certificates"}, Data: &data, Wide: true})
}

// brought returns the request that was brought for an order, without ID for none.
func (s *Service) brought(ctx context.Context, o ca.Order) (ca.Pending, error) {
	if o.Request == "" {
		return ca.Pending{}, nil
	}
	return s.o.CA.Pending(ctx, o.Request)
}

// order returns the order of the path and its firm, if the visitor acts for that firm
// now. Anybody else finds none.
func (s *Service) order(r *http.Request, id *web.Identity) (ca.Order, registry.Firm, error) {
	o, err := s.o.CA.FindOrder(r.Context(), r.PathValue("id"))
	if errors.Is(err, ca.ErrNoOrder) {
		return o, registry.Firm{}, errNotFound
	}
	if err != nil {
		return o, registry.Firm{}, err
	}
	firms, err := s.o.Firms.FirmsOf(r.Context(), id.Person, s.o.Now())
	if err != nil {
		return o, registry.Firm{}, err
	}
	for _, f := range firms {
		if f.USCC == o.Firm {
			return o, f, nil
		}
	}
	return o, registry.Firm{}, errNotFound
}

// orderPage is what order.html sees.
type orderPage struct {
	Self, Firm, USCC string
	Tag              tag
	Failed           web.Text // why the request before could not be issued
	Ordered, Expires time.Time
	Serial           string
	PEM, Chain       string
	Form             *web.Form // nil unless a request may be brought
}

func orderForm() web.Form {
	return web.Form{Fields: []web.Field{
		{Name: inCSR, Type: "textarea", Label: web.Text{ZH: "证书请求（PKCS #10，PEM）", EN: "Certificate request (PKCS #10, PEM)"},
			Hint: web.Text{ZH: "粘贴内容，或在下面选择文件。私钥请自行保管，切勿提交", EN: "Paste it, or choose the file below. Keep the private key: never send it"}},
		{Name: inFile, Type: "file", Label: web.Text{ZH: "或选择证书请求文件", EN: "Or choose its file"}},
	}}
}

func (s *Service) getOrder(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	o, f, err := s.order(r, id)
	if err != nil {
		return err
	}
	return s.drawOrder(w, r, o, f, orderForm(), 0)
}

func (s *Service) drawOrder(w http.ResponseWriter, r *http.Request, o ca.Order, f registry.Firm, form web.Form, status int) error {
	p, err := s.brought(r.Context(), o)
	if err != nil {
		return err
	}
	d := orderPage{Self: "/firm/orders/" + o.ID, Firm: f.Name, USCC: f.USCC, Tag: orderTag(o, p, s.o.Now()), Ordered: o.CreatedAt, Expires: o.ExpiresAt, Serial: p.Serial}
	if p.State == ca.Failed {
		d.Failed = ca.NoteText(p.Note)
	}
	if p.Serial != "" {
		cert, err := s.o.CA.Find(r.Context(), p.Serial)
		if err != nil {
			return err
		}
		d.PEM, d.Chain, d.Tag = d.Self+"/certificate.pem", d.Self+"/chain.pem", statusTag(cert, s.o.Now())
	}
	if d.Tag == orderOpen || form.Wrong() {
		d.Form = &form
	}
	return s.pages.Render(w, r, web.Page{Template: "order", Title: web.Text{ZH: "企业登录证书", EN: "Firm's sign-in certificate"}, Data: &d, Status: status, Wrong: form.Wrong()})
}

// postOrder brings the certificate request. The order is used once, so that it is key
// enough: the same request is answered as the first time.
func (s *Service) postOrder(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	o, f, err := s.order(r, id)
	if err != nil {
		return err
	}
	form := orderForm()
	form.Field(inCSR).Value = visible(r.PostForm.Get(inCSR))
	csr, err := readCSR(r, &form, profile.Firm, true)
	if err != nil {
		return err
	}
	if form.Wrong() {
		return s.drawOrder(w, r, o, f, form, http.StatusBadRequest)
	}
	_, err = s.o.CA.Redeem(r.Context(), o.ID, "person:"+id.Person, csr)
	if list, ok := says(err); ok {
		form.Problems = append(form.Problems, list...)
		return s.drawOrder(w, r, o, f, form, web.Status(err))
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, "/firm/orders/"+o.ID, http.StatusSeeOther)
	return nil
}

// getOrderFile serves the certificate, or its chain.
func (s *Service) getOrderFile(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	o, _, err := s.order(r, id)
	if err != nil {
		return err
	}
	p, err := s.brought(r.Context(), o)
	if err != nil {
		return err
	}
	if p.Serial == "" {
		return errNotFound
	}
	row, err := s.o.CA.Find(r.Context(), p.Serial)
	if err != nil {
		return err
	}
	return s.serveFile(w, r, row)
}
