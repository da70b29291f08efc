package login_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/oidc/login"
)

// TestSessions: a person sees their sessions, coarsely, and ends one or all.
func TestSessions(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		p, li := c.citizen(t, "wang"), c.citizen(t, "li")
		a, b, d, other := c.client(t).with(firefox), c.client(t), c.client(t), c.client(t)
		for _, x := range []*client{a, b, d} {
			want(t, x.signIn(p, c.code(p, 0)), 303)
			c.clock.add(30 * time.Second)
		}
		want(t, other.signIn(li, c.code(li, 0)), 303)
		list, err := c.service.Sessions(ctx, p.id)
		check(t, err)
		if len(list) != 3 || list[2].Browser != "Firefox, Windows" || list[2].Network != "127.0.0.0/24" && list[2].Network != "::/48" || list[0].Browser != "" ||
			list[0].ID != c.identity(t, d).Session || list[0].ACR != login.ACRVerified || list[0].Seen.Before(list[0].AuthTime) {
			t.Fatalf("sessions %+v", list)
		}
		var place []byte
		check(t, c.db.Read(ctx, func(tx db.Tx) error {
			return tx.QueryRowContext(ctx, `SELECT place FROM login_sessions WHERE id = $1`, list[2].ID).Scan(&place)
		}))
		if len(place) == 0 || bytes.Contains(place, []byte(list[2].Network)) {
			t.Errorf("the network stands as %q", place)
		}
		theirs := c.identity(t, other).Session
		check(t, c.service.EndSession(ctx, p.id, theirs))
		check(t, c.service.EndSession(ctx, p.id, "nobody"))
		if c.identity(t, other) == nil {
			t.Fatal("ended another person's session")
		}
		for range 2 {
			check(t, c.service.EndSession(ctx, p.id, list[1].ID))
		}
		if c.identity(t, b) != nil || c.identity(t, a) == nil || c.identity(t, d) == nil {
			t.Error("ended the wrong one")
		}
		id := c.identity(t, a)
		for range 2 {
			check(t, c.service.SignOutAll(ctx, id))
		}
		if c.identity(t, a) != nil || c.identity(t, d) != nil || c.identity(t, other) == nil {
			t.Error("ended too few, or too many")
		}
		if e := c.events(t, "login.sign_out"); len(e) != 3 {
			t.Errorf("events %v", e)
		}
		want(t, other.get("/account"), 200)
		c.clock.add(time.Hour)
		if list, err := c.service.Sessions(ctx, li.id); err != nil || len(list) != 0 {
			t.Errorf("idle sessions are shown: %v, %v", list, err)
		}
	})
}

// TestEnded: whoever wants to know of a session's end is told in its transaction, for
// every way that it can end but by its age, and can stop it.
func TestEnded(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		c.exec(t, `CREATE TABLE test_ended (session TEXT)`)
		fail := false
		c.options.Ended = func(ctx context.Context, tx db.Tx, session string) error {
			if fail {
				return errors.New("no")
			}
			_, err := tx.ExecContext(ctx, `INSERT INTO test_ended (session) VALUES ($1)`, session)
			return err
		}
		base := c.replica(t)
		s := c.last
		p, li := c.citizen(t, "wang"), c.citizen(t, "li")
		in := func(who *person) (*client, string) {
			t.Helper()
			c.clock.add(time.Minute)
			b := c.client(t)
			b.base = base
			want(t, b.post("/login", "username", who.username, "password", who.password, "otp", c.code(who, 0)), 303)
			return b, c.identity(t, b).Session
		}
		ended := func(what, session string) {
			t.Helper()
			if n := c.count(t, `SELECT COUNT(*) FROM test_ended WHERE session = $1`, session); n != 1 {
				t.Errorf("%s: told %d times", what, n)
			}
		}
		b, id := in(p)
		fail = true
		if err := s.SignOut(ctx, id); err == nil || c.identity(t, b) == nil {
			t.Errorf("ended although nobody could be told: %v", err)
		}
		fail = false
		want(t, b.post("/logout"), 200)
		ended("the page", id)
		b, id = in(p)
		c.clock.add(time.Minute)
		want(t, b.signIn(li, c.code(li, 0)), 303)
		ended("another person", id)
		_, id = in(p)
		check(t, s.EndSession(ctx, p.id, id))
		ended("from elsewhere", id)
		b, id = in(p)
		_, second := in(p)
		check(t, s.SignOutAll(ctx, c.identity(t, b)))
		ended("everywhere", id)
		ended("everywhere", second)
		_, id = in(p)
		check(t, s.SignOutPerson(ctx, actor, p.id))
		ended("by an office", id)
		b, _ = in(p)
		_, id = in(p)
		want(t, b.post("/account/password", "password", "another password", "again", "another password"), 303, "/account?done=password")
		ended("by another password", id)
		p.password = "another password"
		_, id = in(p)
		check(t, s.Disable(ctx, actor, p.id))
		ended("by closing", id)
		if all := c.count(t, `SELECT COUNT(*) FROM test_ended`); all != 9 {
			t.Errorf("told %d times", all)
		}
		_, id = in(li)
		c.clock.add(time.Hour)
		check(t, s.Sweep(ctx))
		if all := c.count(t, `SELECT COUNT(*) FROM test_ended`); all != 9 {
			t.Errorf("told of a session that went by its age: %s", id)
		}
		if !slices.Contains(c.kinds(t, p), login.SignedOutByOffice) {
			t.Error("the history does not tell")
		}
	})
}
