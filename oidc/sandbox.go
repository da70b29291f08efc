package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/json/jsontext"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// The sandbox lets a developer try a whole integration without anybody's approval: its
// clients are made by whoever asks, live for a month, are reached on the developer's own
// machine alone, and are shown invented people. Everything else is the same code.
const (
	sandboxPath    = "/oidc/sandbox/clients"
	sandboxPrefix  = "sandbox-" // of the clients' ids, and of their profile where it is stored
	sandboxLife    = 30 * 24 * time.Hour
	sandboxMost    = 1000 // clients at once
	sandboxBody    = 16 << 10
	sandboxPerHour = 30 // tries of one address
	sandboxStep    = 100
)

// SandboxClient is what a developer asks for.
type SandboxClient struct {
	Name         string         `json:"name"`
	Profile      string         `json:"profile"`          // ProfileFAPI2 or ProfileBasic
	RedirectURIs []string       `json:"redirect_uris"`    // http on localhost or 127.0.0.1
	JWKS         jsontext.Value `json:"jwks,omitzero"`    // public keys, for ProfileFAPI2
	Scopes       []string       `json:"scopes,omitempty"` // nil: all that people can let a client have
	LogoutURIs   []string       `json:"post_logout_redirect_uris,omitempty"`
	Backchannel  string         `json:"backchannel_logout_uri,omitzero"` // on loopback too
}

// sandboxAnswer is what the developer gets.
type sandboxAnswer struct {
	ID         string    `json:"client_id"`
	Secret     string    `json:"client_secret,omitzero"` // for ProfileBasic; not shown again
	Issuer     string    `json:"issuer"`
	Profile    string    `json:"profile"`
	AuthMethod string    `json:"token_endpoint_auth_method"`
	Scopes     []string  `json:"scopes"`
	Redirects  []string  `json:"redirect_uris"`
	Expires    time.Time `json:"expires"`
}

var (
	errSandboxFull = fault.New(fault.Unavailable, "the sandbox is full: there is room when clients of others end, try again tomorrow")
	errSandboxRate = fault.New(fault.Unavailable, "too many sandbox clients were asked for from this address: wait an hour")
)

// serveAddSandboxClient makes a client for whoever asks.
func (p *Provider) serveAddSandboxClient(w http.ResponseWriter, r *http.Request) error {
	if !p.sandboxRate.take(addressOf(r), p.o.Now()) {
		return errSandboxRate
	}
	var s SandboxClient
	if err := web.DecodeJSON(w, r, sandboxBody, &s); err != nil {
		return err
	}
	c, secret, err := p.AddSandboxClient(r.Context(), s)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	return web.WriteJSON(w, http.StatusCreated, sandboxAnswer{ID: c.ID, Secret: secret, Issuer: p.o.Issuer, Profile: c.Profile,
		AuthMethod: c.AuthMethod, Scopes: c.Scopes, Redirects: c.RedirectURIs, Expires: c.Expires})
}

// AddSandboxClient registers a client of the sandbox and returns it with its secret, ""
// for one that proves itself with a key. It fails with kind Invalid and everything that
// is wrong, and with kind Unavailable while there are 1,000 of them.
func (p *Provider) AddSandboxClient(ctx context.Context, s SandboxClient) (Client, string, error) {
	c := Client{Name: s.Name, Profile: s.Profile, RedirectURIs: s.RedirectURIs, JWKS: s.JWKS, Scopes: s.Scopes,
		PostLogoutRedirectURIs: s.LogoutURIs, BackchannelLogoutURI: s.Backchannel}
	if c.Scopes == nil {
		c.Scopes = slices.Clone(peopleScopes)
	}
	c.fill()
	if err := p.checkSandbox(ctx, c); err != nil {
		return Client{}, "", err
	}
	now := p.o.Now()
	c.ID, c.Sandbox = sandboxPrefix+db.NewID(), true
	c.Created, c.Expires = db.Time(db.Micros(now)), db.Time(db.Micros(now.Add(sandboxLife)))
	secret, hash := newSecret()
	err := p.o.DB.Update(ctx, func(tx db.Tx) error { return insertSandbox(ctx, tx, c, hash) })
	if err != nil {
		return Client{}, "", fmt.Errorf("add sandbox client: %w", err)
	}
	if c.AuthMethod == AuthKey {
		secret = ""
	}
	return c, secret, nil
}

func insertSandbox(ctx context.Context, tx db.Tx, c Client, hash [sha256.Size]byte) error {
	room, err := db.Changed(tx.ExecContext(ctx, `UPDATE oidc_sandbox_room SET taken = taken + 1 WHERE one = 1 AND taken < $1`, sandboxMost))
	if err == nil && !room {
		err = errSandboxFull
	}
	if err != nil {
		return err
	}
	ok, err := insertClient(ctx, tx, c, hash)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Conflict, "there is a client with this id")
	}
	// A stranger's words do not come into the log, which is for ever.
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "oidc.sandbox.add", Actor: "anybody", Object: "client:" + c.ID, Data: map[string]any{"profile": c.Profile}})
	return err
}

