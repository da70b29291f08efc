package approval_test

import (
	"encoding/json/jsontext"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

func TestSubmitRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		for name, k := range map[string]struct {
			change func(s *approval.SubmitSpec)
			kind   fault.Kind
		}{
			"nobody":              {func(s *approval.SubmitSpec) { s.Requester = "" }, fault.Denied},
			"a stranger":          {func(s *approval.SubmitSpec) { s.Requester = c.person() }, fault.Denied},
			"the quorum":          {func(s *approval.SubmitSpec) { s.Requester = "quorum" }, fault.Denied},
			"an unknown kind":     {func(s *approval.SubmitSpec) { s.Kind = "lamp.break" }, fault.Invalid},
			"breaking the glass":  {func(s *approval.SubmitSpec) { s.Kind = approval.KindBreakGlass }, fault.Invalid},
			"no reason":           {func(s *approval.SubmitSpec) { s.Reason = " \t" }, fault.Invalid},
			"a long reason":       {func(s *approval.SubmitSpec) { s.Reason = strings.Repeat("字", approval.MaxReason+1) }, fault.Invalid},
			"a control character": {func(s *approval.SubmitSpec) { s.Reason = "a\x00b" }, fault.Invalid},
			"no key":              {func(s *approval.SubmitSpec) { s.Key = "" }, fault.Invalid},
			"a long key":          {func(s *approval.SubmitSpec) { s.Key = strings.Repeat("k", 65) }, fault.Invalid},
			"no parameters":       {func(s *approval.SubmitSpec) { s.Params = nil }, fault.Invalid},
			"an array":            {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`[]`) }, fault.Invalid},
			"two objects":         {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":"red"}{}`) }, fault.Invalid},
			"a name twice":        {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":"red","to":"blue"}`) }, fault.Invalid},
			"a fraction":          {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":1.5}`) }, fault.Invalid},
			"a large number":      {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":9007199254740992}`) }, fault.Invalid},
			"too deep": {func(s *approval.SubmitSpec) {
				s.Params = jsontext.Value(strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20))
			}, fault.Invalid},
			"too long": {func(s *approval.SubmitSpec) {
				s.Params = jsontext.Value(`{"to":"` + strings.Repeat("r", approval.MaxResolved) + `"}`)
			}, fault.Invalid},
			"what Check refuses": {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":""}`) }, fault.Invalid},
			"an unknown member":  {func(s *approval.SubmitSpec) { s.Params = jsontext.Value(`{"to":"red","now":true}`) }, fault.Invalid},
		} {
			spec := c.spec(c.ann, "red")
			k.change(&spec)
			_, err := c.service.Submit(ctx, spec)
			wantKind(t, err, k.kind, name)
		}
		c.lamp.set("away")
		_, err := c.service.Submit(ctx, c.spec(c.ann, "red"))
		wantKind(t, err, fault.Unavailable, "away")
		list, err := c.service.List(ctx)
		check(t, err)
		if len(list) != 0 {
			t.Errorf("%d requests", len(list))
		}
	})
}

func TestSubmitTwice(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		spec := c.spec(c.ann, "red")
		ids := make([]string, 6)
		var wg sync.WaitGroup
		for i := range ids {
			wg.Go(func() {
				r, err := c.service.Submit(ctx, spec)
				if err != nil {
					t.Error(err)
				}
				ids[i] = r.ID
			})
		}
		wg.Wait()
		for _, id := range ids {
			if id == "" || id != ids[0] {
				t.Fatalf("ids %v", ids)
			}
		}
		c.lamp.set("blue") // the first answer stands, whatever it would be now
		spec.Params = jsontext.Value(` {"to" : "red"} `)
		if r, err := c.service.Submit(ctx, spec); err != nil || r.ID != ids[0] || string(r.Resolved) != `{"from":"green","to":"red"}` {
			t.Errorf("again: %v %v", r, err)
		}
		spec.Params = jsontext.Value(`{"to":"grey"}`)
		_, err := c.service.Submit(ctx, spec)
		wantKind(t, err, fault.Conflict, "the key for something else")
		spec.Requester = c.bob // their keys are their own
		if r, err := c.service.Submit(ctx, spec); err != nil || r.ID == ids[0] {
			t.Errorf("another's key: %v %v", r, err)
		}
		if n := len(c.events("approval.request", "")); n != 2 {
			t.Errorf("%d events", n)
		}
	})
}

func TestTooManyOpen(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		var last approval.Request
		for range approval.MaxOpen {
			last = c.submit(c.ann, "red")
		}
		_, err := c.service.Submit(ctx, c.spec(c.ann, "red"))
		wantKind(t, err, fault.Conflict, "one too many")
		c.submit(c.bob, "red")
		_, err = c.service.Withdraw(ctx, last.ID, c.ann)
		check(t, err)
		c.submit(c.ann, "red")
	})
}

