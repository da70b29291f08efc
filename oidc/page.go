package oidc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// self is the value of the field "firm" for a person who acts for nobody else.
const self = "self"

// serveInteraction goes on with a request: the browser comes here to consent and after
// signing in.
func (p *Provider) serveInteraction(w http.ResponseWriter, r *http.Request) error {
	i, a, err := p.resume(r)
	if a == nil {
		return err
	}
	ctx, id := r.Context(), web.IdentityOf(r.Context())
	if err != nil {
		return p.sendError(w, r, a, err)
	}
	if a.client.Sandbox {
		return p.serveSandbox(w, r, i, a)
	}
	d, err := p.decide(ctx, a, i.created, id)
	if p.known(err) != nil {
		return p.sendError(w, r, a, err)
	}
	switch {
	case err != nil:
		return err
	case i.outcome == outcomeDenied || i.outcome != "" && d.step != stepCode:
		return errAnswered
	case d.step == stepConsent:
		return p.showConsent(w, r, i, a, d, nil)
	case d.step != stepCode:
		p.goOn(w, r, a, i.id, d.step)
		return nil
	}
	g := p.newGrant(a, id, p.o.Now())
	g.sub, g.consent = d.sub, d.consent
	return p.answer(w, r, i, a, g, false)
}

// serveAnswer takes what the person said on the consent page.
func (p *Provider) serveAnswer(w http.ResponseWriter, r *http.Request) error {
	form, err := postedForm(w, r)
	if err != nil {
		return err
	}
	i, a, err := p.resume(r)
	if a == nil {
		return err
	}
	if err != nil {
		return p.sendError(w, r, a, err)
	}
	if a.client.Sandbox {
		return p.serveSandboxAnswer(w, r, form, i, a)
	}
	if form.Has("deny") {
		if err := p.deny(r.Context(), i); err != nil {
			return err
		}
		return p.sendError(w, r, a, reject("access_denied", "the person said no"))
	}
	return p.serveAllow(w, r, form, i, a)
}

func (p *Provider) serveAllow(w http.ResponseWriter, r *http.Request, form url.Values, i *interaction, a *authorization) error {
	ctx, id := r.Context(), web.IdentityOf(r.Context())
	d, err := p.decide(ctx, a, i.created, id)
	if p.known(err) != nil {
		return p.sendError(w, r, a, err)
	}
	if err != nil {
		return err
	}
	// Without the button, for another session or for nobody the page is shown again.
	if id == nil || d.step != stepConsent && d.step != stepCode || !form.Has("allow") || form.Get("key") != pageKey(i, id) {
		p.goOn(w, r, a, i.id, stepConsent)
		return nil
	}
	g := p.newGrant(a, id, p.o.Now())
	if len(d.firms) > 0 {
		firm, err := p.choose(ctx, id, d.firms, form.Get("firm"))
		if problem, ok := errors.AsType[*choiceError](err); ok {
			return p.showConsent(w, r, i, a, d, problem)
		}
		if err != nil {
			return err
		}
		g.firm, g.firmName = firm.USCC, firm.Name
	}
	return p.answer(w, r, i, a, g, true)
}

// answer makes a code for the interaction and sends the browser back with it.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, i *interaction, a *authorization, g *grant, give bool) error {
	secret, err := p.makeCode(r.Context(), a, g)
	if err != nil {
		return fmt.Errorf("issue code: %w", err)
	}
	id, err := p.finish(r.Context(), i, a, g, give)
	if err != nil {
		return err
	}
	p.sendCode(w, a, id+"."+secret)
	return nil
}

// choiceError is what is wrong with the field "firm".
type choiceError struct {
	value string
	text  web.Text
}

// Error implements error.
func (e *choiceError) Error() string { return e.text.EN }

