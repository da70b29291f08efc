package audit

import (
	"bufio"
	"bytes"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/fault"
)

// maxExportLine bounds a line: a certificate in base64, or an event twice.
const maxExportLine = 512 << 10

// ExportSummary is what CheckExport found.
type ExportSummary struct {
	From, To int64
	Events   int64
	Erased   int64
	Origin   string // of the log
	Size     int64  // of the checkpoint at the end
	Whole    bool   // from the first event to the checkpoint: the root was recomputed
}

// CheckExport reads an export to its end, copies it to w, and checks what can be
// checked with nothing else: that no line is missing, that every event has the
// leaf that it says, and, where the export begins with the first event and ends
// with the checkpoint's last, that they are the tree that was signed. With
// verifiers, one of them must have signed the checkpoint. Progress, unless it is
// nil, is told the number of events so far.
//
// It fails with kind Invalid for an export that is cut off or was changed: what was
// copied by then is worth nothing.
func CheckExport(r io.Reader, w io.Writer, verifiers []note.Verifier, progress func(events int64)) (ExportSummary, error) {
	c := exportCheck{next: -1}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxExportLine)
	for lines.Scan() {
		if err := c.line(lines.Bytes()); err != nil {
			return ExportSummary{}, err
		}
		if _, err := w.Write(append(lines.Bytes(), '\n')); err != nil {
			return ExportSummary{}, fmt.Errorf("write export: %w", err)
		}
		if progress != nil {
			progress(c.Events)
		}
	}
	if err := lines.Err(); err != nil {
		return ExportSummary{}, fmt.Errorf("read export: %w", err)
	}
	return c.finish(verifiers)
}

// exportCheck is a run of CheckExport.
type exportCheck struct {
	ExportSummary
	next int64    // sequence number of the next event, -1 before the first
	tree frontier // over the leaves, while they are those from 0 on
	end  *ExportEnd
}

// line checks one line. Members are strict: what is copied is what was checked.
func (c *exportCheck) line(b []byte) error {
	if c.end != nil {
		return badExport("lines follow its end")
	}
	var kind struct {
		Leaf jsontext.Value `json:"leaf"`
	}
	if json.Unmarshal(b, &kind) != nil {
		return badExport("a line is no JSON")
	}
	if kind.Leaf == nil {
		c.end = new(ExportEnd)
		if json.Unmarshal(b, c.end, json.RejectUnknownMembers(true)) != nil {
			return badExport("its end is malformed")
		}
		return nil
	}
	var line ExportLine
	if json.Unmarshal(b, &line, json.RejectUnknownMembers(true)) != nil {
		return badExport("a line is malformed")
	}
	return c.event(&line)
}

func (c *exportCheck) event(line *ExportLine) error {
	if c.next < 0 {
		c.From, c.next = line.Seq, line.Seq
	}
	if line.Seq != c.next || line.Seq < 0 {
		return badExport(fmt.Sprintf("event %d does not follow event %d", line.Seq, c.next-1))
	}
	r := row{salt: line.Salt, content: line.Content}
	var leaf tlog.Hash
	switch {
	case r.isErased() && line.Erased && len(line.Leaf) == tlog.HashSize:
		leaf = tlog.Hash(line.Leaf)
		c.Erased++
	case r.isErased() || line.Erased:
		return badExport(fmt.Sprintf("event %d has no content", line.Seq))
	case r.isCertificate():
		leaf = tlog.RecordHash(certificateEntry(line.Content))
	default:
		leaf = tlog.RecordHash(eventEntry(line.Salt, line.Content))
	}
	if !bytes.Equal(leaf[:], line.Leaf) {
		return badExport(fmt.Sprintf("event %d does not have its leaf", line.Seq))
	}
	if !r.isErased() && !line.repeats(&r) {
		return badExport(fmt.Sprintf("event %d is not what its content says", line.Seq))
	}
	if c.From == 0 {
		c.tree.push(leaf)
	}
	c.To = line.Seq
	c.next++
	c.Events++
	return nil
}

// repeats reports whether the members for people are those of the content.
func (line *ExportLine) repeats(r *row) bool {
	if r.isCertificate() {
		return line.Kind == KindCertificate && line.Object == CertificateObject(r.content) && line.Actor == "" && line.Data == nil
	}
	c, err := decode(r.content)
	if err != nil || line.ID != c.ID || line.At.UnixMicro() != c.At || line.Kind != c.Kind || line.Actor != c.Actor || line.Object != c.Object {
		return false
	}
	want, err := json.Marshal(c.Data, json.Deterministic(true))
	if err != nil {
		return false
	}
	have, err := json.Marshal(line.Data, json.Deterministic(true))
	return err == nil && bytes.Equal(want, have)
}

// finish compares the events with the end.
func (c *exportCheck) finish(verifiers []note.Verifier) (ExportSummary, error) {
	if c.end == nil {
		return ExportSummary{}, badExport("it is cut off")
	}
	if c.Events == 0 || c.end.Events != c.Events || c.end.From != c.From || c.end.To != c.To {
		return ExportSummary{}, badExport("its end speaks of other events")
	}
	checkpoint, err := parseCheckpoint([]byte(c.end.Checkpoint))
	if err == nil && len(verifiers) > 0 {
		checkpoint, err = OpenCheckpoint([]byte(c.end.Checkpoint), verifiers...)
	}
	if err != nil {
		return ExportSummary{}, err
	}
	if c.To >= checkpoint.Size {
		return ExportSummary{}, badExport("its checkpoint does not cover its events")
	}
	c.Origin, c.Size = checkpoint.Origin, checkpoint.Size
	if c.Whole = c.From == 0 && c.Events == c.Size; c.Whole && c.tree.root() != tlog.Hash(checkpoint.Hash) {
		return ExportSummary{}, badExport("its events are not those of its checkpoint")
	}
	return c.ExportSummary, nil
}

func badExport(why string) error {
	return fault.New(fault.Invalid, "the export is not whole or was changed: "+why)
}
