package oidc

import (
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// OpenID Connect Back-Channel Logout 1.0.
const (
	// LogoutKind is the kind of the outbox's messages that tell a site that a session
	// has ended.
	LogoutKind = "oidc.logout"

	logoutTokenType = "logout+jwt"
	logoutEvent     = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenLife = 2 * time.Minute
	visitLife       = 13 * time.Hour // after which it is looked whether the session goes on
)

// Notice is a message to a site, as it waits to be sent. It names the person and the
// session as the site knows them.
type Notice struct {
	Target string // whom it goes to: messages to one target wait for each other
	Body   []byte
}

// notice is the body of a Notice. The token is made when it is sent.
type notice struct {
	Client string `json:"client"`
	Sub    string `json:"sub"`
	SID    string `json:"sid"`
}

// logoutClaims are those of a logout token (section 2.4). There is never a nonce.
type logoutClaims struct {
	Issuer   string                    `json:"iss"`
	Subject  string                    `json:"sub"`
	Audience string                    `json:"aud"`
	IssuedAt int64                     `json:"iat"`
	Expires  int64                     `json:"exp"`
	ID       string                    `json:"jti"`
	Events   map[string]map[string]any `json:"events"`
	Session  string                    `json:"sid"`
	Sandbox  bool                      `json:"sandbox,omitzero"`
}

// noteVisit remembers that a grant's client has signed a person in under a session, if
// it wants to be told of the session's end; others cost no statement. The session is
// held meanwhile: whoever ends it waits and finds the visit, or was faster, and then it
// fails with errLost.
func (w *work) noteVisit(ctx context.Context, tx db.Tx, now time.Time) error {
	g := w.grant
	if w.client == nil || w.client.BackchannelLogoutURI == "" {
		return nil
	}
	if w.p.o.Hold != nil {
		live, err := w.p.o.Hold(ctx, tx, g.session)
		if err != nil {
			return err
		}
		if !live {
			return errLost
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO oidc_visits (session, client, sub, expires) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		g.session, g.client, g.sub, db.Micros(now.Add(visitLife)))
	return err
}

// SessionEnded is called in the transaction that ends a session. It queues a message
// to every site that signed its person in under it and wants to be told. Tokens need
// nothing done: each is looked at together with its session. A session that ends by
// its age ends without this: a site that heeds auth_time ends its own about then.
func (p *Provider) SessionEnded(ctx context.Context, tx db.Tx, session string) error {
	if p.o.Queue == nil {
		return nil
	}
	list, err := takeVisits(ctx, tx, session)
	if err != nil {
		return fmt.Errorf("tell of ended session: %w", err)
	}
	var notices []Notice
	for _, v := range list {
		body, err := json.Marshal(v.notice)
		if err != nil {
			return fmt.Errorf("tell of ended session: %w", err)
		}
		notices = append(notices, Notice{Target: originOf(v.uri), Body: body})
	}
	if len(notices) == 0 {
		return nil
	}
	if err := p.o.Queue(ctx, tx, notices); err != nil {
		return fmt.Errorf("tell of ended session: %w", err)
	}
	return nil
}

type visit struct {
	notice
	uri string
}

// takeVisits deletes and returns those of a session whose clients still want to know.
func takeVisits(ctx context.Context, tx db.Tx, session string) (list []visit, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT v.client, v.sub, c.backchannel_logout_uri FROM oidc_visits v JOIN oidc_clients c ON c.id = v.client
		WHERE v.session = $1 AND c.disabled = 0 AND c.backchannel_logout_uri <> '' ORDER BY v.client`, session)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var v visit
		if err := rows.Scan(&v.Client, &v.Sub, &v.uri); err != nil {
			return nil, err
		}
		v.SID = sid(&grant{session: session, client: v.Client})
		list = append(list, v)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM oidc_visits WHERE session = $1`, session)
	return list, err
}

// Post sends a form to an address that a client named, and returns the status of the
// answer.
type Post func(ctx context.Context, url string, form []byte) (status int, err error)

// SendLogout sends one message of SessionEnded: a logout token made now, good for two
// minutes, under the message's id as jti, so that a site which hears it twice can tell
// (section 2.5). Any answer of success will do. A message that cannot be read fails
// with kind Invalid and will never be; any other error is worth another try. For a
// client that is gone, or no longer wants to be told, there is nothing to do.
func (p *Provider) SendLogout(ctx context.Context, id string, body []byte, post Post) error {
	var n notice
	if json.Unmarshal(body, &n, json.RejectUnknownMembers(true)) != nil || n.Client == "" || n.Sub == "" || n.SID == "" {
		return fault.New(fault.Invalid, "this is no message of an ended session")
	}
	c, err := p.findClient(ctx, n.Client)
	if fault.KindOf(err) == fault.NotFound || err == nil && (!c.Disabled.IsZero() || c.BackchannelLogoutURI == "") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("send logout: %w", err)
	}
	token, err := p.signLogoutToken(ctx, c, n, id)
	if err != nil {
		return fmt.Errorf("send logout: %w", err)
	}
	status, err := post(ctx, c.BackchannelLogoutURI, []byte(url.Values{"logout_token": {token}}.Encode()))
	if err == nil && status != http.StatusOK && status != http.StatusNoContent {
		err = fmt.Errorf("status %d", status)
	}
	result := "told"
	if err != nil {
		result = "failed"
	}
	p.metrics.logouts.WithLabelValues(result).Inc()
	if err != nil {
		return fmt.Errorf("send logout: %w", err)
	}
	return nil
}

