package approval_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	actor  = "ceremony"
	issuer = "https://signet.example"
	rpID   = "signet.example"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails the test unless err is a fault of that kind.
func wantKind(t testing.TB, err error, kind fault.Kind, what string) {
	t.Helper()
	if err == nil || fault.KindOf(err) != kind {
		t.Errorf("%s: got %v, want kind %s", what, err, kind)
	}
}

// clock is the time as a test sets it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// sealer keeps the registry's rows readable: what is sealed is not tested here.
type sealer struct{}

func (sealer) Seal(_ context.Context, plaintext, _ []byte) ([]byte, error) { return plaintext, nil }
func (sealer) Open(_ context.Context, sealed, _ []byte) ([]byte, error)    { return sealed, nil }
func (sealer) Lookups(_ context.Context, label string, value []byte) ([][]byte, error) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s", label, value))
	return [][]byte{sum[:]}, nil
}

// lamp is what the tests' operation changes: a value that is set once for each
// request, if it is still what it was.
type lamp struct {
	mu    sync.Mutex
	value string
	done  map[string]int         // runs that changed it, by request
	calls int                    // of Run
	run   func(first bool) error // before anything is done; nil does nothing
	after func() error           // after it was done
}

func (l *lamp) set(v string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.value = v
}

type lampParams struct {
	To string `json:"to"`
}

type lampResolved struct {
	From string `json:"from"`
	To   string `json:"to"`
}

func (l *lamp) operation() approval.Operation {
	return approval.Operation{Kind: "lamp.set", Title: web.Text{ZH: "设置灯", EN: "Set the lamp"}, Check: l.check, Run: l.do}
}

func (l *lamp) check(_ context.Context, params jsontext.Value) (jsontext.Value, []approval.Line, error) {
	var p lampParams
	if err := json.Unmarshal(params, &p, json.RejectUnknownMembers(true)); err != nil || p.To == "" {
		return nil, nil, fault.New(fault.Invalid, "no such colour")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch l.value {
	case "away":
		return nil, nil, fault.New(fault.Unavailable, "the lamp is away")
	case "broken":
		return nil, nil, fault.New(fault.NotFound, "there is no lamp any more")
	}
	b, err := json.Marshal(lampResolved{l.value, p.To})
	return b, []approval.Line{{Label: web.Text{ZH: "颜色", EN: "Colour"}, Value: p.To}}, err
}

func (l *lamp) do(_ context.Context, resolved jsontext.Value, by approval.Decision) error {
	var r lampResolved
	if err := json.Unmarshal(resolved, &r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	if l.run != nil {
		if err := l.run(l.calls == 1); err != nil {
			return err
		}
	}
	if l.done[by.Request] == 0 {
		if l.value != r.From {
			return fault.New(fault.Conflict, "the lamp has another colour")
		}
		l.value = r.To
		l.done[by.Request]++
	}
	if l.after != nil {
		return l.after()
	}
	return nil
}

func (l *lamp) total() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.done {
		n += k
	}
	return n
}

// city is a service with people, and a lamp to switch.
type city struct {
	t        testing.TB
	db       *db.DB
	clock    *clock
	registry *registry.Registry
	lamp     *lamp
	service  *approval.Service
	quorum   []*ecdsa.PrivateKey
	people   int
	keys     int

	// The founding officers, each with a passkey for approvals.
	ann, bob, cai string
	passkeys      map[string]*authenticator
}

func each(t *testing.T, f func(t *testing.T, c *city)) {
	testkit.Each(t, func(t *testing.T, d *db.DB) { f(t, newCity(t, d)) })
}

// newCity has three officers with passkeys.
func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := emptyCity(t, d)
	c.ann, c.bob, c.cai = c.person(), c.person(), c.person()
	for _, code := range c.found(c.ann, c.bob, c.cai) {
		c.passkeys[code.Person] = c.enrolPasskey(code)
	}
	return c
}

// emptyCity has people and no officers.
func emptyCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{t: t, db: d, clock: &clock{now: time.Date(2026, 11, 2, 9, 30, 0, 123456000, time.UTC)}, passkeys: map[string]*authenticator{},
		lamp: &lamp{value: "green", done: map[string]int{}}}
	var err error
	c.registry, err = registry.New(registry.Options{DB: d, Sealer: sealer{}, Now: c.clock.Now, Logger: testkit.Logger(t)})
	check(t, err)
	for range 3 {
		c.quorum = append(c.quorum, newKey(t, elliptic.P256()))
	}
	c.service = c.replica()
	return c
}

// replica returns another service on the same database.
func (c *city) replica(more ...approval.Operation) *approval.Service {
	c.t.Helper()
	s, err := approval.New(approval.Options{DB: c.db, People: c.registry, Issuer: issuer, Operations: append(more, c.lamp.operation()), Now: c.clock.Now,
		Logger: testkit.Logger(c.t), Registerer: prometheus.NewRegistry()})
	check(c.t, err)
	return s
}

