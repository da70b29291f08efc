package city

import (
	"context"
	"fmt"
	"net/http"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/egress"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/oidc"
)

// openOutbox opens what leaves the city for addresses that others named.
func (c *City) openOutbox(o Options) (err error) {
	c.Egress = egress.New(egress.Options{AllowPrivateAddressesInsecure: o.PrivateAddresses})
	if c.Outbox, err = outbox.New(outbox.Options{DB: c.DB, Now: o.Now, Logger: o.Logger, Registerer: o.Metrics}); err != nil {
		return err
	}
	c.Outbox.Handle(oidc.LogoutKind, c.sendLogout)
	return nil
}

func (c *City) queueLogouts(ctx context.Context, tx db.Tx, list []oidc.Notice) error {
	messages := make([]outbox.Message, len(list))
	for i, n := range list {
		messages[i] = outbox.Message{Kind: oidc.LogoutKind, Target: n.Target, Body: n.Body}
	}
	return outbox.Add(ctx, tx, c.now(), messages...)
}

func (c *City) sendLogout(ctx context.Context, m outbox.Message) error {
	err := c.OIDC.SendLogout(ctx, m.ID, m.Body, func(ctx context.Context, url string, form []byte) (int, error) {
		answer, err := c.Egress.Post(ctx, url, "application/x-www-form-urlencoded", nil, form)
		return answer.Status, err
	})
	if fault.KindOf(err) == fault.Invalid { // no such message, or an address that is never called
		return outbox.Permanent(err)
	}
	return err
}

// fetcher gets what clients publish.
type fetcher struct{ *egress.Client }

// Fetch implements oidc.Fetcher.
func (f fetcher) Fetch(ctx context.Context, url string, limit int64) ([]byte, error) {
	answer, err := f.Get(ctx, url, limit)
	if err == nil && answer.Status != http.StatusOK {
		err = fault.New(fault.Unavailable, fmt.Sprintf("the address answers with status %d", answer.Status))
	}
	return answer.Body, err
}
