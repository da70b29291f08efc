package keys

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

const (
	maxStandby = 16
	maxPeriod  = 50 * 365 * 24 * time.Hour
)

// Policy says how the keys of a purpose live.
type Policy struct {
	Alg       string        // of keys made from now on; those there are used up first
	Life      time.Duration // how long a key is active; 0: until somebody promotes another
	Lead      time.Duration // how long a key is published at least before it is used
	Keep      time.Duration // how long a key is retiring before it is retired
	Standby   int           // how many published keys always wait
	Automatic bool          // its steps need nobody's approval
}

// Check fails with kind Invalid, naming every field, for a policy that no key of
// the purpose can follow.
func (p Policy) Check(purpose string) error {
	var problems []fault.Problem
	add := func(bad bool, path, message string) {
		if bad {
			problems = append(problems, fault.Problem{Path: path, Message: message})
		}
	}
	period := func(d time.Duration, path string) {
		add(d < 0 || d > maxPeriod, path, "want a period of at most 50 years, not negative")
	}
	add(!slices.Contains(purposes, purpose), "purpose", "want one of "+strings.Join(purposes, ", "))
	add(p.Alg != ES256 && p.Alg != ES384 && p.Alg != Ed25519, "alg", "want ES256, ES384 or Ed25519")
	add(purpose == PurposeLog && p.Alg != Ed25519, "alg", "checkpoints of the log are signed with Ed25519")
	period(p.Life, "life")
	period(p.Lead, "lead")
	period(p.Keep, "keep")
	add(p.Life > 0 && p.Life <= p.Lead, "life", "want more than the lead, or the next key is never ready in time")
	add(p.Standby < 0 || p.Standby > maxStandby, "standby", fmt.Sprintf("want 0 to %d", maxStandby))
	add(purpose == PurposePermit && p.Standby == 0, "standby", "permit keys keep a published standby, so that one in an emergency needs no lead")
	if problems != nil {
		return fault.InvalidInput("this key policy cannot be followed", problems...)
	}
	return nil
}
