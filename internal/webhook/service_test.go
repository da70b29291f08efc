package webhook_test

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/egress"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/internal/webhook"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// tokens are "CLIENT/AGENCY/SCOPE".
type tokens struct{}

func (tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	part := strings.Split(token, ".")
	if len(part) != 3 {
		return web.Caller{}, fault.New(fault.Denied, "no")
	}
	return web.Caller{ClientID: part[0], Agency: part[1], Scopes: []string{part[2]}}, nil
}

// city is what a test works with: a log, and things that happen in it.
type city struct {
	t     testing.TB
	db    *db.DB
	clock *clock
	ring  *keys.Ring
	log   *audit.Log
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{t: t, db: d, clock: &clock{t: time.Date(2026, 11, 28, 9, 0, 0, 0, time.UTC)}}
	var err error
	c.ring, err = keys.Open(t.Context(), keys.Options{DB: d, KEK: make([]byte, 32), Logger: testkit.Logger(t)})
	must(t, err)
	t.Cleanup(func() { _ = c.ring.Close() })
	must(t, c.ring.MakeSecret(t.Context(), keys.SecretData, "ceremony"))
	skey, _, err := note.GenerateKey(nil, "test.example/log")
	must(t, err)
	signer, err := note.NewSigner(skey)
	must(t, err)
	c.log = audit.New(audit.Options{DB: d, Origin: "test.example/log", Logger: testkit.Logger(t),
		Signer: func(context.Context) (note.Signer, error) { return signer, nil }})
	return c
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// replica is one process that serves the city.
type replica struct {
	*webhook.Service
	out    *outbox.Outbox
	server *httptest.Server
}

func (c *city) open() *replica {
	c.t.Helper()
	out, err := outbox.New(outbox.Options{DB: c.db, Now: c.clock.now, Logger: testkit.Logger(c.t)})
	must(c.t, err)
	s, err := webhook.New(webhook.Options{DB: c.db, Outbox: out, Client: egress.New(egress.Options{AllowPrivateAddressesInsecure: true, Timeout: 2 * time.Second}),
		Sealer: c.ring, Tokens: tokens{}, Now: c.clock.now, Logger: testkit.Logger(c.t), Areas: []webhook.Area{
			{Name: "licenses", Scope: "licenses", Base: "/licenses/v1", Describe: describe,
				Kinds: map[string]string{"license.made": "license.issued", "license.gone": "license.revoked"}},
			{Name: "ca", Scope: "ca", Base: "/ca/v1", Describe: describe, Kinds: map[string]string{"certificate.made": "certificate.issued"}},
		}})
	must(c.t, err)
	mux := http.NewServeMux()
	s.Mount(mux)
	server := httptest.NewServer(mux)
	c.t.Cleanup(server.Close)
	return &replica{s, out, server}
}

// describe tells all but what is of the agency "secret".
func describe(_ context.Context, records []audit.Record) ([]webhook.Notice, error) {
	var list []webhook.Notice
	for _, r := range records {
		agency, _ := r.Data["agency"].(string)
		if agency != "secret" {
			list = append(list, webhook.Notice{EventID: r.ID, Agency: agency, Data: map[string]any{"object": r.Object}})
		}
	}
	return list, nil
}

// run works as cmd/city does, until the returned function is called.
func (c *city) run(r *replica) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	for _, f := range []func(context.Context) error{r.Service.Run, r.out.Run} {
		group.Go(func() {
			if err := f(ctx); err != nil {
				c.t.Error(err)
			}
		})
	}
	stop = func() { cancel(); group.Wait() }
	c.t.Cleanup(stop)
	return stop
}

// happen appends n events of a kind about an agency, and seals them.
func (c *city) happen(kind, agency string, n int) (ids []string) {
	c.t.Helper()
	ids = c.pending(kind, agency, n)
	c.seal()
	return ids
}

func (c *city) pending(kind, agency string, n int) (ids []string) {
	c.t.Helper()
	events := make([]audit.Event, n)
	for i := range events {
		events[i] = audit.Event{Kind: kind, Actor: "system", Object: fmt.Sprintf("thing:%d", i), Data: map[string]any{"agency": agency}}
	}
	must(c.t, c.db.Update(c.t.Context(), func(tx db.Tx) (err error) {
		ids, err = audit.Append(c.t.Context(), tx, events...)
		return err
	}))
	return ids
}

func (c *city) seal() {
	c.t.Helper()
	_, err := c.log.Seal(c.t.Context())
	must(c.t, err)
}

// do calls a replica and decodes the answer.
func (c *city) do(r *replica, token, method, path, key, body string) (int, map[string]any) {
	c.t.Helper()
	request, err := http.NewRequestWithContext(c.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	must(c.t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	answer, err := http.DefaultClient.Do(request)
	must(c.t, err)
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	must(c.t, err)
	var v map[string]any
	if len(bytes.TrimSpace(b)) > 0 {
		must(c.t, json.Unmarshal(b, &v))
	}
	return answer.StatusCode, v
}

// subscribe adds a webhook and returns its id and secret.
func (c *city) subscribe(r *replica, token, url string, types ...string) (id, secret string) {
	c.t.Helper()
	status, v := c.do(r, token, "POST", "/licenses/v1/webhooks", "key-"+url[len(url)-4:]+token, order(url, types...))
	if status != http.StatusCreated {
		c.t.Fatalf("subscribe: %d %v", status, v)
	}
	return v["id"].(string), v["secret"].(string)
}

func order(url string, types ...string) string {
	b, _ := json.Marshal(map[string]any{"url": url, "types": types})
	return string(b)
}

func (c *city) count(where string) (n int) {
	c.t.Helper()
	must(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(c.t.Context(), `SELECT count(*) FROM `+where).Scan(&n)
	}))
	return n
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("never: " + what)
}
