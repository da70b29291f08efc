package licenses

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// FirmType is the licence type that makes a firm: whoever may issue it registers firms.
const FirmType = "business-license"

// What the register says itself of a new firm's licence, where its type asks for it.
const (
	dataRepresentative = "legal_representative" // the registered name
	dataEstablished    = "established"          // the day of approval
)

// FilledIn returns the properties of FirmType's data that nobody sends: the register
// fills them in.
func FilledIn() []string { return []string{dataRepresentative, dataEstablished} }

// Orders is where the sign-in certificate of a new firm is ordered. Package ca
// provides it.
type Orders interface {
	// OrderTx orders a certificate for a firm, by its USCC, in the caller's transaction,
	// under an id of the caller's.
	OrderTx(ctx context.Context, tx db.Tx, id, actor, firm string) error
}

// FoundingRequest asks for a new firm.
type FoundingRequest struct {
	Name           string         `json:"name"`
	Representative string         `json:"representative"` // resident number of the legal representative
	Data           map[string]any `json:"data"`           // of the business licence, without what the register fills in
}

// FoundingState is where an application for a new firm stands.
type FoundingState string

// The states. Only the first one changes again.
const (
	FoundingSubmitted FoundingState = "submitted"
	FoundingDone      FoundingState = "founded"
	FoundingRejected  FoundingState = "rejected"
	FoundingWithdrawn FoundingState = "withdrawn"
)

// Founding is an application for a new firm and what came of it. Only a founded one
// names a firm, and then a licence and an order, which were made at the same moment.
type Founding struct {
	ID        string         `json:"id"`
	State     FoundingState  `json:"status"`
	Agency    string         `json:"agency"`           // that was asked
	Office    string         `json:"office,omitempty"` // that decided, where it had taken the asked one's place
	Name      string         `json:"name"`             // that the firm is to have
	Person    string         `json:"representative"`   // id in the registry
	Data      map[string]any `json:"data"`
	Firm      string         `json:"uscc,omitempty"`
	Order     string         `json:"certificate_order,omitempty"` // id, see package ca
	License   *License       `json:"license,omitempty"`           // nil in a list
	LicenseID string         `json:"-"`
	Submitter string         `json:"-"` // actor
	Decider   string         `json:"-"` // actor
	Reason    string         `json:"reason,omitempty"`
	Created   time.Time      `json:"created"`
	Decided   time.Time      `json:"decided,omitzero"` // zero while it waits

	client, key string
	hash        []byte
}

// The kinds of the events about new firms.
const (
	EventFound            = "firm.found"
	EventFoundingSubmit   = "license.founding.submit"
	EventFoundingReject   = "license.founding.reject"
	EventFoundingWithdraw = "license.founding.withdraw"
)

// ErrNoFounding is returned for an application that there is none of, or is another's.
var ErrNoFounding = fault.New(fault.NotFound, "no such application")

var (
	errNoOrders    = fault.New(fault.Unavailable, "firms are not founded here: no certificates can be ordered")
	errFoundingKey = fault.New(fault.Internal, "the licence of a founding was there before it")
)

// hashed binds an idempotency key to what was asked. It holds the representative's id and
// not their number, which could be guessed from it.
func (f *Founding) hashed() ([]byte, error) {
	b, err := json.Marshal([]any{f.Agency, f.Person, f.Name, f.Data}, json.Deterministic(true))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b)
	return sum[:], nil
}

// registrar returns the agency that is asked, if it may register firms now.
func (s *Service) registrar(ctx context.Context, id string) (registry.Agency, error) {
	if s.orders == nil {
		return registry.Agency{}, errNoOrders
	}
	a, err := s.registry.FindAgency(ctx, id)
	if err != nil {
		return a, fault.Wrap(fault.Denied, "there is no such agency", err)
	}
	may, err := s.registry.MayIssue(ctx, a.ID, FirmType, a.Area, s.now())
	if err == nil && !may {
		err = errNoAuthority
	}
	return a, err
}