// signLogoutToken signs as the client's ID tokens are signed (section 2.6).
func (p *Provider) signLogoutToken(ctx context.Context, c *client, n notice, id string) (string, error) {
	now := p.o.Now()
	return p.sign(ctx, jose.SignatureAlgorithm(c.IDTokenAlg), logoutTokenType, logoutClaims{
		Issuer: p.o.Issuer, Subject: n.Sub, Audience: n.Client, IssuedAt: now.Unix(), Expires: now.Add(logoutTokenLife).Unix(), ID: id,
		Events: map[string]map[string]any{logoutEvent: {}}, Session: n.SID, Sandbox: c.Sandbox,
	})
}

// sweepVisits deletes those of sessions that have ended by their age. A session to which
// its person proves themselves again goes on, and so do its visits.
func (p *Provider) sweepVisits(ctx context.Context) error {
	for more := p.o.Sessions != nil; more; {
		now := p.o.Now()
		var old []string
		err := p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
			old, err = oldVisits(ctx, tx, now)
			return err
		})
		if err != nil {
			return fmt.Errorf("sweep: %w", err)
		}
		for _, session := range old {
			live, err := p.o.Sessions.Live(ctx, session)
			if err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
			query, args := `DELETE FROM oidc_visits WHERE session = $1`, []any{session}
			if live {
				query, args = `UPDATE oidc_visits SET expires = $2 WHERE session = $1`, append(args, db.Micros(now.Add(visitLife)))
			}
			err = p.o.DB.Update(ctx, func(tx db.Tx) error {
				_, err := tx.ExecContext(ctx, query, args...)
				return err
			})
			if err != nil {
				return fmt.Errorf("sweep: %w", err)
			}
		}
		more = len(old) == sweepRows
	}
	return nil
}

// oldVisits returns the sessions of some of the visits that have stood for long.
func oldVisits(ctx context.Context, tx db.Tx, now time.Time) (sessions []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT DISTINCT session FROM oidc_visits WHERE expires < $1 LIMIT $2`, db.Micros(now), sweepRows)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var session string
		if err := rows.Scan(&session); err != nil {
			return nil, err
		}
		sessions = append(sessions, session)
	}
	return sessions, rows.Err()
}
