package desk

import (
	"log/slog"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// kinds is what the desk knows of the licence types of one moment.
type kinds struct {
	generation int64
	types      []*licenses.Type      // in order
	forms      map[string]*form.Form // by type
}

// known returns the types as the register has them now.
func (s *Service) known() *kinds {
	k := s.kinds.Load()
	if s.licenses == nil || k != nil && k.generation == s.licenses.TypesGeneration() {
		return k
	}
	// Read before the types: what is added in between is made once more.
	k = &kinds{generation: s.licenses.TypesGeneration(), types: s.licenses.Types(), forms: map[string]*form.Form{}}
	for _, t := range k.types {
		f, err := form.New(t)
		if err != nil {
			s.log.Warn("licence type not offered at the desk", slog.String("type", t.ID), slog.Any("cause", err))
			continue
		}
		k.forms[t.ID] = f
	}
	s.kinds.Store(k)
	return k
}

// types returns the licence types in order.
func (s *Service) types() []*licenses.Type { return s.known().types }

// formOf returns the form of a type, nil if there is none.
func (s *Service) formOf(licenseType string) *form.Form { return s.known().forms[licenseType] }

// reviews returns the posts that decide on applications for a type, as far as this
// replica knows: what counts is asked in the transaction of the decision.
func (s *Service) reviews(licenseType string) []string {
	for _, t := range s.types() {
		if t.ID == licenseType {
			return t.Reviews()
		}
	}
	return []string{web.RoleClerk}
}
