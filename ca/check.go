package ca

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
)

// Bounds of a check of what is published.
const (
	checkTime  = 2 * time.Minute  // for all of it
	fetchTime  = 10 * time.Second // for one address
	fetchBytes = 4 << 20          // a CRL of 10,000 entries has about 400 kB
	checkGrace = 2 * time.Minute  // in which a change reaches what is published
	checkSkew  = time.Minute      // between clocks
	checkShard = 10_000           // CRLs at most

	checkNotice = 30 * 24 * time.Hour // before the end of what takes an act of the root
)

// CheckOptions are the optional settings of CheckPublished.
type CheckOptions struct {
	URL    string            // in front of the paths, instead of the CA's own base
	Root   *x509.Certificate // that the published root must be; nil: the current one
	Client *http.Client      // nil: one of its own; redirects are not followed
}

// Published is what a check of the published files found.
type Published struct {
	Certificates int       `json:"certificates"` // of CAs
	CRLs         int       `json:"crls"`
	Answers      int       `json:"answers"` // of OCSP responders
	Problems     []Problem `json:"problems"`
}

// Problem is one thing that is not as it should be.
type Problem struct {
	Where  string `json:"where"` // an address
	Detail string `json:"detail"`
}

// CheckPublished fetches, as a stranger does, what certificates point to: the
// certificates of the CAs, the CRL of every shard that may still be needed, and
// some OCSP answers for each issuer, and compares it with the register: signatures,
// lifetimes, what comes to its end without a successor, numbers that fell since this process looked last, entries that are
// missing, too many or different. A change has two minutes to arrive. It fetches
// from the CA's own base or from o.URL alone, and follows no redirect. The error says
// that it could not look; what it found is in Problems.
func (c *CA) CheckPublished(ctx context.Context, o CheckOptions) (Published, error) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	k := &checker{c: c, base: c.base, root: o.Root, issuers: map[string]*x509.Certificate{}, lists: map[string]map[string]int{},
		found: Published{Problems: []Problem{}}}
	if o.URL != "" {
		k.base = strings.TrimSuffix(o.URL, "/")
	}
	k.client = http.Client{Timeout: fetchTime}
	if o.Client != nil {
		k.client = *o.Client
	}
	k.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, step := range k.steps() {
		if err := step(ctx); err != nil {
			return k.found, fmt.Errorf("check what is published: %w", err)
		}
	}
	return k.found, nil
}

// checker is one check under way.
type checker struct {
	c       *CA
	client  http.Client
	base    string
	root    *x509.Certificate
	issuers map[string]*x509.Certificate // by key
	sample  []Certificate                // that are asked about
	lists   map[string]map[string]int    // reasons of those by serial number, by the CRL's address
	found   Published
}

// steps are what a check does, in its order.
func (k *checker) steps() []func(context.Context) error {
	return []func(context.Context) error{k.certificates, k.draw, k.crls, k.answers}
}

func (k *checker) problem(where, format string, args ...any) {
	k.found.Problems = append(k.found.Problems, Problem{where, fmt.Sprintf(format, args...)})
}

// fetch gets what is published under an address that stands in certificates. A
// failure is a problem, and the answer nil.
func (k *checker) fetch(ctx context.Context, method, address, kind string, body []byte) []byte {
	path, ok := strings.CutPrefix(address, k.c.base)
	if !ok || !strings.HasPrefix(path, "/") {
		k.problem(address, "is not under the base address of the CA")
		return nil
	}
	b, err := k.get(ctx, method, k.base+path, kind, body)
	if err != nil {
		k.problem(address, "cannot be fetched: %v", err)
		return nil
	}
	return b
}

func (k *checker) get(ctx context.Context, method, address, kind string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("no address")
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/ocsp-request")
	}
	resp, err := k.client.Do(r)
	if err != nil {
		return nil, errors.New("no answer")
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, fetchBytes+1))
	switch {
	case err != nil:
		return nil, errors.New("the answer was cut off")
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d", resp.StatusCode)
	case len(b) > fetchBytes:
		return nil, fmt.Errorf("more than %d bytes", fetchBytes)
	case resp.Header.Get("Content-Type") != kind:
		return nil, fmt.Errorf("its type is not %s", kind)
	}
	return b, nil
}

