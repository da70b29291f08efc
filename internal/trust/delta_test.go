package trust_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	. "github.com/signet-city/signet/internal/trust"
	"github.com/signet-city/signet/licenses/status"
)

// set gives an index a state.
func (s *statuses) set(list int, index uint32, state status.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lists = slices.Clone(s.lists)
	for len(s.lists) <= list {
		s.lists = append(s.lists, status.List{No: uint32(len(s.lists))})
	}
	l := &s.lists[list]
	is := func(i uint32) bool { return i == index }
	l.Revoked, l.Suspended = slices.DeleteFunc(slices.Clone(l.Revoked), is), slices.DeleteFunc(slices.Clone(l.Suspended), is)
	switch state {
	case status.Revoked:
		l.Revoked = append(l.Revoked, index)
	case status.Suspended:
		l.Suspended = append(l.Suspended, index)
	}
	slices.Sort(l.Revoked)
	slices.Sort(l.Suspended)
	s.version++
}

// follow applies the delta that a publisher serves from one snapshot to another, and
// returns the file that comes out.
func follow(t testing.TB, p *Publisher, base []byte, to uint64) []byte {
	t.Helper()
	s, err := status.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	d, err := status.ParseDelta(fetch(t, p, fmt.Sprintf("/status/delta/%d-%d", s.Seq, to)))
	if err != nil {
		t.Fatal(err)
	}
	_, file, err := d.Apply(s)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestDeltasServed publishes a random history by two replicas, and holds that from
// each snapshot a delta leads to the newest, whose file comes out bit for bit.
func TestDeltasServed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for i := range uint32(600) {
			c.statuses.set(0, i*1000+500, status.Revoked) // or the snapshot would be the shorter
		}
		p, other := c.publisher(t), c.publisher(t)
		r := rand.New(rand.NewPCG(5, 6))
		var files [][]byte
		for i := range 12 {
			for range r.IntN(6) {
				// Few indices, so that some go and come back.
				c.statuses.set(r.IntN(1+i/4), r.Uint32N(5)*200_000, status.State(r.IntN(3)))
			}
			c.clock.add(9 * time.Hour) // signed anew, changed or not
			publish(t, []*Publisher{p, other}[r.IntN(2)])
			publish(t, p)
			files = append(files, fetch(t, p, "/status/snapshot"))
		}
		newest := files[len(files)-1]
		s, err := status.Parse(newest)
		if err != nil {
			t.Fatal(err)
		}
		for i, base := range files[:len(files)-1] {
			if got := follow(t, p, base, s.Seq); !bytes.Equal(got, newest) {
				t.Errorf("from snapshot %d of %d another file comes out", i, len(files))
			}
		}
		// Also one that is no longer the newest, by a replica that did not make it.
		before, err := status.Parse(files[7])
		if err != nil {
			t.Fatal(err)
		}
		if got := follow(t, other, files[2], before.Seq); !bytes.Equal(got, files[7]) {
			t.Error("to an older snapshot another file comes out")
		}
		w := get(p, fmt.Sprintf("/status/delta/%d-%d", before.Seq, s.Seq), "")
		if got := w.Header().Get("Cache-Control"); got != "public, max-age=86400, immutable" {
			t.Errorf("Cache-Control: %s", got)
		}
		if w := get(p, fmt.Sprintf("/status/delta/%d-%d", before.Seq, s.Seq), w.Header().Get("ETag")); w.Code != http.StatusNotModified {
			t.Errorf("asked again: status %d", w.Code)
		}
	})
}

// TestNoDelta: what is no range is refused, and where no delta leads nothing is made
// up.
func TestNoDelta(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		for i := range uint32(600) {
			c.statuses.set(0, i*1000, status.Revoked) // or the snapshot would be the shorter
		}
		p := c.publisher(t)
		want := func(name string, code int) {
			t.Helper()
			if w := get(p, "/status/delta/"+name, ""); w.Code != code {
				t.Errorf("%s: status %d, want %d: %s", name, w.Code, code, w.Body)
			}
		}
		want("1-2", http.StatusServiceUnavailable)
		for i := range uint32(6) {
			c.statuses.set(0, i, status.Suspended)
			publish(t, p)
		}
		for _, bad := range []string{"1", "-", "1-", "-2", "2-1", "2-2", "0-1", "01-2", "1-02", "+1-2", "1-2-3", "1-2.cbor", "a-b", "1--2", "18446744073709551616-2", "1-9223372036854775808", "%201-2"} {
			want(bad, http.StatusBadRequest)
		}
		want("1-6", http.StatusOK)
		want("6-7", http.StatusNotFound)
		want("1-9223372036854775807", http.StatusNotFound)
		execute(t, d, "DELETE FROM trust_steps WHERE seq = 3") // as if the previous binary had published it
		want("2-6", http.StatusNotFound)
		want("3-6", http.StatusNotFound)
		want("2-3", http.StatusNotFound)
		want("4-6", http.StatusOK)
		execute(t, d, "UPDATE trust_steps SET hash = $1 WHERE seq = 5", make([]byte, 32))
		want("4-5", http.StatusInternalServerError)
		c.clock.add(8 * 24 * time.Hour)
		publish(t, p)
		var n int
		err := d.Read(t.Context(), func(tx db.Tx) error {
			return tx.QueryRowContext(t.Context(), "SELECT count(*) FROM trust_steps").Scan(&n)
		})
		if err != nil || n != 1 {
			t.Errorf("%d steps after eight days: %v", n, err)
		}
		want("6-7", http.StatusNotFound)
	})
}

// TestDeltaLongerThanSnapshot: nobody is given the longer way.
func TestDeltaLongerThanSnapshot(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	publish(t, p)
	for i := range uint32(500) {
		c.statuses.set(0, i*2000, status.Revoked)
	}
	publish(t, p)
	for i := range uint32(500) {
		c.statuses.set(0, i*2000, status.Valid)
	}
	publish(t, p)
	if w := get(p, "/status/delta/2-3", ""); w.Code != http.StatusNotFound {
		t.Errorf("status %d, %d bytes", w.Code, w.Body.Len())
	}
}

func execute(t testing.TB, d *db.DB, query string, args ...any) {
	t.Helper()
	if err := d.Update(t.Context(), func(tx db.Tx) error { _, err := tx.ExecContext(t.Context(), query, args...); return err }); err != nil {
		t.Fatal(err)
	}
}
