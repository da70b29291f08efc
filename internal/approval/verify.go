package approval

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// Problem is a request that is not as it was approved.
type Problem struct {
	Request string // id
	Detail  string
}

// String returns the request and what is wrong with it.
func (p Problem) String() string { return "approval:" + p.Request + ": " + p.Detail }

const verifyPage = 64

// Verify goes through all requests that were approved, offline, and reports each
// whose statement does not say what stands in the database, whose signature is not
// that of a credential of its approver, or whose event in the log holds anything
// else. It returns how many it looked at. Signatures of the offline quorum are held
// against the log alone, since its keys may have changed. issuer is the origin of
// the service. It fails only if the database does.
func Verify(ctx context.Context, d *db.DB, issuer string) (checked int, problems []Problem, err error) {
	s := &Service{o: Options{DB: d, Issuer: issuer}}
	for after := ""; ; {
		list, err := s.requests(ctx, `id > $1 AND (statement IS NOT NULL OR state IN ('approved', 'done') OR started_at <> 0) ORDER BY id LIMIT $2`, after, verifyPage)
		if err != nil {
			return checked, problems, fmt.Errorf("verify approvals: %w", err)
		}
		for _, r := range list {
			after = r.ID
			checked++
			wrong, err := s.verifyRequest(ctx, r)
			if err != nil {
				return checked, problems, fmt.Errorf("verify approval %s: %w", r.ID, err)
			}
			if wrong != nil {
				problems = append(problems, Problem{r.ID, wrong.Error()})
			}
		}
		if len(list) < verifyPage {
			return checked, problems, nil
		}
	}
}

// verifyRequest returns what is wrong with a request, and an error of the database
// apart from it.
func (s *Service) verifyRequest(ctx context.Context, r Request) (wrong, err error) {
	st, wrong := ParseStatement(r.Statement)
	if wrong != nil {
		return wrong, nil
	}
	want := s.statementOf(r, r.Decider)
	again, wrong := want.Encode()
	if wrong != nil || !bytes.Equal(again, r.Statement) || st.Origin != s.o.Issuer {
		return errors.New("the statement is not about this request"), nil
	}
	if r.Kind != KindBreakGlass {
		if wrong, err = s.verifyProof(ctx, r); wrong != nil || err != nil {
			return wrong, err
		}
	}
	return s.verifyEvent(ctx, r)
}

func (s *Service) verifyProof(ctx context.Context, r Request) (wrong, err error) {
	list, err := s.credentials(ctx, `id = $1 AND person = $2 AND kind = $3`, r.Credential, r.Decider, r.Method)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return errors.New("the credential is not the approver's"), nil
	}
	c := list[0]
	if c.Added.After(r.Decided) {
		return errors.New("the credential came after the approval"), nil
	}
	if r.Method == MethodKey {
		public, wrong := parseKey(c.publicKey)
		if wrong != nil {
			return wrong, nil
		}
		return VerifyCOSE(r.Statement, r.Proof, public), nil
	}
	var a Assertion
	if wrong := json.Unmarshal(r.Proof, &a); wrong != nil {
		return errors.New("the proof cannot be read"), nil
	}
	return VerifyPasskey(r.Statement, a, c.publicKey, c.rpID, s.o.Issuer), nil
}

// verifyEvent holds a request against the log, in which nobody changes anything
// unseen.
func (s *Service) verifyEvent(ctx context.Context, r Request) (wrong, err error) {
	kind := "approval.approve"
	if r.Kind == KindBreakGlass {
		kind = "officer.replace"
	}
	var records []audit.Record
	err = s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		records, err = audit.Find(ctx, tx, audit.EventFilter{Kind: kind, Object: r.object()})
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(records) != 1 {
		return fmt.Errorf("the log has %d approvals of it", len(records)), nil
	}
	if !sameEvidence(records[0].Data, r) {
		return errors.New("the log has another approval of it"), nil
	}
	return nil, nil
}

func sameEvidence(data map[string]any, r Request) bool {
	for name, want := range evidence(r) {
		switch got := data[name].(type) {
		case string:
			if w, ok := want.(string); !ok || got != w {
				return false
			}
		case []byte:
			if w, ok := want.([]byte); !ok || !bytes.Equal(got, w) {
				return false
			}
		default:
			return false
		}
	}
	return true
}
