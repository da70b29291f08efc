package keys

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

var errNoKey = fault.New(fault.NotFound, "there is no such key")

// contents is the keyring as the database has it.
type contents struct {
	version int64
	check   []byte
	changed bool // only then the rest is set
	rows    []row
	secrets []sealedSecret
}

// row is a row of the table keys. err says why its public half cannot be used.
type row struct {
	key              Key
	wrapped, private []byte
	destroyed        int64
	err              error
}

type sealedSecret struct {
	name    string
	sealed  []byte
	created int64
}

// readContents reads the version and, unless it is that of old, the rest, all in
// the one state of the database that tx sees.
func readContents(ctx context.Context, tx db.Tx, old *snapshot) (c contents, err error) {
	err = tx.QueryRowContext(ctx, `SELECT version, kek_check FROM keyring WHERE one = 1`).Scan(&c.version, &c.check)
	if err != nil {
		return c, err
	}
	if old != nil && old.version == c.version && !old.lame {
		return c, nil
	}
	c.changed = true
	if c.rows, err = readRows(ctx, tx, ""); err != nil {
		return c, err
	}
	c.secrets, err = readSecrets(ctx, tx)
	return c, err
}

func readSecrets(ctx context.Context, tx db.Tx) (list []sealedSecret, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT name, sealed, created FROM key_secrets ORDER BY name`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s sealedSecret
		if err := rows.Scan(&s.name, &s.sealed, &s.created); err != nil {
			return nil, err
		}
		list = append(list, s)
	}
	return list, rows.Err()
}

// readRows reads keys in the order of their making. where is a WHERE clause of
// ours, or empty.
func readRows(ctx context.Context, tx db.Tx, where string, args ...any) ([]row, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, purpose, owner, alg, backend, state, public_key, certificate,
		wrapped_key, private_key, created, published, activated, retiring, retired, compromised, destroyed, paused, since
		FROM keys `+where+` ORDER BY created, id`, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var list []row
	for rows.Next() {
		var r row
		var public []byte
		var created, published, activated, retiring, retired, compromised, paused, since int64
		k := &r.key
		err := rows.Scan(&k.ID, &k.Purpose, &k.Owner, &k.Alg, &k.Backend, &k.State, &public, &k.Certificate,
			&r.wrapped, &r.private, &created, &published, &activated, &retiring, &retired, &compromised, &r.destroyed, &paused, &since)
		if err != nil {
			return nil, err
		}
		k.Created, k.Published, k.Activated = db.Time(created), db.Time(published), db.Time(activated)
		k.Retiring, k.Retired, k.Compromised = db.Time(retiring), db.Time(retired), db.Time(compromised)
		k.Paused, k.Since = db.Time(paused), db.Time(since)
		if k.Since.IsZero() { // marked by a program that did not know of it
			k.Since = k.Compromised
		}
		r.err = k.setPublic(public)
		list = append(list, r)
	}
	return list, rows.Err()
}

// setPublic parses the stored public half.
func (k *Key) setPublic(der []byte) error {
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return errors.New("the stored public key was changed")
	}
	if alg, err := algOf(public); err != nil || alg != k.Alg {
		return errors.New("the stored public key is of another algorithm")
	}
	k.Public = public
	return nil
}

// keysOf turns rows into keys. It fails for a row whose public half is unusable.
func keysOf(rows []row) ([]Key, error) {
	list := make([]Key, len(rows))
	for i := range rows {
		if rows[i].err != nil {
			return nil, fmt.Errorf("key %s: %w", rows[i].key.ID, rows[i].err)
		}
		list[i] = rows[i].key
	}
	return list, nil
}

// Find returns a key from the database. It fails with kind NotFound.
func (r *Ring) Find(ctx context.Context, id string) (Key, error) {
	var k Key
	err := r.db.Read(ctx, func(tx db.Tx) (err error) {
		k, err = findKey(ctx, tx, id)
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("find key: %w", err)
	}
	return k, nil
}

func findKey(ctx context.Context, tx db.Tx, id string) (Key, error) {
	if !isName(id) { // such as no engine should see
		return Key{}, errNoKey
	}
	rows, err := readRows(ctx, tx, `WHERE id = $1`, id)
	if err != nil {
		return Key{}, err
	}
	list, err := keysOf(rows)
	if err != nil {
		return Key{}, err
	}
	if len(list) == 0 {
		return Key{}, errNoKey
	}
	return list[0], nil
}

// List returns the keys that match, from the database, oldest first.
func (r *Ring) List(ctx context.Context, f Filter) ([]Key, error) {
	where, args, err := f.query()
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	var rows []row
	err = r.db.Read(ctx, func(tx db.Tx) (err error) {
		rows, err = readRows(ctx, tx, where, args...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	list, err := keysOf(rows)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

func (f Filter) query() (where string, args []any, err error) {
	var conditions []string
	in := func(column string, values ...string) {
		if len(values) == 0 || (len(values) == 1 && values[0] == "") {
			return
		}
		holes := make([]string, len(values))
		for i, value := range values {
			if !isName(value) {
				err = fault.New(fault.Invalid, "there can be no key with such a "+column)
			}
			args = append(args, value)
			holes[i] = fmt.Sprintf("$%d", len(args))
		}
		conditions = append(conditions, column+" IN ("+strings.Join(holes, ", ")+")")
	}
	in("purpose", f.Purpose)
	in("owner", f.Owner)
	if len(f.States) > len(states) {
		return "", nil, fault.New(fault.Invalid, "there are not so many states")
	}
	list := make([]string, len(f.States))
	for i, s := range f.States {
		list[i] = string(s)
	}
	in("state", list...)
	if conditions == nil {
		return "", nil, err
	}
	return "WHERE " + strings.Join(conditions, " AND "), args, err
}
