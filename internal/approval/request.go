package approval

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// State says what has become of a request.
type State string

// The states.
const (
	Open      State = "open"      // waits for another officer
	Approved  State = "approved"  // is being run, or waits to be
	Done      State = "done"      // was run
	Failed    State = "failed"    // could not be run and never will be
	Rejected  State = "rejected"  // another officer refused it
	Withdrawn State = "withdrawn" // its requester took it back
	Expired   State = "expired"   // nobody decided in time
)

// Request is something that an officer has asked for.
type Request struct {
	ID       string
	Kind     string
	Title    web.Text // empty for a kind that this program does not know
	State    State
	Params   jsontext.Value // canonical JSON
	Resolved jsontext.Value // canonical JSON: what is approved
	Show     []Line         // the same in words
	Subject  string         // person, "" for none

	Requester string // person
	Reason    string
	Created   time.Time
	Expires   time.Time

	Decider string // person who approved, rejected or withdrew
	Decided time.Time

	Statement  []byte // APR1, as the approver signed it
	Method     string // MethodPasskey, MethodKey or MethodQuorum
	Proof      []byte // see Proof.Encode
	Credential string // id

	Started  time.Time // when the run was announced
	Finished time.Time
	Attempts int64
	Note     string // why it failed, was rejected or withdrawn: a sentence for the public

	nonce   [32]byte
	version int64 // of the set of officers
	key     string
	hash    []byte
}

// String returns the id and the state.
func (r Request) String() string { return fmt.Sprintf("request %s (%s)", r.ID, r.State) }

// LogValue implements slog.LogValuer: the id and the state.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// ErrRequest is returned when there is no such request.
var ErrRequest = web.Refuse(fault.NotFound, web.Text{ZH: "没有此申请。", EN: "there is no such request"})

const requestColumns = `id, kind, params, resolved, shown, subject, requester, reason, request_key, request_hash, nonce, version, state,
	created_at, expires_at, decider, decided_at, statement, method, proof, credential, attempts, started_at, finished_at, note`

// Find returns a request. It fails with ErrRequest if there is none.
func (s *Service) Find(ctx context.Context, id string) (Request, error) {
	list, err := s.requests(ctx, `id = $1`, id)
	if err != nil {
		return Request{}, fmt.Errorf("find request: %w", err)
	}
	if len(list) == 0 {
		return Request{}, ErrRequest
	}
	return list[0], nil
}

// MaxListed is how many requests List returns at most.
const MaxListed = 500

// List returns the requests in the given states, or in any if none is given, the
// newest first, at most MaxListed.
func (s *Service) List(ctx context.Context, states ...State) ([]Request, error) {
	where, args := "", make([]any, len(states))
	if len(states) > 0 {
		marks := make([]string, len(states))
		for i, state := range states {
			marks[i], args[i] = fmt.Sprintf("$%d", i+1), string(state)
		}
		where = "state IN (" + strings.Join(marks, ", ") + ") AND "
	}
	list, err := s.requests(ctx, fmt.Sprintf("%sid > '' ORDER BY id DESC LIMIT %d", where, MaxListed), args...)
	if err != nil {
		return nil, fmt.Errorf("list requests: %w", err)
	}
	return list, nil
}

func (s *Service) requests(ctx context.Context, where string, args ...any) (list []Request, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		list, err = s.readRequests(ctx, tx, where, args...)
		return err
	})
	return list, err
}

func (s *Service) readRequests(ctx context.Context, tx db.Tx, where string, args ...any) (list []Request, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+requestColumns+` FROM approval_requests WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r Request
		var shown, nonce []byte
		var created, expires, decided, started, finished int64
		if err := rows.Scan(&r.ID, &r.Kind, (*[]byte)(&r.Params), (*[]byte)(&r.Resolved), &shown, &r.Subject, &r.Requester, &r.Reason, &r.key, &r.hash,
			&nonce, &r.version, &r.State, &created, &expires, &r.Decider, &decided, &r.Statement, &r.Method, &r.Proof, &r.Credential,
			&r.Attempts, &started, &finished, &r.Note); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(shown, &r.Show); err != nil || copy(r.nonce[:], nonce) != len(r.nonce) {
			return nil, fmt.Errorf("request %s is stored wrongly", r.ID)
		}
		r.Created, r.Expires, r.Decided = db.Time(created), db.Time(expires), db.Time(decided)
		r.Started, r.Finished = db.Time(started), db.Time(finished)
		r.Title = s.titleOf(r.Kind)
		list = append(list, r)
	}
	return list, rows.Err()
}

func (s *Service) titleOf(kind string) web.Text {
	if kind == KindBreakGlass {
		return web.Text{ZH: "离线法定人数更换安全官", EN: "Officers replaced by the offline quorum"}
	}
	return s.operations[kind].Title
}

// findRequest returns a request in the caller's transaction.
func (s *Service) findRequest(ctx context.Context, tx db.Tx, id string) (Request, error) {
	list, err := s.readRequests(ctx, tx, `id = $1`, id)
	if err != nil {
		return Request{}, err
	}
	if len(list) == 0 {
		return Request{}, ErrRequest
	}
	return list[0], nil
}
