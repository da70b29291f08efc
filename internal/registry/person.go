package registry

import (
	"context"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Kind is the kind of document that identifies a person.
type Kind string

// The kinds of documents: the resident card and what others carry in its place.
const (
	Resident          Kind = "resident"
	PermanentResident Kind = "permanent_resident" // foreigners with permanent residence
	HongKongMacau     Kind = "hong_kong_macau"    // mainland travel permit
	Taiwan            Kind = "taiwan"             // mainland travel permit
	Passport          Kind = "passport"
)

// Person is a natural person. ID says nothing about them; Kind and Number identify
// them. Printing or logging a Person shows the ID alone.
type Person struct {
	ID      string
	Kind    Kind
	Number  string
	Name    string
	Created time.Time // set by AddPerson, as is ID
}

// String returns the ID.
func (p Person) String() string { return "person " + p.ID }

// GoString returns the ID.
func (p Person) GoString() string { return p.String() }

// LogValue implements slog.LogValuer: the ID.
func (p Person) LogValue() slog.Value { return slog.StringValue(p.String()) }

// ErrPerson is returned when nobody has the id, or the kind and number, asked for.
var ErrPerson = fault.New(fault.NotFound, "no such person")

// CheckNumber checks the number of a document of any kind: resident numbers by
// CheckResident, others for being 5 to 20 capital letters and digits. The error
// is a fault of kind Invalid that does not repeat the number.
func CheckNumber(kind Kind, number string) error {
	switch kind {
	case Resident:
		return CheckResident(number)
	case PermanentResident, HongKongMacau, Taiwan, Passport:
		if len(number) < 5 || len(number) > 20 || strings.Trim(number, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
			return fault.New(fault.Invalid, "the document's number must be 5 to 20 capital letters and digits")
		}
		return nil
	default:
		return fault.New(fault.Invalid, "the kind is resident, permanent_resident, hong_kong_macau, taiwan or passport")
	}
}

// AddPerson registers a person by kind, number and name and reports whether they
// were new. It fails with kind Invalid for wrong particulars, Conflict if the
// number is registered under another name, and Unavailable if it is registered
// under a lookup secret of which this process does not know yet.
func (r *Registry) AddPerson(ctx context.Context, actor string, p Person) (added Person, created bool, err error) {
	if err := r.checkPerson(p); err != nil {
		return Person{}, false, err
	}
	p.ID, p.Created = db.NewID(), time.UnixMicro(r.now().UnixMicro()).UTC()
	sealed, err := r.seal(ctx, "person:"+p.ID, personal{p.Number, p.Name})
	if err != nil {
		return Person{}, false, wrap("add person", err)
	}
	var old []personRow
	err = r.db.Update(ctx, func(tx db.Tx) error {
		old, err = r.register(ctx, tx, actor, p, sealed)
		return err
	})
	if errors.Is(err, errTaken) {
		old, err = r.taken(ctx, p)
	}
	if err != nil {
		return Person{}, false, wrap("add person", err)
	}
	if old == nil {
		return p, true, nil
	}
	return r.samePerson(ctx, p, old)
}

// errTaken says that another writer was faster. It undoes the transaction.
var errTaken = errors.New("the number is being registered")

// register writes a person and returns nil, or returns those who are registered
// under the number. The hashes are taken at the last moment: the longer ago, the
// likelier somebody knows of a generation that we do not.
func (r *Registry) register(ctx context.Context, tx db.Tx, actor string, p Person, sealed []byte) (old []personRow, err error) {
	lookups, err := r.lookups(ctx, p.Kind, p.Number)
	if err != nil {
		return nil, err
	}
	if old, err = people(ctx, tx, p.Kind, lookups); err != nil || old != nil {
		return old, err
	}
	if ok, err := peopleIndex().Take(ctx, tx, p.ID, lookups); err != nil {
		return nil, err
	} else if !ok {
		return nil, errTaken
	}
	event := audit.Event{Kind: "registry.person.add", Actor: actor, Object: "person:" + p.ID, Data: map[string]any{"kind": string(p.Kind)}}
	created, err := insert(ctx, tx, event, `INSERT INTO registry_people (id, kind, lookup, sealed, created)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, p.ID, string(p.Kind), lookups[0], sealed, db.Micros(p.Created))
	if err == nil && !created {
		err = errTaken
	}
	return nil, err
}

// taken returns who was registered under the number meanwhile. It fails with kind
// Unavailable while the person stands under a generation that this process does
// not know of.
func (r *Registry) taken(ctx context.Context, p Person) (old []personRow, err error) {
	lookups, err := r.lookups(ctx, p.Kind, p.Number)
	if err != nil {
		return nil, err
	}
	err = r.db.Read(ctx, func(tx db.Tx) error {
		old, err = people(ctx, tx, p.Kind, lookups)
		return err
	})
	if err == nil && len(old) == 0 {
		err = fault.Wrap(fault.Unavailable, "the register is being indexed anew: try again in a moment", errTaken)
	}
	return old, err
}

// samePerson compares the person asked for with the row found under its number.
func (r *Registry) samePerson(ctx context.Context, p Person, rows []personRow) (Person, bool, error) {
	if len(rows) != 1 {
		return Person{}, false, conflict("the person")
	}
	old, err := r.open(ctx, p.Kind, rows[0])
	if err != nil {
		return Person{}, false, wrap("add person", err)
	}
	if old.Name != p.Name {
		return Person{}, false, conflict("the person")
	}
	return old, false, nil
}

func (r *Registry) checkPerson(p Person) error {
	c := checker{}
	c.add("/number", CheckNumber(p.Kind, p.Number))
	if p.Kind == Resident && c.problems == nil {
		if born, _ := birth(p.Number); born.After(r.now()) {
			c.problem("/number", "the resident number holds a birth date to come")
		}
	}
	c.add("/name", name(p.Name))
	if p.ID != "" || !p.Created.IsZero() {
		c.problem("/id", "is set by the registry")
	}
	return c.fault("the person is not as they should be")
}

// FindPerson returns the person with that kind and number. It fails with
// ErrPerson if there is none and with kind Invalid for an impossible number.
func (r *Registry) FindPerson(ctx context.Context, kind Kind, number string) (Person, error) {
	var found map[string]Person
	err := r.db.Read(ctx, func(tx db.Tx) (err error) {
		found, err = r.FindPeople(ctx, tx, kind, []string{number})
		return err
	})
	if err != nil {
		return Person{}, err
	}
	p, ok := found[number]
	if !ok {
		return Person{}, ErrPerson
	}
	return p, nil
}

// PersonByID returns the person with that id. It fails with ErrPerson if there is
// none.
func (r *Registry) PersonByID(ctx context.Context, id string) (Person, error) {
	var kind Kind
	row := personRow{id: id}
	err := r.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT kind, sealed, created FROM registry_people WHERE id = $1`, id).
			Scan(&kind, &row.sealed, &row.created)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return Person{}, ErrPerson
	}
	if err != nil {
		return Person{}, wrap("find person", err)
	}
	p, err := r.open(ctx, kind, row)
	return p, wrap("find person", err)
}

