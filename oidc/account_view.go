package oidc

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Known is a client that a person lets know who they are, as the person sees it.
type Known struct {
	Client string // its id
	Name   string
	Agency web.Text   // who runs it
	Learns []web.Text // what it may learn, as the consent page says it
	Since  time.Time
}

// KnownTo returns the clients that a person lets know who they are, by name, those
// that were disabled too. WithdrawConsent ends what it tells.
func (p *Provider) KnownTo(ctx context.Context, person string) ([]Known, error) {
	consents, err := p.ListConsents(ctx, person)
	if err != nil {
		return nil, err
	}
	list := make([]Known, 0, len(consents))
	for _, c := range consents {
		k, err := p.knownAs(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("list sites: %w", err)
		}
		list = append(list, k)
	}
	slices.SortStableFunc(list, func(a, b Known) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// knownAs adds to a consent who the client is.
func (p *Provider) knownAs(ctx context.Context, c Consent) (Known, error) {
	k := Known{Client: c.Client, Name: c.Client, Agency: city, Since: c.Created}
	for _, s := range peopleScopes {
		if slices.Contains(c.Scopes, s) {
			k.Learns = append(k.Learns, learns[s])
		}
	}
	client, err := p.findClient(ctx, c.Client)
	if err != nil {
		return k, err
	}
	k.Name = client.Name
	if client.Agency == "" {
		return k, nil
	}
	agency, err := p.o.Agencies.FindAgency(ctx, client.Agency)
	if fault.KindOf(err) == fault.NotFound {
		return k, nil
	}
	k.Agency = web.Text{ZH: agency.NameZH, EN: agency.NameEN}
	return k, err
}
