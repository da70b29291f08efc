package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const columns = 7 // of an insert into audit_events

// Append records events in the caller's transaction and returns their ids in the
// same order. It reads the clock once; the log keeps the order of one call. It
// fails with kind TooLarge for an event over MaxContent and with kind Internal
// for one that is not well formed.
func Append(ctx context.Context, tx db.Tx, events ...Event) (ids []string, err error) {
	ids, args, err := rows(events)
	if err != nil {
		return nil, err
	}
	if err := insert(ctx, tx, args); err != nil {
		return nil, fmt.Errorf("append events: %w", err)
	}
	return ids, nil
}

// rows returns the arguments that insert takes for events.
func rows(events []Event) (ids []string, args []any, err error) {
	if len(events) == 0 {
		return nil, nil, nil
	}
	at := time.Now().UnixMicro()
	salts := make([]byte, len(events)*saltSize)
	_, _ = rand.Read(salts) // never fails
	ids = newIDs(len(events))
	args = make([]any, 0, (len(events)+1)*columns)
	for i := range events {
		e := &events[i]
		b, err := e.encode(ids[i], at)
		if err != nil {
			return nil, nil, fmt.Errorf("append event %s: %w", e.Kind, err)
		}
		salt := salts[i*saltSize:][:saltSize:saltSize]
		args = append(args, ids[i], at, e.Kind, e.Object, salt, b, eventEntry(salt, b))
	}
	return ids, args, nil
}

// AppendCertificate records a certificate in the caller's transaction, behind events
// that belong to it, so that whoever holds it can look it up in the log. Its record has
// kind KindCertificate and object CertificateObject(der); its id is returned. It fails
// with kind TooLarge for more than MaxCertificate bytes, for bytes that are not one DER
// sequence, and as Append does.
func AppendCertificate(ctx context.Context, tx db.Tx, der []byte, before ...Event) (id string, err error) {
	if len(der) > MaxCertificate {
		return "", fault.New(fault.TooLarge, "the certificate is too large to be recorded")
	}
	if !isDER(der) {
		return "", fmt.Errorf("append certificate: not one DER sequence")
	}
	_, args, err := rows(before)
	if err != nil {
		return "", err
	}
	id = db.NewID()
	args = append(args, id, time.Now().UnixMicro(), KindCertificate, CertificateObject(der), []byte{}, der, certificateEntry(der))
	if err := insert(ctx, tx, args); err != nil {
		return "", fmt.Errorf("append certificate: %w", err)
	}
	return id, nil
}

// CertificateObject returns the object of a certificate's record: "sha256:" and
// the hash of its DER in hexadecimal.
func CertificateObject(der []byte) string {
	return "sha256:" + hex.EncodeToString(certificateEntry(der))
}

// newIDs returns n fresh ids in ascending order, which is that of sealing.
func newIDs(n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = db.NewID()
	}
	return ids
}

// insert writes rows of audit_events.
func insert(ctx context.Context, tx db.Tx, args []any) error {
	for values, some := range db.Inserts(columns, args) {
		_, err := tx.ExecContext(ctx, `INSERT INTO audit_events (id, at, kind, object, salt, content, entry) VALUES `+values, some...)
		if err != nil {
			return err
		}
	}
	return nil
}
