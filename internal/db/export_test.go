package db

import (
	"context"

	"github.com/pressly/goose/v3"
)

// MigrateTo brings the schema up or down to a version.
func (d *DB) MigrateTo(ctx context.Context, version int64) error {
	return d.withProvider(func(p *goose.Provider) error {
		have, err := p.GetDBVersion(ctx)
		if err != nil {
			return err
		}
		if have > version {
			_, err = p.DownTo(ctx, version)
		} else {
			_, err = p.UpTo(ctx, version)
		}
		return err
	})
}

// URL returns what the database was opened with.
func (d *DB) URL() string { return d.url }
