package licenses

import (
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

// Request asks for one licence.
type Request struct {
	Type      string         `json:"type"`
	Holder    Holder         `json:"holder"`
	Data      map[string]any `json:"data"`
	NotBefore string         `json:"not_before"` // date, or RFC 3339; "" means today
	NotAfter  string         `json:"not_after"`  // last day, or RFC 3339 (exclusive); "" means as long as the type says
}

// Holder names a firm by its USCC or a person by the resident number.
type Holder struct {
	USCC     string `json:"uscc,omitempty"`
	Resident string `json:"resident,omitempty"`
}

// shanghai is the zone in which dates begin and end. It has had no summer time
// since 1991.
var shanghai = time.FixedZone("UTC+8", 8*3600)

const maxKey = 128 // bytes of an idempotency key

// draft is a request on its way: what is wrong with it, or the licence to be.
type draft struct {
	req    Request
	key    string
	lic    *License
	record record
	sealed []byte // record, encrypted

	replayed bool
	err      error
}

// hash binds an idempotency key to what was asked.
func (r Request) hash() ([]byte, error) {
	b, err := json.Marshal(r, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

func checkKey(key string) error {
	if key == "" {
		return fault.New(fault.Invalid, "an idempotency key is required")
	}
	if len(key) > maxKey {
		return fault.New(fault.Invalid, fmt.Sprintf("an idempotency key has at most %d characters", maxKey))
	}
	for _, c := range []byte(key) {
		if c <= ' ' || c > '~' {
			return fault.New(fault.Invalid, "an idempotency key is made of visible ASCII characters")
		}
	}
	return nil
}

// check fills d.lic and d.record from the request, naming every problem at once.
func (s *Service) check(d *draft, agency registry.Agency, now time.Time) error {
	t := s.types[d.req.Type]
	if t == nil {
		return fault.InvalidInput("the licence type is unknown", fault.Problem{Path: "/type", Message: "there is no such type"})
	}
	var problems []fault.Problem
	add := func(path, message string) { problems = append(problems, fault.Problem{Path: path, Message: message}) }
	if (d.req.Holder.USCC == "") == (d.req.Holder.Resident == "") {
		add("/holder", "want either uscc or resident")
	} else if (t.Holder == HolderFirm) != (d.req.Holder.USCC != "") {
		add("/holder", "this type is for a "+t.Holder)
	} else if err := checkNumber(d.req.Holder); err != nil {
		add("/holder", fault.Public(err))
	}
	from, until, dateProblems := dates(d.req, t.Years, now)
	problems = append(problems, dateProblems...)
	if d.req.Data == nil {
		add("/data", "is missing")
	} else if err := t.schema.Validate(d.req.Data); err != nil {
		problems = append(problems, schemaProblems(err)...)
	}
	if len(problems) > 0 {
		return fault.InvalidInput("the request has problems", problems...)
	}
	d.lic = &License{ID: db.NewID(), Type: t.ID, Agency: agency.ID, Status: Signing, Created: now, Changed: now, requestKey: d.key}
	d.record = record{Issuer: agency.USCC, Data: d.req.Data, NotBefore: from.Unix(), NotAfter: until.Unix()}
	return nil
}

func checkNumber(h Holder) error {
	if h.USCC != "" {
		return registry.CheckUSCC(h.USCC)
	}
	return registry.CheckResident(h.Resident)
}

// dates returns the validity. A date ends at 24:00 in Shanghai.
func dates(r Request, years int, now time.Time) (from, until time.Time, problems []fault.Problem) {
	day := now.In(shanghai)
	from = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, shanghai)
	var err error
	if r.NotBefore != "" {
		if from, err = parseDate(r.NotBefore, 0); err != nil {
			problems = append(problems, fault.Problem{Path: "/not_before", Message: err.Error()})
		}
	}
	until = from.AddDate(years, 0, 0)
	if r.NotAfter != "" {
		if until, err = parseDate(r.NotAfter, 1); err != nil {
			problems = append(problems, fault.Problem{Path: "/not_after", Message: err.Error()})
		}
	}
	switch {
	case len(problems) > 0:
	case !until.After(from):
		problems = append(problems, fault.Problem{Path: "/not_after", Message: "does not come after not_before"})
	case !until.After(now):
		problems = append(problems, fault.Problem{Path: "/not_after", Message: "is past"})
	case until.After(now.AddDate(maxYears, 0, 0)):
		problems = append(problems, fault.Problem{Path: "/not_after", Message: fmt.Sprintf("is over %d years away", maxYears)})
	}
	return from, until, problems
}

func parseDate(s string, plus int) (time.Time, error) {
	if t, err := time.ParseInLocation(time.DateOnly, s, shanghai); err == nil {
		return t.AddDate(0, 0, plus), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}, errors.New("want a date such as 2027-01-31 or an RFC 3339 time")
	}
	return t.Truncate(time.Second), nil
}

// schemaProblems lists every leaf of a schema error with its path. Messages
// repeat no value: it may be personal.
func schemaProblems(err error) []fault.Problem {
	var v *jsonschema.ValidationError
	if !errors.As(err, &v) {
		return []fault.Problem{{Path: "/data", Message: "does not fit the schema"}}
	}
	var problems []fault.Problem
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(e.Causes) == 0 && len(problems) < 100 {
			problems = append(problems, fault.Problem{Path: pointer(e.InstanceLocation), Message: explain(e.ErrorKind)})
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(v)
	return problems
}

func pointer(path []string) string {
	var b strings.Builder
	b.WriteString("/data")
	for _, p := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(p))
	}
	return b.String()
}

