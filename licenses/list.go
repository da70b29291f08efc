package licenses

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

const (
	listMost = 200 // licences of one page
	heldMost = 500 // licences of one wallet
)

// Holds returns the holder's name as the register had it when the licence was
// issued.
func (l *License) Holds() string { return l.holderName }

// Filter says which licences List returns. Empty fields do not restrict, but for
// Agency.
type Filter struct {
	Agency string // required: its own licences and those of agencies whose place it has taken
	Type   string
	Status Status
	Number string // of a licence, whole
	Holder string // USCC or resident number, whole, or the id of a person
	After  string // what List returned as next; "" begins
	Limit  int    // at most so many, up to 200; 0 means 50
	Oldest bool   // first, and not the newest
}

// arms is how many estates one statement looks at: SQLite takes 500 arms of one, and
// there are two for a holder's two kinds.
const arms = 100

// List returns licences of an agency and of those whose place it has taken, the newest
// first unless f says otherwise, and where the next page begins, "" after the last.
// Nobody holds anything under an impossible number.
func (s *Service) List(ctx context.Context, f Filter) (list []*License, next string, err error) {
	if f.Agency == "" {
		return nil, "", fault.New(fault.Denied, "an agency is required")
	}
	if f.Limit <= 0 || f.Limit > listMost {
		f.Limit = min(max(f.Limit, 50), listMost)
	}
	estates, err := s.estatesOf(ctx, f)
	if err != nil {
		return nil, "", fmt.Errorf("list licences: %w", err)
	}
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		holders, err := s.holders(ctx, tx, f.Holder)
		if err != nil {
			return err
		}
		if f.Holder != "" && len(holders) == 0 {
			return nil
		}
		for some := range slices.Chunk(estates, arms) {
			query, args := f.query(some, holders, s.now())
			found, err := s.find(ctx, tx, "l.id IN ("+query+")", args...)
			if err != nil {
				return err
			}
			list = append(list, found...)
		}
		return nil
	})
	if err != nil {
		return nil, "", fmt.Errorf("list licences: %w", err)
	}
	slices.SortFunc(list, func(a, b *License) int { return cmp.Compare(a.ID, b.ID) }) // that of time
	if !f.Oldest {
		slices.Reverse(list)
	}
	if len(list) > f.Limit {
		list = list[:f.Limit]
		next = list[f.Limit-1].ID
	}
	return list, next, nil
}

// estatesOf returns what to look through. The indexes of an agency's licences are by
// type, so that an agency with millions of one finds its few of another.
func (s *Service) estatesOf(ctx context.Context, f Filter) ([]registry.Estate, error) {
	all, err := s.registry.Estates(ctx, f.Agency)
	return slices.DeleteFunc(all, func(e registry.Estate) bool { return f.Type != "" && e.Type != f.Type }), err
}

// holder is a holder as the licences table names it.
type holder struct{ kind, ref string }

// holders returns whom a number may mean: a firm, a person or, since both kinds
// have 18 characters, both. An id is a person's.
func (s *Service) holders(ctx context.Context, tx db.Tx, number string) (found []holder, err error) {
	if registry.CheckUSCC(number) == nil {
		found = append(found, holder{HolderFirm, number})
	}
	if registry.CheckResident(number) == nil {
		people, err := s.registry.FindPeople(ctx, tx, registry.Resident, []string{number})
		if err != nil {
			return nil, err
		}
		if p, ok := people[number]; ok {
			found = append(found, holder{HolderPerson, p.ID})
		}
	}
	if _, err := db.IDBytes(number); err == nil {
		found = append(found, holder{HolderPerson, number})
	}
	return found, nil
}

// lastID comes after every id in every collation: ids begin with the time.
const lastID = "z"

