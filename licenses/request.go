package licenses

import (
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
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
	hash   []byte // of what was asked; nil means the request's

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
	t := s.newest(d.req.Type)
	if t == nil {
		return refuse("the licence type is unknown", Problem{"/type", text("没有此证照类型", "is no licence type")})
	}
	problems := d.req.Holder.problems(t)
	from, until, dateProblems := dates(d.req, t.Years, now)
	problems = append(problems, dateProblems...)
	if d.req.Data == nil {
		problems = append(problems, Problem{"/data", text("为必填项", "is missing")})
	} else if err := t.schema.Validate(d.req.Data); err != nil {
		problems = append(problems, schemaProblems(err)...)
	}
	if len(problems) > 0 {
		return refuse("the request has problems", problems...)
	}
	d.lic = &License{ID: db.NewID(), Version: 1, Type: t.ID, TypeVersion: t.Version, Agency: agency.ID, Status: Signing, Created: now, Changed: now, requestKey: d.key}
	d.record = record{TypeVersion: t.Version, Issuer: agency.USCC, Data: d.req.Data, NotBefore: from.Unix(), NotAfter: until.Unix()}
	return nil
}

// problems says what is wrong with the holder of a licence of type t, short of
// looking in the register.
func (h Holder) problems(t *Type) []Problem {
	switch {
	case h.USCC == "" && h.Resident == "":
		return []Problem{{"/holder", text("为必填项", "is missing: want either uscc or resident")}}
	case h.USCC != "" && h.Resident != "":
		return []Problem{{"/holder", text("只能填写一个号码", "want either uscc or resident, not both")}}
	case t.Holder == HolderFirm && h.USCC == "":
		return []Problem{{"/holder", text("须为企业：本证照只发给企业", "this type is for a firm")}}
	case t.Holder == HolderPerson && h.Resident == "":
		return []Problem{{"/holder", text("须为个人：本证照只发给个人", "this type is for a person")}}
	}
	check, number, name := registry.CheckResident, h.Resident, "公民身份号码"
	if h.USCC != "" {
		check, number, name = registry.CheckUSCC, h.USCC, "统一社会信用代码"
	}
	err := check(number)
	switch {
	case err == nil:
		return nil
	case len(number) != 18:
		return []Problem{{"/holder", web.Text{ZH: "须为 18 位的" + name, EN: fault.Public(err)}}}
	default:
		return []Problem{{"/holder", web.Text{ZH: "不是有效的" + name + "，请核对每一位", EN: fault.Public(err)}}}
	}
}

// dates returns the validity. A date ends at 24:00 in Shanghai.
func dates(r Request, years int, now time.Time) (from, until time.Time, problems []Problem) {
	add := func(path, zh, en string, args ...any) {
		problems = append(problems, Problem{path, text(zh, en, args...)})
	}
	day := now.In(shanghai)
	from = time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, shanghai)
	const zh, en = "须为有效日期，例如 2027-01-31", "must be a date such as 2027-01-31, or an RFC 3339 time"
	ok := true
	if r.NotBefore != "" {
		if from, ok = parseDate(r.NotBefore, 0); !ok {
			add("/not_before", zh, en)
		}
	}
	until = from.AddDate(years, 0, 0)
	if r.NotAfter != "" {
		if until, ok = parseDate(r.NotAfter, 1); !ok {
			add("/not_after", zh, en)
		}
	}
	switch {
	case len(problems) > 0:
	case !until.After(from):
		add("/not_after", "须晚于生效日期", "must come after not_before")
	case !until.After(now):
		add("/not_after", "已经过去", "is past")
	case until.After(now.AddDate(maxYears, 0, 0)):
		add("/not_after", "距今不得超过 %d 年", "must be at most %d years away", maxYears)
	}
	return from, until, problems
}

func parseDate(s string, plus int) (time.Time, bool) {
	if t, err := time.ParseInLocation(time.DateOnly, s, shanghai); err == nil {
		return t.AddDate(0, 0, plus), t.Unix() >= 0 // no permit can name what came before
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9000 {
		return time.Time{}, false
	}
	return t.Truncate(time.Second), true
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
			return refuse("the holder is not registered", Problem{"/holder/uscc", text("没有登记：查无此企业", "is not registered: no firm has this code")})
		}
		d.record.HolderName, d.record.HolderID, d.lic.holderRef = f.Name, f.USCC, f.USCC
		return nil
	}
	p, ok := people[d.req.Holder.Resident]
	if !ok {
		return refuse("the holder is not registered", Problem{"/holder/resident", text("没有登记：查无此人", "is not registered: no person has this number")})
	}
	d.record.HolderName, d.record.HolderID = p.Name, registry.Mask(d.req.Holder.Resident)
	d.lic.holderRef = p.ID
	return nil
}
