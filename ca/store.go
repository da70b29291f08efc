package ca

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

// Status is where a certificate stands in its life.
type Status string

// The states of a certificate. One that expired keeps its state.
const (
	Intent    Status = "intent"    // linted and announced in the log, not signed yet
	Issued    Status = "issued"    // signed, stored and in the log
	Revoked   Status = "revoked"   // on its CRL from the next one on; held, if that is its reason
	Abandoned Status = "abandoned" // an intent that came to nothing
)

// Certificate is what the CA knows of one certificate.
type Certificate struct {
	Serial      string // lowercase hex
	Issuer      string // Root, or the id of an issuing CA
	IssuerKey   string // key of the keyring that signed it; Root for the root's
	Shard       int64  // of the issuer's CRLs
	Profile     profile.Kind
	Agency      string // "" for firms, citizens and the city's own
	Holder      string // "firm:USCC" or "person:ID", "" for agencies and the city's own
	Subject     string // common name
	Status      Status
	DER         []byte // nil before it is issued
	NotBefore   time.Time
	NotAfter    time.Time
	Actor       string
	Reason      Reason    // of its revocation
	RevokedAt   time.Time // zero: not revoked
	InvalidFrom time.Time // from when on its key is not to be trusted; zero: not said
	CreatedAt   time.Time
	ChangedAt   time.Time

	hosts       []string // while it is being issued
	foreign     []byte   // likewise: SubjectPublicKeyInfo of a key that a CSR proved, nil for one of ours
	renews      string   // likewise: the serial of the certificate that this one follows, which must be in force
	order       string   // likewise: that the one before comes from
	tbsHash     []byte
	keyHash     []byte
	requestKey  string
	requestHash []byte
	revokeKey   string
}

// ErrNotFound is returned when the CA has no certificate with the serial number
// asked for.
var ErrNotFound = fault.New(fault.NotFound, "no such certificate")

const certificateColumns = `serial, issuer, issuer_key, shard, profile, agency, holder, subject, status, der, not_before, not_after,
	actor, reason, revoked_at, invalid_from, created_at, changed_at, tbs_hash, key_hash, COALESCE(request_key, ''), request_hash, COALESCE(revoke_key, '')`

func scanCertificate(scan func(...any) error) (c Certificate, err error) {
	var notBefore, notAfter, revoked, from, created, changed int64
	err = scan(&c.Serial, &c.Issuer, &c.IssuerKey, &c.Shard, &c.Profile, &c.Agency, &c.Holder, &c.Subject, &c.Status, &c.DER, &notBefore, &notAfter,
		&c.Actor, &c.Reason, &revoked, &from, &created, &changed, &c.tbsHash, &c.keyHash, &c.requestKey, &c.requestHash, &c.revokeKey)
	c.NotBefore, c.NotAfter, c.RevokedAt = db.Time(notBefore), db.Time(notAfter), db.Time(revoked)
	c.InvalidFrom, c.CreatedAt, c.ChangedAt = db.Time(from), db.Time(created), db.Time(changed)
	return c, err
}

// findCertificate returns the row that the condition selects, ErrNotFound for none.
func findCertificate(ctx context.Context, tx db.Tx, where string, args ...any) (Certificate, error) {
	row := tx.QueryRowContext(ctx, `SELECT `+certificateColumns+` FROM ca_certificates WHERE `+where, args...)
	c, err := scanCertificate(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Certificate{}, ErrNotFound
	}
	return c, err
}

func listCertificates(ctx context.Context, tx db.Tx, where string, args ...any) ([]Certificate, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+certificateColumns+` FROM ca_certificates WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []Certificate
	for rows.Next() {
		c, err := scanCertificate(rows.Scan)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// insertIntent writes the row and event that must stand before the signature.
func insertIntent(ctx context.Context, tx db.Tx, c *Certificate) error {
	if err := insertRow(ctx, tx, c); err != nil {
		return err
	}
	_, err := audit.Append(ctx, tx, c.event("intent"))
	return err
}

// insertRow writes a row in state Intent.
func insertRow(ctx context.Context, tx db.Tx, c *Certificate) error {
	var requestKey any
	if c.requestKey != "" {
		requestKey = c.requestKey
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, holder, subject, status,
		tbs_hash, key_hash, not_before, not_after, actor, request_key, request_hash, created_at, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'intent', $9, $10, $11, $12, $13, $14, $15, $16, $16)`,
		c.Serial, c.Issuer, c.IssuerKey, c.Shard, string(c.Profile), c.Agency, c.Holder, c.Subject,
		c.tbsHash, c.keyHash, db.Micros(c.NotBefore), db.Micros(c.NotAfter), c.Actor, requestKey, c.requestHash, db.Micros(c.CreatedAt))
	return err
}