// certificates fetches what stands under caIssuers in certificates, of every key.
func (k *checker) certificates(ctx context.Context) error {
	roots := k.c.roots.Load()
	if end := time.Unix(roots.statement.Expires, 0); end.Sub(k.c.now()) < checkNotice {
		k.problem("root statement", "ends at %s: an act of the root renews it", end.UTC().Format(time.RFC3339))
	}
	current := map[string]*x509.Certificate{Root: k.root}
	if k.root == nil {
		current[Root] = roots.current.cert
	}
	for _, one := range roots.all() {
		k.issuers[one.key] = one.cert
		k.certificate(ctx, caURL(k.c.base, Root, one.cert), one.cert)
	}
	for id := range k.c.issuers {
		s, err := k.c.active(ctx, id)
		if err != nil {
			return err
		}
		current[id] = s.cert
		all, err := k.c.issuerKeys(ctx, id)
		if err != nil {
			return err
		}
		for _, s := range all {
			k.issuers[s.id] = s.cert
			k.certificate(ctx, caURL(k.c.base, id, s.cert), s.cert)
		}
	}
	for id, cert := range current {
		k.certificate(ctx, k.c.base+"/ca/"+id+"/ca.crt", cert)
	}
	return nil
}

func (k *checker) certificate(ctx context.Context, address string, want *x509.Certificate) {
	k.found.Certificates++
	if der := k.fetch(ctx, http.MethodGet, address, "application/pkix-cert", nil); der != nil && !bytes.Equal(der, want.Raw) {
		k.problem(address, "is another certificate than %s", hex.EncodeToString(want.SubjectKeyId))
	}
}

// spent reports whether nobody needs the CRLs of a CA key any more, or nobody can
// make them.
func (k *checker) spent(ctx context.Context, key string) (bool, error) {
	cert := k.issuers[key]
	if cert == nil || cert.NotAfter.Before(k.c.now()) {
		return true, nil
	}
	if k.c.roots.Load().find(key) != nil {
		return false, nil
	}
	one, err := k.c.ring.Find(ctx, key)
	return one.State == keys.Retired || one.State == keys.Compromised, err
}

// checks is what this process remembers of its checks.
type checks struct {
	mu      sync.Mutex
	numbers map[string]int64 // of CRLs, by address
}

// fell takes notice of a number and reports whether a higher one was seen before.
func (s *checks) fell(address string, number int64) (before int64, fell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.numbers == nil {
		s.numbers = map[string]int64{}
	}
	before = s.numbers[address]
	s.numbers[address] = max(before, number)
	return before, number < before
}

// runChecks checks what is published every so often, on one of the replicas, until
// ctx ends. The first time is after one interval: the listeners must be there.
func (c *CA) runChecks(ctx context.Context) {
	if c.checkEvery <= 0 {
		return
	}
	ticker := time.NewTicker(c.checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		// Nobody gives the lease back: whose turn it was has looked for all.
		mine, err := c.db.Lease(ctx, "ca.check", db.NewID(), c.checkEvery-c.checkEvery/8, c.now())
		if err == nil && !mine {
			c.metrics.problems.Set(0) // the one who looks says what there is
		}
		if err != nil || !mine {
			continue
		}
		p, err := c.CheckPublished(ctx, CheckOptions{})
		if err != nil {
			if ctx.Err() == nil {
				c.log.ErrorContext(ctx, "check what is published", slog.Any("cause", err))
				c.metrics.problems.Set(float64(len(p.Problems) + 1)) // that nobody could look is one
			}
			continue
		}
		c.metrics.problems.Set(float64(len(p.Problems)))
		for _, one := range p.Problems {
			c.log.ErrorContext(ctx, "what is published is not right", slog.String("address", one.Where), slog.String("problem", one.Detail))
		}
	}
}
