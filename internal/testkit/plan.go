package testkit

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/signet-city/signet/internal/db"
)

var placeholder = regexp.MustCompile(`\$([0-9]+)`)

// Plan returns how an engine would run a query, a line for each step. Without arguments
// all of them are NULL.
func Plan(t testing.TB, d *db.DB, query string, args ...any) (plan string) {
	t.Helper()
	if len(args) == 0 {
		most := 0
		for _, m := range placeholder.FindAllStringSubmatch(query, -1) {
			n, _ := strconv.Atoi(m[1])
			most = max(most, n)
		}
		args = make([]any, most)
	}
	word := "EXPLAIN "
	if d.Engine() == db.SQLite {
		word = "EXPLAIN QUERY PLAN "
	}
	err := d.Read(t.Context(), func(tx db.Tx) error {
		plan = ""
		rows, err := tx.QueryContext(t.Context(), word+query, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		line := make([]any, len(columns)) // what it does stands in the last one
		for i := range line {
			line[i] = new(any)
		}
		for rows.Next() {
			if err := rows.Scan(line...); err != nil {
				return err
			}
			plan += fmt.Sprintln(*line[len(line)-1].(*any))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatalf("plan of %s: %v", query, err)
	}
	return plan
}
