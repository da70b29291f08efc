package desk_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses/desk"
)

// TestSavedWhileSubmitting races a save against the submission of the same form, again
// and again: in the end there is an application, and no draft that anybody is shown.
func TestSavedWhileSubmitting(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		for i := range 15 {
			claim := feeding()
			if i%2 == 0 {
				c.keep(by, draftOf(claim, claim.Key))
			}
			begin := make(chan struct{})
			var wg sync.WaitGroup
			ids := make([]string, 4)
			for j := range ids {
				wg.Go(func() {
					<-begin
					var err error
					if j%2 == 0 {
						ids[j], _, err = c.Apply(t.Context(), by, claim)
					} else {
						ids[j], err = c.SaveDraft(t.Context(), by, draftOf(claim, claim.Key))
					}
					if err != nil {
						t.Error(err)
					}
				})
			}
			close(begin)
			wg.Wait()
			if ids[0] == "" || ids[0] != ids[2] || ids[1] != "" && ids[1] != ids[0] || ids[3] != "" && ids[3] != ids[0] {
				t.Fatalf("round %d: it became %q", i, ids)
			}
			if list, err := c.Drafts(t.Context(), by); len(list) != 0 || err != nil {
				t.Fatalf("round %d: %v, %v is shown", i, list, err)
			}
			if got, err := c.FindDraft(t.Context(), by, claim.Key); err != nil || got.Application != ids[0] {
				t.Fatalf("round %d: found %+v, %v", i, got, err)
			}
			if err := c.Withdraw(t.Context(), by, ids[0]); err != nil { // they may have twenty
				t.Fatal(err)
			}
		}
		_, err := c.SweepDrafts(t.Context())
		must(t, err)
		wantDrafts(t, c)
	})
}

// submitting calls f while another replica's submission of the form is written and not
// yet committed. It is one of the release before, which knows no drafts; no page opens it,
// since it is another application's copy.
func (c *city) submitting(person, key string, f func()) {
	c.t.Helper()
	like := last(c.apply("mu"))
	c.uncommitted(func(tx db.Tx) error {
		_, err := tx.ExecContext(c.t.Context(), `INSERT INTO license_applications (id, agency, type, body, state, submitter, request_key, request_hash, created_at, changed_at)
			SELECT $1, agency, type, body, 'withdrawn', $2, $3, request_hash, created_at, changed_at FROM license_applications WHERE id = $4`,
			db.NewID(), person, key, like)
		return err
	}, f)
}

// TestADraftLeftBehind: where the database cannot keep a draft from outliving its form, it
// is shown no more, counts for nothing, and is swept.
func TestADraftLeftBehind(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		key, saved := db.NewID(), make(chan answer, 1)
		c.submitting(c.ids["mu"], key, func() {
			go func() { saved <- c.post("mu", foodForm, half(key)) }()
			if d.Engine() == db.PostgreSQL {
				select { // it sees no submission
				case a := <-saved:
					saved <- a
				case <-time.After(20 * time.Second):
					t.Error("saving waits for a submission of the same form")
				}
			}
		})
		(<-saved).is(t, http.StatusSeeOther)
		other := db.NewID()
		c.save("mu", foodForm, half(other))
		c.submitting(c.ids["mu"], other, func() {})
		left := []string{"mu " + other}
		if d.Engine() == db.PostgreSQL {
			left = []string{"mu " + key, "mu " + other}
		}
		wantDrafts(t, c, left...)
		home := c.get("mu", "/desk")
		home.is(t, http.StatusOK)
		if strings.Contains(home.body, key) || strings.Contains(home.body, other) {
			t.Error("a form that has been submitted is shown as a draft")
		}
		c.get("mu", foodForm+"?draft="+other).to(t, "/desk/applications/")
		third := db.NewID()
		c.save("mu", foodForm, half(third))
		c.submitting(c.ids["mu"], third, func() {})
		c.post("mu", foodForm, half(third)).to(t, "/desk/applications/") // and takes the draft away
		wantDrafts(t, c, left...)
		for range 50 {
			c.save("mu", foodForm, half(db.NewID()))
		}
		n, err := c.SweepDrafts(t.Context())
		if n != len(left) || err != nil {
			t.Errorf("swept %d, %v, want %d", n, err, len(left))
		}
		if n := len(c.drafts()); n != 50 {
			t.Errorf("%d drafts are left, want the fifty", n)
		}
	})
}

