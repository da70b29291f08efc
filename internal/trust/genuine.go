package trust

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/verify/trust"
)

// genuine returns the hash of the file of a stolen key's genuine permits, which it
// makes when the key is met for the first time with this time of the theft. The
// bundle that names the file is signed, the file is not.
func (p *Publisher) genuine(ctx context.Context, k keys.Key, since time.Time) ([]byte, error) {
	if p.o.Genuine == nil {
		return nil, nil
	}
	hash, err := p.findGenuine(ctx, k.ID, since)
	if err == nil || !errors.Is(err, sql.ErrNoRows) {
		return hash, err
	}
	list, err := p.o.Genuine(ctx, k.ID, since)
	if err != nil {
		return nil, fmt.Errorf("list genuine permits of key %s: %w", k.ID, err)
	}
	body, err := trust.EncodeGenuine(list)
	if err != nil {
		return nil, err
	}
	sum := trust.Hash(body)
	err = p.o.DB.Update(ctx, func(tx db.Tx) error {
		res, err := tx.ExecContext(ctx, `INSERT INTO trust_genuine (key, since, hash, body, made_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (key, since) DO NOTHING`, k.ID, db.Micros(since), sum[:], body, db.Micros(p.o.Now()))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 { // another replica was first
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "trust.genuine", Actor: actor, Object: "key:" + k.ID,
			Data: map[string]any{"since": since.Unix(), "permits": int64(len(list)), "sha256": sum[:]}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("store genuine permits of key %s: %w", k.ID, err)
	}
	return p.findGenuine(ctx, k.ID, since)
}

func (p *Publisher) findGenuine(ctx context.Context, key string, since time.Time) (hash []byte, err error) {
	err = p.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT hash FROM trust_genuine WHERE key = $1 AND since = $2`, key, db.Micros(since)).Scan(&hash)
	})
	return hash, err
}

// getGenuine serves a file of genuine permits by its hash, for good.
func (p *Publisher) getGenuine(w http.ResponseWriter, r *http.Request) error {
	hash, err := hex.DecodeString(r.PathValue("hash"))
	if err != nil || len(hash) != 32 {
		return fault.New(fault.NotFound, "there is no such file")
	}
	var body []byte
	var made int64
	err = p.o.DB.Read(r.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(r.Context(), `SELECT body, made_at FROM trust_genuine WHERE hash = $1 ORDER BY made_at LIMIT 1`, hash).Scan(&body, &made)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return fault.New(fault.NotFound, "there is no such file")
	}
	if err != nil {
		return err
	}
	serve(w, r, &object{body: body, hash: [32]byte(hash), issued: db.Time(made).Unix()})
	return nil
}

// mountGenuine serves /trust/genuine/{hash}, the hash in hexadecimal.
func (p *Publisher) mountGenuine(mux *http.ServeMux) {
	mux.Handle("GET /trust/genuine/{hash}", web.Handler(p.getGenuine, p.o.Logger))
}

// writeGenuine keeps the files that the current bundle names in Options.Dir.
func (p *Publisher) writeGenuine() error {
	bundle := p.current[kindBundle].Load()
	if bundle == nil {
		return nil
	}
	b, err := trust.ParseBundle(bundle.body)
	if err != nil {
		return err
	}
	for _, k := range b.Keys {
		if len(k.Genuine) != 32 || p.writtenGenuine[[32]byte(k.Genuine)] {
			continue
		}
		var body []byte
		err := p.o.DB.Read(context.Background(), func(tx db.Tx) error {
			return tx.QueryRowContext(context.Background(), `SELECT body FROM trust_genuine WHERE hash = $1 ORDER BY made_at LIMIT 1`, k.Genuine).Scan(&body)
		})
		if err == nil {
			err = replace(filepath.Join(p.o.Dir, "genuine-"+hex.EncodeToString(k.Genuine)+".bin"), body)
		}
		if err != nil {
			return err
		}
		p.writtenGenuine[[32]byte(k.Genuine)] = true
	}
	return nil
}
