package registry

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// Estate is what one agency does, or did, of one type: the licences that it issued and
// what it was asked for.
type Estate struct{ Agency, Type string }

// line returns an agency and those that took its place for licences of a type, one
// after the other; nil for an agency that there is none of.
func (v *view) line(agency, licenseType string) (line []string) {
	for range maxSuccessions {
		a, known := v.find(agency)
		if !known {
			break
		}
		line = append(line, agency)
		if agency = cmp.Or(v.handovers[agencyType{agency, licenseType}], a.Successor); agency == "" {
			break
		}
	}
	return line
}

// bequeath gives to each agency what there is to look after, its own first. An agency
// can only have done what it ever had authority for.
func (v *view) bequeath() map[string][]Estate {
	estates := map[string][]Estate{}
	for key := range v.byAgency {
		for _, heir := range v.line(key.agency, key.licenseType) {
			estates[heir] = append(estates[heir], Estate{key.agency, key.licenseType})
		}
	}
	for heir, list := range estates {
		slices.SortFunc(list, func(a, b Estate) int {
			return cmp.Or(-cmp.Compare(own(a, heir), own(b, heir)), cmp.Compare(a.Agency, b.Agency), cmp.Compare(a.Type, b.Type))
		})
	}
	return estates
}

// own is 1 for an agency's own estate.
func own(e Estate, agency string) int {
	if e.Agency == agency {
		return 1
	}
	return 0
}

// Estates returns what an agency looks after: its own of each type for which it ever had
// authority, in the order of the types, and then that of the agencies whose place it has
// taken, however many others did in between. The answer may be a second old.
func (r *Registry) Estates(ctx context.Context, agency string) ([]Estate, error) {
	v, err := r.current(ctx, viewAge)
	if err != nil {
		return nil, wrap("list estates", err)
	}
	return slices.Clone(v.estates[agency]), nil
}

// Office returns the agency that deals, at that moment, with what an agency was asked
// for: the last of those that took its place one after the other which may then issue
// licences of the type in its area. Where none of them may, it is the last of all, and may
// is false. It fails with ErrAgency. The answer may be a second old.
func (r *Registry) Office(ctx context.Context, agency, licenseType string, at time.Time) (office string, may bool, err error) {
	v, err := r.current(ctx, viewAge)
	if err != nil {
		return "", false, wrap("find office", err)
	}
	line := v.line(agency, licenseType)
	if len(line) == 0 {
		return "", false, ErrAgency
	}
	asked, _ := v.find(agency)
	for _, office := range slices.Backward(line) {
		if v.mayIssue(office, licenseType, asked.Area, at) {
			return office, true, nil
		}
	}
	return line[len(line)-1], false, nil
}