func TestRejectAndWithdraw(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		r := c.submit(c.ann, "red")
		for _, who := range []string{c.ann, c.person(), ""} {
			_, err := c.service.Reject(ctx, r.ID, who, "")
			wantKind(t, err, fault.Denied, "rejected by "+who)
		}
		for _, who := range []string{c.bob, c.person(), ""} {
			_, err := c.service.Withdraw(ctx, r.ID, who)
			wantKind(t, err, fault.Denied, "withdrawn by "+who)
		}
		_, err := c.service.Reject(ctx, r.ID, c.bob, strings.Repeat("n", approval.MaxReason+1))
		wantKind(t, err, fault.Invalid, "a long reason")
		_, err = c.service.Reject(ctx, "no such request", c.bob, "")
		wantKind(t, err, fault.NotFound, "nothing")
		proof := c.proof(r, c.cai)
		got, err := c.service.Reject(ctx, r.ID, c.bob, "not today")
		check(t, err)
		if got.State != approval.Rejected || got.Decider != c.bob || got.Note != "not today" {
			t.Errorf("got %+v", got)
		}
		_, err = c.service.Approve(ctx, r.ID, c.cai, proof)
		wantKind(t, err, fault.Conflict, "approved after it was rejected")
		_, err = c.service.Withdraw(ctx, r.ID, c.ann)
		wantKind(t, err, fault.Conflict, "withdrawn after it was rejected")
		c.wantEvents(r, "approval.request", "approval.reject")

		r = c.submit(c.ann, "red")
		_, err = c.service.Withdraw(ctx, r.ID, c.ann)
		check(t, err)
		_, err = c.service.Reject(ctx, r.ID, c.bob, "")
		wantKind(t, err, fault.Conflict, "rejected after it was withdrawn")
		c.wantEvents(r, "approval.request", "approval.withdraw")
		if c.lamp.calls != 0 {
			t.Error("run")
		}
	})
}

func TestList(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		open := c.submit(c.ann, "red")
		done := c.approve(c.submit(c.ann, "green"), c.bob)
		for name, k := range map[string]struct {
			states []approval.State
			want   string
		}{
			"all":      {nil, fmt.Sprint(done, open)},
			"open":     {[]approval.State{approval.Open}, fmt.Sprint(open)},
			"both":     {[]approval.State{approval.Open, approval.Done}, fmt.Sprint(done, open)},
			"expired":  {[]approval.State{approval.Expired}, ""},
			"not real": {[]approval.State{"'; DROP TABLE officers"}, ""},
		} {
			list, err := c.service.List(ctx, k.states...)
			check(t, err)
			if got := strings.Trim(fmt.Sprint(list), "[]"); got != k.want {
				t.Errorf("%s: got %s, want %s", name, got, k.want)
			}
		}
		if _, err := c.service.Find(ctx, "nothing"); !errors.Is(err, approval.ErrRequest) || fault.KindOf(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	c := emptyCity(t, sqlite(t))
	good := c.lamp.operation()
	for name, change := range map[string]func(o *approval.Options){
		"no database":    func(o *approval.Options) { o.DB = nil },
		"no people":      func(o *approval.Options) { o.People = nil },
		"no issuer":      func(o *approval.Options) { o.Issuer = "" },
		"a path":         func(o *approval.Options) { o.Issuer = issuer + "/" },
		"another scheme": func(o *approval.Options) { o.Issuer = "ftp://signet.example" },
		"a short life":   func(o *approval.Options) { o.Life = time.Second },
		"a long life":    func(o *approval.Options) { o.Life = 8 * 24 * time.Hour },
		"twice":          func(o *approval.Options) { o.Operations = []approval.Operation{good, good} },
		"the officers' own": func(o *approval.Options) {
			good := good
			good.Kind = approval.KindAdd
			o.Operations = []approval.Operation{good}
		},
		"break-glass": func(o *approval.Options) {
			good := good
			good.Kind = approval.KindBreakGlass
			o.Operations = []approval.Operation{good}
		},
		"not words": func(o *approval.Options) {
			good := good
			good.Kind = "Lamp set"
			o.Operations = []approval.Operation{good}
		},
		"no Run":   func(o *approval.Options) { good := good; good.Run = nil; o.Operations = []approval.Operation{good} },
		"no Check": func(o *approval.Options) { good := good; good.Check = nil; o.Operations = []approval.Operation{good} },
		"one language": func(o *approval.Options) {
			good := good
			good.Title = web.Text{EN: "Lamp"}
			o.Operations = []approval.Operation{good}
		},
	} {
		o := approval.Options{DB: c.db, People: c.registry, Issuer: issuer, Operations: []approval.Operation{good}, Registerer: prometheus.NewRegistry()}
		change(&o)
		if _, err := approval.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	kinds := c.service.Kinds()
	if len(kinds) != 5 || kinds[0].Kind != approval.KindAdd || kinds[4].Kind != "lamp.set" {
		t.Errorf("kinds %v", kinds)
	}
}
