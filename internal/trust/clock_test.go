package trust_test

import (
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// TestClockThatWasAhead: what was signed by a clock that was hours ahead is refused by
// every verifier whose clock is right, so it is signed anew once the clock is set.
func TestClockThatWasAhead(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		p := c.publisher(t)
		c.clock.add(time.Hour) // the root's statement is older than all of this
		publish(t, p)
		start := c.clock.Now()
		c.clock.add(9 * time.Hour)
		publish(t, p)
		ask(p, "/status/lists/0") // which keeps it
		ahead := c.clock.Now()
		c.clock.add(-9 * time.Hour)
		publish(t, p)
		_, root, err := trust.OpenBundle(fetch(t, p, "/trust/bundle"), c.rootKey.Public(), start)
		if err != nil {
			t.Fatalf("the bundle: %v", err)
		}
		head, err := trust.OpenHead(fetch(t, p, "/trust/head"), root, start)
		if err != nil {
			t.Fatalf("the head: %v", err)
		}
		s, err := status.Parse(fetch(t, p, "/status/snapshot"))
		if err != nil {
			t.Fatal(err)
		}
		if s.IssuedAt != start.Unix() || head.IssuedAt != start.Unix() || head.SnapshotSeq != s.Seq {
			t.Errorf("snapshot %d of %v, head of %v, want %v", s.Seq, time.Unix(s.IssuedAt, 0), time.Unix(head.IssuedAt, 0), start)
		}
		tok, err := status.OpenJWT(ask(p, "/status/lists/0").Body.Bytes(), -7, c.statusKey(t))
		if err != nil || tok.IssuedAt == ahead.Unix() {
			t.Errorf("the list is of %v, %v", time.Unix(tok.IssuedAt, 0), err)
		}
		before := c.clock.Now()
		c.clock.add(-time.Duration(trust.Skew) * time.Second) // what verifiers forgive makes nothing new
		publish(t, p)
		if again, err := status.Parse(fetch(t, p, "/status/snapshot")); err != nil || again.Seq != s.Seq {
			t.Errorf("%v later: snapshot %d, %v", c.clock.Now().Sub(before), again.Seq, err)
		}
	})
}
