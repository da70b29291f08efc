package ca

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/db"
)

// Queries of a search: each reads a stretch of one index, up to a limit. What does
// not match is passed over by the caller, so that the cost of a call is bounded and
// the place where it stopped is known.
const (
	searchColumns = `SELECT serial, agency, profile, status, reason, not_after FROM ca_certificates WHERE `
	endQuery      = searchColumns + `(not_after, serial) > ($1, $2) AND not_after >= $3 AND not_after < $4 ORDER BY not_after, serial LIMIT $5`
	nameQuery     = searchColumns + `name = $1 AND serial > $2 ORDER BY serial LIMIT $3`
	partQuery     = `SELECT part, name FROM ca_name_parts WHERE (part, name) > ($1, $2) AND part < $3 ORDER BY part, name LIMIT $4`
)

// serialQuery returns the query of a way in the order of serial numbers. Intents are
// few and have an index in another order: the expression keeps SQLite from walking
// along the primary key to spare sorting them.
func (s *search) serialQuery() (query string, args []any) {
	column := `serial`
	if s.where == whereIntent {
		column = `serial || ''`
	}
	query, args = searchColumns+column+` > $1`, append([]any{s.serial}, s.args...)
	if s.where != "" {
		query += ` AND ` + s.where
	}
	return query + fmt.Sprintf(` ORDER BY %s LIMIT $%d`, column, len(args)+1), append(args, searchRows)
}

// Conditions in the words of the partial indexes.
const (
	whereIntent    = `status = 'intent'`
	whereRevoked   = `status = 'revoked' AND status IN ('revoked', 'abandoned')`
	whereAbandoned = `status = 'abandoned' AND status IN ('revoked', 'abandoned')`
)

// run goes along the way until the page is full, the bound is reached or the way
// ends.
func (s *search) run(ctx context.Context, tx db.Tx) (Page, error) {
	fresh := *s // an Update or a Read may run twice
	var err error
	switch fresh.kind {
	case byName:
		err = fresh.runNames(ctx, tx)
	case byEnd:
		from, to := int64(-1<<62), int64(1<<62)
		if !s.ExpiresAfter.IsZero() {
			from = db.Micros(s.ExpiresAfter)
		}
		if !s.ExpiresBefore.IsZero() {
			to = db.Micros(s.ExpiresBefore)
		}
		end := fresh.end
		if s.After == "" {
			end = from - 1
		}
		err = fresh.walk(ctx, tx, endQuery, end, fresh.serial, from, to, searchRows)
	default:
		query, args := fresh.serialQuery()
		err = fresh.walk(ctx, tx, query, args...)
	}
	if err != nil {
		return Page{}, err
	}
	p := Page{Certificates: fresh.found}
	if fresh.stopped {
		p.Next = fresh.next
	}
	return p, fill(ctx, tx, p.Certificates)
}

// walk reads one stretch. The last argument is its limit.
func (s *search) walk(ctx context.Context, tx db.Tx, query string, args ...any) error {
	limit := args[len(args)-1].(int)
	rows, err := tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	n := 0
	for rows.Next() {
		if len(s.found) == s.Limit { // and there is more
			s.stopped = true
			return nil
		}
		var c Certificate
		var end int64
		if err := rows.Scan(&c.Serial, &c.Agency, &c.Profile, &c.Status, &c.Reason, &end); err != nil {
			return err
		}
		c.NotAfter = db.Time(end)
		n, s.next = n+1, s.place(c)
		if s.matches(c) {
			s.found = append(s.found, c)
		}
	}
	s.looked += n
	s.stopped = n == limit
	return rows.Err()
}

// runNames goes through the names that match, and through the certificates of each.
func (s *search) runNames(ctx context.Context, tx db.Tx) error {
	if s.After != "" {
		if err := s.walk(ctx, tx, nameQuery, s.name, s.serial, searchRows); err != nil || s.stopped {
			return err
		}
	} else {
		s.part = s.Text // the least that matches, and no name stands before it
	}
	list, err := s.parts(ctx, tx)
	if err != nil {
		return err
	}
	for _, p := range list {
		// A name that holds the text twice is found where it stands first.
		if strings.Index(p[1], s.Text) != len(p[1])-len(p[0]) {
			continue
		}
		s.part, s.name = p[0], p[1]
		if err := s.walk(ctx, tx, nameQuery, s.name, "", searchRows-s.looked); err != nil || s.stopped {
			return err
		}
	}
	if len(list) == searchNames { // it goes on after the last of them
		s.part, s.name = list[len(list)-1][0], list[len(list)-1][1]
		s.next, s.stopped = s.place(Certificate{Serial: lastSerial}), true
	}
	return nil
}

// lastSerial stands behind every serial number.
var lastSerial = strings.Repeat("ff", 20)

// parts returns the next parts of names that begin with the text, each with its name.
func (s *search) parts(ctx context.Context, tx db.Tx) (list [][2]string, err error) {
	rows, err := tx.QueryContext(ctx, partQuery, s.part, s.name, s.Text+"\U0010FFFF", searchNames)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var p [2]string
		if err := rows.Scan(&p[0], &p[1]); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// fillRows is how many certificates one query reads in full.
const fillRows = 100

// fill reads what was found in full, in the same order.
func fill(ctx context.Context, tx db.Tx, list []Certificate) error {
	at := make(map[string]int, len(list))
	for i, c := range list {
		at[c.Serial] = i
	}
	for chunk := range slices.Chunk(list, fillRows) {
		holes, args := make([]string, len(chunk)), make([]any, len(chunk))
		for i, c := range chunk {
			holes[i], args[i] = fmt.Sprintf("$%d", i+1), c.Serial
		}
		full, err := listCertificates(ctx, tx, `serial IN (`+strings.Join(holes, ", ")+`)`, args...)
		if err != nil {
			return err
		}
		for _, c := range full {
			list[at[c.Serial]] = c
		}
	}
	return nil
}
