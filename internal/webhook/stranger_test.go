package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json/v2"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// stranger is somebody else's receiver, written from docs/spec/webhooks.md alone.
type stranger struct {
	mu     sync.Mutex
	now    func() time.Time
	secret string
	status int
	got    map[string]int // by webhook-id
	types  []string
	bad    int
}

// verify checks a call as docs/spec/webhooks.md tells a receiver to.
func verify(secret string, h http.Header, body []byte, now time.Time) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	id, stamp := h.Get("webhook-id"), h.Get("webhook-timestamp")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + stamp + "." + string(body)))
	for one := range strings.FieldsSeq(h.Get("webhook-signature")) {
		if sum, ok := strings.CutPrefix(one, "v1,"); ok {
			if got, err := base64.StdEncoding.DecodeString(sum); err == nil && hmac.Equal(got, mac.Sum(nil)) {
				return true
			}
		}
	}
	return false
}

func (s *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	var v struct {
		Type      string         `json:"type"`
		Timestamp time.Time      `json:"timestamp"`
		Data      map[string]any `json:"data"`
	}
	if !verify(s.secret, r.Header, body, s.now()) || r.Header.Get("Content-Type") != "application/json" ||
		json.Unmarshal(body, &v, json.RejectUnknownMembers(true)) != nil || v.Timestamp.IsZero() {
		s.bad++
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.status >= 300 {
		w.WriteHeader(s.status)
		return
	}
	s.got[r.Header.Get("webhook-id")]++
	s.types = append(s.types, v.Type)
	w.WriteHeader(s.status)
}

func (s *stranger) set(f func(*stranger)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *stranger) counts() (different, calls, bad int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.got {
		calls += n
	}
	return len(s.got), calls, s.bad
}

func newStranger(c *city) *stranger {
	return &stranger{now: c.clock.now, status: http.StatusNoContent, got: map[string]int{}}
}

// TestStrangerReceives: signed, typed, its own agency's only, each once; after the
// stranger was away it gets what it missed.
func TestStrangerReceives(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		one, two := c.open(), c.open()
		s := newStranger(c)
		site := httptest.NewServer(s)
		address := site.Listener.Addr().String()
		c.happen("license.made", "a", 3) // before it subscribes
		_, secret := c.subscribe(one, "x.a.licenses", site.URL+"/one", "license.issued")
		s.set(func(s *stranger) { s.secret = secret })
		c.run(one)
		c.run(two)
		c.happen("license.made", "a", 150)
		c.happen("license.made", "b", 5)
		c.happen("license.made", "secret", 5)
		c.happen("license.gone", "a", 5)
		c.happen("certificate.made", "a", 5)
		eventually(t, "150 arrive", func() bool { n, _, _ := s.counts(); return n >= 150 })
		site.Close()
		c.happen("license.made", "a", 7)
		eventually(t, "calls fail", func() bool { return c.count(`outbox WHERE attempts > 0 AND done = 0`) == 7 })
		if c.count(`webhook_subscriptions WHERE failing > 0`) != 1 {
			t.Error("the subscription does not say that it fails")
		}
		listener, err := net.Listen("tcp", address)
		must(t, err)
		again := &http.Server{Handler: s}
		go func() { _ = again.Serve(listener) }()
		t.Cleanup(func() { _ = again.Close() })
		eventually(t, "what it missed arrives", func() bool {
			c.clock.move(time.Second) // each time: a failure may still be written down after the first
			n, _, _ := s.counts()
			return n == 157
		})
		eventually(t, "it works again", func() bool { return c.count(`webhook_subscriptions WHERE failing > 0`) == 0 })
		if n, calls, bad := s.counts(); n != 157 || calls != 157 || bad != 0 {
			t.Errorf("%d notices by %d calls, %d bad ones", n, calls, bad)
		}
		if slices.ContainsFunc(s.types, func(s string) bool { return s != "license.issued" }) {
			t.Errorf("types %v", s.types)
		}
	})
}

// TestKilledBetweenEventAndDelivery: whatever the service had done when it ended, another
// goes on, and nothing is lost. Each step is the end of one.
func TestKilledBetweenEventAndDelivery(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		s := newStranger(c)
		site := httptest.NewServer(s)
		defer site.Close()
		_, secret := c.subscribe(c.open(), "x.a.licenses", site.URL+"/one", "license.issued")
		s.set(func(s *stranger) { s.secret = secret })
		c.pending("license.made", "a", 1) // and ends before sealing
		c.seal()                          // and ends before following
		c.happen("license.made", "a", 1)
		must(t, c.open().Follow(t.Context())) // and ends before sending
		must(t, c.open().Follow(t.Context())) // another finds nothing left to do
		if n := c.count("outbox"); n != 2 {
			t.Fatalf("%d messages, want 2", n)
		}
		c.happen("license.made", "a", 1)
		must(t, c.open().Follow(t.Context()))
		c.run(c.open())
		eventually(t, "three arrive", func() bool { n, _, _ := s.counts(); return n == 3 })
	})
}

// TestManyFollowersWriteOnce: the cursor is moved with the messages, by one of them.
func TestManyFollowersWriteOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.subscribe(c.open(), "x.a.licenses", "https://a.example/hook", "license.issued")
		c.subscribe(c.open(), "x.a.licenses", "https://b.example/hall", "license.issued", "license.revoked")
		c.happen("license.made", "a", 250)
		c.happen("other.kind", "a", 30)
		c.happen("license.gone", "a", 20)
		var group sync.WaitGroup
		for range 4 {
			r := c.open()
			group.Go(func() {
				for range 3 {
					if err := r.Follow(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Wait()
		must(t, c.open().Follow(t.Context()))
		if n := c.count("outbox"); n != 250*2+20 {
			t.Errorf("%d messages, want 520", n)
		}
	})
}

// TestRotation: for a day both secrets sign, then the new one alone.
func TestRotation(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r, s := c.open(), newStranger(c)
		site := httptest.NewServer(s)
		defer site.Close()
		id, old := c.subscribe(r, "x.a.licenses", site.URL+"/one", "license.issued")
		status, v := c.do(r, "x.a.licenses", "POST", "/licenses/v1/webhooks/"+id+"/rotate", "r1", "")
		fresh, _ := v["secret"].(string)
		if status != 200 || fresh == "" || fresh == old || v["previous_secret_until"] == nil {
			t.Fatalf("%d %v", status, v)
		}
		if _, again := c.do(r, "x.a.licenses", "POST", "/licenses/v1/webhooks/"+id+"/rotate", "r1", ""); again["secret"] != fresh {
			t.Error("the same key rotated again")
		}
		c.run(r)
		for i, secret := range []string{old, fresh} {
			s.set(func(s *stranger) { s.secret = secret })
			c.happen("license.made", "a", 1)
			eventually(t, "a notice arrives", func() bool { n, _, _ := s.counts(); return n == i+1 })
		}
		c.clock.move(24*time.Hour + time.Second)
		c.happen("license.made", "a", 1)
		eventually(t, "the new one signs", func() bool { n, _, _ := s.counts(); return n == 3 })
		s.set(func(s *stranger) { s.secret = old })
		c.happen("license.made", "a", 1)
		eventually(t, "the old one signs no more", func() bool { _, _, bad := s.counts(); return bad > 0 })
	})
}
