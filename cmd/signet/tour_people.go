package main

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/cmd/visitor"
	"github.com/signet-city/signet/oidc/login"
)

// signIn proves somebody on the sign-in page p, where the way to something else
// has led, and returns the page after it.
func signIn(ctx context.Context, v *visitor.Visitor, p *visitor.Page, u city.DemoUser) (*visitor.Page, error) {
	code, err := login.Code(u.TOTP, time.Now())
	if err != nil {
		return nil, err
	}
	return v.Press(ctx, p, "sign-in", map[string]string{"username": u.Username, "password": u.Password, "otp": code})
}

// site signs a visitor in at one of the demo's relying parties.
func (t *tour) site(ctx context.Context, v *visitor.Visitor, site city.DemoSite, u *city.DemoUser) (string, error) {
	p, err := v.Open(ctx, site.URL+"/")
	if err != nil {
		return "", err
	}
	if p.HasButton("signout") { // of this site alone: the city's session goes on
		if p, err = v.Press(ctx, p, "signout", nil); err != nil {
			return "", err
		}
	}
	if p, err = v.Press(ctx, p, "signin", nil); err != nil {
		return "", err
	}
	if u != nil {
		if p, err = signIn(ctx, v, p, *u); err != nil {
			return "", err
		}
		if p, err = v.Press(ctx, p, "allow", nil); err != nil {
			return "", err
		}
	}
	sub := p.Value("signed-in", "data-sub")
	if sub == "" || !strings.HasPrefix(p.At.String(), site.URL+"/") {
		return "", fmt.Errorf("not signed in at %s, but on a page of %s: %s", site.ID, p.At.Host, p.Text("h1"))
	}
	return sub, nil
}

// citizen signs a citizen in at the first relying party and then at the second,
// which asks for agreement and nothing else.
func (t *tour) citizen(ctx context.Context) (string, error) {
	if len(t.demo.Clients) < 2 || len(t.demo.Citizens) == 0 {
		return "", errors.New("the demo city has no relying parties or citizens")
	}
	v, u := visitor.New(nil), t.demo.Citizens[0]
	first, err := t.site(ctx, v, t.demo.Clients[0], &u)
	if err != nil {
		return "", err
	}
	again, err := t.site(ctx, v, t.demo.Clients[0], nil)
	if err != nil || again != first {
		return "", fmt.Errorf("a second sign-in at the same agency: %w", errors.Join(err, fmt.Errorf("subject %s, then %s", first, again)))
	}
	t.person = v
	return fmt.Sprintf("%s is known to %s as %s; asked once, not again", u.Username, t.demo.Clients[0].ID, first), t.ledger.Write(city.ActSignIn, t.demo.Clients[0].ID, "")
}

// singleSignOn signs the same citizen in at the second relying party: no password.
func (t *tour) singleSignOn(ctx context.Context) (string, error) {
	if t.person == nil {
		return "", errEarlier
	}
	site := t.demo.Clients[1]
	p, err := t.person.Open(ctx, site.URL+"/")
	if err != nil {
		return "", err
	}
	if p, err = t.person.Press(ctx, p, "signin", nil); err != nil {
		return "", err
	}
	if p.Has("password") {
		return "", errors.New("the second agency asked for a password")
	}
	if p.HasButton("allow") { // what it learns is told once
		if p, err = t.person.Press(ctx, p, "allow", nil); err != nil {
			return "", err
		}
	}
	sub := p.Value("signed-in", "data-sub")
	if sub == "" {
		return "", fmt.Errorf("not signed in at %s: %s", site.ID, p.Text("h1"))
	}
	return fmt.Sprintf("no password asked; %s knows the citizen as %s", site.ID, sub), nil
}

// tourApplication is what the clerk types in.
var tourApplication = map[string]string{"holder": "91990101MA1F001250", "trade_name": "湖畔咖啡", "premises": "江城市东湖区湖滨路20号1幢102室",
	"legal_representative": "周予安", "category": "餐饮服务经营者", "scope": "自制饮品制售", "seats": "24", "area_m2": "80", "supervisor": "林若川", "online": "否"}

// desk has one clerk apply for a licence and another one approve it, on the pages
// of the licence desk.
func (t *tour) desk(ctx context.Context) (string, error) {
	var clerks []city.DemoUser
	for _, c := range t.demo.Clerks {
		if c.Agency == tourAgency {
			clerks = append(clerks, c)
		}
	}
	if len(clerks) < 2 {
		return "", errors.New("the agency has no two clerks")
	}
	applied, err := t.apply(ctx, clerks[0])
	if err != nil {
		return "", fmt.Errorf("first clerk: %w", err)
	}
	v := visitor.New(nil)
	p, err := v.Open(ctx, applied)
	if err == nil {
		p, err = signIn(ctx, v, p, clerks[1])
	}
	if err == nil {
		p, err = v.Press(ctx, p, "approve", nil)
	}
	if err != nil {
		return "", fmt.Errorf("second clerk: %w", err)
	}
	return t.printed(ctx, v, p)
}

// apply fills in the form and returns the address of the application.
func (t *tour) apply(ctx context.Context, clerk city.DemoUser) (string, error) {
	v := visitor.New(nil)
	p, err := v.Open(ctx, t.demo.Issuer+"/desk/food-business/new")
	if err != nil {
		return "", err
	}
	if p, err = signIn(ctx, v, p, clerk); err != nil {
		return "", err
	}
	if p, err = v.Press(ctx, p, "submit", tourApplication); err != nil {
		return "", err
	}
	if p.HasButton("approve") {
		return "", errors.New("whoever applied may approve")
	}
	return p.At.String(), nil
}

// printed takes the QR of the licence that page p, or a page it leads to, is about.
func (t *tour) printed(ctx context.Context, v *visitor.Visitor, p *visitor.Page) (string, error) {
	link := p.At.Path
	if !strings.HasPrefix(link, "/desk/licenses/") {
		link = p.Link("/desk/licenses/")
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(link, "/desk/licenses/"), "?")
	if link == "" || id == "" {
		return "", fmt.Errorf("no licence after the approval: %s", p.Text("h1"))
	}
	picture, err := v.Open(ctx, t.demo.Issuer+"/desk/licenses/"+id+"/qr.png")
	if err != nil {
		return "", err
	}
	b, err := t.agency.call(ctx, request{method: http.MethodGet, path: "/licenses/v1/licenses/" + id})
	if err != nil {
		return "", err
	}
	var made permitFile
	if err := json.Unmarshal(b, &made); err != nil {
		return "", err
	}
	if err := t.ledger.Write(city.ActLicense, made.ID, sha([]byte(made.Permit))); err != nil {
		return "", err
	}
	if made.png, err = t.save(fmt.Sprintf("permit-%d.png", len(t.permits)+1), picture.Body); err != nil {
		return "", err
	}
	t.permits = append(t.permits, made)
	return "licence " + made.Number + ", applied for by one clerk and approved by another", nil
}
