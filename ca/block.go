package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// BlockedKey is a public key that gets no certificate.
type BlockedKey struct {
	SPKI   []byte // SHA-256 of its SubjectPublicKeyInfo in DER
	Reason string
	Actor  string
	At     time.Time
}

// maxBlocked is how many keys are blocked in one call, and listed in one.
const maxBlocked = 100

// What is behind refusals that stand in the log: somebody tried what should not
// happen by mistake.
var (
	errBlockedKey     = web.Refuse(fault.Conflict, web.Text{ZH: "此密钥在禁用密钥名单上", EN: "this key is on the list of blocked keys"})
	errCompromisedKey = web.Refuse(fault.Conflict, web.Text{ZH: "此密钥已泄露或被冻结", EN: "this key is compromised or held"})
	errKeyTaken       = web.Refuse(fault.Conflict, web.Text{ZH: "此密钥已用于其他主体或用途", EN: "this key serves another subject or purpose already"})
)

// BlockKeys blocks up to 100 public keys for good, each by the SHA-256 of its
// SubjectPublicKeyInfo. Certificates that there are for them stay: revoking them is
// another decision. A key that is blocked already stays so, for the reason it was. It
// fails with kind Invalid for a hash of another length, and for a reason that is
// empty or longer than 200 bytes.
func (c *CA) BlockKeys(ctx context.Context, actor, reason string, spki ...[]byte) error {
	if !isText(actor, 1, 128) || !isText(reason, 1, 200) {
		return fault.New(fault.Invalid, "the actor or the reason is missing, too long or not printable")
	}
	if len(spki) == 0 || len(spki) > maxBlocked {
		return fault.New(fault.Invalid, fmt.Sprintf("1 to %d keys are blocked at once", maxBlocked))
	}
	for _, sum := range spki {
		if len(sum) != sha256.Size {
			return fault.New(fault.Invalid, "a key is blocked by the SHA-256 of its SubjectPublicKeyInfo")
		}
	}
	err := c.db.Update(ctx, func(tx db.Tx) error {
		for _, sum := range spki {
			if err := c.blockKey(ctx, tx, BlockedKey{SPKI: sum, Reason: reason, Actor: actor}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("block keys: %w", err)
	}
	return nil
}

func (c *CA) blockKey(ctx context.Context, tx db.Tx, k BlockedKey) error {
	res, err := tx.ExecContext(ctx, `INSERT INTO ca_blocked_keys (spki, reason, actor, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (spki) DO NOTHING`,
		k.SPKI, k.Reason, k.Actor, db.Micros(c.now()))
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "certificate.block", Actor: k.Actor, Object: "key:" + hex.EncodeToString(k.SPKI), Data: map[string]any{"reason": k.Reason}})
	return err
}

// BlockedKeys returns up to 100 blocked keys in the order of their hashes, after the
// given one; nil begins at the first.
func (c *CA) BlockedKeys(ctx context.Context, after []byte) (list []BlockedKey, err error) {
	if after == nil {
		after = []byte{}
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = readBlocked(ctx, tx, after)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list blocked keys: %w", err)
	}
	return list, nil
}

func readBlocked(ctx context.Context, tx db.Tx, after []byte) (list []BlockedKey, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT spki, reason, actor, created_at FROM ca_blocked_keys WHERE spki > $1 ORDER BY spki LIMIT $2`, after, maxBlocked)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k BlockedKey
		var at int64
		if err := rows.Scan(&k.SPKI, &k.Reason, &k.Actor, &at); err != nil {
			return nil, err
		}
		k.SPKI, k.At = bytes.Clone(k.SPKI), db.Time(at)
		list = append(list, k)
	}
	return list, rows.Err()
}

// keyUseQuery says whether a key is blocked, whether it is compromised or held,
// whether it is another's, whether the actor's idempotency key stands for a request
// that an officer decides on, and whether the key is of our own keyring: what is signed
// with that must not count as somebody else's, and a CSR for one was signed by us, or by
// a thief. Each part ends at the first row that says so.
var keyUseQuery = `SELECT EXISTS (SELECT 1 FROM ca_blocked_keys WHERE spki = $1),
	EXISTS (SELECT 1 FROM ca_certificates WHERE key_hash = $1 AND status = 'revoked' AND reason IN ($5, $6, $7)), ` + anothers("$1", "$2", "$3", "$4") + `,
	EXISTS (SELECT 1 FROM ca_requests WHERE requester = $8 AND request_key = $9), ` + keys.Held("$10")

// anothers is the condition that somebody else, or another purpose, has a certificate
// for a key. Those of the same subject and purpose, of which there may be many, lie
// between the ranges and are not looked at. Each range compares one column, since
// SQLite begins and ends a comparison of several at those that are equal in the first,
// and walks over them all.
func anothers(key, agency, holder, profile string) string {
	var parts []string
	equal := "o.key_hash = " + key
	for _, c := range [][2]string{{"agency", agency}, {"holder", holder}, {"profile", profile}} {
		for _, than := range []string{"<", ">"} {
			parts = append(parts, fmt.Sprintf("EXISTS (SELECT 1 FROM ca_certificates o WHERE %s AND o.%s %s %s AND o.status <> 'abandoned')", equal, c[0], than, c[1]))
		}
		equal += " AND o." + c[0] + " = " + c[1]
	}
	return "(" + strings.Join(parts, " OR ") + ")"
}

// checkKeyUse refuses a key that is blocked, held or known to be stolen, or that another
// subject or another purpose has a certificate for.
func checkKeyUse(ctx context.Context, tx db.Tx, row *Certificate) error {
	var blocked, compromised, taken, waits, ours bool
	err := tx.QueryRowContext(ctx, keyUseQuery, row.keyHash, row.Agency, row.Holder, string(row.Profile),
		int64(KeyCompromise), int64(AACompromise), int64(CertificateHold), row.Actor, row.requestKey, row.foreign).Scan(&blocked, &compromised, &taken, &waits, &ours)
	switch {
	case err != nil:
		return err
	case waits:
		return errKeyWaits
	case blocked:
		return errBlockedKey
	case compromised:
		return errCompromisedKey
	case taken || ours:
		return errKeyTaken
	}
	return nil
}

// refusedPerMinute bounds how many refusals a process writes to the log: a caller
// who repeats one all day must not fill it. The metric counts them all.
const refusedPerMinute = 20

// noteRefusal writes that somebody asked for a stolen or blocked key, or for a
// foreign name, if err says so.
func (c *CA) noteRefusal(ctx context.Context, r Request, err error) {
	var cause string
	switch {
	case errors.Is(err, errBlockedKey):
		cause = "blocked key"
	case errors.Is(err, errCompromisedKey):
		cause = "compromised key"
	case errors.Is(err, errForeignName):
		cause = "foreign name"
	default:
		return
	}
	if !c.refusals.take(c.now()) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), authTimeout)
	defer cancel()
	object := "profile:" + string(r.Profile)
	if r.Agency != "" {
		object = "agency:" + r.Agency
	}
	err = c.db.Update(ctx, func(tx db.Tx) error {
		_, err := audit.Append(ctx, tx, audit.Event{Kind: "certificate.refused", Actor: r.Actor, Object: object,
			Data: map[string]any{"profile": string(r.Profile), "cause": cause}})
		return err
	})
	if err != nil {
		c.log.WarnContext(ctx, "refusal not logged", slog.Any("cause", err))
	}
}
