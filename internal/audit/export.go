package audit

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// KindExport is the kind of the events that say that events were handed out.
const KindExport = "audit.export"

// ExportSpec says what to hand out and to whom.
type ExportSpec struct {
	From  int64  // sequence number of the first event
	To    int64  // that of the last one; negative means the newest sealed one
	Actor string // who gets it
}

// Export is a range of sealed events on their way out.
type Export struct {
	From, To   int64
	Checkpoint Checkpoint // covers them

	db *db.DB
}

// ExportLine is one event of an export, one line of JSON. Data repeats for people
// what stands in Content; Leaf is what stands in the tree.
type ExportLine struct {
	Seq     int64          `json:"seq"`
	ID      string         `json:"id"`
	At      time.Time      `json:"at"`
	Kind    string         `json:"kind"`
	Actor   string         `json:"actor,omitzero"`
	Object  string         `json:"object,omitzero"`
	Data    map[string]any `json:"data,omitzero"`
	Salt    []byte         `json:"salt,omitempty"`
	Content []byte         `json:"content,omitempty"`
	Leaf    []byte         `json:"leaf"`
	Erased  bool           `json:"erased,omitzero"`
}

// ExportEnd is the last line. An export without it is not whole.
type ExportEnd struct {
	Checkpoint string `json:"checkpoint"` // the signed note
	From       int64  `json:"from"`
	To         int64  `json:"to"`
	Events     int64  `json:"events"`
}

// Export begins an export: it appends the event that says so, which is durable when
// it returns, and hands out nothing yet. It fails with kind NotFound while nothing
// is sealed, and with kind Invalid for a range that is none or beyond the newest
// checkpoint.
func (l *Log) Export(ctx context.Context, s ExportSpec) (*Export, error) {
	c, err := l.Cosigned(ctx)
	if err != nil {
		return nil, err
	}
	x := &Export{From: s.From, To: s.To, Checkpoint: c, db: l.db}
	if x.To < 0 {
		x.To = c.Size - 1
	}
	if x.From < 0 || x.From > x.To || x.To >= c.Size {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("the log has the events from 0 to %d", c.Size-1))
	}
	err = l.db.Update(ctx, func(tx db.Tx) error {
		_, err := Append(ctx, tx, Event{Kind: KindExport, Actor: s.Actor, Object: "log",
			Data: map[string]any{"from": x.From, "to": x.To, "size": c.Size}})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("export events: %w", err)
	}
	return x, nil
}

// Write writes the events, one line each, and the line that ends them. It reads
// the database in pages, each for itself: what is sealed changes no more, but for
// what is erased meanwhile. It fails rather than hand out an event that is not the
// one in the tree.
func (x *Export) Write(ctx context.Context, w io.Writer) error {
	for first := x.From; first <= x.To; {
		next := min((first/tileWidth+1)*tileWidth, x.To+1)
		page, err := x.page(ctx, first, next)
		if err != nil {
			return fmt.Errorf("export events: %w", err)
		}
		if _, err := w.Write(page); err != nil {
			return fmt.Errorf("export events: %w", err)
		}
		first = next
	}
	var end bytes.Buffer
	line := ExportEnd{string(x.Checkpoint.Note), x.From, x.To, x.To - x.From + 1}
	if err := json.MarshalWrite(&end, line); err != nil {
		return fmt.Errorf("export events: %w", err)
	}
	end.WriteByte('\n')
	if _, err := w.Write(end.Bytes()); err != nil {
		return fmt.Errorf("export events: %w", err)
	}
	return nil
}

// page returns the lines of the events from first to before next, which stand
// under one leaf tile.
func (x *Export) page(ctx context.Context, first, next int64) ([]byte, error) {
	var b bytes.Buffer
	err := x.db.Read(ctx, func(tx db.Tx) error {
		b.Reset()
		p := place{0, first / tileWidth}
		m, err := readTiles(ctx, tx, []place{p})
		if err != nil {
			return err
		}
		rows, err := readRows(ctx, tx, `seq >= $1 AND seq < $2 ORDER BY seq`, first, next)
		if err != nil {
			return err
		}
		if int64(len(rows)) != next-first || m[p] == nil || m[p].width() <= (next-1)%tileWidth {
			return fmt.Errorf("of the events from %d to %d some are missing", first, next-1)
		}
		for i := range rows {
			sealed := m[p].hashes[(first+int64(i))%tileWidth*tlog.HashSize:][:tlog.HashSize]
			if err := writeLine(&b, &rows[i], first+int64(i), sealed); err != nil {
				return err
			}
		}
		return nil
	})
	return b.Bytes(), err
}

// writeLine writes one event that is what was sealed at seq.
func writeLine(b *bytes.Buffer, r *row, seq int64, sealed []byte) error {
	leaf, detail := r.inspect()
	if detail != "" || r.seq.Int64 != seq || !bytes.Equal(leaf[:], sealed) {
		return errors.New("the event " + r.id + " is not the one that was sealed")
	}
	record, err := r.record()
	if err != nil {
		return err
	}
	line := ExportLine{Seq: seq, ID: r.id, At: record.At, Kind: record.Kind, Actor: record.Actor, Object: record.Object, Data: record.Data,
		Salt: r.salt, Content: r.content, Leaf: leaf[:], Erased: record.Erased}
	if err := json.MarshalWrite(b, line, json.Deterministic(true)); err != nil {
		return err
	}
	b.WriteByte('\n')
	return nil
}
