package console

import (
	"context"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

// nobody is a registry without people.
type nobody struct{}

func (nobody) PersonByID(context.Context, string) (registry.Person, error) {
	return registry.Person{}, fault.New(fault.NotFound, "no such person")
}
