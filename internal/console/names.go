package console

import (
	"context"
	"strings"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// names remembers, for one answer, the names of people.
type names struct {
	people People
	known  map[string]string
}

func (c *Console) names() *names { return &names{c.o.People, map[string]string{}} }

// of returns a person's name, their id if the registry does not know them.
func (n *names) of(ctx context.Context, person string) (string, error) {
	if name, ok := n.known[person]; ok || person == "" {
		return name, nil
	}
	p, err := n.people.PersonByID(ctx, person)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return "", err
	}
	name := p.Name
	if name == "" {
		name = person
	}
	n.known[person] = name
	return name, nil
}

// officers learns the names of those who are officers now. Whoever else stands in
// the log is not named on its pages: it is not for officers to see who signs in.
func (c *Console) officers(ctx context.Context) (*names, error) {
	n := c.names()
	list, err := c.o.Approvals.Officers(ctx)
	if err != nil {
		return nil, err
	}
	for _, o := range list {
		if _, err := n.of(ctx, o.Person); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// actor returns who did something by the actor of an event, naming only whom n
// knows already.
func (n *names) actor(actor string) web.Text {
	person, ok := strings.CutPrefix(actor, "person:")
	switch {
	case ok && n.known[person] != "":
		return plain(n.known[person])
	case actor == "system" || actor == "schedule":
		return textSystem
	case actor == "ceremony":
		return web.Text{ZH: "建城仪式", EN: "The ceremony"}
	}
	return plain(actor)
}

func plain(s string) web.Text { return web.Text{ZH: s, EN: s} }
