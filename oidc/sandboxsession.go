package oidc

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

const (
	sandboxSessionLife = time.Hour
	sandboxSessions    = 500 // of one client at once, about
	sandboxConsent     = "sandbox"
)

// errSandboxBusy stops a client whose personas are signed in too often.
var errSandboxBusy = web.Refuse(fault.Unavailable, web.Text{ZH: "此测试客户端一小时内登录次数过多，请稍后再试。",
	EN: "This sandbox client has signed in too many personas within an hour. Wait a while, or sign some of them out."})

// isPersona reports whether the grant is one of the sandbox. The log, which is for ever,
// does not tell of such grants: they concern nobody, and strangers can make as many as
// they like.
func (g *grant) isPersona() bool { return strings.HasPrefix(g.person, personaPrefix) }

// personOf returns whom a grant tells of: somebody of the registry, or a persona.
func (p *Provider) personOf(ctx context.Context, g *grant) (registry.Person, error) {
	if !g.isPersona() {
		return p.o.People.PersonByID(ctx, g.person)
	}
	x := p.findPersona(g.person)
	if x == nil {
		return registry.Person{}, errors.New("no such persona")
	}
	return x.person(), nil
}

// checkPersona is check for a grant of the sandbox: its client is still there and its
// session live, and the persona is still as it was.
func (p *Provider) checkPersona(ctx context.Context, g *grant) (reason string, err error) {
	c, err := p.findClient(ctx, g.client)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	x := p.findPersona(g.person)
	if err != nil || !c.Sandbox || x == nil || g.consent != sandboxConsent {
		return endConsent, nil
	}
	if _, ok := x.firm(g.firm); g.firm != "" && !ok {
		return endDelegation, nil
	}
	var live int64
	err = p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM oidc_sandbox_sessions WHERE id = $1 AND client = $2 AND persona = $3 AND expires > $4`,
			strings.TrimPrefix(g.session, personaPrefix), g.client, x.ID, db.Micros(p.o.Now())).Scan(&live)
	})
	if err != nil {
		return "", fmt.Errorf("check sandbox session: %w", err)
	}
	if live == 0 {
		return endSession, nil
	}
	return "", nil
}

// openSandboxSession writes the session of a grant that an interaction has led to, unless
// it is there because the answer was sent twice.
func openSandboxSession(ctx context.Context, tx db.Tx, i *interaction, g *grant) error {
	var open int64
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM oidc_sandbox_sessions WHERE client = $1 AND id <> $2`, g.client, i.id).Scan(&open)
	if err == nil && open >= sandboxSessions {
		err = errSandboxBusy
	}
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO oidc_sandbox_sessions (id, client, persona, firm, acr, browser, sid, created, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING`, i.id, g.client, strings.TrimPrefix(g.person, personaPrefix), g.firm,
		g.acr, i.browser, sid(g), db.Micros(g.created), db.Micros(g.created.Add(sandboxSessionLife)))
	return err
}

// sandboxSession is where a persona is signed in.
type sandboxSession struct {
	id, persona, firm, acr string
	created                time.Time
}

// findSandboxSession returns the newest live session of a client in a browser, nil if
// there is none.
func (p *Provider) findSandboxSession(ctx context.Context, client string, browser []byte) (*sandboxSession, error) {
	if browser == nil {
		return nil, nil
	}
	var s sandboxSession
	var created int64
	err := p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, persona, firm, acr, created FROM oidc_sandbox_sessions
			WHERE client = $1 AND browser = $2 AND expires > $3 ORDER BY created DESC, id DESC LIMIT 1`, client, browser, db.Micros(p.o.Now())).
			Scan(&s.id, &s.persona, &s.firm, &s.acr, &created)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find sandbox session: %w", err)
	}
	s.created = db.Time(created)
	return &s, nil
}

// logOutPersona ends the session that the ID token was made in or, without one, those of
// the client in this browser, and goes on as signing out does. Nobody is asked: nothing
// of anybody's ends, and the session of a person in the same browser is not touched.
func (p *Provider) logOutPersona(w http.ResponseWriter, r *http.Request, l *logout) error {
	ctx := r.Context()
	where, value := "sid = $2", any(l.hinted)
	if l.hinted == "" {
		where, value = "browser = $2", any(cookieHash(r))
	}
	err := p.o.DB.Update(ctx, func(tx db.Tx) error {
		ids, err := deleteSandboxSessions(ctx, tx, where, l.client.ID, value)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if err := p.SessionEnded(ctx, tx, personaPrefix+id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sign out persona: %w", err)
	}
	if l.redirect == "" {
		return p.renderSandbox(w, r, sandboxPage{Client: l.client.Name, Done: true}, "")
	}
	return p.loggedOut(w, r, l)
}

func deleteSandboxSessions(ctx context.Context, tx db.Tx, where, client string, value any) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, `DELETE FROM oidc_sandbox_sessions WHERE client = $1 AND `+where+` RETURNING id`, client, value)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, errors.Join(rows.Err(), rows.Close())
}
