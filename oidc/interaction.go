package oidc

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
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
	interactionPath = "/oidc/interaction/"
	interactionLife = 10 * time.Minute
	browserCookie   = "__Host-signet-request"
)

// What came of an interaction.
const (
	outcomeAllowed = "allowed"
	outcomeDenied  = "denied"
)

// interaction is a request that waits for the person.
type interaction struct {
	id      string
	browser []byte // hash of the cookie
	request string // the form, parsed again each time
	created time.Time
	expires time.Time
	outcome string
}

var (
	errGone = web.Refuse(fault.NotFound, web.Text{ZH: "此次登录请求已过期，或不是由本浏览器发起。请返回原网站重新登录。",
		EN: "This sign-in request has expired, or was not made by this browser. Go back to the site that you came from and sign in again."})
	errAnswered = web.Refuse(fault.Conflict, web.Text{ZH: "此次登录请求已经处理完毕。如需再次登录，请返回原网站重新开始。",
		EN: "This sign-in request has been answered. To sign in once more, go back to the site that you came from."})
)

// ask keeps a request and sends the browser to where it goes on: to sign in, or to
// the interaction's own page.
func (p *Provider) ask(w http.ResponseWriter, r *http.Request, a *authorization, now time.Time, next step) error {
	ctx := r.Context()
	i := interaction{id: db.NewID(), browser: browserOf(w, r), request: a.form.Encode(), created: now}
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := a.consume(ctx, tx, i.id, now); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO oidc_interactions (id, browser, request, created, expires) VALUES ($1, $2, $3, $4, $5)`,
			i.id, i.browser, i.request, db.Micros(now), db.Micros(now.Add(interactionLife)))
		return err
	})
	if err != nil {
		return p.sendRefusal(w, r, a, fmt.Errorf("keep request: %w", err))
	}
	p.metrics.requests.WithLabelValues(string(next)).Inc()
	p.goOn(w, r, a, i.id, next)
	return nil
}

// goOn sends the browser to the next step of an interaction.
func (p *Provider) goOn(w http.ResponseWriter, r *http.Request, a *authorization, id string, next step) {
	to, query := interactionPath+id, url.Values{}
	if next == stepLogin || next == stepAgain {
		query.Set("next", to)
		to = "/login"
	}
	if next == stepAgain {
		query.Set("reauth", "1")
	}
	if level := p.level(a); level != "" && query.Has("next") {
		query.Set("acr", level)
	}
	if lang := localeFor(r, a.form.Get("ui_locales")); lang != "" {
		query.Set("lang", string(lang))
	}
	if len(query) > 0 {
		to += "?" + query.Encode()
	}
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// localeFor returns the first language of ui_locales that the pages have, unless the
// visitor has chosen one themselves.
func localeFor(r *http.Request, locales string) web.Lang {
	if _, err := r.Cookie("signet-lang"); err == nil {
		return ""
	}
	for _, tag := range strings.Fields(locales) {
		main, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if lang := web.Lang(main); lang == web.ZH || lang == web.EN {
			return lang
		}
	}
	return ""
}

// browserOf returns the hash of the cookie that ties requests to the browser, and
// sets one where there is none. One is enough for all requests of a browser, which
// may be open side by side.
func browserOf(w http.ResponseWriter, r *http.Request) []byte {
	if hash := cookieHash(r); hash != nil {
		return hash
	}
	value, hash := newBearer()
	http.SetCookie(w, &http.Cookie{Name: browserCookie, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return hash
}

func cookieHash(r *http.Request) []byte {
	c, err := r.Cookie(browserCookie)
	if err != nil || len(c.Value) != 43 {
		return nil
	}
	return hashBearer(c.Value)
}

// findInteraction returns an interaction that is still open, nil if there is none.
func (p *Provider) findInteraction(ctx context.Context, id string) (*interaction, error) {
	if _, err := db.IDBytes(id); err != nil {
		return nil, nil
	}
	i := interaction{id: id}
	var created, expires int64
	err := p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT browser, request, created, expires, outcome FROM oidc_interactions WHERE id = $1`, id).
			Scan(&i.browser, &i.request, &created, &expires, &i.outcome)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find interaction: %w", err)
	}
	i.created, i.expires = db.Time(created), db.Time(expires)
	if !p.o.Now().Before(i.expires) {
		return nil, nil
	}
	return &i, nil
}

