package keys

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// What a step does.
const (
	DoStage   = "stage"   // Create a key; of Step.Key only purpose, owner and algorithm are set
	DoPublish = "publish" // Move Step.Key to published, with its certificate where it has one
	DoPromote = "promote" // Promote, which puts Step.Key into use
	DoRetire  = "retire"  // Move Step.Key to retired
)

// Step is what the calendar holds for one key.
type Step struct {
	Key                Key
	Purpose, Owner, Do string
	At                 time.Time
	Automatic          bool
}

// Due reports whether the step's time has come.
func (s Step) Due(now time.Time) bool { return !s.At.After(now) }

// Calendar returns the next steps of every key by the policies of their
// purposes, in the order of their times. At the places the policies are carried
// out in full; elsewhere keys still retire, but nothing follows them. A purpose
// without a policy has no steps.
//
// It looks one step ahead: what follows a step stands there once it is done. It
// goes by states, so a clock that jumps forward makes steps due but none twice,
// and one that jumps back only puts them off:
//
//   - Standby published keys always wait; with Standby 0, one is published Lead
//     before the active key's life ends. A staged key is taken before a new one
//     is made.
//   - The longest published key is promoted when the active one's life ends, or
//     at once when that is paused, compromised or not there, but never before it
//     was published for Lead: a verifier would meet what it cannot check.
//   - A retiring key is retired after Keep.
//
// A paused key is not counted as waiting, and goes nowhere but to retirement.
func Calendar(list []Key, policies map[string]Policy, places []Place, now time.Time) []Step {
	rooms := map[Place]*room{}
	at := func(p Place) *room {
		if rooms[p] == nil {
			rooms[p] = &room{place: p, policy: policies[p.Purpose], now: now}
		}
		return rooms[p]
	}
	for _, k := range list {
		at(Place{k.Purpose, k.Owner}).take(k)
	}
	for _, p := range places {
		at(p).kept = true
	}
	var steps []Step
	for p, r := range rooms {
		if _, ok := policies[p.Purpose]; ok {
			steps = append(steps, r.steps()...)
		}
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(a.At.Compare(b.At), strings.Compare(a.Purpose, b.Purpose), strings.Compare(a.Owner, b.Owner),
			strings.Compare(a.Do, b.Do), strings.Compare(a.Key.ID, b.Key.ID))
	})
	return steps
}

// room holds the keys of one place by what can become of them.
type room struct {
	place  Place
	policy Policy
	now    time.Time
	kept   bool // its keys are followed by others

	active            *Key
	published, staged []Key // not paused
	retiring          []Key
}

func (r *room) take(k Key) {
	paused := !k.Paused.IsZero()
	switch {
	case k.State == Active:
		r.active = &k
	case k.State == Retiring:
		r.retiring = append(r.retiring, k)
	case k.State == Published && !paused:
		r.published = append(r.published, k)
	case k.State == Staged && !paused:
		r.staged = append(r.staged, k)
	}
}

func (r *room) step(k Key, do string, at time.Time) Step {
	return Step{Key: k, Purpose: r.place.Purpose, Owner: r.place.Owner, Do: do, At: at, Automatic: r.policy.Automatic}
}

func (r *room) steps() []Step {
	var steps []Step
	for _, k := range r.retiring {
		steps = append(steps, r.step(k, DoRetire, k.Retiring.Add(r.policy.Keep)))
	}
	if !r.kept {
		return steps
	}
	if next := nextOf(r.published); next != nil && r.ends() {
		at := r.end()
		if ready := next.Published.Add(r.policy.Lead); ready.After(at) {
			at = ready
		}
		steps = append(steps, r.step(*next, DoPromote, at))
	}
	return append(steps, r.supply()...)
}

// urgent reports that nothing signs here.
func (r *room) urgent() bool { return r.active == nil || !r.active.Paused.IsZero() }

// ends reports whether the next key is used at some time, which end returns.
func (r *room) ends() bool { return r.urgent() || r.policy.Life > 0 }

func (r *room) end() time.Time {
	if r.urgent() {
		return r.now
	}
	return r.active.Activated.Add(r.policy.Life)
}

// supply returns the steps that bring keys to the published ones.
func (r *room) supply() []Step {
	wanted, at := r.policy.Standby, r.now
	if wanted == 0 && r.ends() {
		wanted = 1
		if !r.urgent() {
			at = r.end().Add(-r.policy.Lead)
		}
	}
	slices.SortFunc(r.staged, func(a, b Key) int {
		return cmp.Or(a.Created.Compare(b.Created), strings.Compare(a.ID, b.ID))
	})
	var steps []Step
	for n := range wanted - len(r.published) {
		if n < len(r.staged) {
			steps = append(steps, r.step(r.staged[n], DoPublish, at))
			continue
		}
		fresh := Key{Purpose: r.place.Purpose, Owner: r.place.Owner, Alg: r.policy.Alg}
		steps = append(steps, r.step(fresh, DoStage, at))
	}
	return steps
}