// person registers somebody new.
func (c *city) person() string {
	c.t.Helper()
	c.people++
	p, _, err := c.registry.AddPerson(c.t.Context(), actor, registry.Person{Kind: registry.Passport, Number: fmt.Sprintf("E%08d", c.people), Name: fmt.Sprintf("Person %d", c.people)})
	check(c.t, err)
	return p.ID
}

func (c *city) founding(persons ...string) approval.Founding {
	f := approval.Founding{Officers: persons, Actor: actor, Quorum: approval.Quorum{Need: 2}}
	for _, k := range c.quorum {
		f.Quorum.Keys = append(f.Quorum.Keys, spki(c.t, k))
	}
	return f
}

func (c *city) found(persons ...string) []approval.Code {
	c.t.Helper()
	codes, err := c.service.Found(c.t.Context(), c.founding(persons...))
	check(c.t, err)
	return codes
}

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	check(t, err)
	return k
}

func spki(t testing.TB, k *ecdsa.PrivateKey) []byte {
	t.Helper()
	b, err := x509.MarshalPKIXPublicKey(k.Public())
	check(t, err)
	return b
}

// enrolPasskey enrols a new passkey with the code.
func (c *city) enrolPasskey(code approval.Code) *authenticator {
	c.t.Helper()
	a := newAuthenticator(c.t)
	o, err := c.service.BeginPasskey(c.t.Context(), code.Person, code.Code)
	check(c.t, err)
	_, err = c.service.FinishPasskey(c.t.Context(), code.Person, code.Code, a.create(c.t, o))
	check(c.t, err)
	return a
}

// spec asks for the lamp's colour.
func (c *city) spec(requester, to string) approval.SubmitSpec {
	c.keys++
	return approval.SubmitSpec{Kind: "lamp.set", Params: jsontext.Value(fmt.Sprintf(`{"to": %q}`, to)), Requester: requester, Reason: "it is time", Key: fmt.Sprintf("key-%d", c.keys)}
}

func (c *city) submit(requester, to string) approval.Request {
	c.t.Helper()
	return c.ask(c.spec(requester, to))
}

func (c *city) ask(spec approval.SubmitSpec) approval.Request {
	c.t.Helper()
	r, err := c.service.Submit(c.t.Context(), spec)
	check(c.t, err)
	return r
}

// proof signs the request's statement with the approver's passkey.
func (c *city) proof(r approval.Request, approver string) approval.Proof {
	c.t.Helper()
	st, err := c.service.Statement(c.t.Context(), r.ID, approver)
	check(c.t, err)
	a := c.passkeys[approver]
	a.Count++
	return approval.Proof{Passkey: a.get(c.t, st)}
}

func (c *city) approve(r approval.Request, approver string) approval.Request {
	c.t.Helper()
	r, err := c.service.Approve(c.t.Context(), r.ID, approver, c.proof(r, approver))
	check(c.t, err)
	return r
}

// do asks and approves, and fails the test unless the request is done.
func (c *city) do(kind string, params any, requester, approver string) approval.Request {
	c.t.Helper()
	b, err := json.Marshal(params)
	check(c.t, err)
	spec := c.spec(requester, "")
	spec.Kind, spec.Params = kind, b
	r := c.approve(c.ask(spec), approver)
	if r.State != approval.Done {
		c.t.Fatalf("%s: %v %s", kind, r, r.Note)
	}
	return r
}

// addOfficer makes somebody new an officer with a passkey.
func (c *city) addOfficer() string {
	c.t.Helper()
	p := c.person()
	r := c.do(approval.KindAdd, approval.OfficerParams{Person: p}, c.ann, c.bob)
	code, err := c.service.DrawCode(c.t.Context(), r.ID, c.bob)
	check(c.t, err)
	c.passkeys[p] = c.enrolPasskey(code)
	return p
}

func (c *city) wantState(id string, want approval.State) approval.Request {
	c.t.Helper()
	r, err := c.service.Find(c.t.Context(), id)
	check(c.t, err)
	if r.State != want {
		c.t.Errorf("request is %s (%s), want %s", r.State, r.Note, want)
	}
	return r
}

// events returns the records about an object, of one kind if it is not "".
func (c *city) events(kind, object string) (list []audit.Record) {
	c.t.Helper()
	check(c.t, c.db.Read(c.t.Context(), func(tx db.Tx) (err error) {
		list, err = audit.Find(c.t.Context(), tx, audit.EventFilter{Kind: kind, Object: object})
		return err
	}))
	return list
}

func (c *city) wantEvents(r approval.Request, kinds ...string) {
	c.t.Helper()
	var got []string
	for _, e := range c.events("", "approval:"+r.ID) {
		got = append(got, e.Kind)
	}
	if fmt.Sprint(got) != fmt.Sprint(kinds) {
		c.t.Errorf("events %v, want %v", got, kinds)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func sqlite(t testing.TB) *db.DB { t.Helper(); return testkit.SQLite(t) }
