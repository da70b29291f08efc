package oidc

import (
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

const (
	requestURI = "urn:ietf:params:oauth:request_uri:" // and 256 random bits
	pushedLife = 2 * time.Minute                      // FAPI 2.0 allows up to ten
	maxPushed  = 16 << 10
)

// errPushed is for a browser that comes with a request_uri that leads nowhere: nobody
// knows for sure who it is to go back to.
var errPushed = web.Refuse(fault.Invalid, web.Text{ZH: "此次登录请求已使用或已过期。请返回原网站重新登录。",
	EN: "This sign-in request has been used or has expired. Go back to the site that you came from and sign in again."})

// servePush takes authorization requests from clients themselves (RFC 9126).
func (p *Provider) servePush(w http.ResponseWriter, r *http.Request) {
	p.prepare(w, r)
	uri, err := p.push(w, r)
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	body, err := json.Marshal(struct {
		RequestURI string `json:"request_uri"`
		Expires    int64  `json:"expires_in"`
	}{uri, int64(pushedLife / time.Second)})
	if err != nil {
		p.refuse(w, r, err)
		return
	}
	p.metrics.requests.WithLabelValues("pushed").Inc()
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

// push keeps a request whose client is genuine and which could be answered, and returns
// its address.
func (p *Provider) push(rw http.ResponseWriter, r *http.Request) (uri string, err error) {
	form, err := readForm(rw, r, maxPushed)
	if err != nil {
		return "", err
	}
	if form.Get("request_uri") != "" {
		return "", invalid("request_uri is what this endpoint gives")
	}
	w := &work{p: p}
	if w.proof, err = p.readProof(r.Context(), r, p.o.Issuer+pushPath, ""); err != nil {
		return "", err
	}
	ctx := withWork(r.Context(), w)
	if _, err := p.authenticate(ctx, r, form); err != nil {
		return "", err
	}
	a, err := p.parsePushed(ctx, w, form)
	if err != nil {
		return "", err
	}
	secret, hash := newBearer()
	now := p.o.Now()
	err = p.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := spend(ctx, tx, w.once); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO oidc_pushed (hash, client, request, created, expires) VALUES ($1, $2, $3, $4, $5)`,
			hash, w.client.ID, a.form.Encode(), db.Micros(now), db.Micros(now.Add(pushedLife)))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("keep request: %w", err)
	}
	return requestURI + secret, nil
}

// parsePushed reads the request of a form whose client has been found. A proof that
// came with it binds the code to its key (RFC 9449 section 10.1).
func (p *Provider) parsePushed(ctx context.Context, w *work, form url.Values) (*authorization, error) {
	if !w.client.signsIn() {
		return nil, errUnauthorized
	}
	values := url.Values{"client_id": {w.client.ID}}
	for name, list := range form {
		if name != "client_assertion" && name != "client_assertion_type" && name != "client_secret" {
			values[name] = list
		}
	}
	if w.proof != nil {
		if jkt := values.Get("dpop_jkt"); jkt != "" && jkt != w.proof.jkt {
			return nil, badProof("dpop_jkt is another key than the proof's")
		}
		values.Set("dpop_jkt", w.proof.jkt)
	}
	a, err := p.parseAuthorization(ctx, values, true)
	if known := p.known(err); known != nil { // made for a redirect, and told at once instead
		return nil, &refusal{http.StatusBadRequest, known.code, known.description}
	}
	if errors.Is(err, errRedirect) || errors.Is(err, errRequest) {
		return nil, invalid("redirect_uri must be one of those that are registered, character by character")
	}
	return a, err
}

// pull returns the request that a browser's request_uri stands for. Whatever else the
// browser brings does not count (RFC 9126 section 4).
func (p *Provider) pull(ctx context.Context, values url.Values) (*authorization, error) {
	secret, _ := strings.CutPrefix(values.Get("request_uri"), requestURI)
	if len(values["client_id"]) != 1 || len(secret) != 43 {
		return nil, errPushed
	}
	var client, request, interaction string
	var expires, used int64
	hash := hashBearer(secret)
	err := p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT client, request, expires, used, interaction FROM oidc_pushed WHERE hash = $1`, hash).
			Scan(&client, &request, &expires, &used, &interaction)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errPushed
	}
	if err != nil {
		return nil, fmt.Errorf("find pushed request: %w", err)
	}
	if client != values.Get("client_id") || db.Micros(p.o.Now()) >= expires {
		return nil, errPushed
	}
	kept, err := url.ParseQuery(request)
	if err != nil {
		return nil, fmt.Errorf("read pushed request: %w", err)
	}
	a, err := p.parseAuthorization(ctx, kept, true)
	if a != nil {
		a.pushed, a.used, a.interaction = hash, used != 0, interaction
	}
	return a, err
}

// reload answers a browser that comes again with a request_uri that it has used. Where
// the request waits for the person, and it is the same browser, it goes on.
func (p *Provider) reload(w http.ResponseWriter, r *http.Request, a *authorization) error {
	i, err := p.findInteraction(r.Context(), a.interaction)
	if err != nil {
		return err
	}
	if i == nil || !sameHash(i.browser, cookieHash(r)) {
		return p.page(errPushed)
	}
	p.goOn(w, r, a, i.id, stepConsent)
	return nil
}

// consume uses up a request that was pushed, for the interaction that it leads to, if
// any. It fails with errPushed if somebody else has. A request that came through the
// browser needs nothing.
func (a *authorization) consume(ctx context.Context, tx db.Tx, interaction string, now time.Time) error {
	if a.pushed == nil {
		return nil
	}
	life := pushedLife
	if interaction != "" { // the browser may load the address again while it waits
		life = interactionLife
	}
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_pushed SET used = $1, interaction = $2, expires = $3 WHERE hash = $4 AND used = 0 AND expires > $5`,
		db.Micros(now), interaction, db.Micros(now.Add(life)), a.pushed, db.Micros(now)))
	if err == nil && !ok {
		err = errPushed
	}
	return err
}

// sendRefusal is sendError for a request that may have been pushed: it is used up, too.
func (p *Provider) sendRefusal(w http.ResponseWriter, r *http.Request, a *authorization, refused error) error {
	if errors.Is(refused, errPushed) {
		return p.page(refused)
	}
	if a.pushed != nil {
		ctx, now := r.Context(), p.o.Now()
		err := p.o.DB.Update(ctx, func(tx db.Tx) error { return a.consume(ctx, tx, "", now) })
		if err != nil {
			return p.page(fmt.Errorf("use up request: %w", err))
		}
	}
	return p.sendError(w, r, a, refused)
}
