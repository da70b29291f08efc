package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// What is personal stands nowhere in clear: not in a table, a log or an error.
func TestPersonalDataIsSealed(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		var log bytes.Buffer
		s := newSealer(t)
		r, err := registry.New(registry.Options{DB: d, Sealer: s, Now: func() time.Time { return now },
			Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		must(r.AddOperator(ctx, actor, registry.Operator{ID: "li", Name: wang.Name, Role: registry.RoleOfficer}))(t)
		said := fmt.Sprintf("%v %+v %#v %s", p, p, p, p)
		slog.New(slog.NewTextHandler(&log, nil)).Info("test", slog.Any("person", p))
		renamed := wang
		renamed.Name = "王大明"
		_, _, conflict := r.AddPerson(ctx, actor, renamed)
		// Another key, as after a wrong restore, can neither find nor open.
		strange := open(t, d, newSealer(t))
		_, hidden := strange.FindPerson(ctx, wang.Kind, wang.Number)
		if !errors.Is(hidden, registry.ErrPerson) {
			t.Errorf("got %v", hidden)
		}
		_, sealed := strange.ListOperators(ctx)
		if sealed == nil {
			t.Error("opened with another key")
		}
		all := said + log.String() + conflict.Error() + sealed.Error() + dump(t, d)
		for _, canary := range []string{wang.Number, wang.Number[6:14], wang.Name} {
			if strings.Contains(all, canary) {
				t.Errorf("%q stands in clear", canary)
			}
		}
		if !strings.Contains(all, p.ID) {
			t.Error("the dump holds nothing")
		}
	})
}

// A row's sealed data cannot be moved to another row.
func TestSealedDataIsBound(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		other := wang
		other.Number = complete("99010119900307002")
		a, _, errA := r.AddPerson(ctx, actor, wang)
		b, _, errB := r.AddPerson(ctx, actor, other)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		err := d.Update(ctx, func(tx db.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE registry_people SET sealed =
				(SELECT sealed FROM registry_people WHERE id = $1) WHERE id = $2`, a.ID, b.ID)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := r.FindPerson(ctx, other.Kind, other.Number); err == nil {
			t.Errorf("found %v with another's data", p)
		}
	})
}

// dump returns everything that the registry and the log have stored, as text.
func dump(t testing.TB, d *db.DB) string {
	t.Helper()
	var b strings.Builder
	err := d.Read(t.Context(), func(tx db.Tx) error {
		for _, table := range []string{"registry_people", "registry_operators", "registry_delegations", "registry_posts", "audit_events"} {
			rows, err := tx.QueryContext(t.Context(), "SELECT * FROM "+table)
			if err != nil {
				return err
			}
			columns, err := rows.Columns()
			if err != nil {
				return err
			}
			values, dest := make([]any, len(columns)), make([]any, len(columns))
			for i := range values {
				dest[i] = &values[i]
			}
			for rows.Next() {
				if err := rows.Scan(dest...); err != nil {
					return err
				}
				for _, v := range values {
					if raw, ok := v.([]byte); ok {
						b.Write(raw)
					} else {
						fmt.Fprint(&b, v)
					}
					b.WriteByte('\n')
				}
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
