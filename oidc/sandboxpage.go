package oidc

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// stepPersona is where a request of the sandbox goes on: to the page of personas.
const stepPersona step = "persona"

// authorizeSandbox is what serveAuthorize does for a client of the sandbox, once its
// request has been read and found good as any other. Who is signed in in this browser is
// not looked at.
func (p *Provider) authorizeSandbox(w http.ResponseWriter, r *http.Request, a *authorization) error {
	now := p.o.Now()
	if a.essential && p.level(a) == "" {
		return p.sendRefusal(w, r, a, errUnmet)
	}
	if !a.asks(promptNone) {
		return p.ask(w, r, a, now, stepPersona)
	}
	code, err := p.silentPersona(r.Context(), a, cookieHash(r), now)
	if err != nil {
		return p.sendRefusal(w, r, a, err)
	}
	p.sendCode(w, a, code)
	return nil
}

// silentPersona makes a code for the persona who is signed in at this client in this
// browser. It fails with a refusal if there is none that the request could be about.
func (p *Provider) silentPersona(ctx context.Context, a *authorization, browser []byte, now time.Time) (string, error) {
	s, err := p.findSandboxSession(ctx, a.client.ID, browser)
	if err != nil {
		return "", err
	}
	if s == nil || !a.takes(s.created, now) {
		return "", reject("login_required", "no persona is signed in here, or too long ago")
	}
	x := p.findPersona(personaPrefix + s.persona)
	if x == nil {
		return "", reject("login_required", "no persona is signed in here, or too long ago")
	}
	id := p.identityOf(x, s.id, s.acr, s.firm, s.created)
	g, err := p.personaGrant(a, x, id, now)
	if err != nil {
		return "", err
	}
	secret, err := p.makeCode(ctx, a, g)
	if err != nil {
		return "", fmt.Errorf("issue code: %w", err)
	}
	err = p.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := a.consume(ctx, tx, "", now); err != nil {
			return err
		}
		return insertGrant(ctx, tx, g)
	})
	if err != nil {
		return "", fmt.Errorf("issue code: %w", err)
	}
	return g.id + "." + secret, nil
}

// identityOf is a persona as somebody who is signed in.
func (p *Provider) identityOf(x *persona, session, level, uscc string, at time.Time) *web.Identity {
	id := &web.Identity{Session: personaPrefix + session, Person: personaPrefix + x.ID, Name: x.Name, ACR: level, AMR: amrOf(level, p.levels()),
		AuthTime: at, Chosen: true}
	if f, ok := x.firm(uscc); ok {
		id.Firm, id.FirmName = f.USCC, f.Name
	}
	return id
}

// personaGrant returns what a persona gives a client. It fails with a refusal where the
// request is about somebody else, or wants a level that was not reached.
func (p *Provider) personaGrant(a *authorization, x *persona, id *web.Identity, now time.Time) (*grant, error) {
	g := p.newGrant(a, id, now)
	g.sub, g.consent = x.sub(a.client.ID), sandboxConsent
	if end := now.Add(sandboxSessionLife); g.expires.After(end) { // none outlives its session, so its row need not
		g.expires = end
	}
	if slices.ContainsFunc(a.subs, func(sub string) bool { return sub != g.sub }) {
		return nil, reject("login_required", "another person is signed in than the one hinted at")
	}
	if a.essential && p.reached(a, id.ACR) == "" {
		return nil, errUnmet
	}
	return g, nil
}

// serveSandbox shows the personas.
func (p *Provider) serveSandbox(w http.ResponseWriter, r *http.Request, i *interaction, a *authorization) error {
	if i.outcome != "" {
		return errAnswered
	}
	return p.renderSandbox(w, r, p.sandboxPage(a), a.redirect)
}

// serveSandboxAnswer takes who was chosen, which is signing in and agreeing at once.
func (p *Provider) serveSandboxAnswer(w http.ResponseWriter, r *http.Request, form url.Values, i *interaction, a *authorization) error {
	page := p.sandboxPage(a)
	name, uscc, _ := strings.Cut(form.Get("persona"), "/")
	x := p.findPersona(personaPrefix + name)
	if form.Has("deny") || x != nil && x.Declines {
		if err := p.deny(r.Context(), i); err != nil {
			return err
		}
		return p.sendError(w, r, a, reject("access_denied", "the person said no"))
	}
	page.Form.Field("persona").Value = form.Get("persona")
	if x == nil || !slices.ContainsFunc(page.Form.Field("persona").Options, func(o web.Option) bool { return o.Value == form.Get("persona") }) {
		page.Form.Blame("persona", web.Text{ZH: "请选择一位测试人员", EN: "Choose a test persona"})
		return p.renderSandbox(w, r, page, a.redirect)
	}
	level, ok := p.chosenLevel(x, form.Get("acr"))
	if !ok {
		page.Form.Blame("acr", web.Text{ZH: "该测试人员达不到此认证等级", EN: "This persona does not reach that level"})
		return p.renderSandbox(w, r, page, a.redirect)
	}
	now := db.Time(db.Micros(p.o.Now()))
	g, err := p.personaGrant(a, x, p.identityOf(x, i.id, level, uscc, now), now)
	if err != nil {
		return p.sendError(w, r, a, err)
	}
	return p.answer(w, r, i, a, g, true)
}

