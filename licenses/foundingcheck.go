package licenses

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// checkRows is how many foundings, or licences of foundings, one transaction reads.
const checkRows = 100

// Ordered finds for which firm, by its USCC, a certificate was ordered under an id; ""
// says that there is no such order. Package ca provides it.
type Ordered func(ctx context.Context, tx db.Tx, id string) (firm string, err error)

// CheckFoundings re-reads every founding: one that is founded has its firm with its
// name and its legal representative's delegation in the register, its licence, its
// order and its event; any other one has none of these. Then it looks for licences of
// new firms that no founding names. Each problem goes to report with what it is
// about, as events name it. It returns how many foundings it read.
func (s *Service) CheckFoundings(ctx context.Context, ordered Ordered, report func(what, problem string)) (n int, err error) {
	for after := ""; ; {
		page, err := s.foundingPage(ctx, after, ordered)
		if err != nil {
			return n, fmt.Errorf("check foundings: %w", err)
		}
		for _, f := range page {
			for _, problem := range f.problems {
				report("founding:"+f.ID, problem)
			}
			after = f.ID
		}
		if n += len(page); len(page) < checkRows {
			break
		}
	}
	if err := s.checkOrphans(ctx, report); err != nil {
		return n, fmt.Errorf("check foundings: %w", err)
	}
	return n, nil
}

// checkedFounding is a founding with what is wrong with it.
type checkedFounding struct {
	*Founding
	problems []string
}

// foundingPage reads the foundings after an id and what each of them has.
func (s *Service) foundingPage(ctx context.Context, after string, ordered Ordered) (page []checkedFounding, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) (err error) {
		if page, err = s.readFoundings(ctx, tx, after); err != nil {
			return err
		}
		for i := range page {
			f := &page[i]
			more, err := s.checkFounding(ctx, tx, f.Founding, ordered)
			if err != nil {
				return err
			}
			f.problems = append(f.problems, more...)
		}
		return nil
	})
	return page, err
}

func (s *Service) readFoundings(ctx context.Context, tx db.Tx, after string) (page []checkedFounding, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+foundingColumns+` FROM license_foundings WHERE id > $1 ORDER BY id LIMIT $2`, after, checkRows)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		f, body, note, err := readFounding(rows)
		if err != nil {
			return nil, err
		}
		one := checkedFounding{Founding: f}
		if s.openFounding(ctx, f, body, note) != nil { // nothing else is made of what is sealed
			one.problems = []string{"does not open"}
		}
		page = append(page, one)
	}
	return page, rows.Err()
}

// checkFounding says what is wrong with one.
func (s *Service) checkFounding(ctx context.Context, tx db.Tx, f *Founding, ordered Ordered) (problems []string, err error) {
	if f.State != FoundingDone {
		if f.Firm != "" || f.LicenseID != "" || f.Order != "" {
			problems = append(problems, "is "+string(f.State)+" and names what was founded")
		}
		if waits := f.State == FoundingSubmitted; waits != f.Decided.IsZero() || waits != (f.Decider == "") {
			problems = append(problems, "is "+string(f.State)+", which its decision does not fit")
		}
		return problems, nil
	}
	if f.Decided.IsZero() || f.Decider == "" {
		problems = append(problems, "is founded without a decision")
	}
	more, err := s.registry.CheckFounded(ctx, tx, f.Firm, f.Person)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	for _, check := range []func() (string, error){
		func() (string, error) { return f.checkLicense(ctx, tx) },
		func() (string, error) { return f.checkOrder(ctx, tx, ordered) },
		func() (string, error) { return f.checkEvent(ctx, tx) },
	} {
		problem, err := check()
		if err != nil {
			return nil, err
		}
		if problem != "" {
			problems = append(problems, problem)
		}
	}
	return problems, nil
}

// checkLicense looks for the licence that was made with the firm. How it fares is
// CheckAll's to say.
func (f *Founding) checkLicense(ctx context.Context, tx db.Tx) (problem string, err error) {
	var kind, agency, holder, client, key string
	err = tx.QueryRowContext(ctx, "SELECT type, agency, holder, client, request_key FROM licenses WHERE id = $1", f.LicenseID).Scan(&kind, &agency, &holder, &client, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return "names a licence that there is none of", nil
	}
	if err == nil && (kind != FirmType || agency != f.Registrar() || holder != f.Firm || client != foundingClient || key != foundingKey(f.ID)) {
		return "names a licence that is not its firm's", nil
	}
	return "", err
}

func (f *Founding) checkOrder(ctx context.Context, tx db.Tx, ordered Ordered) (problem string, err error) {
	switch firm, err := ordered(ctx, tx, f.Order); {
	case err != nil:
		return "", err
	case firm == "":
		return "names an order that there is none of", nil
	case firm != f.Firm:
		return "names an order for another firm", nil
	}
	return "", nil
}

// checkEvent looks for the one event that names all that was founded.
func (f *Founding) checkEvent(ctx context.Context, tx db.Tx) (problem string, err error) {
	records, err := audit.Find(ctx, tx, audit.EventFilter{Kind: EventFound, Object: "firm:" + f.Firm})
	if err != nil {
		return "", err
	}
	if len(records) != 1 {
		return fmt.Sprintf("has %d events %s, want one", len(records), EventFound), nil
	}
	data := records[0].Data
	if data["founding"] != f.ID || data["agency"] != f.Registrar() || data["license"] != f.LicenseID || data["order"] != f.Order {
		return "differs from its event", nil
	}
	return "", nil
}

// checkOrphans looks for licences that were made with a firm and that no founding names:
// its application waits, was not approved, or is not there.
func (s *Service) checkOrphans(ctx context.Context, report func(what, problem string)) error {
	for after := ""; ; {
		read, orphans, last, err := s.orphanPage(ctx, after)
		if err != nil {
			return err
		}
		for _, id := range orphans {
			report("license:"+id, "was made with a firm, and no founding names it")
		}
		if after = last; read < checkRows {
			return nil
		}
	}
}

// orphanPage reads licences of foundings in the order of their keys, from the one after
// the given key on, and returns how many it read, those that no founding names, and
// the last key.
func (s *Service) orphanPage(ctx context.Context, after string) (read int, orphans []string, last string, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		read, orphans = 0, nil
		rows, err := tx.QueryContext(ctx, `SELECT l.id, l.request_key, COALESCE(f.license, '') FROM licenses l
			LEFT JOIN license_foundings f ON f.id = substr(l.request_key, $1) WHERE l.client = $2 AND l.request_key > $3 ORDER BY l.request_key LIMIT $4`,
			len(foundingKey(""))+1, foundingClient, after, checkRows)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id, named string
			if err := rows.Scan(&id, &last, &named); err != nil {
				return err
			}
			if read++; named != id {
				orphans = append(orphans, id)
			}
		}
		return rows.Err()
	})
	return read, orphans, last, err
}
