package main

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"
)

// Bounds of what an import waits when the server asks it to.
const (
	waitTries   = 12 // in a row
	waitLongest = 5 * time.Minute
	waitDefault = time.Second // where the server does not say, doubled each time
)

// patient sends a batch, and sends it again where the server answers that it is busy or
// away for now (429, 503), after as long as it says in Retry-After.
func (i *importer) patient(ctx context.Context, r request) (*http.Response, error) {
	for try := 0; ; try++ {
		resp, err := i.api.send(ctx, r)
		refused, ok := errors.AsType[*apiError](err)
		if !ok || refused.status != http.StatusTooManyRequests && refused.status != http.StatusServiceUnavailable || try == waitTries {
			return resp, err
		}
		wait := refused.after
		if wait == 0 {
			wait = waitDefault << try
		}
		wait = min(wait, waitLongest)
		i.env.say("import: the server asks to wait, for %v", wait.Round(time.Second))
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

// retryAfter reads a Retry-After (RFC 9110 section 10.2.3), 0 where there is none that
// can be read.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if n, err := strconv.ParseUint(v, 10, 31); err == nil {
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(v); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
