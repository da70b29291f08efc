package licenses

import (
	"context"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
)

// genuinePage is how many events are looked at in one transaction.
const genuinePage = 2000

// Genuine returns what a permit key signed before a time, for the file of its
// genuine permits: the hashes (permit.SigStructureHash) in the outcome events that
// the log has sealed. It believes the log and not the register: whoever stole the
// key may have written there. It walks through the whole log, which is for the day
// a key is stolen.
func (s *Service) Genuine(ctx context.Context, key string, before time.Time) (list [][16]byte, err error) {
	f := audit.EventFilter{Kind: EventOutcome, Limit: genuinePage}
	for {
		var page []audit.Record
		err := s.db.Read(ctx, func(tx db.Tx) (err error) {
			page, err = audit.Find(ctx, tx, f)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("find genuine permits: %w", err)
		}
		for _, r := range page {
			hash, _ := r.Data["signed"].([]byte)
			if r.Data["key"] == key && r.Seq >= 0 && r.At.Before(before) && len(hash) == 16 {
				list = append(list, [16]byte(hash))
			}
		}
		if len(page) < genuinePage {
			return list, nil
		}
		f.After = page[len(page)-1].ID
	}
}
