// Package egress calls addresses that strangers named: where a site takes logout
// tokens, where an agency takes webhooks, where a client publishes its keys.
//
// Such an address may point into the house instead of out of it (server-side request
// forgery). So whether an address is called is decided on the resolved IP address, at
// the moment of connecting, when no name can change its mind any more: loopback,
// private, link-local, shared and multicast addresses are refused, also where they
// hide in an IPv6 form. Only https is spoken; no redirect is followed, no proxy of the
// environment is used, no cookie is kept, and every answer is bounded in size and time.
package egress

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// Bounds of a call.
const (
	maxURL     = 512
	maxReply   = 64 << 10 // of what answers a Post
	maxHeaders = 16 << 10
)

// Options are what New needs. Zero values work.
type Options struct {
	// AllowPrivateAddressesInsecure lets calls go to loopback and private addresses,
	// and by plain http to loopback ones. It is for demo cities and tests: with it, a
	// client's address reaches whatever this machine reaches.
	AllowPrivateAddressesInsecure bool

	Roots    *x509.CertPool // nil: the system's
	Timeout  time.Duration  // of a whole call; 0 means 5 seconds
	Resolver *net.Resolver  // nil: the system's
}

// Client makes calls. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	private bool
	timeout time.Duration
}

// New returns a client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	c := &Client{private: o.AllowPrivateAddressesInsecure, timeout: o.Timeout}
	dialer := &net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver, ControlContext: c.control}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSClientConfig: &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: o.Timeout, ResponseHeaderTimeout: o.Timeout, MaxResponseHeaderBytes: maxHeaders, DisableCompression: true,
			MaxIdleConns: 64, MaxIdleConnsPerHost: 2, MaxConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

// errAddress says that a name leads into the house.
var errAddress = errors.New("the address is not a public one")

// control is called with the address that a connection is about to be made to.
func (c *Client) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return errAddress
	}
	if !c.private && !isPublic(at.Addr()) {
		return errAddress
	}
	return nil
}

// Response is what came back.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// CheckURL fails with kind Invalid for an address that is never called: no https, or
// with something beside host, port, path and query. It resolves nothing.
func (c *Client) CheckURL(raw string) error {
	_, err := c.parse(raw)
	return err
}

func (c *Client) parse(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Opaque != "" || u.User != nil || u.Fragment != "" || u.Hostname() == "" || u.String() != raw {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("want an https address of at most %d characters, without user or fragment", maxURL))
	}
	ip, notIP := netip.ParseAddr(u.Hostname())
	switch {
	case u.Scheme == "https" && notIP != nil, u.Scheme == "https" && c.private:
	case u.Scheme == "https" && !isPublic(ip):
		return nil, fault.New(fault.Invalid, "the address is not a public one")
	case u.Scheme == "https":
	case u.Scheme == "http" && c.private && isLoopback(u.Hostname(), ip, notIP):
	default:
		return nil, fault.New(fault.Invalid, "want an https address")
	}
	return u, nil
}

func isLoopback(host string, ip netip.Addr, notIP error) bool {
	return host == "localhost" || notIP == nil && ip.IsLoopback()
}

// Get fetches at most limit bytes. Every status is an answer, also that of a redirect,
// which is not followed. It fails with kind Invalid for an address that is never
// called, TooLarge for a longer body, and Unavailable when nothing came back.
func (c *Client) Get(ctx context.Context, address string, limit int64) (Response, error) {
	return c.do(ctx, http.MethodGet, address, nil, nil, limit)
}

// Post sends body. It fails as Get does, but of a longer answer the first 64 kB are
// returned: what was sent has arrived.
func (c *Client) Post(ctx context.Context, address, contentType string, header http.Header, body []byte) (Response, error) {
	h := header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", contentType)
	return c.do(ctx, http.MethodPost, address, h, body, maxReply)
}

func (c *Client) do(ctx context.Context, method, address string, header http.Header, body []byte, limit int64) (Response, error) {
	if _, err := c.parse(address); err != nil {
		return Response{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return Response{}, fault.Wrap(fault.Invalid, "the address cannot be called", err)
	}
	if header != nil {
		r.Header = header
	}
	r.Header.Set("User-Agent", "signet")
	got, err := c.http.Do(r)
	if err != nil {
		return Response{}, unavailable(err)
	}
	defer func() { _ = got.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(got.Body, limit+1))
	if err == nil {
		err = ctx.Err() // a server that hears our goodbye may still end its half of an answer
	}
	if err != nil {
		return Response{}, unavailable(err)
	}
	if int64(len(answer)) > limit && method == http.MethodPost {
		answer = answer[:limit]
	}
	if int64(len(answer)) > limit {
		return Response{}, fault.New(fault.TooLarge, fmt.Sprintf("the answer is longer than %d bytes", limit))
	}
	return Response{Status: got.StatusCode, Header: got.Header, Body: answer}, nil
}

// unavailable wraps what went wrong on the way. The address stays out of it: a query
// may hold what is nobody's business.
func unavailable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return fault.Wrap(fault.Unavailable, "the address did not answer", err)
}
