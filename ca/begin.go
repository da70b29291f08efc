package ca

import (
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// How far from now a validity may begin. Further back would let a certificate
// claim signatures made before it.
const (
	maxBackdate = time.Hour
	maxAhead    = 366 * 24 * time.Hour
)

// usualBackdate is how far back a validity begins where nobody says otherwise: as far
// as clocks are wrong that nobody looks after.
const usualBackdate = 5 * time.Minute

// begin returns when the validity of a certificate begins. Where the request does not
// say, that is a few minutes ago: a peer whose clock is slow would refuse a
// certificate that was made just now. What is signed with it is for one moment, so
// that nothing is gained by claiming the minutes before. Keys that sign what lasts
// begin now, and not earlier on request either: nobody must be able to show a permit or a
// document that was signed before its certificate was asked for. Whoever names the
// latest end that the profile allows keeps it, and gets as many minutes less.
func (c *CA) begin(r Request) (time.Time, error) {
	now := c.now()
	rules, err := c.profiles[r.Profile].Narrow(r.Profile)
	if err != nil {
		return time.Time{}, err
	}
	if strings.HasPrefix(r.Actor, requestActor) && r.NotBefore.Before(now) { // the time passed while the issuer's key was away
		r.NotBefore = time.Time{}
	}
	switch {
	case r.NotBefore.IsZero() && rules.Lasting:
		return now, nil
	case r.NotBefore.IsZero():
		from := now.Add(-c.backdate)
		if !r.NotAfter.IsZero() {
			from = latest(from, r.NotAfter.Truncate(time.Second).Add(time.Second-rules.Longest))
		}
		if from.After(now) { // it asks for more than the profile allows
			from = now
		}
		return from, nil
	case rules.Lasting && r.NotBefore.Before(now.Truncate(time.Second)):
		return time.Time{}, fault.New(fault.Invalid, "the validity of a key that signs permits, documents or timestamps does not begin in the past")
	case r.NotBefore.Before(now.Add(-maxBackdate)) || r.NotBefore.After(now.Add(maxAhead)):
		return time.Time{}, fault.New(fault.Invalid, "the validity begins too long ago or too far ahead")
	}
	return r.NotBefore, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
