package approval

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"slices"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// The operations on the officers themselves.
const (
	KindAdd    = "officer.add"    // OfficerParams: a person becomes an officer and may enrol a credential
	KindRemove = "officer.remove" // OfficerParams: an officer is none any more
	KindEnrol  = "officer.enrol"  // EnrolParams: an officer may enrol another credential
	KindQuorum = "officer.quorum" // Quorum: other keys are kept offline
)

// OfficerParams are the parameters of KindAdd and KindRemove.
type OfficerParams struct {
	Person string `json:"person"`
}

// EnrolParams are the parameters of KindEnrol. Credentials in Remove are removed
// when the request runs: that is how a lost one is replaced.
type EnrolParams struct {
	Person string   `json:"person"`
	Remove []string `json:"remove,omitempty"`
}

// own returns the operations on the officers themselves.
func (s *Service) own() []Operation {
	return []Operation{
		{Kind: KindAdd, Title: web.Text{ZH: "增设安全官", EN: "Add a security officer"}, Check: s.checkAdd, Run: s.runAdd, Subject: subjectOf},
		{Kind: KindRemove, Title: web.Text{ZH: "撤销安全官", EN: "Remove a security officer"}, Check: s.checkRemove, Run: s.runRemove, Subject: subjectOf},
		{Kind: KindEnrol, Title: web.Text{ZH: "登记安全官的批准凭据", EN: "Enrol an officer's approval credential"}, Check: s.checkEnrol, Run: s.runEnrol, Subject: subjectOf},
		{Kind: KindQuorum, Title: web.Text{ZH: "更换离线法定人数的密钥", EN: "Change the keys of the offline quorum"}, Check: s.checkQuorum, Run: s.runQuorum},
	}
}

func subjectOf(resolved jsontext.Value) string {
	var p OfficerParams
	_ = json.Unmarshal(resolved, &p) // made by Check
	return p.Person
}

// decodeParams reads parameters strictly.
func decodeParams(params jsontext.Value, v any) error {
	if err := json.Unmarshal(params, v, json.RejectUnknownMembers(true)); err != nil {
		return fault.Wrap(fault.Invalid, "the parameters are not those of the operation", err)
	}
	return nil
}

// resolve returns what is approved, and the lines that say so.
func resolve(v any, show ...Line) (jsontext.Value, []Line, error) {
	b, err := json.Marshal(v)
	return b, show, err
}

var labelOfficer = web.Text{ZH: "安全官", EN: "Officer"}

func (s *Service) checkAdd(ctx context.Context, params jsontext.Value) (jsontext.Value, []Line, error) {
	var p OfficerParams
	if err := decodeParams(params, &p); err != nil {
		return nil, nil, err
	}
	if _, err := s.person(ctx, p.Person); err != nil {
		return nil, nil, err
	}
	list, err := s.Officers(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case slices.ContainsFunc(list, func(o Officer) bool { return o.Person == p.Person }):
		return nil, nil, errIsOfficer
	case len(list) >= MaxOfficers:
		return nil, nil, errTooMany
	}
	return resolve(p, Line{Label: web.Text{ZH: "新任安全官", EN: "New officer"}, Person: p.Person})
}

func (s *Service) runAdd(ctx context.Context, resolved jsontext.Value, by Decision) error {
	var p OfficerParams
	if err := decodeParams(resolved, &p); err != nil {
		return err
	}
	now, handle := s.o.Now(), newHandles(1)[0]
	return s.once(ctx, by, func(tx db.Tx) error {
		if n, err := countOfficers(ctx, tx); err != nil || n >= MaxOfficers {
			return first(err, errTooMany)
		}
		version, err := advance(ctx, tx)
		if err != nil {
			return err
		}
		if err := addOfficer(ctx, tx, officerRow{p.Person, handle, version, now, by.Request}, by.Actor()); err != nil {
			return err
		}
		return insertEnrolment(ctx, tx, enrolmentRow{id: by.Request, person: p.Person, drawer: by.Approver, expires: now.Add(codeLife)})
	})
}

// once makes a change that depends on the set of officers, once for each request.
func (s *Service) once(ctx context.Context, by Decision, change func(tx db.Tx) error) error {
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		if _, err := lock(ctx, tx); err != nil {
			return err
		}
		fresh, err := db.Changed(tx.ExecContext(ctx, `INSERT INTO officer_changes (request) VALUES ($1) ON CONFLICT DO NOTHING`, by.Request))
		if err != nil || !fresh {
			return err
		}
		return change(tx)
	})
}

