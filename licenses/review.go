package licenses

import (
	"context"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// maxReviews is how many clerks may have to agree to one application.
const maxReviews = 2

// Reviews returns the posts that decide on an application for this type at a desk, one
// after the other: web.RoleClerk or web.RoleReviewer, one or two of them. Nobody
// changes the answer.
func (t *Type) Reviews() []string {
	if t.Review == nil {
		return []string{web.RoleClerk}
	}
	return t.Review
}

// checkReview says what is wrong with the review steps of the file.
func (t *Type) checkReview() error {
	if t.Review == nil {
		return nil
	}
	if n := len(t.Review); n < 1 || n > maxReviews {
		return fmt.Errorf("review: want one or %d posts", maxReviews)
	}
	for _, post := range t.Review {
		if post != web.RoleClerk && post != web.RoleReviewer {
			return fmt.Errorf("review: want %s or %s", web.RoleClerk, web.RoleReviewer)
		}
	}
	return nil
}

// Decide runs f in a transaction with the posts that decide on applications for a type
// now, by its newest version: one that another replica has added a moment ago counts.
// Like every function given to Update, f may run more than once. It fails with kind
// Unavailable for a type that this replica does not know.
func (s *Service) Decide(ctx context.Context, licenseType string, f func(tx db.Tx, posts []string) error) error {
	for range addAttempts {
		c := s.catalog.now.Load()
		t := c.newest(licenseType)
		if t == nil {
			return fault.New(fault.Unavailable, "this licence type is not known here")
		}
		err := s.db.Update(ctx, func(tx db.Tx) error {
			generation, err := counter(ctx, tx, typesCounter)
			if err != nil {
				return err
			}
			if generation != c.generation {
				return errTypesMoved
			}
			return f(tx, t.Reviews())
		})
		if !errors.Is(err, errTypesMoved) {
			return err
		}
		if err := s.refresh(ctx); err != nil {
			return err
		}
	}
	return fault.New(fault.Unavailable, "others are adding licence types: try again")
}
