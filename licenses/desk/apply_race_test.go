package desk_test

import (
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

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
		var once sync.Once
		refused := make(chan error, 1)
		must(t, d.Update(t.Context(), func(tx db.Tx) error {
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
			once.Do(func() {
				go func() {
					_, _, err := c.Apply(t.Context(), by, feeding())
					refused <- err
				}()
			})
			select {
			case err := <-refused:
				t.Errorf("did not wait for the other replica: %v", err)
				refused <- err
			case <-time.After(500 * time.Millisecond):
			}
			return nil
		}))
		wantKind(t, <-refused, fault.Conflict)
	})
}