func (s *Service) checkRemove(ctx context.Context, params jsontext.Value) (jsontext.Value, []Line, error) {
	var p OfficerParams
	if err := decodeParams(params, &p); err != nil {
		return nil, nil, err
	}
	list, err := s.Officers(ctx)
	switch {
	case err != nil:
		return nil, nil, err
	case !slices.ContainsFunc(list, func(o Officer) bool { return o.Person == p.Person }):
		return nil, nil, errNoOfficer
	case len(list) <= MinOfficers:
		return nil, nil, errTooFew
	}
	return resolve(p, Line{Label: labelOfficer, Person: p.Person})
}

func (s *Service) runRemove(ctx context.Context, resolved jsontext.Value, by Decision) error {
	var p OfficerParams
	if err := decodeParams(resolved, &p); err != nil {
		return err
	}
	now := s.o.Now()
	return s.once(ctx, by, func(tx db.Tx) error {
		if n, err := countOfficers(ctx, tx); err != nil || n <= MinOfficers {
			return first(err, errTooFew)
		}
		if _, err := advance(ctx, tx); err != nil {
			return err
		}
		return removeOfficer(ctx, tx, p.Person, by.Request, by.Actor(), now)
	})
}

func (s *Service) checkEnrol(ctx context.Context, params jsontext.Value) (jsontext.Value, []Line, error) {
	var p EnrolParams
	if err := decodeParams(params, &p); err != nil {
		return nil, nil, err
	}
	slices.Sort(p.Remove)
	list, err := s.Officers(ctx)
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(list, func(o Officer) bool { return o.Person == p.Person })
	if i < 0 {
		return nil, nil, errNoOfficer
	}
	if len(slices.Compact(slices.Clone(p.Remove))) != len(p.Remove) {
		return nil, nil, fault.New(fault.Invalid, "a credential is named twice")
	}
	if len(list[i].Credentials)-len(p.Remove) >= MaxCredentials {
		return nil, nil, errMany
	}
	show := []Line{{Label: labelOfficer, Person: p.Person}}
	for _, id := range p.Remove {
		j := slices.IndexFunc(list[i].Credentials, func(c Credential) bool { return c.ID == id })
		if j < 0 {
			return nil, nil, errCredential
		}
		show = append(show, Line{Label: web.Text{ZH: "移除凭据", EN: "Remove credential"}, Value: fmt.Sprintf("%s %s", id, list[i].Credentials[j].Key)})
	}
	return resolve(p, show...)
}

func (s *Service) runEnrol(ctx context.Context, resolved jsontext.Value, by Decision) error {
	var p EnrolParams
	if err := decodeParams(resolved, &p); err != nil {
		return err
	}
	now := s.o.Now()
	return s.once(ctx, by, func(tx db.Tx) error {
		if _, err := officerHandle(ctx, tx, p.Person); err != nil {
			return err
		}
		for _, id := range p.Remove {
			list, err := readCredentials(ctx, tx, `id = $1 AND person = $2 AND removed_at = 0`, id, p.Person)
			if err != nil {
				return err
			}
			if len(list) == 0 {
				return errCredential
			}
			if err := removeCredential(ctx, tx, list[0], by.Actor(), now); err != nil {
				return err
			}
		}
		return insertEnrolment(ctx, tx, enrolmentRow{id: by.Request, person: p.Person, drawer: by.Approver, expires: now.Add(codeLife)})
	})
}

func (s *Service) checkQuorum(_ context.Context, params jsontext.Value) (jsontext.Value, []Line, error) {
	var q Quorum
	if err := decodeParams(params, &q); err != nil {
		return nil, nil, err
	}
	if err := q.check(); err != nil {
		return nil, nil, err
	}
	show := []Line{{Label: web.Text{ZH: "所需签名数", EN: "Signatures needed"}, Value: fmt.Sprintf("%d / %d", q.Need, len(q.Keys))}}
	for _, k := range q.Keys {
		show = append(show, Line{Label: web.Text{ZH: "离线密钥", EN: "Offline key"}, Value: keyHash(k)})
	}
	return resolve(q, show...)
}

func (s *Service) runQuorum(ctx context.Context, resolved jsontext.Value, by Decision) error {
	var q Quorum
	if err := decodeParams(resolved, &q); err != nil {
		return err
	}
	encoded, err := q.encode()
	if err != nil {
		return err
	}
	return s.once(ctx, by, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE approval_state SET quorum = $1 WHERE one = 1`, encoded)
		return err
	})
}
