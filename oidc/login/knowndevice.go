package login

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json/v2"
	"net/http"
	"slices"
	"time"
)

// A browser in which somebody has signed in keeps a cookie that says so, for a year.
// It proves nobody. Its tries are counted for themselves, so that whoever sends wrong
// passwords for an account from elsewhere does not keep its owner out.
const (
	deviceCookie = "__Host-signet-device"
	deviceLife   = 365 * 24 * time.Hour
	deviceLabel  = "login.device"
	devicePeople = 4 // that a browser is known to, the newest
)

// device is what the cookie holds, sealed.
type device struct {
	ID    []byte   `json:"id"`
	Names [][]byte `json:"names"` // keyOf their usernames, the newest first
}

// deviceOf returns what a browser is known as, nil for one that is not.
func (s *Service) deviceOf(r *http.Request) *device {
	c, err := r.Cookie(deviceCookie)
	if err != nil || len(c.Value) > 2048 {
		return nil
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(c.Value)
	if err != nil || len(sealed) == 0 {
		return nil
	}
	plain, err := s.o.Sealer.Open(r.Context(), sealed, []byte(deviceLabel))
	var d device
	if err != nil || json.Unmarshal(plain, &d) != nil || len(d.ID) != 16 || len(d.Names) > devicePeople {
		return nil
	}
	return &d
}

// knows reports whether somebody has signed in with a username in this browser.
func (d *device) knows(name [32]byte) bool {
	return d != nil && slices.ContainsFunc(d.Names, func(n []byte) bool { return string(n) == string(name[:]) })
}

// learn returns the cookie of a browser in which a username was used, "" if it knows
// that already.
func (s *Service) learn(ctx context.Context, d *device, name [32]byte) (string, error) {
	if d.knows(name) {
		return "", nil
	}
	if d == nil {
		d = &device{ID: make([]byte, 16)}
		_, _ = rand.Read(d.ID) // never fails
	}
	next := device{d.ID, append([][]byte{name[:]}, d.Names...)}
	next.Names = next.Names[:min(len(next.Names), devicePeople)]
	plain, err := json.Marshal(next)
	if err != nil {
		return "", err
	}
	sealed, err := s.o.Sealer.Seal(ctx, plain, []byte(deviceLabel))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}
