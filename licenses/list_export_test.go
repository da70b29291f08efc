package licenses

import (
	"time"

	"github.com/signet-city/signet/internal/registry"
)

// ListQuery is the statement with which List finds the ids of f among what an agency
// looks after.
func ListQuery(f Filter, estates ...registry.Estate) (string, []any) {
	f.Limit = max(f.Limit, 1)
	return f.query(estates, []holder{{HolderFirm, f.Holder}, {HolderPerson, f.Holder}}, time.Now())
}

// Arms is how many estates one statement looks at.
const Arms = arms

// FoundingsQuery is the statement with which FoundingsAt finds ids.
func FoundingsQuery(state FoundingState, agencies ...string) (string, []any) {
	return foundingsQuery(agencies, state, "", 21)
}

// HeldQuery is the statement with which Held finds ids.
const HeldQuery = heldQuery

// DueQuery is the statement with which Expire finds licences.
const DueQuery = dueQuery

// EndedQuery is the statement with which EndedTx finds firms.
const EndedQuery = endedQuery
