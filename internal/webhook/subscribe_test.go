package webhook_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

const hooks = "/licenses/v1/webhooks"

func TestSubscriptionsRefused(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	r := c.open()
	good := order("https://a.example/hook", "license.issued")
	for name, x := range map[string]struct {
		token, key, body string
		want             int
	}{
		"no token":        {"x", "k", good, 401},
		"other scope":     {"x.a.ca", "k", good, 403},
		"no key":          {"x.a.licenses", "", good, 400},
		"key with space":  {"x.a.licenses", "a b", good, 400},
		"long key":        {"x.a.licenses", strings.Repeat("k", 101), good, 400},
		"no body":         {"x.a.licenses", "k", "", 415},
		"no types":        {"x.a.licenses", "k", order("https://a.example/"), 400},
		"unknown type":    {"x.a.licenses", "k", order("https://a.example/", "certificate.issued"), 400},
		"type twice":      {"x.a.licenses", "k", order("https://a.example/", "license.issued", "license.issued"), 400},
		"plain http":      {"x.a.licenses", "k", order("http://a.example/", "license.issued"), 400},
		"user in address": {"x.a.licenses", "k", order("https://u:p@a.example/", "license.issued"), 400},
		"file":            {"x.a.licenses", "k", order("file:///etc/passwd", "license.issued"), 400},
		"long address":    {"x.a.licenses", "k", order("https://a.example/"+strings.Repeat("x", 600), "license.issued"), 400},
		"unknown member":  {"x.a.licenses", "k", `{"url":"https://a.example/","types":["license.issued"],"secret":"mine"}`, 400},
		"large body":      {"x.a.licenses", "k", `{"url":"` + strings.Repeat("x", 9<<10) + `"}`, 413},
	} {
		t.Run(name, func(t *testing.T) {
			if status, v := c.do(r, x.token, "POST", hooks, x.key, x.body); status != x.want {
				t.Errorf("%d %v, want %d", status, v, x.want)
			}
		})
	}
	if n := c.count("webhook_subscriptions"); n != 0 {
		t.Errorf("%d subscriptions", n)
	}
}

// TestOthersSeeNothing: an agency's webhooks are nobody's business but the city's.
func TestOthersSeeNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := c.open()
		id, _ := c.subscribe(r, "x.a.licenses", "https://a.example/hook", "license.issued")
		for _, token := range []string{"x.b.licenses", "y.b.licenses"} {
			for _, call := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"POST", "/rotate"}, {"POST", "/test"}} {
				if status, _ := c.do(r, token, call[0], hooks+"/"+id+call[1], "k", ""); status != 404 {
					t.Errorf("%s %s as another: %d", call[0], call[1], status)
				}
			}
			if _, v := c.do(r, token, "GET", hooks, "", ""); len(v["webhooks"].([]any)) != 0 {
				t.Errorf("another lists %v", v)
			}
		}
		if status, _ := c.do(r, "x.a.ca", "GET", "/ca/v1/webhooks/"+id, "", ""); status != 404 {
			t.Errorf("in another area: %d", status)
		}
		for _, token := range []string{"x.a.licenses", "y.a.licenses", "op..licenses"} {
			status, v := c.do(r, token, "GET", hooks+"/"+id, "", "")
			if status != 200 || v["state"] != "active" || v["secret"] != nil {
				t.Errorf("%s: %d %v", token, status, v)
			}
		}
		if status, _ := c.do(r, "x.a.licenses", "DELETE", hooks+"/"+id, "", ""); status != 204 {
			t.Errorf("remove: %d", status)
		}
		if status, _ := c.do(r, "x.a.licenses", "GET", hooks+"/"+id, "", ""); status != 404 {
			t.Errorf("removed: %d", status)
		}
		var kinds []string
		must(t, d.Read(t.Context(), func(tx db.Tx) error {
			list, err := audit.Find(t.Context(), tx, audit.EventFilter{Object: "webhook:" + id})
			for _, e := range list {
				kinds = append(kinds, e.Kind)
			}
			return err
		}))
		if got := strings.Join(kinds, " "); got != "webhook.add webhook.remove" {
			t.Errorf("events %s", got)
		}
	})
}

