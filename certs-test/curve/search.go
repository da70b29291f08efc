package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/signet-city/signet/certs-test/cputime"
	"github.com/signet-city/signet/licenses"
)

const (
	searches   = 200 // of each kind at one point
	searchRows = 20  // of a page, as at a desk
)

// searchKinds are what the clerks of an agency look for, whose licences are a quarter
// of all: a page that holds the newest, also of a type, or those of a holder, the
// licence of a number, and those that were suspended or have expired, of which there
// are none among all the others; and the newest as a successor of the agency finds them.
func (r *register) searchKinds() map[string]func() licenses.Filter {
	plain := licenses.Filter{Agency: agency, Limit: searchRows}
	with := func(set func(*licenses.Filter)) func() licenses.Filter {
		return func() licenses.Filter { f := plain; set(&f); return f }
	}
	return map[string]func() licenses.Filter{
		"newest":    with(func(*licenses.Filter) {}),
		"type":      with(func(f *licenses.Filter) { f.Type = "food-business" }),
		"holder":    with(func(f *licenses.Filter) { f.Holder = r.served[r.random.IntN(len(r.served))] }),
		"number":    with(func(f *licenses.Filter) { f.Number = r.numbers[r.random.IntN(len(r.numbers))] }),
		"suspended": with(func(f *licenses.Filter) { f.Status = licenses.Suspended }),
		"expired":   with(func(f *licenses.Filter) { f.Status = licenses.Expired }),
		"inherited": with(func(f *licenses.Filter) { f.Agency = successor }),
	}
}

// search measures what one search of each kind costs, in CPU microseconds.
func (r *register) search(ctx context.Context) (map[string]float64, error) {
	cost := map[string]float64{}
	for kind, filter := range r.searchKinds() {
		if err := r.searchFor(ctx, kind, filter, 10); err != nil { // caches, prepared statements
			return nil, err
		}
		before, err := cputime.Used(r.postmaster)
		if err != nil {
			return nil, err
		}
		if err := r.searchFor(ctx, kind, filter, searches); err != nil {
			return nil, err
		}
		after, err := cputime.Used(r.postmaster)
		if err != nil {
			return nil, err
		}
		cost[kind] = float64(int((after-before)*1e7/searches)) / 10
	}
	return cost, nil
}

// searchFor searches n times. What it finds is counted, so that a search that finds
// nothing is not taken for a fast one.
func (r *register) searchFor(ctx context.Context, kind string, filter func() licenses.Filter, n int) error {
	least, most := 1, searchRows
	switch kind {
	case "number":
		most = 1
	case "newest", "type", "inherited":
		least = searchRows
	case "suspended", "expired":
		least, most = 0, 0
	}
	for range n {
		list, _, err := r.city.Licenses.List(ctx, filter())
		if err != nil {
			return fmt.Errorf("search by %s: %w", kind, err)
		}
		if len(list) < least || len(list) > most {
			return fmt.Errorf("search by %s: %d found, want %d to %d", kind, len(list), least, most)
		}
	}
	return nil
}

// tellSearches prints what each kind of search cost at a point.
func (p point) tellSearches(engine string) {
	var kinds []string
	for kind, us := range p.Searches {
		kinds = append(kinds, fmt.Sprintf("%s %.0f", kind, us))
	}
	slices.Sort(kinds)
	fmt.Fprintf(os.Stderr, "curve: %s %d records: searches, µs: %s\n", engine, p.Records, strings.Join(kinds, ", "))
}
