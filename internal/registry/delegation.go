package registry

import (
	"context"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Delegation lets a person act for a firm from From until Until (exclusive), both
// whole seconds, unless it is withdrawn before. A legal representative needs none.
type Delegation struct {
	Firm      string    // USCC
	Person    string    // Person.ID
	From      time.Time // zero: from now on, as Delegate sees it
	Until     time.Time // zero: open-ended
	Withdrawn time.Time // zero: it was not; set by Withdraw
	Created   time.Time // set by Delegate
}

const delegationColumns = `firm, person, starts, COALESCE(ends, 0), COALESCE(withdrawn, 0), created`

// inForce holds for delegations d that count at the moment $2.
const inForce = `d.starts <= $2 AND (d.ends IS NULL OR d.ends > $2) AND (d.withdrawn IS NULL OR d.withdrawn > $2)`

func scanDelegation(d *Delegation) ([]any, func()) {
	var from, until, withdrawn, created int64
	return []any{&d.Firm, &d.Person, &from, &until, &withdrawn, &created}, func() {
		d.From, d.Until, d.Withdrawn, d.Created = db.Time(from), timeOrZero(until), timeOrZero(withdrawn), db.Time(created)
	}
}

// timeOrZero reads a time that may be absent, which is 0 here.
func timeOrZero(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// microsOrNull writes a time that may be absent.
func microsOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return db.Micros(t)
}

// Delegate lets a person act for a firm and reports whether that was new. Without
// From it begins now, and whatever is in force already with the same end is the
// same delegation. It fails with kind NotFound for an unknown firm or person,
// Invalid for dates out of order, and Conflict if a delegation of the two begins
// at the same moment with another end, or was withdrawn: a request that is sent
// twice never undoes a withdrawal.
func (r *Registry) Delegate(ctx context.Context, actor string, d Delegation) (created bool, err error) {
	if err := r.checkDelegation(d); err != nil {
		return false, wrap("delegate", err)
	}
	now := r.now().Truncate(time.Second).UTC()
	event := audit.Event{Kind: "registry.delegate", Actor: actor, Object: "firm:" + d.Firm, Data: map[string]any{"person": d.Person}}
	if !d.Until.IsZero() {
		event.Data["until"] = d.Until.Unix()
	}
	err = r.db.Update(ctx, func(tx db.Tx) error {
		all, err := lockDelegations(ctx, tx, d.Firm, d.Person)
		if err != nil {
			return err
		}
		if done, err := sameDelegation(all, d, now); done || err != nil {
			created = false
			return err
		}
		from := d.From
		if from.IsZero() {
			from = now
		}
		event.Data["from"] = from.Unix()
		created, err = insert(ctx, tx, event, `INSERT INTO registry_delegations (id, firm, person, starts, ends, created)
			VALUES ($1, $2, $3, $4, $5, $6)`, db.NewID(), d.Firm, d.Person, db.Micros(from), microsOrNull(d.Until), db.Micros(r.now()))
		return err
	})
	return created && err == nil, wrap("delegate", err)
}

// sameDelegation looks for what d asks for among all delegations of its two.
func sameDelegation(all []Delegation, d Delegation, now time.Time) (found bool, err error) {
	for _, old := range all {
		switch {
		case d.From.IsZero():
			if old.Withdrawn.IsZero() && old.Until.Equal(d.Until) && !old.From.After(now) && (d.Until.IsZero() || d.Until.After(now)) {
				return true, nil
			}
		case !old.From.Equal(d.From):
		case !old.Withdrawn.IsZero():
			return false, fault.New(fault.Conflict, "the delegation was withdrawn")
		case !old.Until.Equal(d.Until):
			return false, conflict("the delegation")
		default:
			return true, nil
		}
	}
	return false, nil
}

// lockDelegations returns every delegation of the two. Written first, the firm's
// row makes changes to one firm's delegations wait for each other, so that what
// is read here still holds when the transaction commits.
func lockDelegations(ctx context.Context, tx db.Tx, firm, person string) ([]Delegation, error) {
	result, err := tx.ExecContext(ctx, `UPDATE registry_firms SET uscc = uscc WHERE uscc = $1`, firm)
	if err != nil {
		return nil, err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return nil, cmpErr(err, ErrFirm)
	}
	if err := knownPerson(ctx, tx, person); err != nil {
		return nil, err
	}
	rows, err := tx.QueryContext(ctx, `SELECT `+delegationColumns+` FROM registry_delegations
		WHERE firm = $1 AND person = $2 ORDER BY starts, created, id`, firm, person)
	return collect(rows, err, scanDelegation)
}

func knownPerson(ctx context.Context, tx db.Tx, id string) error {
	var known int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM registry_people WHERE id = $1`, id).Scan(&known); err != nil {
		return err
	}
	if known == 0 {
		return ErrPerson
	}
	return nil
}

func (r *Registry) checkDelegation(d Delegation) error {
	c := checker{}
	c.add("/firm", CheckUSCC(d.Firm))
	c.add("/person", slug(d.Person))
	wrong := func(t time.Time) bool {
		return !t.IsZero() && (t.Unix() <= 0 || t.Nanosecond() != 0 || t.Year() > 9999)
	}
	if wrong(d.From) {
		c.problem("/from", "is a whole second between 1970 and 9999")
	}
	from := d.From
	if from.IsZero() {
		from = r.now()
	}
	switch {
	case wrong(d.Until):
		c.problem("/until", "is a whole second between 1970 and 9999")
	case !d.Until.IsZero() && !d.Until.After(from):
		c.problem("/until", "is not after from")
	}
	if !d.Withdrawn.IsZero() || !d.Created.IsZero() {
		c.problem("/created", "is set by the registry")
	}
	return c.fault("the delegation is not as it should be")
}

// Withdraw ends the person's delegations of that firm, those in force and those
// to come, as of now. Repeating it is harmless. A legal representative goes on
// acting for the firm (see MayActFor). It fails with kind NotFound for an unknown
// firm or person.
func (r *Registry) Withdraw(ctx context.Context, actor, firm, person string) error {
	if err := cmpErr(CheckUSCC(firm), slug(person)); err != nil {
		return wrap("withdraw", err)
	}
	err := r.db.Update(ctx, func(tx db.Tx) error {
		if _, err := lockDelegations(ctx, tx, firm, person); err != nil {
			return err
		}
		now := db.Micros(r.now())
		result, err := tx.ExecContext(ctx, `UPDATE registry_delegations SET withdrawn = $3
			WHERE firm = $1 AND person = $2 AND withdrawn IS NULL AND (ends IS NULL OR ends > $3)`, firm, person, now)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "registry.withdraw", Actor: actor, Object: "firm:" + firm,
			Data: map[string]any{"person": person}})
		return err
	})
	return wrap("withdraw", err)
}

// FirmsOf returns the firms for which the person may act at that moment, by a
// delegation in force or as legal representative, in the order of their codes;
// the first thousand of them. Nobody's list is empty.
func (r *Registry) FirmsOf(ctx context.Context, person string, at time.Time) (list []Firm, err error) {
	err = r.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT uscc, name, legal_rep, created FROM registry_firms WHERE legal_rep = $1 OR uscc IN
			(SELECT d.firm FROM registry_delegations d WHERE d.person = $1 AND `+inForce+`) ORDER BY uscc LIMIT 1000`, person, db.Micros(at))
		list, err = collect(rows, err, scanFirm)
		return err
	})
	sortBy(list, func(f Firm) string { return f.USCC })
	return list, wrap("find firms of person", err)
}

