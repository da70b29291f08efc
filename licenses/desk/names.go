package desk

import (
	"context"
	"errors"
	"strings"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// names remembers, for one page, the names of the people who act.
type names struct {
	s     *Service
	known map[string]string
}

func (s *Service) names() *names { return &names{s, map[string]string{}} }

// of returns a person's name, "" if the register no longer knows them.
func (n *names) of(ctx context.Context, person string) (string, error) {
	if name, ok := n.known[person]; ok || person == "" {
		return name, nil
	}
	p, err := n.s.registry.PersonByID(ctx, person)
	if err != nil && !errors.Is(err, registry.ErrPerson) {
		return "", err
	}
	n.known[person] = p.Name
	return p.Name, nil
}

// actor returns who did something by the actor of an event.
func (n *names) actor(ctx context.Context, actor string) (web.Text, error) {
	if person, ok := strings.CutPrefix(actor, "person:"); ok {
		name, err := n.of(ctx, person)
		if name == "" {
			return textUnknown, err
		}
		return web.Text{ZH: name, EN: name}, err
	}
	if strings.HasPrefix(actor, "client:") {
		return textProgram, nil
	}
	return textSystem, nil
}

// holders returns the names of those for whom the applications ask, by number.
func (s *Service) holders(ctx context.Context, list []*application) (map[string]string, error) {
	var usccs, residents []string
	for _, a := range list {
		if h := a.Request.Holder; h.USCC != "" {
			usccs = append(usccs, h.USCC)
		} else if h.Resident != "" {
			residents = append(residents, h.Resident)
		}
	}
	found := map[string]string{}
	err := s.db.Read(ctx, func(tx db.Tx) error {
		if len(usccs) > 0 {
			firms, err := s.registry.FindFirms(ctx, tx, usccs)
			if err != nil {
				return err
			}
			for number, f := range firms {
				found[number] = f.Name
			}
		}
		if len(residents) == 0 {
			return nil
		}
		people, err := s.registry.FindPeople(ctx, tx, registry.Resident, residents)
		for number, p := range people {
			found[number] = p.Name
		}
		return err
	})
	if fault.KindOf(err) == fault.Invalid { // a number that the register no longer takes
		return found, nil
	}
	return found, err
}

// holderNumber returns the number of a holder as a page shows it: people's are masked.
func holderNumber(h licenses.Holder) string {
	if h.USCC != "" {
		return h.USCC
	}
	return registry.Mask(h.Resident)
}

func holderOf(h licenses.Holder) string { return h.USCC + h.Resident }

// typeName is the name of a licence type.
func (s *Service) typeName(id string) web.Text {
	for _, t := range s.types() {
		if t.ID == id {
			return web.Text(t.Names)
		}
	}
	return web.Text{ZH: id, EN: id}
}

// agencyName is the name of an agency.
func (s *Service) agencyName(ctx context.Context, id string) (web.Text, error) {
	a, err := s.registry.FindAgency(ctx, id)
	return web.Text{ZH: a.NameZH, EN: a.NameEN}, err
}

// otherAgency is the name of an agency that is not the clerk's, whose page says that.
func (s *Service) otherAgency(ctx context.Context, c *clerk, id string) (web.Text, error) {
	if id == c.agency.ID {
		return web.Text{}, nil
	}
	return s.agencyName(ctx, id)
}
