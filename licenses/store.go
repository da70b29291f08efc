package licenses

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json/v2"
	"fmt"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/licenses/permit"
)

// Status is a licence's state.
type Status string

// The states. A licence is expired from its end on: the record says so a while later,
// see Expire.
const (
	Signing   Status = "signing"
	Issued    Status = "issued"
	Suspended Status = "suspended"
	Revoked   Status = "revoked"
	Expired   Status = "expired"
	Replaced  Status = "replaced" // by a version that was signed; to verifiers it is revoked
)

var statuses = []Status{Signing, Issued, Suspended, Revoked, Expired, Replaced}

// License is one licence. Permit is empty while it is being signed.
type License struct {
	ID          string         `json:"id"`
	Number      string         `json:"number"`
	Version     int            `json:"version"`    // of the licence, from 1: see Replace
	Identifier  string         `json:"identifier"` // GB/T 36904-2018
	Type        string         `json:"type"`
	TypeVersion int            `json:"type_version"` // of the type's file
	Agency      string         `json:"agency"`
	Status      Status         `json:"status"`
	Reason      string         `json:"reason,omitempty"`
	Holder      string         `json:"holder"`     // USCC, or the masked number of a person
	Data        map[string]any `json:"data"`       //
	NotBefore   time.Time      `json:"not_before"` //
	NotAfter    time.Time      `json:"not_after"`  // exclusive
	Created     time.Time      `json:"created"`
	Changed     time.Time      `json:"changed"`
	Permit      string         `json:"permit,omitempty"`
	Versions    []Version      `json:"versions,omitempty"` // see History; nil while there is one

	holderName string
	holderRef  string // USCC or the person's id in the registry
	place      int64
	client     string
	requestKey string
	hash       []byte
}

// record is what is sealed into the record column: everything that may be
// personal, and all that the permit is made of.
type record struct {
	HolderName  string         `json:"holder_name"`
	TypeVersion int            `json:"type_version,omitzero"` // 0 for licences from before there were versions: 1
	HolderID    string         `json:"holder_id"`
	Issuer      string         `json:"issuer"` // USCC of the agency
	Data        map[string]any `json:"data"`
	NotBefore   int64          `json:"not_before"`
	NotAfter    int64          `json:"not_after"`
}

// Errors that callers branch on.
var (
	ErrNotFound = fault.New(fault.NotFound, "no such licence")
	errReplayed = fault.New(fault.Conflict, "the idempotency key was used with another request")
)

// The column's value of a licence while the one that replaces it is being signed.
// It is in force for that time: a crash leaves no holder without a permit.
const replacing = "replacing"

// state is a licence's status in SQL: while its row stands in license_signing, it
// is being signed, whatever the column says; one that was replaced is revoked there.
const state = `CASE WHEN g.license IS NOT NULL THEN 'signing' WHEN l.status = '` + replacing + `' THEN 'issued'
	WHEN l.status = 'revoked' AND ` + wasReplaced + ` THEN 'replaced' ELSE l.status END`

const wasReplaced = `EXISTS (SELECT 1 FROM license_replacements r WHERE r.replaces = l.id
	AND NOT EXISTS (SELECT 1 FROM license_signing n WHERE n.license = r.license))`

const columns = `l.id, l.number, l.holder, l.type, l.agency, l.record, ` + state + `, l.reason, l.place, l.client, l.request_key, l.request_hash,
	l.created_at, l.changed_at, COALESCE(p.issued_at, 0), p.body`

