package desk

import (
	"context"
	"errors"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// claimable returns the form of a type that such a holder can apply for, or fails with
// kind NotFound.
func (s *Service) claimable(by licenses.Applicant, licenseType string) (*form.Form, error) {
	f := s.formOf(licenseType)
	if f == nil || !f.Type.Apply || f.Type.Holder != by.Kind {
		return nil, fault.New(fault.NotFound, "no such licence type")
	}
	return f, nil
}

// own is where an applicant's drafts for a holder are: whoever else acts for the same
// firm has a shelf of their own.
func own(by licenses.Applicant) shelf { return shelf{kind: by.Kind, holder: by.Holder} }

// SaveDraft keeps the form of an applicant as it stands, in place of what was kept
// under its key before. Its values are not checked, only those are kept that the form
// has. If the form has been sent in, nothing is kept and the application's id is
// returned. It fails with kind NotFound for a type that such a holder cannot apply for,
// Denied for a firm that the person does not act for, Invalid for a key that is not
// ours, and Conflict where ten drafts for the holder are kept already.
func (s *Service) SaveDraft(ctx context.Context, by licenses.Applicant, d licenses.Draft) (application string, err error) {
	f, err := s.claimable(by, d.Type)
	if err != nil {
		return "", err
	}
	if _, err := s.holderFor(ctx, by); err != nil {
		return "", err
	}
	d.Values = f.ForHolder().GoOn(d).Values
	application, err = s.saveDraft(ctx, &draft{Draft: d, person: by.Person, shelf: own(by)})
	if errors.Is(err, errStale) {
		err = errOldForm
	}
	return application, err
}

// FindDraft returns a draft of the applicant for the holder, or what its form has
// become: of that only Application is set. It fails with kind NotFound for anybody
// else's.
func (s *Service) FindDraft(ctx context.Context, by licenses.Applicant, id string) (licenses.Draft, error) {
	if _, err := s.holderFor(ctx, by); err != nil {
		return licenses.Draft{}, err
	}
	d, err := s.findDraft(ctx, by.Person, id)
	if err != nil {
		return licenses.Draft{}, err
	}
	if d.Application == "" && d.shelf != own(by) {
		return licenses.Draft{}, errNoDraft
	}
	return d.Draft, nil
}

// Drafts returns the drafts of the applicant for the holder, what was changed last
// first, without their values.
func (s *Service) Drafts(ctx context.Context, by licenses.Applicant) ([]licenses.Draft, error) {
	if _, err := s.holderFor(ctx, by); err != nil {
		return nil, err
	}
	return s.drafts(ctx, by.Person, own(by))
}

// DropDraft throws a draft of the applicant for the holder away. It fails with kind
// NotFound for anybody else's, and for one that is gone.
func (s *Service) DropDraft(ctx context.Context, by licenses.Applicant, id string) error {
	if _, err := s.holderFor(ctx, by); err != nil {
		return err
	}
	return s.dropDraft(ctx, by.Person, id, own(by))
}
