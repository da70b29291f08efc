package desk

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/registry"
)

// application returns an application to one of the clerk's agencies, or to one whose
// place it has taken; c then acts for the clerk's. Of several it is the one that deals
// with it now.
func (s *Service) application(ctx context.Context, c *clerk, id string) (*application, error) {
	list, err := s.find(ctx, "id = $1", id)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, errNoApplication
	}
	a := list[0]
	ok, err := s.chooseFor(ctx, c, a.Agency, a.Request.Type)
	if err == nil && !ok {
		err = errNoApplication
	}
	return a, err
}

// chooseFor makes c act for the agency that deals now with what one was asked for, or else
// for another that sees it: the one that was asked, and those that took its place in
// between. It reports whether any is the clerk's.
func (s *Service) chooseFor(ctx context.Context, c *clerk, asked, licenseType string) (bool, error) {
	office, _, err := s.registry.Office(ctx, asked, licenseType, s.now())
	if err != nil || c.choose(office) {
		return err == nil, err
	}
	for _, a := range c.agencies {
		heir, err := s.registry.Inherits(ctx, a.ID, asked, licenseType)
		if err != nil || heir {
			return heir && c.choose(a.ID), err
		}
	}
	return false, nil
}

// arms is how many estates one statement looks at: SQLite takes 500 arms of one.
const arms = 100

// last comes after every id in every collation: ids begin with the time.
const last = "z"

// queue returns the applications in a state that an agency's clerks see, the newest
// first, and where the next page begins.
func (s *Service) queue(ctx context.Context, agency string, in state, after string, limit int) (list []*application, next string, err error) {
	estates, err := s.registry.Estates(ctx, agency)
	if err != nil {
		return nil, "", err
	}
	for some := range slices.Chunk(estates, arms) {
		query, args := queueQuery(some, in, cmp.Or(after, last), limit+1)
		found, err := s.find(ctx, "id IN ("+query+")", args...)
		if err != nil {
			return nil, "", err
		}
		list = append(list, found...)
	}
	slices.SortFunc(list, func(a, b *application) int { return cmp.Compare(b.ID, a.ID) })
	if len(list) > limit {
		list, next = list[:limit], list[limit-1].ID
	}
	return list, next, nil
}

// queueQuery returns the ids of the newest applications, each arm of it bounded and read
// from an index in order. The state is the range of one value, and the order names it: see
// the query of licences.
func queueQuery(estates []registry.Estate, in state, after string, limit int) (string, []any) {
	args := []any{string(in), after}
	var list []string
	for i, e := range estates {
		args = append(args, e.Agency, e.Type)
		list = append(list, fmt.Sprintf(`SELECT id FROM (SELECT id FROM license_applications WHERE agency = $%d AND type = $%d AND state >= $1 AND (state, id) < ($1, $2)
			ORDER BY state DESC, id DESC LIMIT %d) arm%d`, len(args)-1, len(args), limit, i))
	}
	return fmt.Sprintf("SELECT id FROM (%s) arms ORDER BY id DESC LIMIT %d", strings.Join(list, " UNION ALL "), limit), args
}
