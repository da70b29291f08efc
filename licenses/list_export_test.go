package licenses

import "time"

// ListQuery is the statement with which List finds the ids of f.
func ListQuery(f Filter, types ...string) (string, []any) {
	f.Limit = max(f.Limit, 1)
	return f.query(types, []holder{{HolderFirm, f.Holder}, {HolderPerson, f.Holder}}, time.Now())
}

// HeldQuery is the statement with which Held finds ids.
const HeldQuery = heldQuery

// DueQuery is the statement with which Expire finds licences.
const DueQuery = dueQuery
