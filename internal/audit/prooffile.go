package audit

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1\n"
	maxPath     = 63 // hashes between a leaf and the root
	maxOpened   = 1 + saltSize + MaxCertificate

	// MaxProof bounds a proof file, in bytes.
	MaxProof = MaxCheckpoint + (maxOpened+2)/3*4 + maxPath*45 + 128
)

// Proof shows what one event says and that the log holds it, to somebody who has
// the log's key and nothing else. As a file it is a C2SP tlog-proof, whose extra
// data opens the entry.
type Proof struct {
	Index      int64
	Salt       []byte // empty for a certificate
	Content    []byte // CBOR of the event, or DER of the certificate
	Path       tlog.RecordProof
	Checkpoint Checkpoint // with the cosignatures that it has
}

// Prove returns the proof of an event, given by its id, or of a certificate, given
// by its CertificateObject: under the newest checkpoint that a witness has
// cosigned if one covers it, else under the newest. It looks at the database
// alone.
//
// It fails with kind NotFound for an event that is unknown or erased, with kind
// Unavailable for one that waits to be sealed, and with kind Conflict for one that
// is not what was sealed.
func Prove(ctx context.Context, d *db.DB, event string) (p Proof, err error) {
	err = d.Read(ctx, func(tx db.Tx) error {
		r, err := provable(ctx, tx, event)
		if err != nil {
			return err
		}
		p = Proof{Index: r.seq.Int64, Salt: r.salt, Content: r.content}
		if p.Checkpoint, err = covering(ctx, tx, p.Index); err != nil {
			return err
		}
		p.Path, err = tlog.ProveRecord(p.Checkpoint.Size, p.Index, stored{ctx, tx})
		if err != nil {
			return fmt.Errorf("prove event: %w", err)
		}
		if p.check() != nil {
			return errTampered
		}
		return nil
	})
	if err != nil {
		return Proof{}, err
	}
	return p, nil
}

var errTampered = fault.New(fault.Conflict, "the stored event is not the one that was sealed: signet audit verify says more")

// provable returns the row of a sealed event that is as it was sealed.
func provable(ctx context.Context, tx db.Tx, event string) (*row, error) {
	condition, args := `id = $1`, []any{event}
	if strings.HasPrefix(event, "sha256:") {
		condition, args = `object = $1 AND kind = $2 ORDER BY seq LIMIT 1`, append(args, KindCertificate)
	}
	rows, err := readRows(ctx, tx, condition, args...)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, fault.New(fault.NotFound, "the log has no such event")
	}
	r := &rows[0]
	switch _, detail := r.inspect(); {
	case r.isErased():
		return nil, fault.New(fault.NotFound, "the content of this event was erased")
	case !r.seq.Valid:
		return nil, errNotSealed
	case detail != "":
		return nil, errTampered
	}
	return r, nil
}

var errNotSealed = fault.New(fault.Unavailable, "the event is not sealed yet")

// covering returns the checkpoint to prove the event at seq under.
func covering(ctx context.Context, tx db.Tx, seq int64) (c Checkpoint, err error) {
	var b []byte
	err = tx.QueryRowContext(ctx, `SELECT note FROM audit_checkpoints WHERE size = (SELECT max(size) FROM audit_cosignatures
		WHERE size > $1)`, seq).Scan(&b)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		c, err = latest(ctx, tx)
	case err != nil:
		return c, fmt.Errorf("read checkpoint: %w", err)
	default:
		c, err = parseCheckpoint(b)
	}
	if err != nil && !errors.Is(err, ErrNoCheckpoint) {
		return c, err
	}
	if c.Size <= seq {
		return c, errNotSealed
	}
	return withCosignatures(ctx, tx, c)
}

// entry recomputes what stands in the log.
func (p *Proof) entry() []byte {
	if len(p.Salt) == 0 {
		return certificateEntry(p.Content)
	}
	return eventEntry(p.Salt, p.Content)
}

// check compares the proof with its checkpoint, whose signatures it leaves alone.
func (p *Proof) check() error {
	return tlog.CheckRecord(p.Path, p.Checkpoint.Size, p.Checkpoint.Hash, p.Index, tlog.RecordHash(p.entry()))
}

