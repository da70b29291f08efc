package licenses

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// codeCounter numbers the codes of new firms. Replicas lease blocks of it, as of places.
const codeCounter = "uscc"

// codeTries is how many codes are tried: one that is taken was given by somebody else,
// to less than one firm in a thousand.
const codeTries = 8

// foundingClient is under which name the licences of new firms are asked for; no
// program has an id like it, and each key is a founding's id.
const foundingClient = "founding:"

// foundingKey is under which key that client asks for a founding's licence.
func foundingKey(id string) string { return "founding-" + id }

// Found founds a firm at the word of an agency's own system, once for each key of the
// client. It fails with kind Invalid for a request that has problems, all of them named
// (see Problems), Denied for an agency without authority, Conflict for a key that was
// used with another request, and Unavailable while the agency has no key to sign with.
// Nothing is then founded. What it returns is durable; a licence that could not be
// signed yet is in state signing, and the sweeper's.
func (s *Service) Found(ctx context.Context, caller web.Caller, key string, r FoundingRequest) (*Founding, error) {
	f, result, err := s.foundFor(ctx, caller, key, r)
	if s.countFounding(err, result); err != nil {
		return nil, fmt.Errorf("found firm: %w", err)
	}
	return f, nil
}

func (s *Service) countFounding(err error, result string) {
	switch {
	case err == nil:
		s.metrics.foundings.WithLabelValues(result).Inc()
	case Problems(err) != nil:
		s.metrics.foundings.WithLabelValues("refused").Inc()
	}
}

func (s *Service) foundFor(ctx context.Context, caller web.Caller, key string, r FoundingRequest) (*Founding, string, error) {
	if err := checkKey(key); err != nil {
		return nil, "", err
	}
	rep, problems, err := s.representative(ctx, r.Representative)
	if err != nil {
		return nil, "", err
	}
	f := &Founding{ID: db.NewID(), State: FoundingDone, Agency: caller.Agency, Name: r.Name, Person: rep.ID, Data: r.Data,
		Submitter: caller.Actor(), client: "api:" + caller.ClientID, key: key}
	if f.hash, err = f.hashed(); err != nil {
		return nil, "", err
	}
	if old, err := s.sameFounding(ctx, f); err != nil || old != nil { // what it founded would be in its own way now
		return old, "replayed", err
	}
	a, err := s.registrar(ctx, caller.Agency)
	if err != nil {
		return nil, "", err
	}
	_, err = s.draftFounding(ctx, f, a, rep, "")
	if err != nil && Problems(err) == nil {
		return nil, "", err
	}
	if problems = append(problems, Problems(err)...); len(problems) > 0 {
		return s.refusedOrSame(ctx, f, refuse("the request has problems", problems...))
	}
	f.Created = db.Time(db.Micros(s.now()))
	body, err := s.sealFounding(ctx, f)
	if err != nil {
		return nil, "", err
	}
	won, err := s.carryOut(ctx, f, making{agency: a, rep: rep, actor: caller.Actor(), take: func(ctx context.Context, tx db.Tx) (bool, error) {
		return f.insert(ctx, tx, body)
	}})
	if err != nil {
		return s.refusedOrSame(ctx, f, err)
	}
	if !won { // the same key, at the same time
		old, err := s.sameFounding(ctx, f)
		if err == nil && old == nil {
			err = errors.New("a founding with a used key is gone")
		}
		return old, "replayed", err
	}
	return f, "founded", nil
}

// refusedOrSame answers a request that was refused: its own twin, which was faster, has
// taken the name, and is then what the key stands for.
func (s *Service) refusedOrSame(ctx context.Context, f *Founding, refused error) (*Founding, string, error) {
	if Problems(refused) != nil {
		if same, err := s.sameFounding(ctx, f); err != nil || same != nil {
			return same, "replayed", err
		}
	}
	return nil, "", refused
}