// choose makes the session act for the firm of the field, the zero Firm for the
// person alone. It fails with a choiceError for a value that is not among firms.
func (p *Provider) choose(ctx context.Context, id *web.Identity, firms []registry.Firm, value string) (firm registry.Firm, err error) {
	at := slices.IndexFunc(firms, func(f registry.Firm) bool { return f.USCC == value })
	switch {
	case value == "":
		return firm, &choiceError{value, web.Text{ZH: "请选择以谁的身份办理", EN: "Choose whom you act for"}}
	case value == self:
	case at < 0:
		return firm, &choiceError{value, web.Text{ZH: "您没有代表该企业的授权，请重新选择", EN: "You may not act for that firm: choose again"}}
	default:
		firm = firms[at]
	}
	err = p.o.Sessions.ActFor(ctx, id.Session, firm.USCC)
	if fault.KindOf(err) == fault.Denied {
		return firm, &choiceError{value, web.Text{ZH: "您代表该企业的授权已失效，请重新选择", EN: "You may no longer act for that firm: choose again"}}
	}
	if err != nil {
		return firm, fmt.Errorf("act for: %w", err)
	}
	return firm, nil
}

// consentPage is what the template sees.
type consentPage struct {
	Agency  web.Text // the agency's name; the city's for a client of its own
	Client  string   // the client's name, as it was registered
	Host    string   // where the person is sent back to
	Person  string
	ActsFor string // a firm chosen before, "" for none
	Firm    bool   // the client asks whom they act for
	Learns  []web.Text
	Form    web.Form
	Key     string
}

// city is who stands behind a client that no agency owns.
var city = web.Text{ZH: "本市政务服务平台", EN: "The city's own services"}

func (p *Provider) showConsent(w http.ResponseWriter, r *http.Request, i *interaction, a *authorization, d decision, problem *choiceError) error {
	id := web.IdentityOf(r.Context())
	data := consentPage{Agency: city, Client: a.client.Name, Person: id.Name, ActsFor: id.FirmName,
		Firm: a.wants(scopeFirm), Key: pageKey(i, id)}
	if a.client.Agency != "" {
		agency, err := p.o.Agencies.FindAgency(r.Context(), a.client.Agency)
		if err != nil {
			return fmt.Errorf("find agency: %w", err)
		}
		data.Agency = web.Text{ZH: agency.NameZH, EN: agency.NameEN}
	}
	if u, err := url.Parse(a.redirect); err == nil {
		data.Host = u.Host
	}
	for _, s := range peopleScopes {
		if a.wants(s) {
			data.Learns = append(data.Learns, learns[s])
		}
	}
	if len(d.firms) > 0 {
		data.Form.Fields = []web.Field{firmField(id, d.firms, problem)}
	}
	return p.pages.Render(w, r, consentOf(data, a.redirect))
}

// consentOf returns the page.
func consentOf(data consentPage, redirect string) web.Page {
	page := web.Page{Template: "consent", Title: web.Text{ZH: "确认授权", EN: "Allow this site to know who you are"}, Data: &data,
		FormTo: originOf(redirect), Wrong: data.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

// mostRadios is how many firms are shown side by side; more go into a list.
const mostRadios = 6

func firmField(id *web.Identity, firms []registry.Firm, problem *choiceError) web.Field {
	f := web.Field{Name: "firm", Type: "radio", Required: true, Label: web.Text{ZH: "您此次以谁的身份办理？", EN: "Whom do you act for?"},
		Hint: web.Text{ZH: "登录期间对所有网站有效，可在“我的账户”中更改。", EN: "This holds for all sites until you sign out. You can change it in your account."}}
	if len(firms) > mostRadios {
		f.Type = "select"
		f.Options = []web.Option{{Label: web.Text{ZH: "请选择", EN: "Choose"}}}
	}
	f.Options = append(f.Options, web.Option{Value: self, Label: web.Text{ZH: "本人（" + id.Name + "）", EN: "Myself (" + id.Name + ")"}})
	for _, firm := range firms {
		f.Options = append(f.Options, web.Option{Value: firm.USCC, Label: web.Text{ZH: firm.Name + "（" + firm.USCC + "）", EN: firm.Name + " (" + firm.USCC + ")"}})
	}
	if problem != nil {
		f.Value, f.Problem = problem.value, problem.text
	}
	return f
}
