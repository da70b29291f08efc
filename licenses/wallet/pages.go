package wallet

import (
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// self is what the form sends for acting for oneself.
const self = "self"

var title = web.Text{ZH: "我的证照", EN: "My permits"}

// walletData is what wallet.html sees.
type walletData struct {
	Holder  holder
	Permits []permit
	Switch  *web.Field // of the form that chooses whom to act for; nil if there is no choice
	Apply   bool       // there is somewhere to apply
}

func (s *Service) getWallet(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	h, err := s.holder(r.Context(), id)
	if err != nil {
		return err
	}
	list, err := s.held(r.Context(), h)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, walletPage(h, list, s.o.Applications != nil))
}

func walletPage(h holder, list []permit, apply bool) web.Page {
	return web.Page{Template: "wallet", Title: title, Data: walletData{h, list, choice(h), apply && !h.Lost}}
}

// choice returns the field that asks whom the person acts for: radio buttons where
// they are few.
func choice(h holder) *web.Field {
	if len(h.Firms) == 0 && h.Firm == "" {
		return nil
	}
	f := &web.Field{Name: "firm", Type: "radio", Value: self, Label: web.Text{ZH: "查看谁的证照", EN: "Whose permits to show"},
		Options: []web.Option{{Value: self, Label: web.Text{ZH: "本人", EN: "My own"}}}}
	for _, firm := range h.Firms {
		f.Options = append(f.Options, web.Option{Value: firm.USCC, Label: web.Text{ZH: firm.Name, EN: firm.Name}})
		if firm.USCC == h.Firm {
			f.Value = firm.USCC
		}
	}
	if len(h.Firms) > 8 {
		f.Type = "select"
	}
	return f
}

// permitData is what permit.html and show.html see.
type permitData struct {
	permit
	For  holder
	Code template.URL // the picture; "" while there is none
}

func (s *Service) getPermit(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	return s.render(w, r, id, permitPage)
}

// getShow is the code as large as the screen allows.
func (s *Service) getShow(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	return s.render(w, r, id, showPage)
}

func (s *Service) render(w http.ResponseWriter, r *http.Request, id *web.Identity, page func(permit, holder) (web.Page, error)) error {
	p, h, err := s.find(r.Context(), id, r.PathValue("id"))
	if err != nil {
		return err
	}
	drawn, err := page(p, h)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, drawn)
}

func permitPage(p permit, h holder) (web.Page, error) {
	data, err := withCode(p, h)
	return web.Page{Template: "permit", Title: p.Type, Data: data}, err
}

func showPage(p permit, h holder) (web.Page, error) {
	if p.code == "" {
		_, err := p.picture(licenses.SVG)
		return web.Page{}, err
	}
	data, err := withCode(p, h)
	return web.Page{Template: "show", Wide: true, Title: web.Text{ZH: "出示" + p.Type.ZH, EN: "Show: " + p.Type.EN}, Data: data}, err
}

// withCode puts the code's picture into the page itself, so that the page is all
// there once it has come.
func withCode(p permit, h holder) (permitData, error) {
	data := permitData{permit: p, For: h}
	if p.code == "" {
		return data, nil
	}
	svg, err := p.picture(licenses.SVG)
	if err != nil {
		return data, err
	}
	data.Code = template.URL("data:image/svg+xml;base64," + base64.StdEncoding.EncodeToString(svg))
	return data, nil
}

func (s *Service) getSVG(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	return s.file(w, r, id, "image/svg+xml", ".svg", licenses.SVG)
}

func (s *Service) getPNG(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	return s.file(w, r, id, "image/png", ".png", licenses.PNG)
}

// file answers with the code as a file to keep, named by the permit's number.
func (s *Service) file(w http.ResponseWriter, r *http.Request, id *web.Identity, kind, ext string, draw func(string) ([]byte, error)) error {
	p, _, err := s.find(r.Context(), id, r.PathValue("id"))
	if err != nil {
		return err
	}
	b, err := p.picture(draw)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", `attachment; filename="`+p.Number+ext+`"`) // a number holds letters and digits
	h.Set("Cache-Control", "private, no-store")
	_, err = w.Write(b)
	return err
}
