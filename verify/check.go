package verify

import (
	"errors"
	"strings"
	"time"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// Options is what Check may need besides.
type Options struct {
	// TrustErr says why there is no Trust, StatusErr why there is no Snapshot:
	// the error of Load and of Trust.Snapshot, or nil where there was no file.
	TrustErr, StatusErr error
	// Genuine are the files of genuine permits that the verifier has.
	Genuine []*trust.Genuine
}

// Check says what a permit in text is worth at now. t and s may be nil, and the
// verdict is Undetermined where they were needed. The rules are numbered in
// docs/spec/verdicts.md.
func Check(text string, t *Trust, s *Snapshot, now time.Time, o Options) Result {
	var r Result
	if s != nil {
		r.AsOf = s.AsOf()
	}
	p, err := permit.Parse(text, t.dictionary)
	switch {
	case errors.Is(err, permit.ErrTooLarge):
		return r.with(TooLarge, "over_a_bound")
	case err != nil && !errors.Is(err, permit.ErrDictionary):
		return r.with(Malformed, "not_a_permit")
	}
	if reason := t.unusable(now, o.TrustErr); reason != "" {
		return r.with(Undetermined, reason)
	}
	if err != nil {
		return r.with(Undetermined, "dictionary_not_in_bundle")
	}
	c := check{Result: r, t: t, s: s, now: now.Unix(), o: o, p: p}
	c.run()
	return c.Result
}

// check is one permit on its way to a verdict.
type check struct {
	Result
	t   *Trust
	s   *Snapshot
	now int64
	o   Options

	p   *permit.Permit
	key *key
	typ *licenceType
}

// run goes through the steps until one gives a verdict.
func (c *check) run() {
	for _, step := range []func(*check) (Verdict, string){
		(*check).signature, (*check).compromise, (*check).contents, (*check).authority,
		(*check).dates, (*check).live, (*check).status,
	} {
		if verdict, reason := step(c); verdict != "" {
			c.Result = c.with(verdict, reason)
			return
		}
	}
	c.Result = c.with(Valid, "")
}

func (r Result) with(v Verdict, reason string) Result {
	r.Verdict, r.Reason = v, reason
	return r
}

// unusable says why the trust cannot be used at now, or "".
func (t *Trust) unusable(now time.Time, err error) string {
	switch {
	case t == nil && err == nil:
		return "no_trust"
	case t == nil && errors.Is(err, trust.ErrExpired):
		return "trust_expired"
	case t == nil && errors.Is(err, trust.ErrFuture):
		return "clock_before_trust"
	case t == nil:
		return "trust_refused"
	case now.Unix() >= min(t.bundle.Expires, t.root.Expires):
		return "trust_expired"
	case now.Unix()+trust.Skew < max(t.bundle.IssuedAt, t.root.IssuedAt):
		return "clock_before_trust"
	}
	return ""
}

func (c *check) signature() (Verdict, string) {
	k, ok := c.t.keys[c.p.KID]
	if !ok {
		return UnknownIssuer, "key_not_in_bundle"
	}
	if c.p.Verify(k.Alg, k.public) != nil {
		return BadSignature, "signature_does_not_verify"
	}
	c.key = k
	c.Issuer, c.IssuerNames = k.agency.ID, k.agency.Names
	return "", ""
}

// compromise lets a stolen key's permits pass only when its genuine file lists
// them: the thief chooses iat freely.
func (c *check) compromise() (Verdict, string) {
	if c.key.State != trust.KeyCompromised {
		return "", ""
	}
	if c.p.IssuedAt >= c.key.CompromisedAt {
		return KeyCompromised, "signed_after_compromise"
	}
	for _, g := range c.o.Genuine {
		if hash := g.Hash(); string(hash[:]) != string(c.key.Genuine) {
			continue
		}
		if g.Contains(c.p.SigStructureHash()) {
			return "", ""
		}
		return KeyCompromised, "not_on_genuine_list"
	}
	return KeyCompromised, "genuine_list_absent"
}

func (c *check) contents() (Verdict, string) {
	typ, ok := c.t.types[c.p.Type]
	if !ok {
		return Undetermined, "type_not_in_bundle"
	}
	c.typ = typ
	c.Type, c.TypeNames, c.Number = typ.ID, typ.Names, c.p.Number
	c.Fields = c.fields()
	return "", ""
}

// authority holds iat against the key's signing window and against what the
// agency was allowed then.
func (c *check) authority() (Verdict, string) {
	iat := c.p.IssuedAt
	if iat < c.key.SignFrom || iat >= c.key.SignUntil {
		return IssuerNotAllowed, "outside_signing_window"
	}
	reason := "no_authority"
	for _, a := range c.t.authority[grant{c.key.Agency, c.typ.ID}] {
		switch {
		case !covers(c.key.agency, a.Area):
			reason = "authority_outside_area"
		case iat < a.From || a.Until != 0 && iat >= a.Until:
			reason = "authority_not_then"
		default:
			return "", ""
		}
	}
	return IssuerNotAllowed, reason
}

// covers says whether an area is the agency's own or, for a city's agency, within
// the city: its code starts with the city's four digits (GB/T 2260).
func covers(a *trust.Agency, area string) bool {
	if a.Level == trust.LevelCity {
		return strings.HasPrefix(area, a.Area[:4])
	}
	return area == a.Area
}

func (c *check) dates() (Verdict, string) {
	switch {
	case c.now >= c.p.Expires:
		return Expired, "past_end"
	case c.now >= c.key.VerifyUntil:
		return Expired, "key_past_verify_until"
	case c.now < c.p.NotBefore:
		return NotYetValid, "before_start"
	case c.now+trust.Skew < c.p.IssuedAt:
		return NotYetValid, "issued_after_now"
	}
	return "", ""
}

// live refuses a permit bound to a phone that is shown without it.
func (c *check) live() (Verdict, string) {
	if c.p.Confirmation != nil {
		return LiveCopy, "shown_without_its_phone"
	}
	return "", ""
}

func (c *check) status() (Verdict, string) {
	if c.s == nil {
		if c.o.StatusErr != nil {
			return Undetermined, "status_refused"
		}
		return Undetermined, "no_status"
	}
	s := c.s.s
	if _, ok := c.t.root.StatusSigner(s.KID, s.IssuedAt); !ok {
		return Undetermined, "status_refused" // withdrawn since the snapshot was read
	}
	if c.now+trust.Skew < s.IssuedAt {
		return Undetermined, "clock_before_status"
	}
	state, covered := s.Lookup(c.p.Status.List, c.p.Status.Index)
	old := c.now >= s.Expires || c.now-s.IssuedAt > c.typ.MaxStatusAge
	switch {
	case !covered:
		return Undetermined, "list_not_covered"
	case old && state != status.Valid:
		return Undetermined, "status_too_old_listed"
	case old:
		return Undetermined, "status_too_old"
	case state == status.Revoked:
		return Revoked, "listed_revoked"
	case state == status.Suspended:
		return Suspended, "listed_suspended"
	}
	return "", ""
}
