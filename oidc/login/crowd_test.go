package login_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/oidc/login"
)

const crowd = 200_000

// TestCrowd: while the sessions of many wait to be swept, one is found and another
// begins as fast as ever, and the sweeper takes them in steps of its own index.
func TestCrowd(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		c.crowd(t, p)
		c.clock.add(30 * time.Second)
		began := time.Now()
		want(t, c.client(t).signIn(p, c.code(p, 0)), 303)
		t.Logf("a sign-in takes %v", time.Since(began))
		if c.identity(t, b) == nil {
			t.Fatal("not found among the others")
		}
		for name, k := range map[string]struct {
			query, index string
			args         []any
		}{
			"found by its cookie": {fmt.Sprintf(login.FindSessionQuery, "hash"), "login_sessions_hash_key", []any{[]byte{1}, int64(0), int64(0)}},
			"found by its id":     {fmt.Sprintf(login.FindSessionQuery, "id"), "login_sessions_pkey", []any{"x", int64(0), int64(0)}},
			"sweep expired":       {login.SweepQueries()["sessions"], "login_sessions_expiry", []any{int64(1), login.SweepStep}},
			"sweep idle":          {login.SweepQueries()["idle"], "login_sessions_idle", []any{int64(1), login.SweepStep}},
		} {
			t.Run(name, func(t *testing.T) {
				plan, index := testkit.Plan(t, c.db, k.query, k.args...), k.index
				if c.db.Engine() == "sqlite" { // which names the indexes of constraints by number
					index = map[string]string{"login_sessions_pkey": "sqlite_autoindex_login_sessions_1", "login_sessions_hash_key": "sqlite_autoindex_login_sessions_2"}[index]
					if index == "" {
						index = k.index
					}
				}
				if !strings.Contains(plan, index) || strings.Contains(plan, "Seq Scan") || strings.Contains(plan, "SCAN login_sessions\n") {
					t.Errorf("does not go by %s:\n%s", index, plan)
				}
			})
		}
		began = time.Now()
		check(t, c.service.Sweep(t.Context()))
		t.Logf("%d are swept in %v", crowd, time.Since(began))
		if n := c.count(t, `SELECT COUNT(*) FROM login_sessions`); n != 2 {
			t.Errorf("%d sessions are left", n)
		}
		if c.identity(t, b) == nil {
			t.Error("swept too much")
		}
	})
}

// crowd writes sessions that have ended: half by their age, half unused.
func (c *city) crowd(t testing.TB, p *person) {
	t.Helper()
	hash := `CAST(printf('%032d', i) AS BLOB)`
	if c.db.Engine() != "sqlite" {
		hash = `decode(lpad(i::text, 32, '0'), 'hex')`
	}
	now := c.clock.Now()
	c.exec(t, `INSERT INTO login_sessions (id, hash, person, acr, amr, auth_time, seen, expires)
		SELECT 'crowd-' || i, `+hash+`, $1, 'x', 'x', 0, CASE WHEN i % 2 = 0 THEN CAST($2 AS BIGINT) ELSE $3 END + i, CASE WHEN i % 2 = 0 THEN CAST($4 AS BIGINT) ELSE $5 END - i
		FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < CAST($6 AS BIGINT)) SELECT i FROM n) AS many`,
		p.id, db.Micros(now), db.Micros(now.Add(-time.Hour)), db.Micros(now.Add(-time.Minute)), db.Micros(now.Add(time.Hour)), crowd)
	if c.db.Engine() != "sqlite" {
		c.exec(t, `ANALYZE login_sessions`)
	}
}
