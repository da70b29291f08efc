package approval

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// breakGlassRequest is what stands among the requests.
func breakGlassRequest(st Statement, statement []byte, signatures [][]byte, now time.Time) (Request, error) {
	proof, err := json.Marshal(signatures)
	r := Request{ID: st.Request, Kind: st.Kind, State: Done, Params: jsontext.Value("{}"), Resolved: st.Resolved, Requester: quorumName, Reason: quorumName,
		Created: time.Unix(st.IssuedAt, 0), Expires: time.Unix(st.Expires, 0), Decider: quorumName, Decided: now, Statement: statement,
		Method: MethodQuorum, Proof: proof, Started: now, Finished: now, Attempts: 1, nonce: st.Nonce, key: st.Request, hash: st.Nonce[:]}
	return r, err
}

// glass is a replacement of the officers that was signed by the quorum.
type glass struct {
	request Request
	what    replacement
	codes   []Code
	handles [][]byte
	now     time.Time
}

func (g glass) apply(ctx context.Context, tx db.Tx) error {
	version, err := advance(ctx, tx)
	if err != nil {
		return err
	}
	if version != g.what.Version+1 {
		return errReplaced
	}
	if err := g.record(ctx, tx, version); err != nil {
		return err
	}
	old, err := readOfficers(ctx, tx)
	if err != nil {
		return err
	}
	for _, o := range old {
		if err := removeOfficer(ctx, tx, o.Person, g.request.ID, quorumName, g.now); err != nil {
			return err
		}
	}
	for i, person := range g.what.Officers {
		if err := addOfficer(ctx, tx, officerRow{person, g.handles[i], version, g.now, g.request.ID}, quorumName); err != nil {
			return err
		}
		if err := insertEnrolment(ctx, tx, g.codes[i].row(g.request.ID+":"+person, "")); err != nil {
			return err
		}
	}
	return g.endRequests(ctx, tx)
}

// record writes the request and the event with what was signed.
func (g glass) record(ctx context.Context, tx db.Tx, version int64) error {
	r := g.request
	r.version = version
	ok, err := r.insert(ctx, tx)
	if err != nil {
		return err
	}
	if !ok {
		return errReplaced
	}
	now := db.Micros(g.now)
	if _, err := tx.ExecContext(ctx, `UPDATE approval_requests SET decider = $2, decided_at = $3, statement = $4, method = $5, proof = $6, attempts = 1,
		started_at = $3, finished_at = $3 WHERE id = $1`, r.ID, r.Decider, now, r.Statement, r.Method, r.Proof); err != nil {
		return err
	}
	return appendEvidence(ctx, tx, "officer.replace", quorumName, r)
}

// endRequests ends what the officers of before asked for or approved and that has
// not begun.
func (g glass) endRequests(ctx context.Context, tx db.Tx) error {
	now := db.Micros(g.now)
	note := fault.Public(errAllGone)
	open, err := endAll(ctx, tx, `UPDATE approval_requests SET state = 'rejected', decider = $2, decided_at = $1, finished_at = $1, note = $3
		WHERE state = 'open' RETURNING id`, now, quorumName, note)
	if err != nil {
		return err
	}
	waiting, err := endAll(ctx, tx, `UPDATE approval_requests SET state = 'failed', finished_at = $1, note = $2 WHERE state = 'approved' AND started_at = 0
		RETURNING id`, now, note)
	if err != nil {
		return err
	}
	var events []audit.Event
	for _, id := range open {
		events = append(events, audit.Event{Kind: "approval.reject", Actor: quorumName, Object: "approval:" + id})
	}
	for _, id := range waiting {
		events = append(events, audit.Event{Kind: "approval.run.outcome", Actor: quorumName, Object: "approval:" + id,
			Data: map[string]any{"result": string(Failed), "failure": fault.KindOf(errAllGone).String()}})
	}
	_, err = audit.Append(ctx, tx, events...)
	return err
}

var errAllGone = web.Refuse(fault.Conflict, web.Text{ZH: "安全官已由离线法定人数更换，请重新提出申请。",
	EN: "the officers were replaced by the offline quorum: make a new request"})
