package desk_test

import (
	"context"
	"net/http"
	"sync"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// TestReplayedFormWhileTheSecretRotates sends the forms of every phase in every
// later one, also after the secret of their hashes is gone.
func TestReplayedFormWhileTheSecretRotates(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		type sent struct{ key, to string }
		var forms []sent
		for _, phase := range []struct {
			name string
			do   func(ctx context.Context, name, actor string) error
		}{{"at rest", nil}, {"staged", c.ring.StageSecret}, {"switched", c.ring.SwitchSecret}, {"dropped", c.ring.DropSecret}, {"staged again", c.ring.StageSecret}} {
			if phase.do != nil {
				must(t, phase.do(t.Context(), keys.SecretLookup, "ceremony"))
			}
			key := c.key("mu", foodForm)
			forms = append(forms, sent{key, c.post("mu", foodForm, food(key)).to(t, "/desk/applications/")})
			for i, f := range forms {
				if again := c.post("mu", foodForm, food(f.key)).to(t, "/desk/applications/"); again != f.to {
					t.Errorf("%s: form %d led to %s, then to %s", phase.name, i, f.to, again)
				}
				a := c.post("mu", foodForm, food(f.key, "seats", "87"))
				if a.status != http.StatusConflict {
					t.Errorf("%s: form %d with other data: status %d", phase.name, i, a.status)
				}
			}
		}
		var n int
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM license_applications`).Scan(&n)
		}))
		if n != len(forms) {
			t.Errorf("%d applications of %d forms", n, len(forms))
		}
		// The same data for another agency is no repetition, also where only the data tell.
		exec(t, d, `UPDATE license_applications SET agency = 'xishan-amr' WHERE request_key = $1`, forms[0].key)
		c.post("mu", foodForm, food(forms[0].key)).is(t, http.StatusConflict)
		// What cannot be opened is no other data either.
		exec(t, d, `UPDATE license_applications SET body = (SELECT o.body FROM license_applications AS o WHERE o.request_key = $1) WHERE request_key = $2`, forms[1].key, forms[2].key)
		exec(t, d, `UPDATE license_applications SET request_hash = $1 WHERE request_key = $2`, []byte("gone"), forms[2].key)
		c.post("mu", foodForm, food(forms[2].key)).is(t, http.StatusInternalServerError)
	})
}

// TestFormSentTwiceAtOnce does so while the secret changes between the two.
func TestFormSentTwiceAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key := c.key("mu", foodForm)
		var wg sync.WaitGroup
		var to [6]string
		for i := range to {
			wg.Go(func() { to[i] = c.post("mu", foodForm, food(key)).location })
		}
		must(t, c.ring.StageSecret(t.Context(), keys.SecretLookup, "ceremony"))
		must(t, c.ring.SwitchSecret(t.Context(), keys.SecretLookup, "ceremony"))
		must(t, c.ring.DropSecret(t.Context(), keys.SecretLookup, "ceremony"))
		wg.Wait()
		for _, other := range to {
			if other != to[0] || other == "" {
				t.Errorf("led to %q and to %q", to[0], other)
			}
		}
	})
}

func exec(t testing.TB, d *db.DB, query string, args ...any) {
	t.Helper()
	must(t, d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	}))
}