// chosenLevel returns the level of a field, by default the persona's surest, and whether
// the persona reaches it.
func (p *Provider) chosenLevel(x *persona, value string) (string, bool) {
	reach := x.reach(p.levels())
	if value == "" {
		if len(reach) == 0 {
			return "", true
		}
		return reach[len(reach)-1], true
	}
	return value, slices.Contains(reach, value)
}

// sandboxPage is what the template sees.
type sandboxPage struct {
	Client string
	Learns []web.Text
	Wants  string // the level that the request asks for, "" for none
	Form   web.Form
	Done   bool // the persona is signed out
}

func (p *Provider) sandboxPage(a *authorization) sandboxPage {
	d := sandboxPage{Client: a.client.Name, Wants: p.level(a)}
	for _, s := range peopleScopes {
		if a.wants(s) {
			d.Learns = append(d.Learns, learns[s])
		}
	}
	d.Form.Fields = []web.Field{personaField(p.personas, a.wants(scopeFirm))}
	if levels := p.levels(); len(levels) > 0 {
		d.Form.Fields = append(d.Form.Fields, levelField(levels))
	}
	return d
}

// personaField lists the personas; where the client asks whom they act for, also with
// each of their firms.
func personaField(list []persona, firms bool) web.Field {
	f := web.Field{Name: "persona", Type: "radio", Required: true, Label: web.Text{ZH: "以哪位测试人员登录？", EN: "Sign in as which persona?"}}
	for _, x := range list {
		about := web.Text{ZH: x.About.ZH, EN: x.About.EN}
		f.Options = append(f.Options, web.Option{Value: x.ID, Label: x.label(""), Hint: about})
		if !firms {
			continue
		}
		for _, firm := range x.Firms {
			f.Options = append(f.Options, web.Option{Value: x.ID + "/" + firm.USCC, Label: x.label(firm.Name), Hint: about})
		}
	}
	return f
}

func levelField(levels []string) web.Field {
	f := web.Field{Name: "acr", Type: "select", Label: web.Text{ZH: "认证等级（acr）", EN: "Assurance (acr)"},
		Options: []web.Option{{Label: web.Text{ZH: "该人员可达到的最高等级", EN: "The highest that the persona reaches"}}}}
	for _, level := range levels {
		f.Options = append(f.Options, web.Option{Value: level, Label: web.Text{ZH: level, EN: level}})
	}
	return f
}

// renderSandbox draws the page without whoever is signed in in the browser.
func (p *Provider) renderSandbox(w http.ResponseWriter, r *http.Request, data sandboxPage, redirect string) error {
	return p.pages.Render(w, r.WithContext(web.WithIdentity(r.Context(), nil)), sandboxOf(data, redirect))
}

func sandboxOf(data sandboxPage, redirect string) web.Page {
	page := web.Page{Template: "sandbox", Title: web.Text{ZH: "测试环境：选择测试人员", EN: "Sandbox: choose a persona"}, Data: &data, Wrong: data.Form.Wrong()}
	if data.Done {
		page.Title = web.Text{ZH: "测试环境：已退出登录", EN: "Sandbox: signed out"}
	}
	if redirect != "" {
		page.FormTo = originOf(redirect)
	}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

// redirectRefused is errRedirect, with more of it for a developer in the sandbox: the
// addresses are their own.
func (p *Provider) redirectRefused(c *client) error {
	if !c.Sandbox {
		return errRedirect
	}
	list := strings.Join(c.RedirectURIs, " ")
	return web.Explain(errRedirect, web.Text{ZH: "测试客户端的 redirect_uri 未经登记。已登记的地址（逐字符比较）：" + list,
		EN: "The redirect_uri is not one with which this sandbox client was made. They are compared character by character: " + list})
}