// TestRepeatedRequests: one webhook for one key, also when both come at once; never
// more than sixteen.
func TestRepeatedRequests(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := c.open()
		body := order("https://a.example/hook", "license.issued", "license.revoked")
		ids, secrets := make([]any, 4), make([]any, 4)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				_, v := c.do(r, "x.a.licenses", "POST", hooks, "k", body)
				ids[i], secrets[i] = v["id"], v["secret"]
			})
		}
		group.Wait()
		for i := range ids {
			if ids[i] == nil || ids[i] != ids[0] || secrets[i] != secrets[0] {
				t.Fatalf("ids %v", ids)
			}
		}
		if status, _ := c.do(r, "x.a.licenses", "POST", hooks, "k", order("https://b.example/", "license.issued")); status != 409 {
			t.Errorf("another body under the key: %d", status)
		}
		if status, v := c.do(r, "z.a.licenses", "POST", hooks, "k", body); status != 201 || v["id"] == ids[0] {
			t.Errorf("another client's key: %d %v", status, v)
		}
		made := make([]int, 20)
		for i := range made {
			group.Go(func() {
				made[i], _ = c.do(r, "x.a.licenses", "POST", hooks, fmt.Sprintf("n%d", i), order(fmt.Sprintf("https://a.example/%d", i), "license.issued"))
			})
		}
		group.Wait()
		if n := c.count("webhook_subscriptions"); n != 16 {
			t.Errorf("%d webhooks of one agency: %v", n, made)
		}
		if status, _ := c.do(r, "w.b.licenses", "POST", hooks, "k", body); status != 201 {
			t.Errorf("another agency: %d", status)
		}
	})
}

// TestGoneAndFailing: 410 ends a subscription at once, failing for three days ends it
// too; each with an event, and what waits for it is given up.
func TestGoneAndFailing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r, s := c.open(), newStranger(c)
		site := httptest.NewServer(s)
		defer site.Close()
		id, secret := c.subscribe(r, "x.a.licenses", site.URL+"/one", "license.issued")
		s.set(func(s *stranger) { s.secret, s.status = secret, 302 })
		c.run(r)
		c.happen("license.made", "a", 1)
		eventually(t, "it fails", func() bool { return c.count("webhook_subscriptions WHERE failing > 0") == 1 })
		c.clock.move(71 * time.Hour)
		eventually(t, "it is tried again", func() bool { return c.count("outbox WHERE attempts = 2") == 1 })
		if status, v := c.do(r, "x.a.licenses", "GET", hooks+"/"+id, "", ""); v["state"] != "failing" {
			t.Errorf("%d %v", status, v)
		}
		c.clock.move(2 * time.Hour)
		eventually(t, "it is disabled", func() bool { return c.count("webhook_subscriptions WHERE disabled > 0 AND reason = 'failing'") == 1 })
		if status, _ := c.do(r, "x.a.licenses", "POST", hooks+"/"+id+"/test", "k", ""); status != 409 {
			t.Errorf("a test of a disabled one: %d", status)
		}
		other, secret := c.subscribe(r, "y.a.licenses", site.URL+"/two", "license.issued")
		s.set(func(s *stranger) { s.secret, s.status = secret, 503 }) // not 410 yet: the second must not find it gone
		for range 2 {
			if status, _ := c.do(r, "y.a.licenses", "POST", hooks+"/"+other+"/test", "k", ""); status != 202 {
				t.Errorf("test: %d", status)
			}
		}
		s.set(func(s *stranger) { s.status = 410 })
		eventually(t, "it is gone", func() bool {
			c.clock.move(time.Second)
			return c.count("webhook_subscriptions WHERE disabled > 0 AND reason = 'gone'") == 1
		})
		eventually(t, "its message is given up", func() bool { return c.count("outbox WHERE failed > 0") == 2 })
		if n := c.count("outbox"); n != 2 {
			t.Errorf("%d messages: the test was sent twice", n)
		}
		if n := c.count("audit_events WHERE kind = 'webhook.disable'"); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

// TestToldFromNowOn: what was sealed before is not told, although nobody had followed
// the log so far.
func TestToldFromNowOn(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := c.open()
		c.subscribe(r, "x.a.licenses", "https://a.example/hook", "license.issued")
		c.happen("license.made", "a", 3)
		later, _ := c.subscribe(r, "x.a.licenses", "https://a.example/late", "license.issued")
		c.happen("license.made", "a", 2)
		must(t, r.Follow(t.Context()))
		if all, late := c.count("outbox"), c.count("outbox WHERE target = '"+later+"'"); all != 7 || late != 2 {
			t.Errorf("%d messages, %d for the later one", all, late)
		}
	})
}