// find returns the licences for which where holds, in the order of their ids.
func (s *Service) find(ctx context.Context, tx db.Tx, where string, args ...any) ([]*License, error) {
	rows, err := tx.QueryContext(ctx, "SELECT "+columns+" FROM licenses l LEFT JOIN permits p ON p.license = l.id "+
		"LEFT JOIN license_signing g ON g.license = l.id WHERE "+where+" ORDER BY l.id", args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	var found []*License
	for rows.Next() {
		l, err := s.scan(ctx, rows)
		if err != nil {
			return nil, err
		}
		found = append(found, l)
	}
	return found, rows.Err()
}

func (s *Service) scan(ctx context.Context, rows *sql.Rows) (*License, error) {
	var l License
	var number string
	var sealed, body []byte
	var created, changed, issued int64
	err := rows.Scan(&l.ID, &number, &l.holderRef, &l.Type, &l.Agency, &sealed, &l.Status, &l.Reason, &l.place, &l.client, &l.requestKey,
		&l.hash, &created, &changed, &issued, &body)
	if err != nil {
		return nil, err
	}
	l.Number, l.Version = splitNumber(number)
	l.Created, l.Changed = db.Time(created), db.Time(max(changed, issued)) // the outcome leaves changed_at alone
	plain, err := s.ring.Open(ctx, sealed, recordAAD(l.ID))
	if err != nil {
		return nil, fmt.Errorf("open record of licence %s: %w", l.ID, err)
	}
	var r record
	if err := json.Unmarshal(plain, &r); err != nil {
		return nil, fmt.Errorf("open record of licence %s: %w", l.ID, err)
	}
	s.fill(&l, r)
	l.Status = l.Status.expiredAt(l.NotAfter, s.now())
	if body == nil {
		return &l, nil
	}
	text, err := s.ring.Open(ctx, body, permitAAD(l.ID))
	if err != nil {
		return nil, fmt.Errorf("open permit of licence %s: %w", l.ID, err)
	}
	l.Permit = string(text)
	return &l, nil
}

func (s *Service) fill(l *License, r record) {
	l.Holder, l.holderName, l.Data = r.HolderID, r.HolderName, r.Data
	l.NotBefore, l.NotAfter = time.Unix(r.NotBefore, 0).UTC(), time.Unix(r.NotAfter, 0).UTC()
	l.TypeVersion = max(r.TypeVersion, 1)
	if t := s.newest(l.Type); t != nil {
		l.Identifier = Identifier(t.Identifier, r.Issuer, l.Number, l.Version)
	}
}

// The sealed columns are bound to their row, so that none can be moved to
// another.
func recordAAD(id string) []byte { return []byte("license record " + id) }
func permitAAD(id string) []byte { return []byte("license permit " + id) }

// claims returns what the permit of l says when it is signed at a time.
func (s *Service) claims(l *License, at time.Time) (permit.Claims, error) {
	t := s.typeOf(l)
	if t == nil {
		return permit.Claims{}, fault.New(fault.Unavailable, "this version of the licence type is not known here yet")
	}
	fields, err := t.permitFields(l.Data)
	if err != nil {
		return permit.Claims{}, err
	}
	id, err := db.IDBytes(l.ID)
	if err != nil {
		return permit.Claims{}, err
	}
	return permit.Claims{
		ID: id, IssuedAt: at.Unix(), NotBefore: l.NotBefore.Unix(), Expires: l.NotAfter.Unix(), Status: s.ref(l.place),
		Type: t.Code, Number: l.Number, HolderName: l.holderName, HolderID: l.Holder, Fields: fields,
	}, nil
}

// Find returns a licence of an agency or of one whose place it has taken.
func (s *Service) Find(ctx context.Context, agency, id string) (*License, error) {
	l, err := s.Any(ctx, id)
	if err != nil {
		return nil, err
	}
	if heir, err := s.Inherits(ctx, agency, l); err != nil || !heir {
		return nil, cmp.Or(err, ErrNotFound)
	}
	return l, nil
}

// Any returns a licence of whatever agency, for those who check the register.
func (s *Service) Any(ctx context.Context, id string) (*License, error) {
	var found []*License
	err := s.db.Read(ctx, func(tx db.Tx) (err error) {
		found, err = s.find(ctx, tx, "l.id = $1", id)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("find licence: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNotFound
	}
	return found[0], nil
}

// placeholders returns "$from, …" for n arguments.
func placeholders(from, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", from+i)
	}
	return b.String()
}
