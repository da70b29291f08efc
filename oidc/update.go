package oidc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// FindClient returns a client. It fails with ErrClient if there is none with that id.
func (p *Provider) FindClient(ctx context.Context, id string) (Client, error) {
	if !isClientID(id) {
		return Client{}, ErrClient
	}
	var c *client
	err := p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		c, err = readClient(ctx, tx, id)
		return err
	})
	if err != nil {
		return Client{}, fmt.Errorf("find client: %w", err)
	}
	return c.Client, nil
}

// UpdateClient replaces a client's particulars, which every replica knows within two
// seconds. What people and events know it by stays: its id, agency, profile, sector
// and way of proving itself. Repeating it is harmless. It fails with ErrClient if there
// is none, and with kind Invalid, and all that is wrong, for wrong particulars.
func (p *Provider) UpdateClient(ctx context.Context, actor string, c Client) (Client, error) {
	c.fill()
	old, err := p.FindClient(ctx, c.ID)
	if err != nil {
		return Client{}, err
	}
	if old.Sandbox {
		return Client{}, fault.New(fault.Conflict, "a client of the sandbox is not changed: make another")
	}
	var bad problems
	for _, fixed := range []struct{ path, was, is string }{{"/agency", old.Agency, c.Agency}, {"/profile", old.Profile, c.Profile},
		{"/sector_identifier", old.SectorIdentifier, c.SectorIdentifier}, {"/token_endpoint_auth_method", old.AuthMethod, c.AuthMethod}} {
		bad.add(fixed.was != fixed.is, fixed.path, "cannot be changed: add another client")
	}
	bad.add(!c.Created.IsZero() && !c.Created.Equal(old.Created), "/created", "cannot be changed")
	bad.add(!c.Disabled.Equal(old.Disabled), "/disabled", "is changed by disabling the client")
	if len(bad) > 0 {
		return Client{}, fault.InvalidInput("the client is not as it should be", bad...)
	}
	c.Created, c.Disabled = time.Time{}, time.Time{}
	if err := p.checkClient(ctx, c); err != nil {
		return Client{}, err
	}
	if err := p.needKeys(ctx, c.IDTokenAlg, actor); err != nil {
		return Client{}, err
	}
	c.Created, c.Disabled = old.Created, old.Disabled
	err = p.o.DB.Update(ctx, func(tx db.Tx) error { return updateClient(ctx, tx, actor, c) })
	if err != nil {
		return Client{}, fmt.Errorf("update client: %w", err)
	}
	p.clients.forget(c.ID)
	return c, nil
}

func updateClient(ctx context.Context, tx db.Tx, actor string, c Client) error {
	values := c.values()
	var set strings.Builder
	for i, column := range strings.Split(particulars, ",") {
		if i > 0 {
			set.WriteString(", ")
		}
		fmt.Fprintf(&set, "%s = $%d", strings.TrimSpace(column), i+1)
	}
	values = append(values, c.ID)
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_clients SET `+set.String()+fmt.Sprintf(` WHERE id = $%d`, len(values)), values...))
	if err == nil && !ok {
		err = ErrClient
	}
	if err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.client.update", Actor: actor, Object: "client:" + c.ID, Data: c.eventData()})
	return err
}