// checkSandbox fails with everything that is wrong with a client of the sandbox.
func (p *Provider) checkSandbox(ctx context.Context, c Client) error {
	bad, err := p.wrongs(ctx, c)
	if err != nil {
		return err
	}
	bad.add(c.Profile == ProfileService, "/profile", `must be "fapi2" or "basic": the sandbox is for sites that sign people in`)
	bad.add(c.Profile == ProfileBasic && len(c.JWKS) > 0, "/jwks", "is for the profile fapi2: this client proves itself with the secret that it is given")
	for path, list := range map[string][]string{"/redirect_uris": c.RedirectURIs, "/post_logout_redirect_uris": c.PostLogoutRedirectURIs} {
		for i, uri := range list {
			bad.add(checkRedirect(uri) == nil && !isLoopback(uri), fmt.Sprintf("%s/%d", path, i), "must be http on localhost or 127.0.0.1: a sandbox client runs on its developer's machine")
		}
	}
	bad.add(c.BackchannelLogoutURI != "" && checkRedirect(c.BackchannelLogoutURI) == nil && !isLoopback(c.BackchannelLogoutURI), "/backchannel_logout_uri",
		"must be http on localhost or 127.0.0.1, and is called where the city runs on the same machine")
	if len(bad) > 0 {
		slices.SortStableFunc(bad, func(a, b fault.Problem) int { return strings.Compare(a.Path, b.Path) })
		return fault.InvalidInput("the client is not as it should be", bad...)
	}
	return nil
}

// isLoopback reports whether an address that checkRedirect has passed is http, which it
// lets pass on loopback hosts alone.
func isLoopback(uri string) bool {
	u, err := url.Parse(uri)
	return err == nil && u.Scheme == "http"
}

// there reports whether a client may be known at all: one of the sandbox only where there
// is a sandbox, and until it ends.
func (p *Provider) there(c *client) bool {
	return !c.Sandbox || p.o.Sandbox && p.o.Now().Before(c.Expires)
}

// sweepSandbox deletes clients of the sandbox that have ended, some at a time.
func (p *Provider) sweepSandbox(ctx context.Context) error {
	for more := true; more; {
		err := p.o.DB.Update(ctx, func(tx db.Tx) error {
			ids, err := sandboxEnded(ctx, tx, p.o.Now())
			if err != nil || len(ids) == 0 {
				more = false
				return err
			}
			more = len(ids) == sandboxStep
			return deleteSandbox(ctx, tx, ids)
		})
		if err != nil {
			return fmt.Errorf("sweep sandbox: %w", err)
		}
	}
	return nil
}

func sandboxEnded(ctx context.Context, tx db.Tx, now time.Time) (ids []string, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id FROM oidc_clients WHERE expires > 0 AND expires <= $1 ORDER BY expires LIMIT $2`, db.Micros(now), sandboxStep)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// deleteSandbox deletes clients that another replica has not deleted before.
func deleteSandbox(ctx context.Context, tx db.Tx, ids []string) error {
	var events []audit.Event
	for _, id := range ids {
		ok, err := db.Changed(tx.ExecContext(ctx, `DELETE FROM oidc_clients WHERE id = $1 AND expires > 0`, id))
		if err != nil {
			return err
		}
		if ok {
			events = append(events, audit.Event{Kind: "oidc.sandbox.end", Actor: "service", Object: "client:" + id})
		}
	}
	if len(events) == 0 {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `UPDATE oidc_sandbox_room SET taken = taken - $1 WHERE one = 1`, len(events)); err != nil {
		return err
	}
	_, err := audit.Append(ctx, tx, events...)
	return err
}

// hourly counts tries by address within an hour, in the memory of each replica.
type hourly struct {
	mu    sync.Mutex
	began time.Time
	tries map[string]int
}

// take counts a try, and reports whether it is one of the first in its hour.
func (h *hourly) take(address string, now time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tries == nil || now.Sub(h.began) >= time.Hour || now.Before(h.began) || len(h.tries) >= 1<<16 {
		h.began, h.tries = now, map[string]int{}
	}
	h.tries[address]++
	return h.tries[address] <= sandboxPerHour
}

// addressOf returns whom a request is counted for: an IPv4 address, or the /64 of an IPv6
// address, which is what one subscriber has.
func addressOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	ip, err := netip.ParseAddr(host)
	if err != nil {
		return "unknown"
	}
	ip = ip.Unmap().WithZone("")
	if prefix, err := ip.Prefix(64); err == nil && ip.Is6() {
		return prefix.String()
	}
	return ip.String()
}