// event describes a step of a certificate's issuing. It carries no name.
func (c *Certificate) event(step string) audit.Event {
	return audit.Event{Kind: "certificate.issue." + step, Actor: c.Actor, Object: "certificate:" + c.Serial, Data: map[string]any{
		"issuer": c.Issuer, "issuer_key": c.IssuerKey, "shard": c.Shard, "profile": string(c.Profile), "agency": c.Agency, "holder": c.Holder, "tbs_sha256": c.tbsHash,
		"not_before": c.NotBefore.Unix(), "not_after": c.NotAfter.Unix(),
	}}
}

// errOvertaken means that an intent is no longer one: somebody marked it
// abandoned because this process took too long.
var errOvertaken = fault.New(fault.Unavailable, "the certificate took too long to be signed and was abandoned, try again")

// issuedQuery turns an intent into a certificate unless its key is another's, or a
// request waits under its idempotency key. On PostgreSQL two intents for one key do not
// see each other while both are written, nor does an intent see such a request. Here
// both are there: at most one of them becomes a certificate.
var issuedQuery = `UPDATE ca_certificates SET status = 'issued', der = $1, changed_at = $2 WHERE serial = $3 AND status = 'intent'
	AND NOT ` + anothers("$4", "$5", "$6", "$7") + ` AND NOT EXISTS (SELECT 1 FROM ca_requests WHERE requester = $8 AND request_key = $9)`

// storeIssued turns an intent into a certificate, with its outcome event and its
// entry in the log.
func storeIssued(ctx context.Context, tx db.Tx, c *Certificate) error {
	res, err := tx.ExecContext(ctx, issuedQuery, c.DER, db.Micros(c.ChangedAt), c.Serial, c.keyHash, c.Agency, c.Holder, string(c.Profile), c.Actor, c.requestKey)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, whyNotIssued(ctx, tx, c))
	}
	e := c.event("outcome")
	hash := sha256.Sum256(c.DER)
	e.Data["sha256"] = hash[:]
	_, err = audit.AppendCertificate(ctx, tx, c.DER, e)
	return err
}

// whyNotIssued says why an intent did not become a certificate.
func whyNotIssued(ctx context.Context, tx db.Tx, c *Certificate) error {
	var still, waits bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM ca_certificates WHERE serial = $1 AND status = 'intent'),
		EXISTS (SELECT 1 FROM ca_requests WHERE requester = $2 AND request_key = $3)`, c.Serial, c.Actor, c.requestKey).Scan(&still, &waits)
	if err == nil && still && waits {
		return errKeyWaits
	}
	if err == nil && still {
		return errKeyTaken
	}
	return cmpErr(err, errOvertaken)
}

// storeAbandoned gives up an intent, and its idempotency key with it, so that the
// request can be repeated. It reports whether there was one.
func storeAbandoned(ctx context.Context, tx db.Tx, c *Certificate, now time.Time) (bool, error) {
	res, err := tx.ExecContext(ctx, `UPDATE ca_certificates SET status = 'abandoned', request_key = NULL, changed_at = $1
		WHERE serial = $2 AND status = 'intent'`, db.Micros(now), c.Serial)
	if err != nil {
		return false, err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return false, err
	}
	_, err = audit.Append(ctx, tx, c.event("abandoned"))
	return err == nil, err
}

// state is what the ceremony wrote last.
type state struct {
	plan, root, statement []byte
	rootKey               string
	heldAt                time.Time
}

func readState(ctx context.Context, tx db.Tx) (s state, err error) {
	var held int64
	err = tx.QueryRowContext(ctx, `SELECT plan, root, root_key, statement, held_at FROM ca_state WHERE one = 1`).Scan(&s.plan, &s.root, &s.rootKey, &s.statement, &held)
	if errors.Is(err, sql.ErrNoRows) {
		return state{}, ErrNoCity
	}
	s.heldAt = db.Time(held)
	return s, err
}

func insertState(ctx context.Context, tx db.Tx, s state) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_state (one, plan, root, statement, held_at) VALUES (1, $1, $2, $3, $4)`,
		s.plan, s.root, s.statement, db.Micros(s.heldAt))
	return err
}

func readIssuers(ctx context.Context, tx db.Tx) (map[string]Issuer, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, level, area FROM ca_issuers`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	issuers := map[string]Issuer{}
	for rows.Next() {
		var i Issuer
		if err := rows.Scan(&i.ID, &i.Level, &i.Area); err != nil {
			return nil, err
		}
		issuers[i.ID] = i
	}
	return issuers, rows.Err()
}

func insertIssuer(ctx context.Context, tx db.Tx, id string, level registry.Level, area string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO ca_issuers (id, level, area) VALUES ($1, $2, $3)`, id, string(level), area)
	return err
}

// hashKey names a public key.
func hashKey(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// cmpErr returns the first error that is not nil.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
