package oidc

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// How long things live. A session ends after twelve hours at the latest, and
// everything with it.
const (
	codeLife    = time.Minute
	offlineLife = 12 * time.Hour   // of a grant with refresh tokens
	refreshTwin = 10 * time.Second // while a rotated refresh token may be sent again
)

// Why a grant ended, as the audit event and the metric say.
const (
	endReplay     = "replay"     // a code or a refresh token came a second time
	endMisuse     = "misuse"     // a code with a wrong verifier or redirect URI, or another client's
	endSession    = "session"    // the person signed out, or their session ran out
	endConsent    = "consent"    // withdrawn
	endDelegation = "delegation" // the person may no longer act for the firm
	endClient     = "client"     // the client revoked it
)

// grant is what a person gave a client: first a code, then a family of tokens.
type grant struct {
	id         string
	person     string
	client     string
	session    string
	consent    string // the consent's id
	sub        string
	scopes     []string
	firm       string // USCC, "" for the person alone
	firmName   string
	acr        string
	amr        []string
	authTime   time.Time
	codeHash   []byte
	challenge  string // S256
	redirect   string
	nonce      string
	idClaims   []string  // asked for one by one, in the ID token
	infoClaims []string  // and in userinfo
	jkt        string    // the key that the code is bound to, "" for none
	created    time.Time // when the code was made
	expires    time.Time
	redeemed   time.Time
	generation int64 // of the newest refresh token
	rotated    time.Time
	ended      time.Time

	consented bool // the consent is still there
}

const grantColumns = `g.id, g.person, g.client, g.session, g.consent, g.sub, g.scopes, g.firm, g.firm_name, g.acr, g.amr, g.auth_time,
	g.code_hash, g.challenge, g.redirect_uri, g.nonce, g.created, g.expires, g.redeemed, g.generation, g.rotated, g.ended, g.jkt, g.id_claims, g.info_claims`

// readGrant returns a grant and whether its consent still stands, nil if there is
// none with that id.
func readGrant(ctx context.Context, tx db.Tx, id string) (*grant, error) {
	var g grant
	var scopes, amr, idClaims, infoClaims string
	var authTime, created, expires, redeemed, rotated, ended int64
	err := tx.QueryRowContext(ctx, `SELECT `+grantColumns+`, c.id IS NOT NULL FROM oidc_grants g
		LEFT JOIN oidc_consents c ON c.person = g.person AND c.client = g.client AND c.id = g.consent WHERE g.id = $1`, id).
		Scan(&g.id, &g.person, &g.client, &g.session, &g.consent, &g.sub, &scopes, &g.firm, &g.firmName, &g.acr, &amr, &authTime,
			&g.codeHash, &g.challenge, &g.redirect, &g.nonce, &created, &expires, &redeemed, &g.generation, &rotated, &ended, &g.jkt, &idClaims, &infoClaims, &g.consented)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	g.idClaims, g.infoClaims = fields(idClaims), fields(infoClaims)
	g.scopes, g.amr, g.authTime = strings.Fields(scopes), strings.Fields(amr), db.Time(authTime)
	g.created, g.expires, g.redeemed = db.Time(created), db.Time(expires), db.Time(redeemed)
	g.rotated, g.ended = db.Time(rotated), db.Time(ended)
	return &g, nil
}

// findGrant is readGrant in a transaction of its own.
func (p *Provider) findGrant(ctx context.Context, id string) (g *grant, err error) {
	err = p.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		g, err = readGrant(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read grant: %w", err)
	}
	return g, nil
}

// insertGrant writes a grant whose code has been made.
func insertGrant(ctx context.Context, tx db.Tx, g *grant) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO oidc_grants (id, person, client, session, consent, sub, scopes, firm, firm_name, acr, amr,
		auth_time, code_hash, challenge, redirect_uri, nonce, created, expires, jkt, id_claims, info_claims) VALUES `+db.Values(1, 21),
		g.id, g.person, g.client, g.session, g.consent, g.sub, strings.Join(g.scopes, " "), g.firm, g.firmName, g.acr, strings.Join(g.amr, " "),
		db.Micros(g.authTime), g.codeHash, g.challenge, g.redirect, g.nonce, db.Micros(g.created), db.Micros(g.expires), g.jkt,
		strings.Join(g.idClaims, " "), strings.Join(g.infoClaims, " "))
	return err
}

// endGrant ends a grant once; later reasons do not count.
func endGrant(ctx context.Context, tx db.Tx, g *grant, reason, actor string, now time.Time) error {
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_grants SET ended = $1, reason = $2 WHERE id = $3 AND ended = 0`, db.Micros(now), reason, g.id))
	if err != nil || !ok || g.isPersona() {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.grant.end", Actor: actor, Object: "grant:" + g.id,
		Data: map[string]any{"client": g.client, "reason": reason}})
	return err
}

// A code or a refresh token is the id of its grant, a dot and 256 random bits. The
// id finds the row; only the hash of the rest is kept.

// newBearer returns random bits as text, and their hash.
func newBearer() (secret string, hash []byte) {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails
	secret = base64.RawURLEncoding.EncodeToString(b[:])
	return secret, hashBearer(secret)
}

func hashBearer(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return sum[:]
}

// parseBearer splits a code or a refresh token. It reports false for a text that
// newBearer cannot have made.
func parseBearer(token string) (id string, hash []byte, ok bool) {
	id, secret, _ := strings.Cut(token, ".")
	if _, err := db.IDBytes(id); err != nil {
		return "", nil, false
	}
	if b, err := base64.RawURLEncoding.Strict().DecodeString(secret); err != nil || len(b) != 32 || len(secret) != 43 {
		return "", nil, false
	}
	return id, hashBearer(secret), true
}

func sameHash(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// check reports why a grant no longer counts, "" if it does. Whoever asks must have
// made sure of the client.
func (p *Provider) check(ctx context.Context, g *grant) (reason string, err error) {
	if g.isPersona() {
		return p.checkPersona(ctx, g)
	}
	if !g.consented {
		return endConsent, nil
	}
	live, err := p.o.Sessions.Live(ctx, g.session)
	if err != nil {
		return "", fmt.Errorf("check session: %w", err)
	}
	if !live {
		return endSession, nil
	}
	if g.firm == "" {
		return "", nil
	}
	may, err := p.o.Firms.MayActFor(ctx, g.person, g.firm, p.o.Now())
	if err != nil {
		return "", fmt.Errorf("check delegation: %w", err)
	}
	if !may {
		return endDelegation, nil
	}
	return "", nil
}
