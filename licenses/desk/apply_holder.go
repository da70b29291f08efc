package desk

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// withdrawn is an application that its holder has taken back.
const withdrawn state = "withdrawn"

const (
	maxOpen    = 20  // applications of one holder that wait at a time
	maxApplied = 100 // of one holder in a list, the newest
)

const eventWithdraw = "license.application.withdraw"

var (
	errTooMany = web.Refuse(fault.Conflict, web.Text{ZH: "您有 20 件申请尚未办结，请等待办结或撤回后再申请。",
		EN: "You have 20 applications that wait. Wait for one of them, or withdraw one, before you apply again."})
	errNotHolder = web.Refuse(fault.Denied, web.Text{ZH: "您现在不能代表该企业办理。", EN: "You do not act for that firm now."})
	errNoNumber  = web.Refuse(fault.Denied, web.Text{ZH: "网上申请需要公民身份号码。请到证照窗口办理。", EN: "Applying here takes a resident number. Please go to the agency's desk."})
	errDealtWith = web.Refuse(fault.Conflict, web.Text{ZH: "该申请已经处理，您的操作没有生效。请返回查看最新状态。",
		EN: "This application has been dealt with: what you did has had no effect. Go back to see how it stands."})
	errUsedForm = web.Refuse(fault.Conflict, web.Text{ZH: "此表单已提交过，当时填写的内容不同。请返回重新开始。", EN: "This form was sent in before, with other contents. Go back and begin again."})
	errOldForm  = web.Refuse(fault.Invalid, web.Text{ZH: "表单已失效，请返回重新填写。", EN: "The form was out of date. Go back and fill it in again."})
)

// Offices returns the agencies that may issue licences of a type in their area now,
// by id.
func (s *Service) Offices(ctx context.Context, licenseType string) (list []registry.Agency, err error) {
	authorities, err := s.registry.ListAuthorities(ctx)
	if err != nil {
		return nil, err
	}
	seen := ""
	for _, a := range authorities { // by agency
		if a.Type != licenseType || a.Agency == seen {
			continue
		}
		seen = a.Agency
		agency, err := s.registry.FindAgency(ctx, a.Agency)
		if errors.Is(err, registry.ErrAgency) {
			continue
		}
		if err != nil {
			return nil, err
		}
		may, err := s.registry.MayIssue(ctx, agency.ID, licenseType, agency.Area, s.now())
		if err != nil {
			return nil, err
		}
		if may {
			list = append(list, agency)
		}
	}
	return list, nil
}

// Apply submits what a holder applies for, and returns the application's id or
// everything that is wrong with it. Whoever will hold the licence follows from by. A
// form that was sent before gives the application of then. It fails with kind NotFound
// for a type that such a holder cannot apply for, Denied for an agency without
// authority or a firm that the person does not act for, Invalid for a key that is not
// ours, and Conflict for one that was used with other data or when too many wait.
func (s *Service) Apply(ctx context.Context, by licenses.Applicant, c licenses.Claim) (id string, problems []licenses.Problem, err error) {
	if _, err := db.IDBytes(c.Key); err != nil {
		return "", nil, errOldForm
	}
	if _, err := s.claimable(by, c.Type); err != nil {
		return "", nil, err
	}
	holder, err := s.holderFor(ctx, by)
	if err != nil {
		return "", nil, err
	}
	cl := &claim{agency: c.Agency, person: by.Person, key: c.Key, request: licenses.Request{Type: c.Type, Holder: holder, Data: c.Data}, by: &by}
	if !c.Wrong {
		if err := s.prepare(ctx, cl); err != nil {
			return "", nil, err
		}
		if id, err := s.replayed(ctx, cl); err != nil || id != "" {
			s.count(err, "replayed")
			return id, nil, plainUsed(err)
		}
	}
	err = s.licenses.Check(ctx, c.Agency, cl.request)
	problems = licenses.Problems(err)
	if err != nil && problems == nil {
		return "", nil, err
	}
	if len(problems) > 0 || c.Wrong {
		s.metrics.submitted.WithLabelValues("refused").Inc()
		return "", problems, nil
	}
	id, fresh, err := s.submit(ctx, cl)
	result := "replayed"
	if fresh {
		result = "submitted"
	}
	s.count(err, result)
	return id, nil, plainUsed(err)
}

// plainUsed says of a used key what a holder may read.
func plainUsed(err error) error {
	if _, used := errors.AsType[errUsed](err); used {
		return errUsedForm
	}
	return err
}

// holderFor returns the number of whom by applies for, if they may.
func (s *Service) holderFor(ctx context.Context, by licenses.Applicant) (licenses.Holder, error) {
	if by.Kind == licenses.HolderFirm {
		may, err := s.registry.MayActFor(ctx, by.Person, by.Holder, s.now())
		if err == nil && !may {
			err = errNotHolder
		}
		return licenses.Holder{USCC: by.Holder}, err
	}
	if by.Kind != licenses.HolderPerson || by.Holder != by.Person {
		return licenses.Holder{}, errNotHolder
	}
	p, err := s.registry.PersonByID(ctx, by.Person)
	if err == nil && p.Kind != registry.Resident {
		err = errNoNumber
	}
	return licenses.Holder{Resident: p.Number}, err
}

