package oidc

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// userinfo is the answer of the userinfo endpoint (OpenID Connect Core section 5.3).
// Which members it has depends on the token's scopes.
type userinfo struct {
	Subject        string `json:"sub"`
	Name           string `json:"name,omitzero"`            // profile
	Firm           string `json:"firm_uscc,omitzero"`       // firm, unless the person acts for themselves
	FirmName       string `json:"firm_name,omitzero"`       // firm
	DocumentKind   string `json:"document_kind,omitzero"`   // resident: registry.Kind
	DocumentNumber string `json:"document_number,omitzero"` // resident
	Sandbox        bool   `json:"sandbox,omitzero"`         // the person is invented
}

// serveUserinfo answers with what the token lets its client know. The grant must
// still count; errors are those of RFC 6750 section 3.1.
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) error {
	p.tellNonce(w, r)
	info, c, err := p.userinfo(r)
	switch {
	case err == nil:
		p.metrics.infos.WithLabelValues("answered").Inc()
		return p.writeUserinfo(w, r, info, c)
	case fault.KindOf(err) == fault.Denied:
		p.metrics.infos.WithLabelValues("refused").Inc()
	default:
		p.metrics.infos.WithLabelValues("failed").Inc()
	}
	return err
}

// signedInfo is userinfo as a JWT (OpenID Connect Core section 5.3.2).
type signedInfo struct {
	userinfo `json:",inline"`
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	IssuedAt int64  `json:"iat"`
}

// infoType keeps signed userinfo from being taken for an ID token.
const infoType = "userinfo+jwt"

// writeUserinfo answers in the form that the client wants: JSON, or a JWT signed and
// then encrypted.
func (p *Provider) writeUserinfo(w http.ResponseWriter, r *http.Request, info userinfo, c *client) error {
	if c.UserinfoKeyAlg == "" {
		return web.WriteJSON(w, http.StatusOK, info)
	}
	token, err := p.sign(r.Context(), jose.SignatureAlgorithm(c.IDTokenAlg), infoType, signedInfo{info, p.o.Issuer, c.ID, p.o.Now().Unix()})
	if err == nil {
		token, err = p.encrypt(r.Context(), c, c.UserinfoKeyAlg, c.UserinfoEnc, token)
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/jwt")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write([]byte(token))
	return nil
}

func (p *Provider) userinfo(r *http.Request) (userinfo, *client, error) {
	ctx := r.Context()
	t, err := p.shownToken(r)
	if err != nil {
		return userinfo{}, nil, err
	}
	g, c, err := p.grantOf(ctx, t)
	if err != nil {
		return userinfo{}, nil, err
	}
	scopes := strings.Fields(t.Scope)
	told := func(claim string) bool {
		return slices.Contains(scopes, scopeOf[claim]) || slices.Contains(g.infoClaims, claim)
	}
	info := userinfo{Subject: g.sub, Sandbox: g.isPersona()}
	if told("firm_uscc") {
		info.Firm = g.firm
	}
	if told("firm_name") {
		info.FirmName = g.firmName
	}
	if !told("name") && !told("document_kind") && !told("document_number") {
		return info, c, nil
	}
	number := told("document_kind") || told("document_number")
	if number && p.o.NumberACR != "" && (p.o.Assurance == nil || !p.o.Assurance.Reaches(g.acr, p.o.NumberACR)) {
		return userinfo{}, nil, web.InsufficientAuthentication([]string{p.o.NumberACR}, 0, t.Key != nil)
	}
	person, err := p.personOf(ctx, g)
	if err != nil {
		return userinfo{}, nil, fault.Wrap(fault.Internal, "internal error", fmt.Errorf("find person: %w", err))
	}
	if told("name") {
		info.Name = person.Name
	}
	if told("document_kind") {
		info.DocumentKind = string(person.Kind)
	}
	if told("document_number") {
		info.DocumentNumber = person.Number
	}
	return info, c, nil
}

// shownToken returns the claims of the token that came with a request, and with a proof
// of its key if it is bound to one.
func (p *Provider) shownToken(r *http.Request) (c personClaims, err error) {
	ctx := r.Context()
	token, bound, err := web.Token(r)
	if err != nil {
		return c, err
	}
	var shown *proof
	jkt := ""
	if bound {
		if shown, err = p.proofOf(r, token); err != nil {
			return c, err
		}
		jkt = shown.jkt
	}
	if c, err = p.parsePersonToken(ctx, token); err != nil {
		return c, err
	}
	if !c.Key.is(jkt) {
		return c, web.Unauthorized("invalid_token", errBound)
	}
	if shown != nil {
		err = p.challenge(ctx, p.spendNow(ctx, shown.once))
	}
	return c, err
}

// parsePersonToken returns the claims of an access token of a person's grant that has
// not run out. Any other is refused as RFC 6750 says, one of a program among them.
func (p *Provider) parsePersonToken(ctx context.Context, token string) (c personClaims, err error) {
	payload, err := p.verify(ctx, token, tokenType)
	if err != nil {
		return c, fmt.Errorf("check token: %w", err)
	}
	if payload == nil || json.Unmarshal(payload, &c, json.RejectUnknownMembers(true)) != nil ||
		c.Issuer != p.o.Issuer || c.Audience != p.userinfoURL() || c.Grant == "" || c.Subject == "" || c.ClientID == "" ||
		c.Expires-c.IssuedAt <= 0 || c.Expires-c.IssuedAt > int64(maxLifetime/time.Second) {
		return c, web.Unauthorized("invalid_token", errClaims)
	}
	if now := p.o.Now().Unix(); now >= c.Expires || c.IssuedAt > now+clockSkew {
		return c, web.Unauthorized("invalid_token", errExpired)
	}
	return c, nil
}

var errDead = errors.New("the grant no longer counts")

// grantOf returns the grant of a token if it still counts, and its client; it ends the
// grant if that has just been found not to.
func (p *Provider) grantOf(ctx context.Context, c personClaims) (*grant, *client, error) {
	client, err := p.findClient(ctx, c.ClientID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, nil, err
	}
	if err != nil || !client.Disabled.IsZero() {
		return nil, nil, web.Unauthorized("invalid_token", errDisabled)
	}
	g, err := p.findGrant(ctx, c.Grant)
	if err != nil {
		return nil, nil, err
	}
	if g == nil || g.client != c.ClientID || g.sub != c.Subject || g.isPersona() != client.Sandbox || c.Sandbox != client.Sandbox || g.redeemed.IsZero() || !g.ended.IsZero() || !p.o.Now().Before(g.expires) {
		return nil, nil, web.Unauthorized("invalid_token", errDead)
	}
	reason, err := p.check(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	if reason == "" {
		return g, client, nil
	}
	if err := p.endNow(ctx, g, reason); err != nil {
		return nil, nil, err
	}
	return nil, nil, web.Unauthorized("invalid_token", errDead)
}

// endNow ends a grant in a transaction of its own.
func (p *Provider) endNow(ctx context.Context, g *grant, reason string) error {
	w := &work{p: p, grant: g}
	w.endBecause(reason)
	return w.commit(ctx)
}
