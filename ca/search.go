package ca

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Bounds of one search.
const (
	maxSearchText = 64   // characters
	searchRows    = 5000 // rows that one call looks at
	searchNames   = 300  // names whose certificates one call looks for
	maxPlace      = 1024 // bytes of the place where one goes on
	leastPrefix   = 8    // hex digits that are the beginning of a serial number and no name
)

// Held is a status to search by: certificates of status Revoked whose reason is
// CertificateHold. Searching by Revoked finds those that are revoked for good too.
const Held Status = "held"

// Query says what Search looks for. Empty fields do not restrict.
type Query struct {
	// Text is a part of the subject's common name, in any case and width, or the
	// beginning of a serial number, 8 hex digits or more.
	Text    string
	Agency  string
	Status  Status // or Held
	Profile profile.Kind

	ExpiresAfter  time.Time // at this time or later
	ExpiresBefore time.Time // before this time

	After string // Page.Next of the page before
	Limit int    // at most so many; 0, and everything over 1000, means 1000
}

// Page is a part of what was found.
type Page struct {
	Certificates []Certificate
	Next         string // for Query.After; "" after the last page
}

var errCursor = fault.New(fault.Invalid, "this is no place at which this search can go on")

// Search finds certificates: by name in the order of the parts that match, by expiry
// in that order, and otherwise in the order of their serial numbers. One call looks
// at 5,000 rows at most, along an index and never at the whole table: a page may
// hold less than it could, even nothing, and Next still leads on. It fails with
// kind Invalid for a query that makes no sense.
func (c *CA) Search(ctx context.Context, q Query) (p Page, err error) {
	if q.Limit <= 0 || q.Limit > maxList {
		q.Limit = maxList
	}
	if !isText(q.After, 0, maxPlace) {
		return Page{}, errCursor
	}
	if q.After, err = c.showPlace(ctx, q.Agency, q.After); err != nil {
		return Page{}, err
	}
	s, err := newSearch(q)
	if err != nil {
		return Page{}, err
	}
	if s.kind == byName {
		if _, err := c.nameRows(ctx, nameBatch); err != nil { // what was issued just now
			return Page{}, fmt.Errorf("search certificates: %w", err)
		}
	}
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		p, err = s.run(ctx, tx)
		return err
	})
	if err == nil {
		p.Next, err = c.hidePlace(ctx, q.Agency, p.Next)
	}
	if err != nil {
		return Page{}, fmt.Errorf("search certificates: %w", err)
	}
	return p, nil
}

// way is along which index a search goes.
type way int

const (
	bySerial way = iota
	byEnd
	byName
)

// search is a query with the place where it goes on.
type search struct {
	Query
	kind way

	where string // of bySerial, beside the place
	args  []any

	serial string // after this one
	end    int64  // of byEnd: of the certificate called serial
	name   string // of byName: the certificate's name
	part   string // of byName: what of it matches, up to its end

	found   []Certificate
	next    string
	looked  int
	stopped bool // next leads on
}

// newSearch checks a query and chooses its way.
func newSearch(q Query) (*search, error) {
	q.ExpiresAfter, q.ExpiresBefore = stored(q.ExpiresAfter), stored(q.ExpiresBefore)
	s := &search{Query: q}
	if err := s.check(); err != nil {
		return nil, err
	}
	switch {
	case isPrefix(q.Text):
		s.Text = strings.ToLower(q.Text)
		s.where, s.args = `serial >= $2 AND serial < $3`, []any{s.Text, s.Text + "g"}
	case q.Text != "":
		s.kind, s.Text = byName, searchName(q.Text)
		if s.Text == "" {
			return nil, fault.New(fault.Invalid, "the text to search for is empty")
		}
	case !q.ExpiresAfter.IsZero() || !q.ExpiresBefore.IsZero():
		s.kind = byEnd
	case q.Agency != "":
		s.where, s.args = `agency = $2`, []any{q.Agency}
	case q.Status == Revoked || q.Status == Held:
		s.where = whereRevoked
	case q.Status == Abandoned:
		s.where = whereAbandoned
	case q.Status == Intent:
		s.where = whereIntent
	case q.Profile != "":
		s.where, s.args = `profile = $2`, []any{string(q.Profile)}
	}
	return s, s.resume()
}

// stored is a time as the register keeps it.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return db.Time(db.Micros(t))
}

func (s *search) check() error {
	switch s.Status {
	case "", Intent, Issued, Revoked, Abandoned, Held:
	default:
		return fault.New(fault.Invalid, "a certificate's status is intent, issued, held, revoked or abandoned")
	}
	if _, ok := s.Profile.Rules(); !ok && s.Profile != "" {
		return fault.New(fault.Invalid, "there is no such profile")
	}
	if !isText(s.Text, 0, 4*maxSearchText) || len([]rune(s.Text)) > maxSearchText || !isText(s.Agency, 0, 128) || !isText(s.After, 0, maxPlace) {
		return fault.New(fault.Invalid, "the text to search for, the agency or the place is too long or not printable")
	}
	if !s.ExpiresBefore.IsZero() && !s.ExpiresAfter.IsZero() && !s.ExpiresAfter.Before(s.ExpiresBefore) {
		return fault.New(fault.Invalid, "the time of expiry ends before it begins")
	}
	return nil
}

// isPrefix reports whether text is the beginning of a serial number.
func isPrefix(text string) bool {
	return len(text) >= leastPrefix && len(text) <= 40 && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// resume reads the place where the search goes on.
func (s *search) resume() error {
	if s.After == "" {
		return nil
	}
	fields := strings.Split(s.After, ".")
	if len(fields) != int(s.kind)+1 {
		return errCursor
	}
	s.serial = fields[len(fields)-1]
	if _, err := profile.ParseSerial(s.serial); err != nil {
		return errCursor
	}
	switch s.kind {
	case byEnd:
		end, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || strconv.FormatInt(end, 10) != fields[0] {
			return errCursor
		}
		s.end = end
	case byName:
		name, err := base64.RawURLEncoding.DecodeString(fields[0])
		at, atErr := strconv.Atoi(fields[1])
		if err != nil || atErr != nil || at < 0 || at >= len(name) || !isText(string(name), 1, 1024) || searchName(string(name)) != string(name) || !strings.HasPrefix(string(name[at:]), s.Text) {
			return errCursor
		}
		s.name, s.part = string(name), string(name[at:])
	}
	return nil
}

// place names the place after a certificate.
func (s *search) place(c Certificate) string {
	switch s.kind {
	case byEnd:
		return fmt.Sprintf("%d.%s", db.Micros(c.NotAfter), c.Serial)
	case byName:
		return fmt.Sprintf("%s.%d.%s", base64.RawURLEncoding.EncodeToString([]byte(s.name)), len(s.name)-len(s.part), c.Serial)
	default:
		return c.Serial
	}
}

// matches reports whether a certificate is looked for. What the way along the index
// said already is said again.
func (s *search) matches(c Certificate) bool {
	status := s.Status == "" || s.Status == c.Status || s.Status == Held && c.Held()
	return status && (s.Agency == "" || s.Agency == c.Agency) && (s.Profile == "" || s.Profile == c.Profile) &&
		(s.ExpiresAfter.IsZero() || !c.NotAfter.Before(s.ExpiresAfter)) && (s.ExpiresBefore.IsZero() || c.NotAfter.Before(s.ExpiresBefore))
}