func explain(k jsonschema.ErrorKind) string {
	switch k := k.(type) {
	case *kind.Required:
		return "lacks " + strings.Join(k.Missing, ", ")
	case *kind.AdditionalProperties:
		return fmt.Sprintf("has %d members that the type does not know", len(k.Properties))
	case *kind.Type:
		return "want " + strings.Join(k.Want, " or ")
	case *kind.Enum:
		return "is none of the allowed values"
	case *kind.Pattern:
		return "does not match the pattern " + k.Want
	case *kind.Format:
		return "is no " + k.Want
	case *kind.MinLength:
		return fmt.Sprintf("is shorter than %d characters", k.Want)
	case *kind.MaxLength:
		return fmt.Sprintf("is longer than %d characters", k.Want)
	case *kind.Minimum, *kind.ExclusiveMinimum:
		return "is too small"
	case *kind.Maximum, *kind.ExclusiveMaximum:
		return "is too large"
	default:
		return "breaks the rule " + strings.Join(k.KeywordPath(), "/")
	}
}

// resolve finds the holders of all drafts that are still well, in two queries.
func (s *Service) resolve(ctx context.Context, drafts []*draft) error {
	var usccs, residents []string
	for _, d := range drafts {
		switch {
		case d.err != nil:
		case d.req.Holder.USCC != "":
			usccs = append(usccs, d.req.Holder.USCC)
		default:
			residents = append(residents, d.req.Holder.Resident)
		}
	}
	if len(usccs)+len(residents) == 0 {
		return nil
	}
	usccs, residents = distinct(usccs), distinct(residents)
	var firms map[string]registry.Firm
	var people map[string]registry.Person
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		if len(usccs) > 0 {
			if firms, err = s.registry.FindFirms(ctx, tx, usccs); err != nil {
				return err
			}
		}
		if len(residents) > 0 {
			people, err = s.registry.FindPeople(ctx, tx, registry.Resident, residents)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("find holders: %w", err)
	}
	for _, d := range drafts {
		if d.err == nil {
			d.err = d.hold(firms, people)
		}
	}
	return nil
}

func distinct(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// hold puts the registered holder into the draft.
func (d *draft) hold(firms map[string]registry.Firm, people map[string]registry.Person) error {
	if uscc := d.req.Holder.USCC; uscc != "" {
		f, ok := firms[uscc]
		if !ok {
			return fault.InvalidInput("the holder is not registered", fault.Problem{Path: "/holder/uscc", Message: "no firm has this code"})
		}
		d.record.HolderName, d.record.HolderID, d.lic.holderRef = f.Name, f.USCC, f.USCC
		return nil
	}
	p, ok := people[d.req.Holder.Resident]
	if !ok {
		return fault.InvalidInput("the holder is not registered", fault.Problem{Path: "/holder/resident", Message: "no person has this number"})
	}
	d.record.HolderName, d.record.HolderID = p.Name, registry.Mask(d.req.Holder.Resident)
	d.lic.holderRef = p.ID
	return nil
}
