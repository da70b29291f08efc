package webhook_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

const feed = "/licenses/v1/events"

// TestFeed: read to the end in pages of any size, an agency sees its own events, once each,
// in the order of the log, and the cursor moves past what is not its own.
func TestFeed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := c.open()
		var want []string
		for i := range 6 {
			want = append(want, c.happen("license.made", "a", 7)...)
			c.happen("license.made", "b", 3)
			c.happen([]string{"other.kind", "certificate.made"}[i%2], "a", 9)
		}
		for _, limit := range []int{1, 5, 100} {
			got, next, last := []string{}, float64(-1), float64(-1)
			for {
				status, v := c.do(r, "x.a.licenses", "GET", fmt.Sprintf("%s?after=%.0f&limit=%d", feed, next, limit), "", "")
				if status != 200 {
					t.Fatalf("%d %v", status, v)
				}
				for _, e := range v["events"].([]any) {
					e := e.(map[string]any)
					if e["seq"].(float64) <= last || e["type"] != "license.issued" {
						t.Fatalf("%v after %v", e, last)
					}
					last = e["seq"].(float64)
					got = append(got, e["id"].(string))
				}
				if v["next"].(float64) == next {
					break
				}
				next = v["next"].(float64)
			}
			if !slices.Equal(got, want) {
				t.Errorf("limit %d: %d events, want %d", limit, len(got), len(want))
			}
		}
		if _, v := c.do(r, "op..licenses", "GET", feed+"?after=-1", "", ""); len(v["events"].([]any)) != 60 {
			t.Errorf("the city sees %d", len(v["events"].([]any)))
		}
		if _, v := c.do(r, "x.a.licenses", "GET", feed, "", ""); len(v["events"].([]any)) != 0 || v["next"].(float64) != 114 {
			t.Errorf("from now on: %v", v)
		}
	})
}

// TestFeedWaits: who waits hears of what is sealed meanwhile, and is let go when the
// service ends.
func TestFeedWaits(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := c.open()
		stop := c.run(r)
		answers := make(chan map[string]any, 1)
		ask := func() {
			_, v := c.do(r, "x.a.licenses", "GET", feed+"?after=-1&wait=30", "", "")
			answers <- v
		}
		go ask()
		time.Sleep(50 * time.Millisecond)
		c.happen("license.made", "b", 1) // wakes it for nothing
		id := c.happen("license.made", "a", 1)[0]
		select {
		case v := <-answers:
			if list := v["events"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != id {
				t.Errorf("%v", v)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it was not woken")
		}
		go func() {
			_, v := c.do(r, "x.z.licenses", "GET", feed+"?wait=30", "", "")
			answers <- v
		}()
		time.Sleep(50 * time.Millisecond)
		stop()
		select {
		case <-answers:
		case <-time.After(20 * time.Second):
			t.Fatal("it was not let go")
		}
	})
}

func TestFeedRefuses(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	r := c.open()
	c.happen("license.made", "a", 3)
	for query, want := range map[string]int{
		"?after=-1": 200, "?after=3": 200, "?limit=100&wait=0": 200,
		"?after=4": 400, "?after=-2": 400, "?after=x": 400, "?after=": 400, "?after=01": 400, "?after=+1": 400, "?after=1&after=2": 400, "?after=99999999999999999999": 400,
		"?limit=0": 400, "?limit=101": 400, "?wait=31": 400, "?wait=-1": 400, "?wait=1.5": 400, "?agency=b": 400,
	} {
		if status, v := c.do(r, "x.a.licenses", "GET", feed+query, "", ""); status != want {
			t.Errorf("%s: %d %v", query, status, v)
		}
	}
	if status, _ := c.do(r, "x.a.ca", "GET", feed, "", ""); status != 403 {
		t.Errorf("another scope: %d", status)
	}
}
