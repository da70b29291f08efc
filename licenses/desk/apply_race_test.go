package desk_test

import (
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// uncommitted calls f while what change writes is not committed yet, as that of another
// replica. Tests' updates run twice: the first time is undone, and holds nothing.
func (c *city) uncommitted(change func(db.Tx) error, f func()) {
	c.t.Helper()
	runs := 0
	must(c.t, c.db.Update(c.t.Context(), func(tx db.Tx) error {
		err := change(tx)
		if runs++; err == nil && runs == 2 {
			f()
		}
		return err
	}))
	if runs != 2 {
		c.t.Fatalf("the update ran %d times, want twice", runs)
	}
}

// TestAnotherReplicaApplies: an application that another replica has written and not
// yet committed counts for the holder's twenty, because the holder's row is taken first.
func TestAnotherReplicaApplies(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		var last string
		for range 19 {
			last = c.sendIn(by, feeding())
		}
		refused := make(chan error, 1)
		c.uncommitted(func(tx db.Tx) error {
			id := db.NewID()
			for _, s := range []struct {
				query string
				args  []any
			}{
				{"UPDATE license_applicants SET applied = applied + 1 WHERE kind = $1 AND holder = $2", []any{by.Kind, by.Holder}},
				{`INSERT INTO license_applications (id, agency, type, body, state, submitter, request_key, request_hash, created_at, changed_at)
					SELECT $1, agency, type, body, state, submitter, $2, request_hash, created_at, changed_at FROM license_applications WHERE id = $3`,
					[]any{id, db.NewID(), last}},
				{"INSERT INTO license_holder_applications (application, kind, holder) VALUES ($1, $2, $3)", []any{id, by.Kind, by.Holder}},
			} {
				if _, err := tx.ExecContext(t.Context(), s.query, s.args...); err != nil {
					return err
				}
			}
			return nil
		}, func() {
			go func() {
				_, _, err := c.Apply(t.Context(), by, feeding())
				refused <- err
			}()
			select {
			case err := <-refused:
				t.Errorf("did not wait for the other replica: %v", err)
				refused <- err
			case <-time.After(500 * time.Millisecond):
			}
		})
		wantKind(t, <-refused, fault.Conflict)
	})
}
