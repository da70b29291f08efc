package licenses

import (
	"bytes"
	"context"
	"errors"

	"github.com/signet-city/signet/internal/web"
)

// answered gives refused requests the licence that they were answered with before: a
// holder's record, a type's schema or a day that changed since makes no refusal of
// what was issued, else whoever sends a batch again would issue it under another key.
func (s *Service) answered(ctx context.Context, caller web.Caller, drafts []*draft) error {
	for _, d := range drafts {
		if d.err == nil || checkKey(d.key) != nil {
			continue
		}
		l, err := s.ByKey(ctx, caller.ClientID, d.key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		hash, err := d.req.hash()
		if err != nil || !bytes.Equal(l.hash, hash) || l.Agency != caller.Agency {
			continue // what is wrong with the request is said
		}
		if l.Status == Signing {
			if err := s.finish(ctx, []*License{l}); err != nil {
				return err
			}
		}
		d.lic, d.replayed, d.err = l, true, nil
	}
	return nil
}
