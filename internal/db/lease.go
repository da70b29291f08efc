package db

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// Lease takes or renews the lease called name for holder until now+life and
// reports whether it is the holder's. Another's counts until it has run out by
// now, which is the caller's clock: replicas whose clocks differ by more than a
// life hold it both. It is no fence either: whoever stood still for longer than
// life goes on beside the next holder. It spares double work; what must not
// happen twice is a compare-and-swap besides. It fails with kind Invalid without
// a name, a holder or a life.
func (d *DB) Lease(ctx context.Context, name, holder string, life time.Duration, now time.Time) (mine bool, err error) {
	if err := checkLease(name, holder); err != nil {
		return false, fmt.Errorf("take lease: %w", err)
	}
	if life <= 0 {
		return false, fmt.Errorf("take lease: %w", fault.New(fault.Invalid, "a lease has a life"))
	}
	err = d.Update(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3)
			ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
			WHERE leases.holder = excluded.holder OR leases.until <= $4`,
			name, holder, Micros(now.Add(life)), Micros(now))
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		mine = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("take lease: %w", err)
	}
	return mine, nil
}

// Release gives up the holder's lease, so that the next need not wait for its
// end. It is no error if it is another's or nobody's.
func (d *DB) Release(ctx context.Context, name, holder string) error {
	if err := checkLease(name, holder); err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	err := d.Update(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM leases WHERE name = $1 AND holder = $2`, name, holder)
		return err
	})
	if err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}

func checkLease(name, holder string) error {
	if name == "" || holder == "" || len(name) > 200 || len(holder) > 200 {
		return fault.New(fault.Invalid, "a lease has a name and a holder of 1 to 200 bytes")
	}
	return nil
}
