package oidc

import (
	"slices"

	"github.com/signet-city/signet/internal/web"
)

// errUnmet is the answer to a request whose essential acr the sign-in does not reach
// (OpenID Connect Core Unmet Authentication Requirements 1.0).
var errUnmet = reject("unmet_authentication_requirements", "the sign-in does not reach what acr asks for")

// levels returns the values of acr that a client may ask for, the weakest first.
func (p *Provider) levels() []string {
	if p.o.Assurance == nil {
		return nil
	}
	return p.o.Assurance.Levels()
}

// reached returns the first level that a request asks for and a sign-in reaches, ""
// for none.
func (p *Provider) reached(a *authorization, have string) string {
	for _, want := range a.acrs {
		if slices.Contains(p.levels(), want) && p.o.Assurance.Reaches(have, want) {
			return want
		}
	}
	return ""
}

// level returns the level that the sign-in page is to ask the person for: the first of
// those asked for that there is, "" for any.
func (p *Provider) level(a *authorization) string {
	for _, want := range a.acrs {
		if slices.Contains(p.levels(), want) {
			return want
		}
	}
	return ""
}

// weighLevel says whether a sign-in is sure enough for a request. A level that is only
// wished for is asked for once: whoever signed in for this request, or must not be
// asked, goes on with what they have. One that is essential is reached, or there is no
// code.
func (p *Provider) weighLevel(a *authorization, d decision, id *web.Identity, fresh bool) (decision, error) {
	if p.reached(a, id.ACR) != "" {
		return d, nil
	}
	if p.level(a) == "" || fresh || a.asks(promptNone) {
		if a.essential {
			return decision{}, errUnmet
		}
		return d, nil
	}
	d.step = stepAgain
	return d, nil
}

// acr is what a client is told of a sign-in. To a request with an essential acr it is
// the value asked for (OpenID Connect Core section 5.5.1.1), which is true of a surer
// sign-in as well.
func (p *Provider) acr(a *authorization, have string) string {
	if a.essential {
		if want := p.reached(a, have); want != "" {
			return want
		}
	}
	return have
}