// FindPeople returns those of the numbers that are registered under kind, by
// number, in the caller's transaction. It fails with kind Invalid for an
// impossible number.
func (r *Registry) FindPeople(ctx context.Context, tx db.Tx, kind Kind, numbers []string) (map[string]Person, error) {
	lookups := make([][]byte, 0, len(numbers))
	for _, number := range numbers {
		if err := CheckNumber(kind, number); err != nil {
			return nil, err
		}
		some, err := r.lookups(ctx, kind, number)
		if err != nil {
			return nil, wrap("find people", err)
		}
		lookups = append(lookups, some...)
	}
	rows, err := people(ctx, tx, kind, lookups)
	if err != nil {
		return nil, wrap("find people", err)
	}
	found := make(map[string]Person, len(rows))
	for _, row := range rows {
		p, err := r.open(ctx, kind, row)
		if err != nil {
			return nil, wrap("find people", err)
		}
		found[p.Number] = p
	}
	return found, nil
}

// personRow is a person as stored.
type personRow struct {
	id      string
	sealed  []byte
	created int64
}

func people(ctx context.Context, tx db.Tx, kind Kind, lookups [][]byte) ([]personRow, error) {
	var all []personRow
	for args, list := range chunks(lookups) {
		query := fmt.Sprintf(`SELECT id, sealed, created FROM registry_people WHERE lookup IN %s AND kind = $%d`, list, len(args)+1)
		rows, err := tx.QueryContext(ctx, query, append(args, string(kind))...)
		some, err := collect(rows, err, func(p *personRow) ([]any, func()) {
			return []any{&p.id, &p.sealed, &p.created}, func() {}
		})
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// personal is what is encrypted of a person. Operators have a name only.
type personal struct {
	Number string `json:"number,omitzero"`
	Name   string `json:"name"`
}

// seal encrypts p, bound to the object whose row it stands in.
func (r *Registry) seal(ctx context.Context, object string, p personal) ([]byte, error) {
	plain, err := json.Marshal(p)
	if err != nil {
		return nil, errors.New("encode personal data")
	}
	return r.sealer.Seal(ctx, plain, []byte("registry."+object))
}

func (r *Registry) unseal(ctx context.Context, object string, sealed []byte) (p personal, err error) {
	plain, err := r.sealer.Open(ctx, sealed, []byte("registry."+object))
	if err != nil {
		return p, fmt.Errorf("decrypt %s: %w", object, err)
	}
	if json.Unmarshal(plain, &p) != nil { // its error could quote the data
		return p, fmt.Errorf("decode personal data of %s", object)
	}
	return p, nil
}

func (r *Registry) open(ctx context.Context, kind Kind, row personRow) (Person, error) {
	p, err := r.unseal(ctx, "person:"+row.id, row.sealed)
	return Person{ID: row.id, Kind: kind, Number: p.Number, Name: p.Name, Created: db.Time(row.created)}, err
}

// lookups returns the hashes by which a person is found, the one to write first.
func (r *Registry) lookups(ctx context.Context, kind Kind, number string) ([][]byte, error) {
	return r.sealer.Lookups(ctx, "registry.person", []byte(string(kind)+"\x00"+number))
}
