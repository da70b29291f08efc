package approval

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Bounds of a request.
const (
	MaxReason = 500 // characters
	MaxOpen   = 32  // requests of one officer that wait

	maxRequestKey = 64
	maxShown      = 64 << 10
)

// SubmitSpec is what an officer asks for.
type SubmitSpec struct {
	Kind      string
	Params    jsontext.Value // a JSON object
	Requester string         // person, proved by the caller
	Reason    string         // 1 to MaxReason characters, for the other officers to read; it names nobody
	Key       string         // idempotency key of the requester's, visible ASCII
}

var (
	errKind    = web.Refuse(fault.Invalid, web.Text{ZH: "没有此类操作。", EN: "there is no such operation"})
	errParams  = fault.New(fault.Invalid, "the parameters are not a JSON object of bounded size and depth with integers to 2^53-1")
	errReason  = web.Refuse(fault.Invalid, web.Text{ZH: "请填写申请理由，最多500个字符。", EN: "a reason is given, of at most 500 characters"})
	errKey     = fault.New(fault.Invalid, "the idempotency key is 1 to 64 visible ASCII characters")
	errReused  = web.Refuse(fault.Conflict, web.Text{ZH: "此表单已用于另一项申请，请重新填写。", EN: "the idempotency key was used for another request"})
	errOpen    = web.Refuse(fault.Conflict, web.Text{ZH: "您待批准的申请过多，请先撤回一些。", EN: "you have too many requests waiting: withdraw some first"})
	errSubject = web.Refuse(fault.Denied, web.Text{ZH: "申请涉及本人，须由另外两名安全官申请和批准。",
		EN: "the request is about this officer: two others make and approve it"})
)

// Submit makes a request. Repeating it with the same key returns the one that was
// made. It fails with kind Denied for anybody who is no officer and for a request
// about the requester, with kind Invalid for an unknown operation or for parameters
// and reasons out of bounds, with kind Conflict for a key that was used for
// something else or too many open requests, and as the operation's Check does.
func (s *Service) Submit(ctx context.Context, spec SubmitSpec) (Request, error) {
	r, err := s.submit(ctx, spec)
	if err != nil {
		return Request{}, fmt.Errorf("submit request: %w", err)
	}
	return r, nil
}

func (s *Service) submit(ctx context.Context, spec SubmitSpec) (Request, error) {
	r, err := s.newRequest(spec)
	if err != nil {
		return r, err
	}
	if is, err := s.IsOfficer(ctx, r.Requester); err != nil || !is {
		return r, first(err, errOfficer)
	}
	if old, err := s.earlier(ctx, r); err != nil || old.ID != "" {
		return old, err
	}
	o := s.operations[r.Kind]
	if r.Resolved, r.Show, err = o.check(ctx, r.Params); err != nil {
		return r, err
	}
	if r.Subject = o.subject(r.Resolved); r.Subject == r.Requester {
		return r, errSubject
	}
	made := false
	if err = s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		made, err = s.insertRequest(ctx, tx, &r)
		return err
	}); err != nil {
		return r, err
	}
	if !made { // the same form, sent twice at once
		return s.earlier(ctx, r)
	}
	s.metrics.became(Open)
	return s.Find(ctx, r.ID)
}

func first(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// newRequest checks what can be checked without the database.
func (s *Service) newRequest(spec SubmitSpec) (r Request, err error) {
	reason := strings.TrimSpace(spec.Reason)
	switch {
	case s.operations[spec.Kind].Run == nil:
		return r, errKind
	case !isReason(reason, 1):
		return r, errReason
	case !isVisible(spec.Key, maxRequestKey):
		return r, errKey
	}
	params, err := canonical(spec.Params)
	if err != nil {
		return r, errParams
	}
	now := s.o.Now().UTC()
	r = Request{ID: db.NewID(), Kind: spec.Kind, State: Open, Params: params, Requester: spec.Requester, Reason: reason, key: spec.Key,
		// In whole seconds, as the statement has it.
		Created: now, Expires: now.Add(s.o.Life).Truncate(time.Second)}
	_, _ = rand.Read(r.nonce[:]) // never fails
	hash := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s", r.Kind, r.Reason, r.Params))
	r.hash = hash[:]
	return r, nil
}

// earlier returns the request that was made with the same key, an empty one if
// there is none.
func (s *Service) earlier(ctx context.Context, r Request) (Request, error) {
	list, err := s.requests(ctx, `requester = $1 AND request_key = $2`, r.Requester, r.key)
	if err != nil || len(list) == 0 {
		return Request{}, err
	}
	if string(list[0].hash) != string(r.hash) {
		return Request{}, errReused
	}
	return list[0], nil
}

// insertRequest writes an open request under the set of officers as it stands.
func (s *Service) insertRequest(ctx context.Context, tx db.Tx, r *Request) (made bool, err error) {
	if r.version, err = lock(ctx, tx); err != nil {
		return false, err
	}
	if _, err := officerSince(ctx, tx, r.Requester); err != nil {
		return false, err
	}
	var open int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM approval_requests WHERE requester = $1 AND state = 'open'`, r.Requester).Scan(&open); err != nil {
		return false, err
	}
	if open >= MaxOpen {
		return false, errOpen
	}
	if made, err = r.insert(ctx, tx); err != nil || !made {
		return false, err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "approval.request", Actor: actorOf(r.Requester), Object: r.object(), Data: map[string]any{
		"kind": r.Kind, "resolved_sha256": hexHash(r.Resolved), "subject": r.Subject, "expires": r.Expires.Unix(), "officers": r.version}})
	return err == nil, err
}

func (r *Request) insert(ctx context.Context, tx db.Tx) (bool, error) {
	shown, err := json.Marshal(r.Show)
	if err != nil {
		return false, err
	}
	if len(shown) > maxShown {
		return false, fault.New(fault.TooLarge, "the request does too much at once")
	}
	return db.Changed(tx.ExecContext(ctx, `INSERT INTO approval_requests (id, kind, params, resolved, shown, subject, requester, reason, request_key,
		request_hash, nonce, version, state, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
		ON CONFLICT DO NOTHING`, r.ID, r.Kind, []byte(r.Params), []byte(r.Resolved), shown, r.Subject, r.Requester, r.Reason, r.key,
		r.hash, r.nonce[:], r.version, string(r.State), db.Micros(r.Created), db.Micros(r.Expires)))
}

// object is the request as events name it.
func (r *Request) object() string { return "approval:" + r.ID }

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func isReason(s string, least int) bool {
	n := utf8.RuneCountInString(s)
	return utf8.ValidString(s) && n >= least && n <= MaxReason && !strings.ContainsFunc(s, unicode.IsControl)
}
