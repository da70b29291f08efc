package city

import (
	"bufio"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Entry is one acknowledged act as somebody outside the city wrote it down: the
// proof against which fsck holds the database.
type Entry struct {
	N      int       `json:"n"`
	At     time.Time `json:"at"`
	Act    string    `json:"act"`    // one of the Act constants
	Object string    `json:"object"` // licence id, serial, key id
	Proof  string    `json:"proof"`  // what the answer said of it: see the constants
}

// The acts that a ledger may hold, and what proves each.
const (
	ActCity        = "city.made"          // proof: SHA-256 of the root certificate
	ActCertificate = "certificate.issued" // object: serial; proof: SHA-256 of the DER
	ActLicense     = "license.issued"     // object: id; proof: SHA-256 of the permit's text
	ActRevoke      = "license.revoked"    // object: id
	ActRotate      = "key.rotated"        // object: id of the key now active; proof: id of the one before
	ActSignIn      = "oidc.granted"       // object: client; nothing else of the person
	ActPublish     = "snapshot.published" // object: snapshot:SEQ; proof: SHA-256 of the snapshot
)

// Ledger appends entries to a file, each fsynced before Write returns.
type Ledger struct {
	mu sync.Mutex
	f  *os.File
	n  int
}

// OpenLedger opens or makes the file. A line that a crash cut off is removed: it
// was never acknowledged.
func OpenLedger(path string) (*Ledger, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open ledger: %w", err)
	}
	l := &Ledger{f: f}
	entries, end, err := readLedger(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ledger: %w", err), f.Close())
	}
	l.n = len(entries)
	return l, nil
}

// Write adds an act. Once it returns nil the line survives a crash.
func (l *Ledger) Write(act, object, proof string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	b, err := json.Marshal(Entry{N: l.n, At: time.Now().UTC(), Act: act, Object: object, Proof: proof})
	if err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if _, err := l.f.Write(append(b, '\n')); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	if err := l.f.Sync(); err != nil {
		return fmt.Errorf("write ledger: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Ledger) Close() error { return l.f.Close() }

// ReadLedger returns the acknowledged acts of a ledger file.
func ReadLedger(path string) ([]Entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	defer func() { _ = f.Close() }()
	entries, _, err := readLedger(f)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	return entries, nil
}

// readLedger returns the complete lines and where they end.
func readLedger(r io.Reader) (entries []Entry, end int64, err error) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return entries, end, nil // what stands behind the last newline was cut off
		}
		if err != nil {
			return nil, 0, err
		}
		var e Entry
		if err := json.Unmarshal(line, &e, json.RejectUnknownMembers(true)); err != nil {
			return nil, 0, fmt.Errorf("line %d: %w", len(entries)+1, err)
		}
		if e.N != len(entries)+1 {
			return nil, 0, fmt.Errorf("line %d has the number %d", len(entries)+1, e.N)
		}
		entries = append(entries, e)
		end += int64(len(line))
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
