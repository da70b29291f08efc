package licenses

import (
	"context"
	"fmt"

	"github.com/signet-city/signet/internal/db"
)

// Outline is what others may be told of a licence: nothing of its holder.
type Outline struct {
	Number string
	Type   string
	Agency string
	Status Status
}

// maxOutlines is the most that Outlines looks up at once.
const maxOutlines = 1000

// Outlines returns those of the licences that there are, by id; at most a thousand ids
// are looked up.
func (s *Service) Outlines(ctx context.Context, licenses []string) (map[string]Outline, error) {
	licenses = licenses[:min(len(licenses), maxOutlines)]
	out := make(map[string]Outline, len(licenses))
	if len(licenses) == 0 {
		return out, nil
	}
	args := make([]any, len(licenses))
	for i, id := range licenses {
		args[i] = id
	}
	err := s.db.Read(ctx, func(tx db.Tx) error {
		clear(out)
		rows, err := tx.QueryContext(ctx, "SELECT l.id, l.number, l.type, l.agency, "+state+` FROM licenses l
			LEFT JOIN license_signing g ON g.license = l.id WHERE l.id IN (`+placeholders(1, len(args))+`)`, args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var id string
			var o Outline
			if err := rows.Scan(&id, &o.Number, &o.Type, &o.Agency, &o.Status); err != nil {
				return err
			}
			o.Number, _ = splitNumber(o.Number) // receivers know nothing of our column
			out[id] = o
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("find licences: %w", err)
	}
	return out, nil
}
