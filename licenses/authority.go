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

// maxSuccessions bounds how often agencies were merged or renamed one after the
// other; the registry knows no circles.
const maxSuccessions = 64

var errNoAuthority = web.Explain(fault.New(fault.Denied, "this agency has no authority for the licence type"),
	web.Text{ZH: "本部门没有办理此类证照的职权。", EN: "This agency has no authority for the licence type."})

// Inherits reports whether an agency is the one named or has taken its place,
// however many others did in between. Permits of an agency that was merged, renamed
// or split stay what they are; its successor looks after them.
func (s *Service) Inherits(ctx context.Context, agency, former string) (bool, error) {
	for range maxSuccessions {
		if former == agency {
			return agency != "", nil
		}
		a, err := s.registry.FindAgency(ctx, former)
		if errors.Is(err, registry.ErrAgency) || err == nil && a.Successor == "" {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		former = a.Successor
	}
	return false, nil
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
	heir, err := s.Inherits(ctx, caller.Agency, owner)
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