// query returns the ids of one licence more than f asks for, each arm of it
// bounded and read from an index in order. Where there can be very many of a value, it
// is the range of that one value, and the order names it: a planner that sees a constant
// walks the primary key instead, in the hope of meeting a match soon.
func (f Filter) query(estates []registry.Estate, holders []holder, now time.Time) (string, []any) {
	q := &query{limit: f.Limit + 1, order: "DESC", from: ">=", beyond: "<", now: db.Micros(now)}
	after := cmp.Or(f.After, lastID)
	if f.Oldest {
		q.order, q.from, q.beyond, after = "ASC", "<=", ">", f.After
	}
	switch {
	case len(estates) == 0:
	case f.Number != "":
		q.arm("", append(f.rest(q, estates), "number = "+q.arg(f.Number), "id "+q.beyond+" "+q.arg(after))...)
		q.arm("", append(f.rest(q, estates), "id IN (SELECT license FROM license_replacements WHERE number = "+q.arg(f.Number)+")", "id "+q.beyond+" "+q.arg(after))...)
	case f.Holder != "":
		for _, h := range holders {
			q.arm("holder_kind", append(append(f.rest(q, estates), "holder = "+q.arg(h.ref)), q.oneValue("holder_kind", h.kind, after)...)...)
		}
	case f.Status == Revoked || f.Status == Suspended || f.Status == Replaced:
		for _, e := range estates {
			q.arm("", append(f.status(q), "agency = "+q.arg(e.Agency), "type = "+q.arg(e.Type), "status IN ('revoked', 'suspended')", "id "+q.beyond+" "+q.arg(after))...)
		}
	case f.Status == Expired:
		for _, e := range estates {
			q.arm("", "agency = "+q.arg(e.Agency), "type = "+q.arg(e.Type), "status = 'expired'", "id "+q.beyond+" "+q.arg(after))
		}
		q.arm(noIndex, within(q, estates), due(q), "id || '' "+q.beyond+" "+q.arg(after))
	default:
		for _, e := range estates {
			conditions := append([]string{"agency = " + q.arg(e.Agency)}, q.oneValue("type", e.Type, after)...)
			q.arm("type", append(conditions, f.status(q)...)...)
		}
	}
	if len(q.arms) == 0 {
		return "SELECT id FROM licenses WHERE 1 = 0", nil
	}
	return fmt.Sprintf("SELECT id FROM (%s) arms ORDER BY id %s LIMIT %d", strings.Join(q.arms, " UNION ALL "), q.order, q.limit), q.args
}

// rest returns the conditions besides a number that is enough to find by.
func (f Filter) rest(q *query, estates []registry.Estate) []string {
	return append([]string{within(q, estates)}, f.status(q)...)
}

// within is the condition that a licence belongs to one of the estates. As expressions,
// agency and type are not looked up in an index.
func within(q *query, estates []registry.Estate) string {
	var any []string
	for _, e := range estates {
		any = append(any, "agency || '' = "+q.arg(e.Agency)+" AND type || '' = "+q.arg(e.Type))
	}
	return "(" + strings.Join(any, " OR ") + ")"
}

// due is the condition that a licence has come to its end and Expire has not: few.
func due(q *query) string {
	return "status IN ('issued', 'suspended') AND not_after <= " + q.arg(q.now) + " AND NOT " + signing
}

const signing = "EXISTS (SELECT 1 FROM license_signing g WHERE g.license = licenses.id)"

// status returns the conditions of f.Status: see state and Status.expiredAt.
func (f Filter) status(q *query) []string {
	const replaced = "EXISTS (SELECT 1 FROM license_replacements r WHERE r.replaces = licenses.id)"
	switch f.Status {
	case "":
		return nil
	case Signing:
		return []string{"id IN (SELECT license FROM license_signing)"}
	case Issued:
		return []string{"status IN (" + q.arg(string(Issued)) + ", " + q.arg(replacing) + ")", "not_after > " + q.arg(q.now), "NOT " + signing}
	case Suspended:
		return []string{"status = " + q.arg(string(Suspended)), "not_after > " + q.arg(q.now)}
	case Expired:
		return []string{"(status = " + q.arg(string(Expired)) + " OR " + due(q) + ")"}
	case Replaced:
		return []string{"status = " + q.arg(string(Revoked)), replaced}
	case Revoked:
		return []string{"status = " + q.arg(string(Revoked)), "NOT " + replaced}
	default:
		return []string{"status = " + q.arg(string(f.Status))}
	}
}

// query is a statement being put together.
type query struct {
	arms  []string
	args  []any
	limit int
	now   int64 // microseconds

	order, from, beyond string // DESC, >= and <, or the other way round
}

// noIndex is the column of an arm whose few licences are sorted: SQLite would rather
// walk them all in the order of their ids.
const noIndex = "id || ''"