// resume returns the interaction of a page and its request. The request is parsed
// anew, so a client that was disabled meanwhile, or lost its address or a scope, is
// found out. As in parseAuthorization, an error is for the client if there is an
// authorization.
func (p *Provider) resume(r *http.Request) (*interaction, *authorization, error) {
	ctx := r.Context()
	i, err := p.findInteraction(ctx, r.PathValue("id"))
	if err != nil {
		return nil, nil, err
	}
	if i == nil || !sameHash(i.browser, cookieHash(r)) {
		return nil, nil, errGone
	}
	values, err := url.ParseQuery(i.request)
	if err != nil {
		return nil, nil, fmt.Errorf("resume interaction: %w", err)
	}
	a, err := p.parseAuthorization(ctx, values, true) // it was fit to be kept
	return i, a, err
}

// FormTo returns the origin at which a form's redirects may end besides ours, when
// next is the address of an interaction: that of its redirect URI. It returns "" for
// every other address. The sign-in page allows it in its policy (see web.Page).
func (p *Provider) FormTo(ctx context.Context, next string) string {
	u, err := url.Parse(next)
	if err != nil || p.pages == nil {
		return ""
	}
	id, ok := strings.CutPrefix(u.Path, interactionPath)
	if !ok {
		return ""
	}
	i, err := p.findInteraction(ctx, id)
	if err != nil || i == nil {
		return ""
	}
	values, err := url.ParseQuery(i.request)
	if err != nil {
		return ""
	}
	return originOf(values.Get("redirect_uri"))
}

// finish gives a grant its code and answers the interaction, once. Whoever sends the
// same answer again, by a second press of the button, gets a new code for the same
// grant while the first is not redeemed, for the browser drops the first answer. With
// give the person's consent is written too. It returns the id of the grant.
func (p *Provider) finish(ctx context.Context, i *interaction, a *authorization, g *grant, give bool) (id string, err error) {
	now := g.created
	err = p.o.DB.Update(ctx, func(tx db.Tx) error {
		switch {
		case give && g.isPersona():
			if err := openSandboxSession(ctx, tx, i, g); err != nil {
				return err
			}
		case give:
			if g.consent, g.sub, err = giveConsent(ctx, tx, a.client, g.person, a.learns(), now); err != nil {
				return err
			}
		}
		id = g.id
		ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_interactions SET outcome = $1, grant_id = $2 WHERE id = $3 AND outcome = ''`,
			outcomeAllowed, g.id, i.id))
		if err != nil {
			return err
		}
		if ok {
			return insertGrant(ctx, tx, g)
		}
		id, err = renewCode(ctx, tx, i.id, g)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("finish interaction: %w", err)
	}
	return id, nil
}

// renewCode replaces the code of the grant that an interaction has led to.
func renewCode(ctx context.Context, tx db.Tx, interaction string, g *grant) (id string, err error) {
	var outcome string
	if err := tx.QueryRowContext(ctx, `SELECT outcome, grant_id FROM oidc_interactions WHERE id = $1`, interaction).Scan(&outcome, &id); err != nil {
		return "", err
	}
	if outcome != outcomeAllowed {
		return "", errAnswered
	}
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_grants SET code_hash = $1, created = $2, firm = $3, firm_name = $4
		WHERE id = $5 AND person = $6 AND session = $7 AND consent = $8 AND redeemed = 0 AND ended = 0`,
		g.codeHash, db.Micros(g.created), g.firm, g.firmName, id, g.person, g.session, g.consent))
	if err == nil && !ok {
		err = errAnswered
	}
	return id, err
}

// deny answers an interaction with no. Saying no again is the same.
func (p *Provider) deny(ctx context.Context, i *interaction) error {
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_interactions SET outcome = $1 WHERE id = $2 AND outcome IN ('', $3)`,
			outcomeDenied, i.id, outcomeDenied))
		if err == nil && !ok {
			err = errAnswered
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("deny: %w", err)
	}
	return nil
}

// pageKey ties a consent page to the session that it was shown to, so that nobody
// agrees to what somebody else was shown before them.
func pageKey(i *interaction, id *web.Identity) string {
	sum := sha256.Sum256([]byte("consent\x00" + i.id + "\x00" + id.Session))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}
