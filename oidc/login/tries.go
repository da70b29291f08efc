package login

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/signet-city/signet/internal/db"
)

// Bounds of tries in a window, for all replicas together.
const (
	triesWindow  = 10 * time.Minute
	accountTries = 50 // from browsers that the account does not know
	deviceTries  = 20 // from one that it does
)

// admit lets a try for a username happen, or fails with *waitError. First this
// replica's buckets are asked, which cost nothing; then the table that all replicas
// share. A browser that the account knows has bounds of its own. A username that nobody
// has is treated as any other. Giving back is for tries that succeeded.
func (s *Service) admit(ctx context.Context, username, address string, d *device) (back func(), err error) {
	now, name := s.o.Now(), keyOf(username)
	known := d.knows(name)
	what, bound := "account", accountTries
	var id []byte
	var give func()
	var wait time.Duration
	if known {
		what, bound, id = "device", deviceTries, d.ID
		give, wait = s.limits.tryKnown(name, d.ID, now)
	} else {
		give, wait = s.limits.try(name, address, now)
	}
	if wait > 0 {
		return nil, &waitError{wait}
	}
	lookups, err := s.lookups(ctx, username)
	if err != nil {
		give()
		return nil, err
	}
	window := now.Truncate(triesWindow)
	hash := triesHash(what, lookups[0], id, window)
	ok, err := s.countTry(ctx, hash, bound, window)
	if err == nil && !ok {
		err = &waitError{window.Add(triesWindow).Sub(now)}
	}
	if err != nil {
		give()
		return nil, err
	}
	return func() {
		give()
		s.forgiveTry(ctx, hash)
	}, nil
}

func triesHash(what string, lookup, id []byte, window time.Time) []byte {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(what), lookup, id, binary.BigEndian.AppendUint64(nil, uint64(window.Unix()))} {
		_, _ = h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(part))))
		_, _ = h.Write(part)
	}
	return h.Sum(nil)
}

// countTry counts one more try, and reports false if there were as many as may be.
func (s *Service) countTry(ctx context.Context, hash []byte, bound int, window time.Time) (ok bool, err error) {
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		var n int64
		err := tx.QueryRowContext(ctx, `INSERT INTO login_tries (hash, tries, expires) VALUES ($1, 1, $2)
			ON CONFLICT (hash) DO UPDATE SET tries = login_tries.tries + 1 WHERE login_tries.tries < $3 RETURNING tries`,
			hash, db.Micros(window.Add(triesWindow)), bound).Scan(&n)
		ok = err == nil
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	if err != nil {
		return false, fmt.Errorf("count try: %w", err)
	}
	return ok, nil
}

// forgiveTry takes a try back. That it did not work is no reason to refuse a person
// who has just been proved.
func (s *Service) forgiveTry(ctx context.Context, hash []byte) {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE login_tries SET tries = tries - 1 WHERE hash = $1 AND tries > 0`, hash)
		return err
	})
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "take back a try", slog.Any("cause", err))
	}
}