// sameFounding returns what was asked for under the key of f before, nil for nothing.
// It fails if that was something else.
func (s *Service) sameFounding(ctx context.Context, f *Founding) (*Founding, error) {
	list, err := s.findFoundings(ctx, "client = $1 AND request_key = $2", f.client, f.key)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	if !bytes.Equal(list[0].hash, f.hash) {
		return nil, errReplayed
	}
	return list[0], s.withLicense(ctx, list[0])
}

// making is how a founding is carried out.
type making struct {
	agency registry.Agency
	rep    registry.Person
	actor  string // who decided
	// take claims the founding in the transaction that makes the firm and reports
	// whether it got it. The founding names by then what will have come of it.
	take func(ctx context.Context, tx db.Tx) (bool, error)
}

// carryOut makes, in one transaction, the firm with its legal representative's delegation,
// the record of its licence and the order for its certificate, all of them or nothing,
// and then signs the licence. It reports whether it was this call that did.
func (s *Service) carryOut(ctx context.Context, f *Founding, m making) (won bool, err error) {
	key, signer, err := s.ring.Active(ctx, keys.PurposePermit, m.agency.ID)
	if err != nil {
		return false, fault.Wrap(fault.Unavailable, "the agency has no permit key in use", err)
	}
	var d *draft
	for range codeTries {
		if d, err = s.numbered(ctx, f, m); err != nil {
			return false, err
		}
		if won, err = s.commit(ctx, f, d, m); !errors.Is(err, registry.ErrCodeTaken) {
			break
		}
	}
	if err != nil || !won {
		return false, refusedTaken(err)
	}
	f.License = d.lic
	if err := s.complete(ctx, []*License{d.lic}, key, signer); err != nil {
		s.log.ErrorContext(ctx, "licence of a new firm left to the sweeper", slog.String("license", d.lic.ID), slog.Any("error", err))
	}
	return true, nil
}

// numbered gives the founding its code, its licence's number and place, and the ids of
// what it will have made, and returns the licence to be.
func (s *Service) numbered(ctx context.Context, f *Founding, m making) (*draft, error) {
	n, err := s.counters.take(ctx, codeCounter, 1)
	if err != nil {
		return nil, err
	}
	if f.Firm, err = registry.MakeUSCC(categoryOf(f.Data), m.agency.Area, n[0]); err != nil {
		return nil, err
	}
	d, err := s.draftFounding(ctx, f, m.agency, m.rep, f.Firm)
	if err != nil {
		return nil, err
	}
	d.hash = f.hash
	if err := s.number(ctx, m.agency, []*draft{d}); err != nil {
		return nil, err
	}
	if err := s.seal(ctx, web.Caller{ClientID: foundingClient}, d); err != nil {
		return nil, err
	}
	f.LicenseID, f.Order, f.Decider, f.Decided = d.lic.ID, db.NewID(), m.actor, db.Time(db.Micros(s.now()))
	return d, nil
}

// commit is the transaction.
func (s *Service) commit(ctx context.Context, f *Founding, d *draft, m making) (won bool, err error) {
	rows := s.rows([]*draft{d})
	err = s.db.Update(ctx, func(tx db.Tx) error {
		if won, err = m.take(ctx, tx); err != nil || !won {
			return err
		}
		if err := s.registry.FoundTx(ctx, tx, m.actor, registry.Firm{USCC: f.Firm, Name: f.Name, LegalRep: f.Person}); err != nil {
			return err
		}
		fresh, err := recordTx(ctx, tx, m.actor, []*draft{d}, rows)
		if err == nil && !fresh[d.lic.ID] {
			err = errFoundingKey
		}
		if err != nil {
			return err
		}
		if err := s.orders.OrderTx(ctx, tx, f.Order, m.actor, f.Firm); err != nil {
			return err
		}
		data := f.where()
		data["founding"], data["license"], data["order"] = f.ID, f.LicenseID, f.Order
		_, err = audit.Append(ctx, tx, audit.Event{Kind: EventFound, Actor: m.actor, Object: "firm:" + f.Firm, Data: data})
		return err
	})
	return won && err == nil, err
}
