package webhook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json/v2"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/outbox"
	"github.com/signet-city/signet/internal/web"
)

// most is how many subscriptions an agency, or the city, has in an area.
const most = 16

// Errors that are answered.
var (
	errNone     = fault.New(fault.NotFound, "no such webhook")
	errReplayed = fault.New(fault.Conflict, "the idempotency key was used with another request")
	errMost     = fault.New(fault.Conflict, fmt.Sprintf("there are %d webhooks already: remove one first", most))
)

// event is what the log keeps of a change: of the address its host only, because a
// path may hold a secret.
func (u *subscription) event(what, actor string, data map[string]any) audit.Event {
	all := map[string]any{"area": u.area, "agency": u.agency}
	if at, err := url.Parse(u.url); err == nil {
		all["host"] = at.Host
	}
	for k, v := range data {
		all[k] = v
	}
	return audit.Event{Kind: "webhook." + what, Actor: actor, Object: "webhook:" + u.id, Data: all}
}

// order is what a subscription is made of.
type order struct {
	URL   string   `json:"url"`
	Types []string `json:"types"`
}

func (s *Service) check(a *Area, o *order) error {
	var problems []fault.Problem
	if err := s.o.Client.CheckURL(o.URL); err != nil {
		problems = append(problems, fault.Problem{Path: "/url", Message: fault.Public(err)})
	}
	known := a.types()
	if len(o.Types) < 1 || len(o.Types) > len(known) {
		problems = append(problems, fault.Problem{Path: "/types", Message: fmt.Sprintf("want 1 to %d of %s", len(known), strings.Join(known, ", "))})
	} else {
		for i, t := range o.Types {
			if !slices.Contains(known, t) || slices.Contains(o.Types[:i], t) {
				problems = append(problems, fault.Problem{Path: fmt.Sprintf("/types/%d", i), Message: "want each once of " + strings.Join(known, ", ")})
			}
		}
	}
	if len(problems) > 0 {
		return fault.InvalidInput("the webhook cannot be made so", problems...)
	}
	slices.Sort(o.Types)
	return nil
}

// add makes a subscription. The same request under the same key is answered with the
// same subscription, and with its secret while that is still the first.
func (s *Service) add(ctx context.Context, a *Area, c web.Caller, key string, o order) (*subscription, []byte, error) {
	if err := s.check(a, &o); err != nil {
		return nil, nil, err
	}
	hash := sha256.Sum256([]byte(strings.Join(append([]string{c.Agency, o.URL}, o.Types...), "\x00")))
	now := db.Micros(s.o.Now())
	fresh := &subscription{id: db.NewID(), area: a.Name, agency: c.Agency, url: o.URL, types: o.Types, client: c.ClientID, requestKey: key, hash: hash[:],
		created: now, generation: 1}
	secret, sealed, err := s.newSecret(ctx, fresh.id, 1)
	if err != nil {
		return nil, nil, err
	}
	fresh.secret = sealed
	var got *subscription
	err = s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		got, err = s.insert(ctx, tx, a, c, fresh)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("add webhook: %w", err)
	}
	if got.id == fresh.id {
		return got, secret, nil
	}
	return s.repeated(ctx, got, hash[:])
}

func (s *Service) repeated(ctx context.Context, got *subscription, hash []byte) (*subscription, []byte, error) {
	if !bytes.Equal(got.hash, hash) || got.removed > 0 {
		return nil, nil, errReplayed
	}
	if got.generation > 1 {
		return got, nil, nil
	}
	secrets, err := s.secrets(ctx, got, s.o.Now())
	if err != nil {
		return nil, nil, err
	}
	return got, secrets[0], nil
}

