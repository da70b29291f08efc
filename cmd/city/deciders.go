package city

import (
	"context"
	"net/http"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/licenses"
)

// deciders are the officers as the certificate authority asks for them. It is opened
// before the two-person rule is.
type deciders struct{ c *City }

// IsOfficer reports whether a person is an officer now.
func (d deciders) IsOfficer(ctx context.Context, person string) (bool, error) {
	return d.c.Approvals.IsOfficer(ctx, person)
}

// Caller returns which officer signed a call.
func (d deciders) Caller(r *http.Request) (string, error) { return d.c.Approvals.Caller(r) }

// licensed are the firms' licences as the certificate authority asks for them. It is
// opened before they are.
type licensed struct{ c *City }

// LicensedTx reports whether a firm holds a business licence that is in force now.
func (l licensed) LicensedTx(ctx context.Context, tx db.Tx, firm string) (bool, error) {
	return l.c.Licenses.LicensedTx(ctx, tx, firm)
}

// EndedTx returns firms whose business licence was revoked.
func (l licensed) EndedTx(ctx context.Context, tx db.Tx, after ca.Ended, limit int) ([]ca.Ended, error) {
	found, err := l.c.Licenses.EndedTx(ctx, tx, licenses.Ended(after), limit)
	list := make([]ca.Ended, len(found))
	for i, e := range found {
		list[i] = ca.Ended(e)
	}
	return list, err
}
