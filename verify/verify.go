// Package verify turns a permit into a verdict, from a pinned root key, a trust
// bundle and a status snapshot that the verifier carries.
//
// The package is pure: it has neither clock, network nor database, and what it
// answers depends on its arguments alone. The order of the checks, each verdict
// with its reasons, and the vectors stand in docs/spec/verdicts.md.
//
// It refuses rather than guesses. Nothing that a permit says is believed before
// its signature; what cannot be known, because the trust bundle or the status is
// absent, refused or too old, is Undetermined with the reason, never Valid and
// never Revoked.
package verify

import (
	"encoding/json"
	"time"

	"github.com/signet-city/signet/verify/trust"
)

// Verdict is the result of a check.
type Verdict string

// The verdicts.
const (
	Valid            Verdict = "valid"
	Expired          Verdict = "expired"
	NotYetValid      Verdict = "not_yet_valid"
	Revoked          Verdict = "revoked"
	Suspended        Verdict = "suspended"
	UnknownIssuer    Verdict = "unknown_issuer"
	IssuerNotAllowed Verdict = "issuer_not_allowed"
	KeyCompromised   Verdict = "key_compromised"
	BadSignature     Verdict = "bad_signature"
	Malformed        Verdict = "malformed"
	TooLarge         Verdict = "too_large"
	LiveCopy         Verdict = "live_copy"
	Undetermined     Verdict = "undetermined"
)

// Result is a verdict with what it rests on.
type Result struct {
	// File names what was checked; Check leaves it empty for the caller to fill.
	File    string
	Verdict Verdict
	// Reason is one of the words of docs/spec/verdicts.md, empty for Valid;
	// Sentence puts it in words.
	Reason string
	// AsOf is when the status snapshot was made, zero where there was none.
	AsOf time.Time
	// Issuer and Type are the ids of the agency and of the licence type, Number
	// the licence's number. They and Fields are empty while nobody vouches for
	// them: before a good signature, and for a key that was stolen.
	Issuer, Type, Number string
	IssuerNames          trust.Names
	TypeNames            trust.Names
	Fields               []Field
}

// Field is one thing that the permit says.
type Field struct {
	Name  string // as in the licence's data
	Names trust.Names
	Value string
	// ValueNames are the names of a value out of a code list, else empty.
	ValueNames trust.Names
}

// MarshalJSON writes every member, as_of as null where there was no status.
func (r Result) MarshalJSON() ([]byte, error) {
	w := struct {
		File    string     `json:"file"`
		Verdict Verdict    `json:"verdict"`
		Reason  string     `json:"reason"`
		AsOf    *time.Time `json:"as_of"`
		Issuer  string     `json:"issuer"`
		Type    string     `json:"type"`
		Number  string     `json:"number"`
		Fields  []Field    `json:"fields"`
	}{r.File, r.Verdict, r.Reason, nil, r.Issuer, r.Type, r.Number, r.Fields}
	if !r.AsOf.IsZero() {
		w.AsOf = &r.AsOf
	}
	if w.Fields == nil {
		w.Fields = []Field{}
	}
	return json.Marshal(w)
}

// MarshalJSON writes the names of the value only where it has some.
func (f Field) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name    string `json:"name"`
		ZH      string `json:"zh"`
		EN      string `json:"en"`
		Value   string `json:"value"`
		ValueZH string `json:"value_zh,omitempty"`
		ValueEN string `json:"value_en,omitempty"`
	}{f.Name, f.Names.ZH, f.Names.EN, f.Value, f.ValueNames.ZH, f.ValueNames.EN})
}
