package city

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

const day = 24 * time.Hour

// policies are how the keys of each purpose live where the configuration does not
// say. What a key signs sets the rest: a token lives ten minutes and a JWKS is kept
// for five; bundles name permit keys a bundle's life ahead and long after their
// private half is gone; what trust, status and log keys sign is good by the root
// statement alone; an issuing CA signs CRLs until its last certificate ends.
func policies(bundleLife time.Duration) map[string]keys.Policy {
	if bundleLife == 0 {
		bundleLife = 14 * day
	}
	return map[string]keys.Policy{
		keys.PurposeToken:  {Alg: keys.ES256, Life: 90 * day, Lead: day, Keep: day, Standby: 1, Automatic: true},
		keys.PurposePermit: {Alg: keys.ES256, Life: 365 * day, Lead: bundleLife, Keep: day, Standby: 1, Automatic: true},
		keys.PurposeTrust:  {Alg: keys.ES256, Life: 365 * day, Keep: day, Standby: 1, Automatic: true},
		keys.PurposeStatus: {Alg: keys.ES256, Life: 365 * day, Keep: day, Standby: 1, Automatic: true},
		keys.PurposeLog:    {Alg: keys.Ed25519, Life: 365 * day, Keep: day, Standby: 1, Automatic: true},
		keys.PurposeCA:     {Alg: keys.ES256, Life: 5 * 365 * day, Lead: day, Keep: 11 * 365 * day},
	}
}

// Policies returns how the keys of each purpose live. texts says what differs from
// the default, by purpose: words such as "life=2160h lead=24h keep=24h standby=1
// automatic alg=ES256", where "approval" is the opposite of automatic. It fails
// with kind Invalid, naming every problem.
func Policies(texts map[string]string, bundleLife time.Duration) (map[string]keys.Policy, error) {
	all := policies(bundleLife)
	var problems []fault.Problem
	for _, purpose := range slices.Sorted(maps.Keys(texts)) {
		p, known := all[purpose]
		if !known {
			problems = append(problems, fault.Problem{Path: "keys." + purpose, Message: "is no purpose with a policy"})
			continue
		}
		for word := range strings.FieldsSeq(texts[purpose]) {
			if err := setPolicy(&p, word); err != nil {
				problems = append(problems, fault.Problem{Path: "keys." + purpose, Message: fmt.Sprintf("%.40q: %v", word, err)})
			}
		}
		if err := p.Check(purpose); err != nil {
			for _, one := range fault.Problems(err) {
				problems = append(problems, fault.Problem{Path: "keys." + purpose, Message: one.Path + ": " + one.Message})
			}
		}
		all[purpose] = p
	}
	if len(problems) > 0 {
		return nil, fault.InvalidInput("the policies of keys are not as they should be", problems...)
	}
	return all, nil
}

// Profiles returns how this city narrows the profiles of certificates. texts are the
// configuration's, by its name of the profile: see profile.ParsePolicy. It fails with
// kind Invalid, naming every problem.
func Profiles(texts map[string]string) (map[profile.Kind]profile.Policy, error) {
	all := map[profile.Kind]profile.Policy{}
	var problems []fault.Problem
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		kind := profile.Kind(strings.ReplaceAll(name, "_", "-"))
		p, err := profile.ParsePolicy(kind, texts[name])
		if err != nil {
			problems = append(problems, fault.Problem{Path: "profiles." + name, Message: err.Error()})
		}
		all[kind] = p
	}
	if len(problems) > 0 {
		return nil, fault.InvalidInput("the profiles of certificates are not as they should be", problems...)
	}
	return all, nil
}

func setPolicy(p *keys.Policy, word string) (err error) {
	name, value, _ := strings.Cut(word, "=")
	switch name {
	case "automatic", "approval":
		if name != word {
			return fmt.Errorf("takes no value")
		}
		p.Automatic = name == "automatic"
	case "alg":
		p.Alg = value
	case "standby":
		p.Standby, err = strconv.Atoi(value)
	case "life":
		p.Life, err = time.ParseDuration(value)
	case "lead":
		p.Lead, err = time.ParseDuration(value)
	case "keep":
		p.Keep, err = time.ParseDuration(value)
	default:
		return fmt.Errorf("is not known: want alg, life, lead, keep, standby, automatic or approval")
	}
	if err != nil {
		return fmt.Errorf("is no number or duration, such as 720h")
	}
	return nil
}