// Verify checks the proof and returns what it proves. One of the log's verifiers
// must have signed the checkpoint, and each of the witnesses. It fails with kind
// Invalid if anything is wrong. The record of a certificate has neither id nor
// time: the entry does not hold them.
func (p *Proof) Verify(log []note.Verifier, witnesses ...note.Verifier) (Record, error) {
	c, err := OpenCheckpoint(p.Checkpoint.Note, log...)
	if err != nil {
		return Record{}, err
	}
	for _, w := range witnesses {
		if _, err := OpenCheckpoint(p.Checkpoint.Note, w); err != nil {
			return Record{}, fault.Wrap(fault.Invalid, "the checkpoint is not cosigned by "+w.Name(), err)
		}
	}
	p.Checkpoint = c
	if err := p.check(); err != nil {
		return Record{}, fault.Wrap(fault.Invalid, "the proof does not lead from this event to the checkpoint", err)
	}
	r := row{salt: p.Salt, content: p.Content, seq: sql.NullInt64{Int64: p.Index, Valid: true}}
	if r.isCertificate() {
		if !isDER(p.Content) {
			return Record{}, fault.New(fault.Invalid, "what the proof opens is no certificate")
		}
		r.kind, r.object = KindCertificate, CertificateObject(p.Content)
		return r.record()
	}
	content, err := decode(p.Content)
	if err != nil {
		return Record{}, fault.Wrap(fault.Invalid, "what the proof opens is no event", err)
	}
	r.id, r.at, r.kind, r.object = content.ID, content.At, content.Kind, content.Object
	return r.record()
}

// isDER reports whether b is one DER sequence.
func isDER(b []byte) bool {
	var outer asn1.RawValue
	rest, err := asn1.Unmarshal(b, &outer)
	return err == nil && len(rest) == 0 && outer.Tag == asn1.TagSequence && outer.Class == asn1.ClassUniversal && outer.IsCompound
}

// Encode returns the proof as a file.
func (p *Proof) Encode() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader)
	opened := append([]byte{byte(len(p.Salt))}, p.Salt...)
	opened = append(opened, p.Content...)
	fmt.Fprintf(&b, "extra %s\nindex %d\n", base64.StdEncoding.EncodeToString(opened), p.Index)
	writeHashes(&b, p.Path)
	b.WriteByte('\n')
	b.Write(p.Checkpoint.Note)
	return b.Bytes()
}

// writeHashes writes a proof's hashes as C2SP has them, one in a line.
func writeHashes(b *bytes.Buffer, hashes []tlog.Hash) {
	for _, h := range hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]))
		b.WriteByte('\n')
	}
}

var errProof = fault.New(fault.Invalid, "this is no proof of an event")

// ParseProof is the inverse of Encode. It believes nothing: see Verify. It fails
// with kind TooLarge over MaxProof and with kind Invalid for any other file.
func ParseProof(b []byte) (Proof, error) {
	if len(b) > MaxProof {
		return Proof{}, fault.New(fault.TooLarge, "the proof is too large")
	}
	head, checkpoint, ok := strings.Cut(string(b), "\n\n")
	head, versioned := strings.CutPrefix(head, proofHeader)
	lines := strings.Split(head, "\n")
	if !ok || !versioned || len(lines) < 2 || len(lines) > 2+maxPath {
		return Proof{}, errProof
	}
	var p Proof
	extra, ok := strings.CutPrefix(lines[0], "extra ")
	if !ok || !p.open(extra) {
		return Proof{}, errProof
	}
	index, _ := strings.CutPrefix(lines[1], "index ")
	if p.Index, ok = decimal(index, 1<<62); !ok || lines[1] != "index "+index {
		return Proof{}, errProof
	}
	for _, line := range lines[2:] {
		hash, ok := unbase64(line, tlog.HashSize)
		if !ok || len(hash) != tlog.HashSize {
			return Proof{}, errProof
		}
		p.Path = append(p.Path, tlog.Hash(hash))
	}
	var err error
	p.Checkpoint, err = parseCheckpoint([]byte(checkpoint))
	return p, err
}

// open reads the extra data: the length of the salt in one byte, the salt, and the
// content.
func (p *Proof) open(extra string) bool {
	b, ok := unbase64(extra, maxOpened)
	if !ok || len(b) == 0 || b[0] != 0 && b[0] != saltSize || len(b) <= 1+int(b[0]) {
		return false
	}
	p.Salt, p.Content = b[1:1+b[0]], b[1+b[0]:]
	return len(p.Salt) == 0 || len(p.Content) <= MaxContent
}

// unbase64 decodes the one spelling of at most that many bytes.
func unbase64(s string, most int) ([]byte, bool) {
	if len(s) > base64.StdEncoding.EncodedLen(most) || strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return b, err == nil && len(b) <= most
}
