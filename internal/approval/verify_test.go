package approval_test

import (
	"crypto/elliptic"
	"encoding/json/jsontext"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

func (c *city) problems() (int, []approval.Problem) {
	c.t.Helper()
	n, list, err := approval.Verify(c.t.Context(), c.db, issuer)
	check(c.t, err)
	return n, list
}

func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		c.addOfficer()
		key := newKey(t, elliptic.P384())
		_, err := c.service.AddKey(ctx, c.cai, c.code().Code, spki(t, key), "")
		check(t, err)
		r := c.submit(c.ann, "red")
		signed, err := c.service.Approve(ctx, r.ID, c.cai, c.cose(r, c.cai, key))
		check(t, err)
		shown := c.approve(c.submit(c.ann, "blue"), c.bob)
		c.submit(c.ann, "grey") // open: nothing to look at
		st := c.breakGlass(c.person(), c.person(), c.person())
		_, err = c.service.ApplyQuorum(ctx, st, sign(t, st, c.quorum...)...)
		check(t, err)
		if n, list := c.problems(); n != 5 || len(list) != 0 {
			t.Fatalf("%d requests, problems %v", n, list)
		}
		resigned, err := approval.SignCOSE(signed.Statement, key)
		check(t, err)
		for name, change := range map[string]struct {
			query string
			args  []any
		}{
			"what was approved": {`UPDATE approval_requests SET resolved = $2 WHERE id = $1`, []any{signed.ID, []byte(`{"from":"green","to":"blue"}`)}},
			"who asked":         {`UPDATE approval_requests SET requester = $2 WHERE id = $1`, []any{signed.ID, c.bob}},
			"who approved":      {`UPDATE approval_requests SET decider = $2 WHERE id = $1`, []any{signed.ID, c.bob}},
			"the statement":     {`UPDATE approval_requests SET statement = $2 WHERE id = $1`, []any{signed.ID, shown.Statement}},
			"no statement":      {`UPDATE approval_requests SET statement = NULL WHERE id = $1`, []any{shown.ID}},
			"the signature":     {`UPDATE approval_requests SET proof = $2 WHERE id = $1`, []any{signed.ID, shown.Proof}},
			"signed again":      {`UPDATE approval_requests SET proof = $2 WHERE id = $1`, []any{signed.ID, resigned}},
			"added later":       {`UPDATE officer_credentials SET added_at = $2 WHERE id = $1`, []any{signed.Credential, db.Micros(signed.Decided) + 1}},
			"the answer":        {`UPDATE approval_requests SET proof = $2 WHERE id = $1`, []any{shown.ID, []byte(`{}`)}},
			"the credential":    {`UPDATE approval_requests SET credential = $2 WHERE id = $1`, []any{shown.ID, signed.Credential}},
			"the key":           {`UPDATE officer_credentials SET public_key = $2 WHERE id = $1`, []any{signed.Credential, spki(t, newKey(t, elliptic.P384()))}},
			"the passkey":       {`UPDATE officer_credentials SET public_key = $2 WHERE id = $1`, []any{shown.Credential, newAuthenticator(t).COSEKey(t)}},
			"never approved":    {`UPDATE approval_requests SET state = 'done' WHERE state = 'rejected' AND kind = $1`, []any{"lamp.set"}},
		} {
			check(t, undone(t, c.db, func(tx db.Tx) error {
				_, err := tx.ExecContext(ctx, change.query, change.args...)
				return err
			}, func() {
				want := 1
				if name == "the passkey" { // bob has approved three times
					want = 3
				}
				if _, list := c.problems(); len(list) != want {
					t.Errorf("%s: problems %v, want %d", name, list, want)
				}
			}))
		}
		if _, list, err := approval.Verify(ctx, c.db, "https://other.example"); err != nil || len(list) != 5 {
			t.Errorf("another city: %v %v", list, err)
		}
	})
}