// insert stores a subscription, or returns the one that the same key made. It holds the
// area's cursor, so that the follower stands still and nobody counts the same 16.
func (s *Service) insert(ctx context.Context, tx db.Tx, a *Area, c web.Caller, fresh *subscription) (*subscription, error) {
	if err := begin(ctx, tx, a); err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE webhook_cursors SET next = next WHERE area = $1`, a.Name); err != nil {
		return nil, err
	}
	old, err := find(ctx, tx, `area = $1 AND client = $2 AND request_key = $3`, a.Name, c.ClientID, fresh.requestKey)
	if err != nil {
		return nil, err
	}
	if len(old) > 0 {
		return old[0], nil
	}
	mine, err := find(ctx, tx, `area = $1 AND agency = $2 AND removed = 0`, a.Name, c.Agency)
	if err != nil {
		return nil, err
	}
	if len(mine) >= most {
		return nil, errMost
	}
	if fresh.since, err = audit.Size(ctx, tx); err != nil {
		return nil, err
	}
	if err := fresh.insert(ctx, tx); err != nil {
		return nil, err
	}
	_, err = audit.Append(ctx, tx, fresh.event("add", c.Actor(), map[string]any{"types": strings.Join(fresh.types, " ")}))
	return fresh, err
}

// own returns a subscription that the caller may see: an agency its own, the city all.
func own(ctx context.Context, tx db.Tx, a *Area, c web.Caller, id string) (*subscription, error) {
	u, err := live(ctx, tx, id)
	if err != nil {
		return nil, err
	}
	if u.area != a.Name || c.Agency != "" && c.Agency != u.agency {
		return nil, errNone
	}
	return u, nil
}

// list returns the subscriptions that the caller may see.
func (s *Service) list(ctx context.Context, a *Area, c web.Caller) (list []*subscription, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		if c.Agency == "" {
			list, err = find(ctx, tx, `area = $1 AND removed = 0`, a.Name)
		} else {
			list, err = find(ctx, tx, `area = $1 AND agency = $2 AND removed = 0`, a.Name, c.Agency)
		}
		return err
	})
	return list, err
}

// remove ends a subscription. Its secrets are gone at once.
func (s *Service) remove(ctx context.Context, a *Area, c web.Caller, id string) error {
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		u, err := own(ctx, tx, a, c, id)
		if err != nil {
			return err
		}
		did, err := db.Changed(tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET removed = $1, secret = $2, previous = NULL
			WHERE id = $3 AND removed = 0`, db.Micros(s.o.Now()), []byte{}, id))
		if err != nil || !did {
			return err
		}
		_, err = audit.Append(ctx, tx, u.event("remove", c.Actor(), nil))
		return err
	})
}

// rotate gives a subscription a new secret; the one before signs too for a day. The
// same key is answered with the same secret.
func (s *Service) rotate(ctx context.Context, a *Area, c web.Caller, id, key string) (u *subscription, secret []byte, err error) {
	key = c.ClientID + " " + key
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		u, err = own(ctx, tx, a, c, id)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	now := s.o.Now()
	if u.rotateKey == key {
		secrets, err := s.secrets(ctx, u, now)
		if err != nil {
			return nil, nil, err
		}
		return u, secrets[0], nil
	}
	secret, sealed, err := s.newSecret(ctx, id, u.generation+1)
	if err != nil {
		return nil, nil, err
	}
	err = s.o.DB.Update(ctx, func(tx db.Tx) error { return u.rotate(ctx, tx, c, key, sealed, now) })
	if err != nil {
		return nil, nil, fmt.Errorf("rotate secret: %w", err)
	}
	return &subscription{id: id, area: u.area, agency: u.agency, url: u.url, types: u.types, created: u.created, generation: u.generation + 1,
		secret: sealed, previous: u.secret, rotated: db.Micros(now), failing: u.failing, disabled: u.disabled, reason: u.reason}, secret, nil
}

func (u *subscription) rotate(ctx context.Context, tx db.Tx, c web.Caller, key string, sealed []byte, now time.Time) error {
	did, err := db.Changed(tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET generation = generation + 1, previous = secret, secret = $1, rotated = $2, rotate_key = $3
		WHERE id = $4 AND generation = $5 AND removed = 0`, sealed, db.Micros(now), key, u.id, u.generation))
	if err != nil {
		return err
	}
	if !did {
		return fault.New(fault.Conflict, "the webhook was changed meanwhile: try again")
	}
	_, err = audit.Append(ctx, tx, u.event("rotate", c.Actor(), map[string]any{"generation": u.generation + 1}))
	return err
}

// test sends a notice of type webhook.test, once for each key.
func (s *Service) test(ctx context.Context, a *Area, c web.Caller, id, key string) error {
	key = c.ClientID + " " + key
	now := s.o.Now()
	body, err := json.Marshal(payload{"webhook.test", now.UTC(), map[string]any{"webhook": id}}, json.Deterministic(true))
	if err != nil {
		return err
	}
	message := s.message(db.NewID(), id, body)
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		u, err := own(ctx, tx, a, c, id)
		if err != nil {
			return err
		}
		if u.disabled > 0 {
			return fault.New(fault.Conflict, "the webhook is disabled: remove it and add another")
		}
		did, err := db.Changed(tx.ExecContext(ctx, `UPDATE webhook_subscriptions SET test_key = $1 WHERE id = $2 AND test_key <> $1 AND removed = 0`, key, id))
		if err != nil || !did {
			return err
		}
		return outbox.Add(ctx, tx, now, message)
	})
}
