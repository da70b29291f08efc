package scanner_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
)

// statusFiles returns what was asked for of /status since the last call.
func (c *city) statusFiles() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	asked := slices.DeleteFunc(c.asked, func(path string) bool { return path[:min(8, len(path))] != "/status/" })
	c.asked = nil
	return asked
}

// revoke publishes the next snapshot, in which one index more is revoked and nothing is
// suspended any more.
func (c *city) revoke(index uint32) {
	revoked := append(slices.Clone(c.lists[0].Revoked), index)
	slices.Sort(revoked)
	c.lists = []status.List{{No: 1, Revoked: revoked}}
	c.publishAs(c.files["/trust/root"], c.root) // the same statement: another of its number would be a fork
}

// update lets the page ask for what is current, and wants exactly these files of
// /status to be fetched.
func (p page) update(c *city, want ...string) {
	p.t.Helper()
	c.statusFiles()
	p.ask("document.querySelector('#basis button').click()")
	p.until("document.querySelector('#basis').dataset.updating + document.querySelector('#basis').dataset.problem", "")
	if got := c.statusFiles(); !slices.Equal(got, want) {
		p.t.Errorf("fetched %q, want %q", got, want)
	}
}

// TestDeltaInThePage: a page with a snapshot fetches what has changed and nothing more,
// and keeps the result without a network.
func TestDeltaInThePage(t *testing.T) {
	c := newCity(t)
	good, held := c.permit(nil), c.permit(func(p *permit.Claims) { p.Status.Index = suspendedIndex })
	p := c.browse(t)
	p.ready()
	if got := c.statusFiles(); !slices.Equal(got, []string{"/status/snapshot"}) {
		t.Fatalf("the first visit fetched %q", got)
	}
	p.paste(good)
	p.verdict("valid", "")
	p.paste(held)
	p.verdict("suspended", "listed_suspended")
	p.update(c) // the head names what the page has

	c.now += 60
	c.revoke(goodIndex)
	p.update(c, "/status/delta/1-2")
	p.paste(good)
	p.verdict("revoked", "listed_revoked")
	asOf := time.Unix(c.now-3600, 0).UTC().Format(time.RFC3339)
	if got := p.ask("document.querySelector('#verdict').dataset.asOf"); got != asOf {
		t.Errorf("as of %s, want %s", got, asOf)
	}
	p.paste(held)
	p.verdict("valid", "")

	c.revoke(suspendedIndex)
	p.update(c, "/status/delta/2-3") // the delta's result is a base itself
	testkit.Allow(p.ctx, "Failed to load resource")
	testkit.Allow(p.ctx, "ERR_CONNECTION_REFUSED")
	c.server.CloseClientConnections()
	c.server.Close()
	p.reload()
	p.paste(held)
	p.verdict("revoked", "listed_revoked")
	p.paste(c.permit(func(p *permit.Claims) { p.Status.Index = revokedIndex }))
	p.verdict("revoked", "listed_revoked")
	p.paste(c.permit(func(p *permit.Claims) { p.Status.Index = 77 }))
	p.verdict("valid", "")
}

// TestNoDeltaForThePage: where no delta leads to what the head names, the page fetches
// the snapshot and nothing is lost.
func TestNoDeltaForThePage(t *testing.T) {
	c := newCity(t)
	good := c.permit(nil)
	p := c.browse(t)
	p.ready()
	testkit.Allow(p.ctx, "Failed to load resource")
	first := c.files["/status/snapshot"]
	for i, tt := range []struct {
		name  string
		delta func(path string) []byte
	}{
		{"absent", func(string) []byte { return nil }},
		{"empty", func(string) []byte { return []byte{} }},
		{"no delta", func(string) []byte { return []byte("<!doctype html>") }},
		{"the snapshot itself", func(string) []byte { return c.files["/status/snapshot"] }},
		{"cut", func(path string) []byte { return c.files[path][:len(c.files[path])-1] }},
		{"too large", func(string) []byte { return make([]byte, status.MaxDelta+1) }},
		{"of another base", func(string) []byte { return c.delta(first, c.files["/status/snapshot"]) }},
		{"to another than the head's", func(string) []byte {
			lists := c.lists
			defer func() { c.lists = lists }()
			c.lists = []status.List{{No: 1}}
			return c.delta(c.files["before"], c.snapshot(c.seq, c.now-3600, c.status))
		}},
		{"by a stranger", func(string) []byte { return c.delta(c.files["before"], c.snapshot(c.seq, c.now-3600, c.bundle)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.serve(map[string][]byte{"before": c.files["/status/snapshot"]})
			index := uint32(1000 + i)
			c.revoke(index)
			path := fmt.Sprintf("/status/delta/%d-%d", c.seq-1, c.seq)
			delta := tt.delta(path)
			if delta == nil && tt.name != "absent" {
				t.Fatal("there is no such delta")
			}
			c.serve(map[string][]byte{path: delta})
			p := page{t, p.ctx}
			p.update(c, path, "/status/snapshot")
			p.paste(c.permit(func(p *permit.Claims) { p.Status.Index = index }))
			p.verdict("revoked", "listed_revoked")
			p.paste(good)
			p.verdict("valid", "")
			p.again()
		})
	}
}
