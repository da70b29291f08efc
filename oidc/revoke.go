package oidc

import (
	"context"
	"encoding/json/v2"
	"errors"
	"net/http"

	"github.com/ory/fosite"
)

// serveRevoke is the revocation endpoint (RFC 7009): a client gives up a token of its
// own, and with it the whole grant. A token that is not known, or no longer, or
// somebody else's, is answered like one that was revoked. An access token of a
// program ends by itself.
func (p *Provider) serveRevoke(w http.ResponseWriter, r *http.Request) {
	p.prepare(w, r)
	if err := p.revoke(w, r); err != nil {
		p.refuse(w, r, err)
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (p *Provider) revoke(rw http.ResponseWriter, r *http.Request) error {
	form, err := readForm(rw, r, maxForm)
	if err != nil {
		return err
	}
	if form.Get("token") == "" {
		return invalid("token is missing")
	}
	w := &work{p: p}
	ctx := withWork(r.Context(), w)
	if _, err := p.authenticate(ctx, r, form); err != nil {
		return err
	}
	if err := p.findToken(ctx, w, form.Get("token")); err != nil {
		return err
	}
	if w.grant != nil && w.grant.client == w.client.ID {
		w.endBecause(endClient)
	}
	return w.commit(ctx)
}

// findToken finds the grant of a refresh token or of an access token. The hint of
// RFC 7009 section 2.1 is not needed: the two look different.
func (p *Provider) findToken(ctx context.Context, w *work, token string) error {
	err := store{p}.readRefresh(ctx, w, token)
	if err == nil || !errors.Is(err, fosite.ErrNotFound) {
		return err
	}
	payload, err := p.verify(ctx, token, tokenType)
	if err != nil || payload == nil {
		return err
	}
	var c personClaims
	if json.Unmarshal(payload, &c, json.RejectUnknownMembers(true)) != nil || c.Audience != p.userinfoURL() {
		return nil
	}
	w.grant, err = p.findGrant(ctx, c.Grant)
	return err
}
