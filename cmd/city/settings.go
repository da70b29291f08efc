package city

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Bases are a city's public addresses. They stand in certificates and tokens and
// are kept for its life.
type Bases struct {
	Issuer string // of tokens; where every page is
	HTTPS  string // https://HOST[:PORT]
	HTTP   string // http://HOST[:PORT]: CRLs and issuers' certificates
	MTLS   string // https://HOST[:PORT], asks for client certificates
}

// fields are the settings by name.
func (b *Bases) fields() map[string]*string {
	return map[string]*string{"issuer": &b.Issuer, "base.https": &b.HTTPS, "base.http": &b.HTTP, "base.mtls": &b.MTLS}
}

// settingComplete is written last when a city is made.
const settingComplete = "complete"

// errNoCity says that no city was finished in a database.
var errNoCity = fault.New(fault.NotFound, "no city was made here: run signet init (or signet demo)")

func readSetting(ctx context.Context, tx db.Tx, name string) (value string, err error) {
	err = tx.QueryRowContext(ctx, "SELECT value FROM settings WHERE name = $1", name).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

func writeSetting(ctx context.Context, tx db.Tx, name, value string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO settings (name, value) VALUES ($1, $2)
		ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value)
	return err
}

// readBases returns the addresses that a city was made for. It fails with kind
// NotFound if none was finished here.
func readBases(ctx context.Context, d *db.DB) (b Bases, err error) {
	err = d.Read(ctx, func(tx db.Tx) error {
		done, err := readSetting(ctx, tx, settingComplete)
		if err != nil {
			return err
		}
		if done == "" {
			return errNoCity
		}
		for name, v := range b.fields() {
			if *v, err = readSetting(ctx, tx, name); err != nil {
				return err
			}
		}
		return nil
	})
	return b, err
}

func writeBases(ctx context.Context, d *db.DB, b Bases) error {
	return d.Update(ctx, func(tx db.Tx) error {
		for name, v := range b.fields() {
			if err := writeSetting(ctx, tx, name, *v); err != nil {
				return err
			}
		}
		return nil
	})
}

// check compares the addresses wanted, where any are, with those kept.
func (b Bases) check(want Bases) error {
	for name, v := range want.fields() {
		if kept := *b.fields()[name]; *v != "" && *v != kept {
			return fault.New(fault.Conflict, fmt.Sprintf("this city was made for %s %s, not %s: certificates and tokens carry it", name, kept, *v))
		}
	}
	return nil
}