// draftFounding says everything that is wrong with a founding as the register is now. What
// the register fills in, it has filled in; the draft that it returns is of a licence
// with the code given, or of one like it for "".
func (s *Service) draftFounding(ctx context.Context, f *Founding, a registry.Agency, rep registry.Person, code string) (*draft, error) {
	now := s.now().UTC().Truncate(time.Microsecond)
	problems := f.nameProblems()
	if len(problems) == 0 {
		taken, err := s.registry.NameTaken(ctx, f.Name)
		if err != nil {
			return nil, err
		}
		if taken {
			problems = append(problems, problemTaken)
		}
	}
	t := s.newest(FirmType)
	if t == nil {
		return nil, fault.New(fault.Unavailable, "the licence type of firms is not known here")
	}
	data := maps.Clone(f.Data)
	for _, name := range FilledIn() {
		if _, sent := data[name]; sent {
			problems = append(problems, Problem{"/data/" + name, text("由登记机关填写，请勿填写", "is filled in by the register: leave it out")})
		}
	}
	if data != nil {
		s.fillIn(t, data, rep, now)
	}
	if code == "" {
		var err error
		if code, err = registry.MakeUSCC(categoryOf(f.Data), a.Area, 0); err != nil {
			return nil, err
		}
	}
	d := &draft{req: Request{Type: FirmType, Holder: Holder{USCC: code}, Data: data}, key: foundingKey(f.ID)}
	refused := s.check(d, a, now)
	if refused != nil && Problems(refused) == nil {
		return nil, refused
	}
	if problems = append(problems, Problems(refused)...); len(problems) > 0 {
		return nil, refuse("the request has problems", problems...)
	}
	firm := registry.Firm{USCC: code, Name: f.Name, LegalRep: f.Person}
	if err := d.hold(map[string]registry.Firm{code: firm}, nil); err != nil {
		return nil, err
	}
	held := &draft{record: d.record}
	return d, s.fits(d, held, a)
}

var problemTaken = Problem{"/name", text("已有同名企业，请改用其他名称", "is the name of another firm: choose another")}

func (f *Founding) nameProblems() []Problem {
	if err := registry.CheckFirmName(f.Name); err != nil {
		return []Problem{{"/name", web.Text{ZH: "须为 1 至 120 个字，首尾不得有空格，不得含有不可见字符", EN: fault.Public(err)}}}
	}
	return nil
}

// fillIn adds what the register knows itself, as far as the type asks for it.
func (s *Service) fillIn(t *Type, data map[string]any, rep registry.Person, now time.Time) {
	if t.schema.Properties[dataRepresentative] != nil {
		data[dataRepresentative] = cmp.Or(rep.Name, "—") // who is not found is a problem of its own
	}
	if t.schema.Properties[dataEstablished] != nil {
		data[dataEstablished] = now.In(shanghai).Format(time.DateOnly)
	}
}

// categoryOf returns for which kind of body the firm's code is.
func categoryOf(data map[string]any) registry.Category {
	switch data["kind"] {
	case "个体工商户":
		return registry.SoleTrader
	case "农民专业合作社":
		return registry.Cooperative
	}
	return registry.Enterprise
}

// refusedTaken says of an error of the registry what is wrong with the request, where
// another founding was faster.
func refusedTaken(err error) error {
	switch {
	case errors.Is(err, registry.ErrNameTaken):
		return refuse("the request has problems", problemTaken)
	case errors.Is(err, registry.ErrPerson):
		return refuse("the request has problems", problemNobody)
	}
	return err
}

var problemNobody = Problem{"/representative", text("没有登记：查无此人", "is not registered: no person has this number")}

// representative finds the legal representative by their number, or says what is wrong
// with it.
func (s *Service) representative(ctx context.Context, number string) (p registry.Person, problems []Problem, err error) {
	if number == "" {
		return p, []Problem{{"/representative", text("为必填项", "is missing")}}, nil
	}
	if problems := (Holder{Resident: number}).problems(&Type{Holder: HolderPerson}); problems != nil {
		return p, []Problem{{"/representative", problems[0].Text}}, nil
	}
	var people map[string]registry.Person
	err = s.db.Read(ctx, func(tx db.Tx) (err error) {
		people, err = s.registry.FindPeople(ctx, tx, registry.Resident, []string{number})
		return err
	})
	if err != nil {
		return p, nil, fmt.Errorf("find representative: %w", err)
	}
	p, ok := people[number]
	if !ok {
		return p, []Problem{problemNobody}, nil
	}
	return p, nil, nil
}