// MayActFor reports whether the person may act for the firm at that moment: see
// FirmsOf. It is false for unknown people and firms. The answer is of now, never
// from memory.
func (r *Registry) MayActFor(ctx context.Context, person, uscc string, at time.Time) (may bool, err error) {
	err = r.db.Read(ctx, func(tx db.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM registry_firms f WHERE f.uscc = $3 AND (f.legal_rep = $1 OR EXISTS
			(SELECT 1 FROM registry_delegations d WHERE d.firm = f.uscc AND d.person = $1 AND `+inForce+`))`,
			person, db.Micros(at), uscc).Scan(&n)
		may = n > 0
		return err
	})
	return may && err == nil, wrap("check delegation", err)
}

// ListDelegations returns every delegation of a firm, past ones too, in the order
// of their beginnings. It fails with ErrFirm if there is no such firm.
func (r *Registry) ListDelegations(ctx context.Context, firm string) (list []Delegation, err error) {
	if _, err := r.FindFirm(ctx, firm); err != nil {
		return nil, err
	}
	err = r.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, `SELECT `+delegationColumns+` FROM registry_delegations WHERE firm = $1
			ORDER BY starts, created, id`, firm)
		list, err = collect(rows, err, scanDelegation)
		return err
	})
	return slices.Clip(list), wrap("list delegations", err)
}
