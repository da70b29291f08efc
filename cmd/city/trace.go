package city

import (
	"context"

	"github.com/signet-city/signet/ca"
)

// WithTracer opens a city and gives f what tells which certificates verify under
// the city's CAs and are not in its log.
func WithTracer(ctx context.Context, o Options, f func(*ca.Tracer) error) error {
	c, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	t, err := c.CA.NewTracer(ctx)
	if err != nil {
		return err
	}
	return f(t)
}
