package licenses

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

var errNoAuthority = web.Explain(fault.New(fault.Denied, "this agency has no authority for the licence type"),
	web.Text{ZH: "本部门没有办理此类证照的职权。", EN: "This agency has no authority for the licence type."})

// Inherits reports whether an agency is the one that issued a licence or has taken its
// place. Permits of an agency that was merged, renamed or split stay what they are;
// its successor looks after them.
func (s *Service) Inherits(ctx context.Context, agency string, l *License) (bool, error) {
	return s.registry.Inherits(ctx, agency, l.Agency, l.Type)
}

// owner returns the agency that issued a licence if the caller may act on it now:
// it inherits from that agency and has authority for the type in that agency's
// area. Otherwise there is no such licence, or it is denied.
func (s *Service) owner(ctx context.Context, caller web.Caller, id string, now time.Time) (owner string, err error) {
	var licenseType string
	err = s.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT agency, type FROM licenses WHERE id = $1", id).Scan(&owner, &licenseType)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return "", ErrNotFound
	}
	if err != nil {
		return "", err
	}
	heir, err := s.registry.Inherits(ctx, caller.Agency, owner, licenseType)
	if err != nil {
		return "", err
	}
	if !heir {
		return "", ErrNotFound
	}
	a, err := s.registry.FindAgency(ctx, owner)
	if err != nil {
		return "", err
	}
	may, err := s.registry.MayIssue(ctx, caller.Agency, licenseType, a.Area, now)
	if err != nil {
		return "", err
	}
	if !may {
		return "", errNoAuthority
	}
	return owner, nil
}

// mayFor reports whether an agency may issue licences of a type in the area of the agency
// that was asked, whose place it has taken; in its own where asked is "".
func (s *Service) mayFor(ctx context.Context, agency registry.Agency, asked, licenseType string, now time.Time) (bool, error) {
	area := agency.Area
	if asked != "" && asked != agency.ID {
		if heir, err := s.registry.Inherits(ctx, agency.ID, asked, licenseType); err != nil || !heir {
			return false, err
		}
		former, err := s.registry.FindAgency(ctx, asked)
		if err != nil {
			return false, err
		}
		area = former.Area
	}
	return s.registry.MayIssue(ctx, agency.ID, licenseType, area, now)
}