// undone makes a change, looks at it, and puts the tables back.
func undone(t *testing.T, d *db.DB, change func(tx db.Tx) error, look func()) error {
	t.Helper()
	ctx := t.Context()
	run := func(queries ...string) error {
		return d.Update(ctx, func(tx db.Tx) error {
			for _, q := range queries {
				if _, err := tx.ExecContext(ctx, q); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := run(`CREATE TABLE kept_requests AS SELECT * FROM approval_requests`, `CREATE TABLE kept_credentials AS SELECT * FROM officer_credentials`); err != nil {
		return err
	}
	if err := d.Update(ctx, change); err != nil {
		return err
	}
	look()
	return run(`DELETE FROM approval_requests`, `INSERT INTO approval_requests SELECT * FROM kept_requests`, `DROP TABLE kept_requests`,
		`DELETE FROM officer_credentials`, `INSERT INTO officer_credentials SELECT * FROM kept_credentials`, `DROP TABLE kept_credentials`)
}

// A statement that is too long for its event stands in it by its hash.
func TestLongStatement(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		spec := c.spec(c.ann, "")
		spec.Params = jsontext.Value(`{"to":"` + strings.Repeat("r", approval.MaxResolved-100) + `"}`)
		r := c.approve(c.ask(spec), c.bob)
		if r.State != approval.Done {
			t.Fatalf("got %v %s", r, r.Note)
		}
		event := c.events("approval.approve", "approval:"+r.ID)[0]
		if _, ok := event.Data["statement"]; ok || len(event.Data["statement_sha256"].([]byte)) != 32 {
			t.Error("the event holds the whole")
		}
		if n, list := c.problems(); n != 1 || len(list) != 0 {
			t.Errorf("problems %v", list)
		}
	})
}

// Where the service has no host name there are keys and no passkeys.
func TestNoPasskeys(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		code := c.code()
		s, err := approval.New(approval.Options{DB: c.db, People: c.registry, Issuer: "http://127.0.0.1:8080", Operations: []approval.Operation{c.lamp.operation()},
			Now: c.clock.Now, Registerer: prometheus.NewRegistry()})
		check(t, err)
		r := c.submit(c.ann, "red")
		_, err = s.BeginPasskey(ctx, c.cai, code.Code)
		wantKind(t, err, fault.Conflict, "begin")
		_, err = s.FinishPasskey(ctx, c.cai, code.Code, approval.Enrolment{})
		wantKind(t, err, fault.Conflict, "finish")
		_, err = s.BeginApproval(ctx, r.ID, c.bob)
		wantKind(t, err, fault.Conflict, "approve")
		_, err = s.Approve(ctx, r.ID, c.bob, c.proof(r, c.bob))
		wantKind(t, err, fault.Conflict, "with a passkey of another origin")
		key := newKey(t, elliptic.P256())
		_, err = s.AddKey(ctx, c.cai, code.Code, spki(t, key), "")
		check(t, err)
		// A statement for another origin is another statement.
		_, err = s.Approve(ctx, r.ID, c.cai, c.cose(r, c.cai, key))
		wantKind(t, err, fault.Denied, "another origin")
		st, err := s.Statement(ctx, r.ID, c.cai)
		check(t, err)
		sign1, err := approval.SignCOSE(st, key)
		check(t, err)
		if got, err := s.Approve(ctx, r.ID, c.cai, approval.Proof{COSE: sign1}); err != nil || got.State != approval.Done {
			t.Errorf("got %v %v", got, err)
		}
	})
}

// The log names nobody and holds no code.
func TestEventsNameNobody(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		ctx := t.Context()
		c.addOfficer()
		code := c.code()
		c.approve(c.submit(c.ann, "red"), c.bob)
		check(t, c.db.Read(ctx, func(tx db.Tx) error {
			rows, err := tx.QueryContext(ctx, `SELECT kind, content FROM audit_events WHERE kind LIKE 'approval.%' OR kind LIKE 'officer.%'`)
			if err != nil {
				return err
			}
			defer func() { _ = rows.Close() }()
			n := 0
			for rows.Next() {
				var kind string
				var content []byte
				if err := rows.Scan(&kind, &content); err != nil {
					return err
				}
				n++
				for _, secret := range []string{"Person ", "it is time", code.Code} {
					if strings.Contains(string(content), secret) {
						t.Errorf("%s holds %q", kind, secret)
					}
				}
			}
			if n < 15 {
				t.Errorf("%d events", n)
			}
			return rows.Err()
		}))
	})
}
