package ca

import (
	"context"
	"crypto/x509"
	"net/http"
)

// KeptByCheck fetches and compares as CheckPublished does, and returns how many entries of
// CRLs it has kept for what it asks OCSP responders about.
func (c *CA) KeptByCheck(ctx context.Context, url string) (n int, err error) {
	k := &checker{c: c, base: url, client: http.Client{Timeout: fetchTime}, issuers: map[string]*x509.Certificate{}, lists: map[string]map[string]int{}}
	for _, step := range k.steps() {
		if err := step(ctx); err != nil {
			return 0, err
		}
	}
	for _, list := range k.lists {
		n += len(list)
	}
	return n, nil
}
