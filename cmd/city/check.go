package city

import (
	"context"
	"crypto/x509"
	"time"

	"github.com/signet-city/signet/ca"
)

// checkEvery is how often one of the replicas checks what the CA has published.
const checkEvery = 5 * time.Minute

// CheckPublished opens a city, fetches what its CA has published and compares it
// with the register. It fetches from url, "" for the address that stands in
// certificates; root is what the published root must be, nil for the city's own.
func CheckPublished(ctx context.Context, o Options, url string, root *x509.Certificate) (ca.Published, error) {
	c, err := Open(ctx, o)
	if err != nil {
		return ca.Published{}, err
	}
	defer func() { _ = c.Close() }()
	return c.CA.CheckPublished(ctx, ca.CheckOptions{URL: url, Root: root})
}
