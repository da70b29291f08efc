package demoapp

import (
	"container/list"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

const (
	flowAge    = 10 * time.Minute // from the button to the provider's answer
	sessionAge = time.Hour
	most       = 4096 // of flows and of sessions, each; the oldest give way
)

// store keeps values in memory under secrets, which it holds as hashes. All live
// equally long, so that the oldest is the first to go.
type store[V any] struct {
	age time.Duration
	now func() time.Time

	mu    sync.Mutex
	byKey map[[sha256.Size]byte]*list.Element
	order *list.List // of *item[V], the oldest first
}

type item[V any] struct {
	key   [sha256.Size]byte
	until time.Time
	value V
}

func newStore[V any](age time.Duration, now func() time.Time) *store[V] {
	return &store[V]{age: age, now: now, byKey: map[[sha256.Size]byte]*list.Element{}, order: list.New()}
}

// add keeps v and returns the secret that finds it.
func (s *store[V]) add(v V) string {
	secret := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	for first := s.order.Front(); first != nil; first = s.order.Front() {
		if len(s.byKey) < most && s.now().Before(first.Value.(*item[V]).until) {
			break
		}
		s.drop(first)
	}
	i := &item[V]{sha256.Sum256([]byte(secret)), s.now().Add(s.age), v}
	s.byKey[i.key] = s.order.PushBack(i)
	return secret
}

// find returns what secret stands for, while it lives.
func (s *store[V]) find(secret string) (v V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[sha256.Sum256([]byte(secret))]
	if e == nil || !s.now().Before(e.Value.(*item[V]).until) {
		return v, false
	}
	return e.Value.(*item[V]).value, true
}

// take is find for the one who comes first.
func (s *store[V]) take(secret string) (v V, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.byKey[sha256.Sum256([]byte(secret))]
	if e == nil {
		return v, false
	}
	i := e.Value.(*item[V])
	s.drop(e)
	return i.value, s.now().Before(i.until)
}

// remove forgets what secret stands for.
func (s *store[V]) remove(secret string) { _, _ = s.take(secret) }

// removeAll forgets all values of which it is true, and returns how many there were.
func (s *store[V]) removeAll(is func(V) bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.order.Front(); e != nil; {
		next := e.Next()
		if is(e.Value.(*item[V]).value) {
			s.drop(e)
			n++
		}
		e = next
	}
	return n
}

// drop forgets one. The caller holds the lock.
func (s *store[V]) drop(e *list.Element) {
	delete(s.byKey, e.Value.(*item[V]).key)
	s.order.Remove(e)
}

// cookies are the names of the site's cookies. Browsers do not keep the cookies of
// two ports of one host apart (RFC 6265 section 8.5), so a name says whose it is.
type cookies struct {
	session, flow string
	secure        bool
}

func newCookies(clientID, self string) cookies {
	sum := sha256.Sum256([]byte(clientID))
	name := "app-" + hex.EncodeToString(sum[:6])
	return cookies{name + "-session", name + "-flow", strings.HasPrefix(self, "https:")}
}

// read returns a cookie's value, "" if there is none that we could have set.
func (c cookies) read(r *http.Request, name string) string {
	found := r.CookiesNamed(name)
	if len(found) != 1 || len(found[0].Value) > 64 {
		return ""
	}
	return found[0].Value
}

// set gives the browser a cookie. Lax, since the provider sends people back from
// another site.
func (c cookies) set(w http.ResponseWriter, name, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(age / time.Second), HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode})
}

// clear takes a cookie away.
func (c cookies) clear(w http.ResponseWriter, name string) {
	http.SetCookie(w, &http.Cookie{Name: name, Path: "/", MaxAge: -1, HttpOnly: true, Secure: c.secure, SameSite: http.SameSiteLaxMode})
}
