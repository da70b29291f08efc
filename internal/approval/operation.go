package approval

import (
	"context"
	"encoding/json/jsontext"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/web"
)

// Operation is something that takes two people.
type Operation struct {
	Kind  string // dotted lowercase words, as "key.rotate"
	Title web.Text

	// Check says what the operation would do with these parameters now. It is called
	// when a request is made, when it is approved and before it runs, changes nothing,
	// and gives the same answer while the situation is the same.
	//
	// resolved is a JSON object with everything that Run needs and nobody may change
	// afterwards: ids, hashes, public keys, times; numbers are integers to 2^53-1. It
	// goes to the log, so it names nobody. show is the same in words.
	//
	// A failure of kind Unavailable or Internal is passed on; any other refuses the
	// request, and at an approval or a run it means that the situation has changed.
	Check func(ctx context.Context, params jsontext.Value) (resolved jsontext.Value, show []Line, err error)

	// Run does what was approved. It may be called again with the same Decision after
	// a crash or a failure, and must then complete what it began and not begin anew:
	// Decision.Request is its idempotency key. It must refuse, by compare-and-swap,
	// what is no longer as resolved says. A failure of kind Unavailable or Internal is
	// tried again later; any other means that nothing was done and nothing will be.
	Run func(ctx context.Context, resolved jsontext.Value, by Decision) error

	// Subject returns the person whom a request is about, "" for none: they neither
	// make nor approve it. A nil Subject is none.
	Subject func(resolved jsontext.Value) string
}

// Line is one line of what a request would do.
type Line struct {
	Label  web.Text `json:"label"`
	Value  string   `json:"value,omitempty"`
	Person string   `json:"person,omitempty"` // id of a person, for the page to name, in place of Value
}

// Decision says who stands behind a run.
type Decision struct {
	Request   string // its id
	Kind      string
	Requester string // person
	Approver  string // person
	At        time.Time
}

// Actor returns the approver as events name them.
func (d Decision) Actor() string { return actorOf(d.Approver) }

func actorOf(person string) string { return "person:" + person }

// KindOf is an operation as a page lists it.
type KindOf struct {
	Kind  string
	Title web.Text
}

// Kinds returns the operations that can be asked for, in the order in which they
// were given to New, the officers' own first.
func (s *Service) Kinds() []KindOf {
	list := make([]KindOf, len(s.kinds))
	for i, kind := range s.kinds {
		list[i] = KindOf{kind, s.operations[kind].Title}
	}
	return list
}

// register adds operations and fails for one that cannot work.
func (s *Service) register(list []Operation) error {
	for _, o := range list {
		switch {
		case !isKind(o.Kind) || o.Kind == KindBreakGlass:
			return fmt.Errorf("operation %q: the kind is not dotted lowercase words", o.Kind)
		case o.Title.ZH == "" || o.Title.EN == "" || o.Check == nil || o.Run == nil:
			return fmt.Errorf("operation %s: title, Check or Run is missing", o.Kind)
		case s.operations[o.Kind].Run != nil:
			return fmt.Errorf("operation %s: given twice", o.Kind)
		}
		s.operations[o.Kind] = o
		s.kinds = append(s.kinds, o.Kind)
	}
	return nil
}

// subject returns whom a resolved request is about.
func (o Operation) subject(resolved jsontext.Value) string {
	if o.Subject == nil {
		return ""
	}
	return o.Subject(resolved)
}

// check calls Check and makes its answer canonical.
func (o Operation) check(ctx context.Context, params jsontext.Value) (jsontext.Value, []Line, error) {
	resolved, show, err := o.Check(ctx, params.Clone())
	if err != nil {
		return nil, nil, err
	}
	if resolved, err = canonical(resolved); err != nil {
		return nil, nil, fmt.Errorf("operation %s: resolved: %w", o.Kind, err)
	}
	return resolved, show, nil
}
