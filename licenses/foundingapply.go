package licenses

import (
	"context"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// FoundingClaim is what somebody applies for who will be the new firm's legal
// representative.
type FoundingClaim struct {
	Agency string // that is asked to register the firm
	Key    string // of the form: sent twice, it makes one application
	Name   string
	Data   map[string]any
	Wrong  bool // the form has problems already: the claim is only checked
}

const (
	maxOpenFoundings = 5   // of one person that wait at a time
	maxFoundings     = 100 // in a list
	founderKind      = "founder"
)

var (
	errOldFounding  = web.Refuse(fault.Invalid, web.Text{ZH: "表单已失效，请返回重新填写。", EN: "The form was out of date. Go back and fill it in again."})
	errUsedFounding = web.Refuse(fault.Conflict, web.Text{ZH: "此表单已提交过，当时填写的内容不同。请返回重新开始。", EN: "This form was sent in before, with other contents. Go back and begin again."})
	errFoundingDone = web.Refuse(fault.Conflict, web.Text{ZH: "该申请已经处理，您的操作没有生效。请返回查看最新状态。",
		EN: "This application has been dealt with: what you did has had no effect. Go back to see how it stands."})
	errOwnFounding = web.Refuse(fault.Denied, web.Text{ZH: "不能审批自己的申请。", EN: "Nobody decides on their own application."})
)

// ErrManyFoundings is returned, with kind Conflict, where as many foundings of a person wait
// as may at a time.
var ErrManyFoundings = web.Refuse(fault.Conflict, web.Text{ZH: "您有 5 件开办企业申请尚未办结，请等待办结或撤回后再申请。",
	EN: "You have 5 applications for new firms that wait. Wait for one of them, or withdraw one, before you apply again."})

// ApplyFounding submits an application for a new firm whose legal representative the
// person will be, and returns its id or everything that is wrong with it. A form that
// was sent before gives the application of then. It fails with kind Denied for an
// agency without authority, NotFound for an unknown person, Invalid for a key that is
// not ours, Conflict for one that was used with other contents, and with
// ErrManyFoundings when too many wait.
func (s *Service) ApplyFounding(ctx context.Context, person string, c FoundingClaim) (id string, problems []Problem, err error) {
	id, result, err := s.applyFounding(ctx, person, c)
	s.countFounding(err, result)
	if problems = Problems(err); problems != nil {
		return "", problems, nil
	}
	if err != nil {
		return "", nil, fmt.Errorf("apply for a new firm: %w", err)
	}
	return id, nil, nil
}

func (s *Service) applyFounding(ctx context.Context, person string, c FoundingClaim) (id, result string, err error) {
	if _, err := db.IDBytes(c.Key); err != nil {
		return "", "", errOldFounding
	}
	rep, err := s.registry.PersonByID(ctx, person)
	if err != nil {
		return "", "", err
	}
	f := &Founding{ID: db.NewID(), State: FoundingSubmitted, Agency: c.Agency, Name: c.Name, Person: person, Data: c.Data,
		Submitter: "person:" + person, client: "wallet:" + person, key: c.Key}
	if f.hash, err = f.hashed(); err != nil {
		return "", "", err
	}
	if old, err := s.appliedBefore(ctx, f); err != nil || old != "" {
		return old, "replayed", err
	}
	a, err := s.registrar(ctx, c.Agency)
	if err != nil {
		return "", "", err
	}
	if _, err := s.draftFounding(ctx, f, a, rep, ""); err != nil || c.Wrong {
		return "", "refused", err
	}
	f.Created = db.Time(db.Micros(s.now()))
	body, err := s.sealFounding(ctx, f)
	if err != nil {
		return "", "", err
	}
	var won bool
	err = s.db.Update(ctx, func(tx db.Tx) (err error) {
		won, err = f.submit(ctx, tx, body)
		return err
	})
	if err != nil || won {
		return f.ID, "submitted", err
	}
	id, err = s.appliedBefore(ctx, f)
	return id, "replayed", err
}

// appliedBefore returns the id of what the same form became before, "" for nothing.
func (s *Service) appliedBefore(ctx context.Context, f *Founding) (string, error) {
	old, err := s.sameFounding(ctx, f)
	if fault.KindOf(err) == fault.Conflict && err != nil {
		err = errUsedFounding
	}
	if err != nil || old == nil {
		return "", err
	}
	return old.ID, nil
}

// submit writes an application that waits, unless its key was used or too many of the
// person's wait. Their row is taken first, so that two of them are counted one after
// the other.
func (f *Founding) submit(ctx context.Context, tx db.Tx, body []byte) (won bool, err error) {
	_, err = tx.ExecContext(ctx, `INSERT INTO license_applicants (kind, holder, applied) VALUES ($1, $2, 1)
		ON CONFLICT (kind, holder) DO UPDATE SET applied = license_applicants.applied + 1`, founderKind, f.Person)
	if err != nil {
		return false, err
	}
	if won, err = f.insert(ctx, tx, body); err != nil || !won {
		return false, err
	}
	var waiting int64
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM license_foundings WHERE person = $1 AND state = 'submitted'`, f.Person).Scan(&waiting)
	if err == nil && waiting > maxOpenFoundings {
		err = ErrManyFoundings
	}
	return err == nil, err
}

// FoundingsOf returns the newest hundred foundings of which the person is the legal
// representative, the newest first.
func (s *Service) FoundingsOf(ctx context.Context, person string) ([]*Founding, error) {
	return s.findFoundings(ctx, `person = $1 ORDER BY id DESC LIMIT $2`, person, maxFoundings)
}

// FoundingOf returns one of them with its licence. It fails with ErrNoFounding for
// somebody else's.
func (s *Service) FoundingOf(ctx context.Context, person, id string) (*Founding, error) {
	f, err := s.oneFounding(ctx, `id = $1 AND person = $2`, id, person)
	if err != nil {
		return nil, err
	}
	return f, s.withLicense(ctx, f)
}

// WithdrawFounding takes back an application that waits. Doing it again changes
// nothing. It fails with ErrNoFounding for somebody else's, and Conflict for one that
// has been dealt with.
func (s *Service) WithdrawFounding(ctx context.Context, person, id string) error {
	f, err := s.oneFounding(ctx, `id = $1 AND person = $2`, id, person)
	if err != nil || f.State == FoundingWithdrawn {
		return err
	}
	f.State, f.Decider, f.Decided = FoundingWithdrawn, "person:"+person, s.now()
	won, err := s.endFounding(ctx, f, EventFoundingWithdraw, nil)
	if err == nil && !won {
		if f, err = s.oneFounding(ctx, `id = $1`, id); err == nil && f.State != FoundingWithdrawn {
			err = errFoundingDone
		}
		return err
	}
	s.countFounding(err, "withdrawn")
	return err
}

// endFounding takes a founding that waits to an end at which nothing is founded, and
// reports whether it did.
func (s *Service) endFounding(ctx context.Context, f *Founding, event string, note []byte) (won bool, err error) {
	err = s.db.Update(ctx, func(tx db.Tx) (err error) {
		if won, err = f.move(ctx, tx, note); err != nil || !won {
			return err
		}
		return f.event(ctx, tx, event, f.Decider)
	})
	if err != nil {
		return false, fmt.Errorf("end founding: %w", err)
	}
	return won, nil
}
