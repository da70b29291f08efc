package oidc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// work is what one request to the engine reads and is going to write. fosite calls
// its store many times; the store reads each row once and collects the writes here,
// and they are made in one transaction before the answer, those of a refusal too.
type work struct {
	p      *Provider
	grant  *grant   // being made, or the one whose code or refresh token was sent
	scopes []string // of the access token, when a refresh asks for fewer

	secret  string // of a code that is being made
	code    []byte // hash of the code that was sent
	refresh []byte // hash of the refresh token being made
	parent  int64  // generation of the refresh token that was sent
	twin    bool   // it was rotated a moment ago and its successor is unused

	redeem bool   // the code becomes tokens
	rotate bool   // the refresh token gets a successor
	end    string // why the grant ends

	client *client // that was authenticated
	proof  *proof  // that came with the request, nil for none
	tokens bool    // the request is for tokens
	once   []once  // what it uses up
}

// jkt names the key that tokens are bound to, "" for none.
func (w *work) jkt() string {
	if w.proof == nil {
		return ""
	}
	return w.proof.jkt
}

// stays reports whether the client's refresh tokens are not rotated: it proves its key
// with every use, so rotation would only lose sessions (FAPI 2.0 Security Profile
// section 5.3.2.1).
func (w *work) stays() bool { return w.client != nil && w.client.Profile == ProfileFAPI2 }

type workKey struct{}

func withWork(ctx context.Context, w *work) context.Context {
	return context.WithValue(ctx, workKey{}, w)
}

var errNoWork = errors.New("engine: no work in the context")

func workOf(ctx context.Context) (*work, error) {
	w, ok := ctx.Value(workKey{}).(*work)
	if !ok {
		return nil, errNoWork
	}
	return w, nil
}

// errLost says that somebody else changed the grant meanwhile: what was decided
// must be decided anew.
var errLost = errors.New("the grant has changed")

// endBecause makes the grant end. The first reason counts.
func (w *work) endBecause(reason string) {
	if w.end == "" && w.grant.ended.IsZero() {
		w.end = reason
	}
}

// refused decides what a refusal means for the grant that was named: a code is
// presented once, so a wrong verifier, a wrong redirect URI and another client burn
// it, and another client ends a family of tokens too.
func (w *work) refused(client string) {
	if w.grant == nil || w.code != nil && w.p.o.Now().Sub(w.grant.created) >= codeLife {
		return // there was none, or it was too late for it anyway
	}
	if w.code != nil || w.grant.client != client {
		w.endBecause(endMisuse)
	}
}

// commit writes what was collected. It fails with errLost, and writes nothing, if
// the grant is no longer as it was read.
func (w *work) commit(ctx context.Context) error {
	rotate := w.rotate && !w.stays()
	if w.end == "" && !w.redeem && !rotate && len(w.once) == 0 {
		return nil
	}
	now := w.p.o.Now()
	err := w.p.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := spend(ctx, tx, w.once); err != nil {
			return err
		}
		switch {
		case w.end != "":
			return endGrant(ctx, tx, w.grant, w.end, "client:"+w.grant.client, now)
		case w.redeem:
			return w.redeemCode(ctx, tx, now)
		case rotate:
			return w.rotateToken(ctx, tx, now)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write grant: %w", err)
	}
	if w.end != "" {
		w.p.metrics.ends.WithLabelValues(w.end).Inc()
	}
	return nil
}

// redeemCode turns a code into a family of tokens, once.
func (w *work) redeemCode(ctx context.Context, tx db.Tx, now time.Time) error {
	g := w.grant
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_grants SET redeemed = $1 WHERE id = $2 AND redeemed = 0 AND ended = 0 AND code_hash = $3`,
		db.Micros(now), g.id, w.code))
	if err != nil {
		return err
	}
	if !ok {
		return errLost
	}
	if err := w.insertRefresh(ctx, tx, 0, now); err != nil {
		return err
	}
	if err := w.noteVisit(ctx, tx, now); err != nil {
		return err
	}
	if g.isPersona() {
		return nil // see sandboxsession.go
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.grant", Actor: "person:" + g.person, Object: "grant:" + g.id,
		Data: map[string]any{"client": g.client, "scopes": strings.Join(g.scopes, " "), "firm": g.firm, "acr": g.acr}})
	return err
}

// rotateToken makes the successor of a refresh token, or its twin.
func (w *work) rotateToken(ctx context.Context, tx db.Tx, now time.Time) error {
	g, next := w.grant, w.parent+1
	query, args := `UPDATE oidc_grants SET generation = $1, rotated = $2 WHERE id = $3 AND generation = $4 AND ended = 0`,
		[]any{next, db.Micros(now), g.id, w.parent}
	if w.twin { // takes the row's lock and makes sure that the successor is unused
		query, args = `UPDATE oidc_grants SET generation = $1 WHERE id = $2 AND generation = $3 AND ended = 0`, []any{next, g.id, next}
	}
	ok, err := db.Changed(tx.ExecContext(ctx, query, args...))
	if err != nil {
		return err
	}
	if !ok {
		return errLost
	}
	return w.insertRefresh(ctx, tx, next, now)
}

func (w *work) insertRefresh(ctx context.Context, tx db.Tx, generation int64, now time.Time) error {
	if w.refresh == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO oidc_refresh_tokens (grant_id, hash, generation, created) VALUES ($1, $2, $3, $4)`,
		w.grant.id, w.refresh, generation, db.Micros(now))
	return err
}
