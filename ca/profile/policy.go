package profile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Policy narrows a profile for one city. The zero value narrows nothing.
type Policy struct {
	Usual    time.Duration // validity when the request names no end; 0: the profile's
	Longest  time.Duration // longest validity; 0: the profile's
	Keys     []Algorithm   // keys that are accepted; nil: the profile's
	Approval Approval      // "": the profile's
}

// Approval says whether a request waits for an officer.
type Approval string

// The approvals.
const (
	Direct  Approval = "direct"   // issued at once to whoever may ask
	Decided Approval = "approval" // an officer decides on each
)

// Narrow returns the profile's rules as p narrows them. It fails for an unknown
// profile, and for a policy that allows what the profile forbids or leaves nothing.
func (p Policy) Narrow(k Kind) (Rules, error) {
	r, ok := k.Rules()
	if !ok {
		return Rules{}, fmt.Errorf("no profile is named %.20q", string(k))
	}
	if p.Longest != 0 {
		if p.Longest < time.Hour || p.Longest > r.Longest {
			return Rules{}, fmt.Errorf("a certificate of profile %s lives at most %d days, and at least an hour", k, r.Longest/day)
		}
		r.Longest, r.Usual = p.Longest, min(r.Usual, p.Longest)
	}
	if p.Usual != 0 {
		if p.Usual < time.Hour || p.Usual > r.Longest {
			return Rules{}, fmt.Errorf("the usual life of profile %s is longer than the longest, or shorter than an hour", k)
		}
		r.Usual = p.Usual
	}
	if p.Keys != nil {
		if bad := slices.IndexFunc(p.Keys, func(a Algorithm) bool { return !slices.Contains(r.Keys, a) }); bad >= 0 || len(p.Keys) == 0 {
			return Rules{}, fmt.Errorf("profile %s has keys of the types %s, and of no other", k, r.Keys)
		}
		r.Keys = p.Keys
	}
	return r, nil
}

// NeedsApproval reports whether a request for the profile waits for an officer.
// What is issued for keys of the keyring never does: the life of those is decided
// elsewhere.
func (p Policy) NeedsApproval(k Kind) bool {
	if p.Approval != "" {
		return p.Approval == Decided
	}
	switch k {
	case DocumentSigning, SystemServer, SystemClient, Firm, Citizen, Officer:
		return true
	}
	return false
}

// ParsePolicy reads a policy of the profile as the configuration writes it: words
// such as "usual=365d longest=730d keys=P-256,P-384 approval", where "direct" is the
// opposite of approval. The error names the first word that is wrong.
func ParsePolicy(k Kind, text string) (p Policy, err error) {
	for word := range strings.FieldsSeq(text) {
		if err := p.set(word); err != nil {
			return Policy{}, fmt.Errorf("%.40q %w", word, err)
		}
	}
	_, err = p.Narrow(k)
	return p, err
}

func (p *Policy) set(word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case string(Direct), string(Decided):
		if name != word {
			return errors.New("takes no value")
		}
		p.Approval = Approval(name)
	case "usual":
		p.Usual, err = parseDays(value)
	case "longest":
		p.Longest, err = parseDays(value)
	case "keys":
		p.Keys = []Algorithm{}
		for a := range strings.SplitSeq(value, ",") {
			p.Keys = append(p.Keys, Algorithm(a))
		}
	default:
		err = errors.New("is not known: want usual, longest, keys, approval or direct")
	}
	return err
}

// parseDays reads whole days, "365d".
func parseDays(s string) (time.Duration, error) {
	n, err := strconv.Atoi(strings.TrimSuffix(s, "d"))
	if err != nil || !strings.HasSuffix(s, "d") || n < 1 || n > 36500 {
		return 0, errors.New("is no number of days, such as 365d")
	}
	return time.Duration(n) * day, nil
}
