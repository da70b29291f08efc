package registry

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Errors of FoundTx that its caller acts on.
var (
	ErrNameTaken = fault.New(fault.Conflict, "another firm has this name")
	ErrCodeTaken = fault.New(fault.Conflict, "another firm has this code")
)

// CheckFirmName checks the name that a firm is to have. The error is a fault of kind
// Invalid that does not repeat it.
func CheckFirmName(s string) error { return name(s) }

// FoundTx registers a new firm in the caller's transaction, takes its name, and lets its
// legal representative act for it from now on, with no end. Created is set here. It
// fails with kind Invalid for wrong particulars, ErrPerson for an unknown representative,
// ErrNameTaken for the name of another firm, however it is written, and ErrCodeTaken
// for the code of another: the caller's transaction is then to be undone.
//
// A name is taken once, whoever else founds at the same time. Firms that AddFirm
// registers take none: it is told who exists, and does not decide it.
func (r *Registry) FoundTx(ctx context.Context, tx db.Tx, actor string, f Firm) error {
	if err := checkFirm(f); err != nil {
		return err
	}
	if err := knownPerson(ctx, tx, f.LegalRep); err != nil {
		return err
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO registry_firm_names (name, firm) VALUES ($1, $2) ON CONFLICT DO NOTHING`, foldName(f.Name), f.USCC)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmpErr(err, ErrNameTaken)
	}
	if taken, err := namedFirm(ctx, tx, f.Name); err != nil || taken {
		return cmpErr(err, ErrNameTaken)
	}
	now := r.now()
	created, err := insert(ctx, tx, audit.Event{Kind: "registry.firm.add", Actor: actor, Object: "firm:" + f.USCC, Data: map[string]any{"legal_rep": f.LegalRep}},
		`INSERT INTO registry_firms (uscc, name, legal_rep, created) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, f.USCC, f.Name, f.LegalRep, db.Micros(now))
	if err == nil && !created {
		err = ErrCodeTaken
	}
	if err != nil {
		return err
	}
	from := now.Truncate(time.Second).UTC()
	_, err = insert(ctx, tx, audit.Event{Kind: "registry.delegate", Actor: actor, Object: "firm:" + f.USCC, Data: map[string]any{"person": f.LegalRep, "from": from.Unix()}},
		`INSERT INTO registry_delegations (id, firm, person, starts, ends, created) VALUES ($1, $2, $3, $4, NULL, $5)`,
		db.NewID(), f.USCC, f.LegalRep, db.Micros(from), db.Micros(now))
	return err
}

// NameTaken reports whether a firm has the name now, however it is written.
func (r *Registry) NameTaken(ctx context.Context, name string) (taken bool, err error) {
	err = r.db.Read(ctx, func(tx db.Tx) error {
		var firm string
		err := tx.QueryRowContext(ctx, `SELECT firm FROM registry_firm_names WHERE name = $1`, foldName(name)).Scan(&firm)
		if taken = err == nil; !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		taken, err = namedFirm(ctx, tx, name)
		return err
	})
	return taken && err == nil, wrap("look for the name", err)
}

// namedFirm reports whether a firm is registered under the name as it is written, or
// with its signs in the other width.
func namedFirm(ctx context.Context, tx db.Tx, name string) (bool, error) {
	var n int64
	err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM registry_firms WHERE name IN ($1, $2, $3)`, name, narrow.Replace(name), wide.Replace(name)).Scan(&n)
	return n > 0, err
}

// Names of firms hold brackets in either width.
var (
	narrow = strings.NewReplacer("（", "(", "）", ")")
	wide   = strings.NewReplacer("(", "（", ")", "）")
)

// foldName returns what names have in common that are written in other widths, cases
// or with other spaces.
func foldName(name string) string {
	return strings.ToUpper(strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '\u3000' || r == '\u00a0':
			return -1
		case r >= '\uff01' && r <= '\uff5e': // full-width ASCII
			return r - '\uff01' + '!'
		}
		return r
	}, name))
}
