package ca

import (
	"context"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// CountExpiring is what Run does every minute.
func (c *CA) CountExpiring(ctx context.Context) { c.countExpiring(ctx) }

// SearchQuery is a query as a search sends it.
type SearchQuery struct {
	Text  string
	Args  []any
	Index map[string]string // that each engine must use
}

// SearchQueries returns every query of a search, and what runs beside it.
func SearchQueries(t testing.TB, now time.Time) map[string]SearchQuery {
	t.Helper()
	on := func(index string) map[string]string {
		return map[string]string{db.SQLite: "USING INDEX ca_certificates_" + index, db.PostgreSQL: "Index"} // the best of those that help
	}
	key := map[string]string{db.SQLite: "USING INDEX sqlite_autoindex_ca_certificates_1 ", db.PostgreSQL: "ca_certificates_pkey"}
	list := map[string]SearchQuery{
		"name":     {nameQuery, []any{"居民000001", "", searchRows}, on("name")},
		"parts":    {partQuery, []any{"居", "", "居\U0010FFFF", searchNames}, map[string]string{db.SQLite: "USING PRIMARY KEY", db.PostgreSQL: "ca_name_parts_pkey"}},
		"end":      {endQuery, []any{db.Micros(now), "", db.Micros(now), db.Micros(now.Add(time.Hour)), searchRows}, on("end")},
		"unnamed":  {unnamedQuery, []any{nameBatch}, on("name")},
		"expiring": {expiringQuery, []any{db.Micros(now), db.Micros(now.Add(24 * time.Hour)), expiringRows}, on("end")},
	}
	for name, one := range map[string]struct {
		q     Query
		index map[string]string
	}{
		"everything": {Query{}, key}, "issued": {Query{Status: Issued}, key}, "prefix": {Query{Text: "02000000"}, key},
		"agency": {Query{Agency: "agency-1"}, on("agency")}, "profile": {Query{Profile: "issuer"}, on("profile")},
		"revoked": {Query{Status: Revoked}, on("out")}, "held": {Query{Status: Held}, on("out")},
		"abandoned": {Query{Status: Abandoned}, on("out")}, "intents": {Query{Status: Intent}, on("intent")},
	} {
		s, err := newSearch(one.q)
		if err != nil {
			t.Fatal(err)
		}
		text, args := s.serialQuery()
		list[name] = SearchQuery{text, args, one.index}
	}
	return list
}