// TestDraftsAtOnce: those who save at once do not get past the bound together.
func TestDraftsAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		results := make(chan error, 24)
		for range cap(results) {
			go func() {
				claim := feeding()
				_, err := c.SaveDraft(t.Context(), by, draftOf(claim, claim.Key))
				results <- err
			}()
		}
		kept := 0
		for range cap(results) {
			switch err := <-results; {
			case err == nil:
				kept++
			case fault.KindOf(err) != fault.Conflict:
				t.Error(err)
			}
		}
		if n := len(c.drafts()); kept != 10 || n != 10 {
			t.Errorf("%d were kept, %d are there, want ten", kept, n)
		}
	})
}

// TestAnotherReplicaSaves: a draft that another replica has written and not yet committed
// counts, because the author's row is taken first.
func TestAnotherReplicaSaves(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		by := c.firm("lin")
		for range 9 {
			claim := feeding()
			c.keep(by, draftOf(claim, claim.Key))
		}
		refused := make(chan error, 1)
		c.uncommitted(func(tx db.Tx) error {
			if _, err := tx.ExecContext(t.Context(), "UPDATE license_drafters SET begun = begun + 1 WHERE person = $1", by.Person); err != nil {
				return err
			}
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO license_drafts (person, id, agency, kind, holder, type, body, created_at, changed_at)
				SELECT person, $1, agency, kind, holder, type, body, created_at, changed_at FROM license_drafts LIMIT 1`, db.NewID()); err != nil {
				return err
			}
			return nil
		}, func() {
			go func() {
				claim := feeding()
				_, err := c.SaveDraft(t.Context(), by, draftOf(claim, claim.Key))
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

// TestDraftsGrowOld: thirty days after the last change a draft goes, and one that is
// saved while the sweeper looks stays.
func TestDraftsGrowOld(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.now = time.Now().Truncate(time.Second)
		begun, month := c.now, 30*24*time.Hour
		old, saved, young := db.NewID(), db.NewID(), db.NewID()
		c.save("mu", foodForm, half(old))
		c.save("mu", foodForm, half(saved))
		c.now = begun.Add(time.Second)
		c.save("mu", foodForm, half(young))
		for _, at := range []time.Duration{0, month} { // and no earlier
			c.now = begun.Add(at)
			if n, err := c.SweepDrafts(t.Context()); n != 0 || err != nil {
				t.Errorf("after %v swept %d, %v", at, n, err)
			}
		}
		c.now = begun.Add(month + time.Microsecond)
		remove, err := c.SeeOldDrafts(t.Context(), db.Micros(c.now.Add(-month)))
		must(t, err)
		c.save("mu", foodForm, half(saved, "trade_name", "改过"))
		if n, err := remove(); n != 1 || err != nil {
			t.Errorf("removed %d, %v, want the one that was not saved in between", n, err)
		}
		wantDrafts(t, c, "mu "+saved, "mu "+young)
		c.now = begun.Add(month + time.Hour)
		if n, err := c.SweepDrafts(t.Context()); n != 1 || err != nil {
			t.Errorf("swept %d, %v", n, err)
		}
		wantDrafts(t, c, "mu "+saved)
	})
}

// many writes n drafts of invented people by their numbers, changed then.
func (c *city) many(n int, changed time.Time) {
	c.t.Helper()
	must(c.t, c.db.Update(c.t.Context(), func(tx db.Tx) error {
		for at := 0; at < n; at += 100 {
			var rows []string
			var args []any
			for i := at; i < min(n, at+100); i++ {
				rows = append(rows, fmt.Sprintf("($%d, $%d, 'donghu-amr', '', '', 'food-business', $%d, $%d, $%d)", len(args)+1, len(args)+2, len(args)+3, len(args)+4, len(args)+5))
				args = append(args, fmt.Sprintf("0-%06d", i), db.NewID(), []byte{1}, db.Micros(changed), db.Micros(changed))
			}
			_, err := tx.ExecContext(c.t.Context(), "INSERT INTO license_drafts (person, id, agency, kind, holder, type, body, created_at, changed_at) VALUES "+strings.Join(rows, ", "), args...)
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// TestSweepsAreBounded: a call removes so many old drafts, and looks through so many for
// those of submitted forms; the next ones go on until everything was seen.
func TestSweepsAreBounded(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		most := desk.DraftPage * desk.DraftPages
		c.many(most+7, time.Now().AddDate(0, 0, -31))
		for _, want := range []int{most, 7, 0} {
			if n, err := c.SweepDrafts(t.Context()); n != want || err != nil {
				t.Fatalf("swept %d, %v, want %d", n, err, want)
			}
		}
		c.many(2*desk.DraftPage+7, time.Now())
		key := db.NewID()
		c.save("mu", foodForm, half(key)) // ids of people stand behind the invented ones
		c.submitting(c.ids["mu"], key, func() {})
		for round, want := range []int{0, 0, 1, 0, 0, 0} {
			if n, err := c.SweepDrafts(t.Context()); n != want || err != nil {
				t.Fatalf("round %d: swept %d, %v, want %d", round, n, err, want)
			}
		}
		c.save("mu", foodForm, half(db.NewID()))
		key = db.NewID()
		c.save("mu", foodForm, half(key))
		c.submitting(c.ids["mu"], key, func() {})
		total := 0
		for range 3 { // it has begun again
			n, err := c.SweepDrafts(t.Context())
			must(t, err)
			total += n
		}
		if total != 1 {
			t.Errorf("swept %d in another walk, want 1", total)
		}
	})
}

// TestDraftQueriesUseIndexes asks SQLite how the sweeper reads when there are many.
func TestDraftQueriesUseIndexes(t *testing.T) {
	d := testkit.SQLite(t)
	for query, want := range map[string]string{
		desk.OldDraftsQuery:  "USING INDEX license_drafts_changed (changed_at<?)",
		desk.SentDraftsQuery: "((person,id)>(?,?))",
	} {
		plan := testkit.Plan(t, d, query)
		if !strings.Contains(plan, want) || strings.Contains(plan, "TEMP B-TREE") || !strings.Contains(plan, "(submitter=? AND request_key=?)") {
			t.Errorf("plan\n%swant %s", plan, want)
		}
	}
}

// TestSubmittedTwiceAtOnce: two buttons of one draft's form make one application, with
// the same contents and with others.
func TestSubmittedTwiceAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for _, second := range []string{"86", "87"} {
			key := c.key("mu", foodForm)
			c.save("mu", foodForm, half(key))
			results := make(chan answer, 2)
			for _, form := range []url.Values{food(key), food(key, "seats", second)} {
				go func() { results <- c.post("mu", foodForm, form) }()
			}
			made := map[string]bool{}
			var err error
			for range 2 {
				switch a := <-results; {
				case a.status == http.StatusSeeOther:
					made[a.location] = true
				case a.status != http.StatusConflict || second == "86":
					err = errors.Join(err, fmt.Errorf("status %d: %s", a.status, a.text))
				}
			}
			if err != nil || len(made) != 1 {
				t.Errorf("second with %s seats: %v, %v", second, made, err)
			}
			wantDrafts(t, c)
		}
	})
}

// TestRepeatedByAnotherReplica: a submission that finds the same one written by another
// replica ends the draft too, since that one may have seen none.
func TestRepeatedByAnotherReplica(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for range 5 { // slow, it may read the answer before it comes so far
			key, sent := db.NewID(), make(chan answer, 1)
			c.save("mu", foodForm, half(key))
			c.submitting(c.ids["mu"], key, func() {
				go func() { sent <- c.post("mu", foodForm, food(key)) }()
				select {
				case a := <-sent:
					t.Errorf("did not wait for the other replica: status %d", a.status)
					sent <- a
				case <-time.After(500 * time.Millisecond):
				}
			})
			(<-sent).to(t, "/desk/applications/")
			if left := c.drafts(); len(left) == 0 {
				return
			}
		}
		t.Error("the draft is never ended")
	})
}