// arm adds a way to find licences, whose ids come in order, those of one value of a
// column together.
func (q *query) arm(column string, conditions ...string) {
	order := "id " + q.order
	switch column {
	case "":
	case noIndex:
		order = noIndex + " " + q.order
	default:
		order = column + " " + q.order + ", " + order
	}
	q.arms = append(q.arms, fmt.Sprintf("SELECT id FROM (SELECT id FROM licenses WHERE %s ORDER BY %s LIMIT %d) arm%d",
		strings.Join(conditions, " AND "), order, q.limit, len(q.arms)))
}

// oneValue is the condition that a column has a value, as a range of an index that
// begins behind an id.
func (q *query) oneValue(column, value, after string) []string {
	return []string{column + " " + q.from + " " + q.arg(value),
		"(" + column + ", id) " + q.beyond + " (" + q.arg(value) + ", " + q.arg(after) + ")"}
}

// arg adds an argument and returns its placeholder.
func (q *query) arg(v any) string {
	q.args = append(q.args, v)
	return fmt.Sprintf("$%d", len(q.args))
}

// heldQuery reads the index of holders and no other: see query.
const heldQuery = "SELECT id FROM licenses WHERE holder = $1 AND holder_kind >= $2 AND (holder_kind, id) < ($2, '" + lastID + "') " +
	"ORDER BY holder_kind DESC, id DESC LIMIT $3"

// Held returns what a holder has of every agency, the newest first and at most 500:
// a firm by HolderFirm and its USCC, a person by HolderPerson and the id in the
// registry. Licences in signing have no permit yet.
func (s *Service) Held(ctx context.Context, kind, ref string) ([]*License, error) {
	var list []*License
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		list, err = s.find(ctx, tx, "l.id IN ("+heldQuery+")", ref, kind, heldMost)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list held licences: %w", err)
	}
	slices.Reverse(list)
	return list, nil
}

// ByKey returns the licence that a client asked for with an idempotency key, or
// ErrNotFound.
func (s *Service) ByKey(ctx context.Context, client, key string) (*License, error) {
	var found []*License
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		found, err = s.find(ctx, tx, "l.client = $1 AND l.request_key = $2", client, key)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find licence by key: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found[0], nil
}

// Check says what Issue would say of a request now, without issuing: nil, or
// every problem at once (see Problems), or that the agency has no authority.
func (s *Service) Check(ctx context.Context, agency string, r Request) error {
	a, err := s.registry.FindAgency(ctx, agency)
	if err != nil {
		return fault.Wrap(fault.Denied, "there is no such agency", err)
	}
	now := s.now().UTC()
	may, err := s.registry.MayIssue(ctx, a.ID, r.Type, a.Area, now)
	if err != nil {
		return fmt.Errorf("check request: %w", err)
	}
	if !may {
		return web.Explain(fault.New(fault.Denied, "this agency has no authority for the licence type"),
			text("本部门没有办理此类证照的职权。", "This agency has no authority for the licence type."))
	}
	d := &draft{req: r}
	refused := s.check(d, a, now)
	held := &draft{req: r, lic: &License{}}
	if t := s.newest(r.Type); t != nil && len(r.Holder.problems(t)) == 0 {
		if err := s.resolve(ctx, []*draft{held}); err != nil {
			return fmt.Errorf("check request: %w", err)
		}
	}
	if problems := append(Problems(refused), Problems(held.err)...); len(problems) > 0 {
		return refuse("the request has problems", problems...)
	}
	if refused != nil || held.err != nil {
		return fmt.Errorf("check request: %w", errors.Join(refused, held.err))
	}
	return s.fits(d, held, a)
}

// fits checks that a permit can be made of a request that is otherwise right.
func (s *Service) fits(d, held *draft, a registry.Agency) error {
	d.record.HolderName, d.record.HolderID = held.record.HolderName, held.record.HolderID
	s.fill(d.lic, d.record)
	d.lic.Number = fmt.Sprintf("%s%s%d0000000", s.typeOf(d.lic).NumberPrefix, a.Area, d.lic.Created.Year()) // as long as the one to come
	claims, err := s.claims(d.lic, d.lic.Created)
	if err == nil {
		err = claims.Validate()
	}
	if err != nil {
		return refuse("the data do not fit a permit", Problem{"/data",
			web.Text{ZH: "过长，或含有二维码证照不能写入的字符", EN: err.Error()}})
	}
	return nil
}