// open is the condition that an application is not at its end.
const open = "a.state NOT IN ('issued', 'rejected', 'failed', 'withdrawn')"

// applied records with a fresh application whose it is, unless a clerk submitted it.
func (c *claim) applied(ctx context.Context, tx db.Tx, id string) error {
	if c.by == nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO license_applicants (kind, holder, applied) VALUES ($1, $2, 1)
		ON CONFLICT (kind, holder) DO UPDATE SET applied = license_applicants.applied + 1`, c.by.Kind, c.by.Holder)
	if err != nil {
		return err
	}
	var n int
	err = tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM license_holder_applications h JOIN license_applications a ON a.id = h.application
		WHERE h.kind = $1 AND h.holder = $2 AND `+open, c.by.Kind, c.by.Holder).Scan(&n)
	if err != nil {
		return err
	}
	if n >= maxOpen {
		return errTooMany
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO license_holder_applications (application, kind, holder) VALUES ($1, $2, $3)", id, c.by.Kind, c.by.Holder)
	return err
}

// Withdraw takes back an application that waits. Doing it again changes nothing. It
// fails with kind NotFound for another holder's, and Conflict for one that has been
// dealt with.
func (s *Service) Withdraw(ctx context.Context, by licenses.Applicant, id string) error {
	if _, err := s.holderFor(ctx, by); err != nil {
		return err
	}
	now := db.Micros(s.now())
	var ok bool
	err := s.db.Update(ctx, func(tx db.Tx) (err error) {
		ok, err = moved(ctx, tx, `UPDATE license_applications SET state = $1, decided_at = $2, changed_at = $3 WHERE id = $4 AND state IN ($5, $6)
			AND EXISTS (SELECT 1 FROM license_holder_applications h WHERE h.application = $7 AND h.kind = $8 AND h.holder = $9)`,
			string(withdrawn), now, now, id, string(submitted), string(reviewed), id, by.Kind, by.Holder)
		if err != nil || !ok {
			return err
		}
		return record(ctx, tx, eventWithdraw, "person:"+by.Person, id, nil)
	})
	if err != nil {
		return fmt.Errorf("withdraw application: %w", err)
	}
	if ok {
		return nil
	}
	a, err := s.Applied(ctx, by, id)
	if err == nil && a.State != string(withdrawn) {
		err = errDealtWith
	}
	return err
}

const ofHolder = "EXISTS (SELECT 1 FROM license_holder_applications h WHERE h.application = license_applications.id AND h.kind = $1 AND h.holder = $2)"

// AppliedFor returns the newest hundred applications of a holder, the newest first,
// without their messages.
func (s *Service) AppliedFor(ctx context.Context, by licenses.Applicant) (list []licenses.Applied, err error) {
	if _, err := s.holderFor(ctx, by); err != nil {
		return nil, err
	}
	found, err := s.find(ctx, `id IN (SELECT application FROM license_holder_applications WHERE kind = $1 AND holder = $2
		ORDER BY application DESC LIMIT $3) ORDER BY id DESC`, by.Kind, by.Holder, maxApplied)
	if err != nil {
		return nil, err
	}
	asked, err := s.asked(ctx, found)
	if err != nil {
		return nil, err
	}
	for _, a := range found {
		one, err := s.appliedOf(ctx, a, asked[a.ID])
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// Applied returns an application of the holder with its messages. It fails with kind
// NotFound if there is none by that id, or it is another's.
func (s *Service) Applied(ctx context.Context, by licenses.Applicant, id string) (licenses.Applied, error) {
	found, err := s.ofHolder(ctx, by, id)
	if err != nil {
		return licenses.Applied{}, err
	}
	asked, err := s.asked(ctx, []*application{found})
	if err != nil {
		return licenses.Applied{}, err
	}
	a, err := s.appliedOf(ctx, found, asked[id])
	if err != nil {
		return licenses.Applied{}, err
	}
	if a.Attached, err = s.attached(ctx, id); err != nil {
		return licenses.Applied{}, err
	}
	a.Messages, err = s.messages(ctx, id)
	return a, err
}

// ofHolder returns an application of the holder, if by may act for them.
func (s *Service) ofHolder(ctx context.Context, by licenses.Applicant, id string) (*application, error) {
	if _, err := s.holderFor(ctx, by); err != nil {
		return nil, err
	}
	found, err := s.find(ctx, ofHolder+" AND id = $3", by.Kind, by.Holder, id)
	if err == nil && len(found) == 0 {
		err = errNoApplication
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

func (s *Service) appliedOf(ctx context.Context, a *application, asked bool) (licenses.Applied, error) {
	reason := ""
	if a.State == rejected { // why it was sent back to the first review is between clerks
		reason = a.Note.Reason
	}
	office, err := s.dealing(ctx, a)
	return licenses.Applied{ID: a.ID, Type: a.Request.Type, Agency: a.Agency, Office: office, State: string(a.State), Data: a.Request.Data, Created: a.Created,
		Decided: a.Decided, Reason: reason, Why: s.why(a), License: a.License, Asked: asked}, err
}
