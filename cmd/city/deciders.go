package city

import (
	"context"
	"net/http"
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
