package licenses

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// errFoundingAway says that another agency has taken the place of the caller's.
var errFoundingAway = web.Refuse(fault.Denied, web.Text{ZH: "此申请已由承接本部门职责的部门办理。", EN: "The agency that has taken your agency's place deals with this."})

// Registrar is the agency that decided on a founding, or was asked.
func (f *Founding) Registrar() string { return cmp.Or(f.Office, f.Agency) }

// registers returns the agency as which the caller decides on a founding: the asked one,
// or the last of those that took its place which may register firms in its area now.
func (s *Service) registers(ctx context.Context, caller string, f *Founding) (registry.Agency, error) {
	if s.orders == nil {
		return registry.Agency{}, errNoOrders
	}
	office, may, err := s.registry.Office(ctx, f.Agency, FirmType, s.now())
	switch {
	case err != nil:
		return registry.Agency{}, err
	case office != caller:
		return registry.Agency{}, errFoundingAway
	case !may:
		return registry.Agency{}, errNoAuthority
	}
	return s.registry.FindAgency(ctx, office)
}

// registered returns the agencies whose foundings an agency sees: its own and those of
// agencies whose place it has taken for them.
func (s *Service) registered(ctx context.Context, agency string) ([]string, error) {
	estates, err := s.registry.Estates(ctx, agency)
	var list []string
	for _, e := range estates {
		if e.Type == FirmType {
			list = append(list, e.Agency)
		}
	}
	return list, err
}

// foundingsQuery returns the ids of the newest foundings of agencies in a state, each arm
// of it bounded and read from an index in order.
func foundingsQuery(agencies []string, state FoundingState, after string, limit int) (string, []any) {
	args := []any{string(state), cmp.Or(after, lastID)}
	var list []string
	for i, agency := range agencies {
		args = append(args, agency)
		list = append(list, fmt.Sprintf(`SELECT id FROM (SELECT id FROM license_foundings WHERE agency = $%d AND state >= $1 AND (state, id) < ($1, $2)
			ORDER BY state DESC, id DESC LIMIT %d) arm%d`, len(args), limit, i))
	}
	return fmt.Sprintf("SELECT id FROM (%s) arms ORDER BY id DESC LIMIT %d", strings.Join(list, " UNION ALL "), limit), args
}

// FoundingsAt returns the foundings in a state that an agency was asked for, or one whose
// place it has taken, the newest first, from the one after the given id on, "" for the
// newest, at most limit of them and a hundred.
func (s *Service) FoundingsAt(ctx context.Context, agency string, state FoundingState, after string, limit int) (list []*Founding, err error) {
	agencies, err := s.registered(ctx, agency)
	if err != nil {
		return nil, fmt.Errorf("list foundings: %w", err)
	}
	limit = min(max(limit, 1), maxFoundings)
	for some := range slices.Chunk(agencies, arms) {
		query, args := foundingsQuery(some, state, after, limit)
		found, err := s.findFoundings(ctx, "id IN ("+query+")", args...)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.SortFunc(list, func(a, b *Founding) int { return cmp.Compare(b.ID, a.ID) })
	return list[:min(len(list), limit)], nil
}
