package city

import (
	"context"

	"github.com/signet-city/signet/oidc"
	"github.com/signet-city/signet/oidc/account"
)

// consents shows people what the provider keeps of their consents.
type consents struct{ p *oidc.Provider }

var _ account.Consents = consents{}

// List implements account.Consents.
func (c consents) List(ctx context.Context, person string) ([]account.Site, error) {
	known, err := c.p.KnownTo(ctx, person)
	list := make([]account.Site, len(known))
	for i, k := range known {
		list[i] = account.Site(k)
	}
	return list, err
}

// Withdraw implements account.Consents.
func (c consents) Withdraw(ctx context.Context, person, client string) error {
	return c.p.WithdrawConsent(ctx, "person:"+person, person, client)
}
