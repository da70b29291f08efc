package main

import (
	"cmp"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// basis is what verdicts rest on: the files of --root, --trust and --status.
type basis struct {
	now      time.Time
	trust    *verify.Trust    // nil where there is none to rely on
	snapshot *verify.Snapshot // nil likewise
	options  verify.Options

	seen trust.State // what the root statements and heads vouch for
	open *openBundle // the one that trust was loaded from
}

// openBundle is a bundle that the pin leads to.
type openBundle struct {
	file  []byte
	pin   crypto.PublicKey
	trust *verify.Trust
}

// basis reads the files. The error says that a flag is wrong: what is wrong with a
// bundle or a snapshot is told to the person, and becomes a verdict.
func (f *verifyFlags) basis(e *env, now time.Time) (*basis, error) {
	f.fromData()
	b := &basis{now: now}
	if f.root == "" {
		if len(f.trust) > 0 || f.status != "" {
			return nil, withHint(errors.New("nothing is pinned"), "give --root, the root certificate; without it a bundle proves nothing")
		}
		return b, nil
	}
	pin, err := readRoot(e, f.root)
	if err != nil {
		return nil, err
	}
	files, err := f.trustFiles(e)
	if err != nil {
		return nil, err
	}
	pins, err := b.openRoots(pin, files)
	if err != nil {
		return nil, err
	}
	b.openBundles(e, pins, files)
	if err := b.openOthers(e, files); err != nil {
		return nil, err
	}
	b.openStatus(e, f.status)
	return b, nil
}

// fromData takes what was not named from a city's directory.
func (f *verifyFlags) fromData() {
	if f.data == "" {
		return
	}
	public := filepath.Join(f.data, "public")
	f.root = cmp.Or(f.root, filepath.Join(public, "root.pem"))
	f.status = cmp.Or(f.status, filepath.Join(public, "snapshot.elr1"))
	if len(f.trust) == 0 {
		f.trust = []string{filepath.Join(public, "bundle.cbor")}
		genuine, _ := filepath.Glob(filepath.Join(public, "genuine-*.bin")) // the pattern is well formed
		f.trust = append(f.trust, genuine...)
	}
}

// readRoot returns the pinned key: that of the root certificate, or the bare key.
func readRoot(e *env, path string) (crypto.PublicKey, error) {
	b, err := e.readFile(path, maxInput)
	if err != nil {
		return nil, fmt.Errorf("read root: %w", err)
	}
	block, rest := pem.Decode(b)
	if block == nil {
		return nil, fmt.Errorf("read root: %s holds no PEM", path)
	}
	if more, _ := pem.Decode(rest); more != nil {
		return nil, fmt.Errorf("read root: %s holds more than one thing: which is the root?", path)
	}
	pin, err := pinned(block)
	if err == nil {
		_, err = trust.AlgOf(pin)
	}
	if err != nil {
		return nil, fmt.Errorf("read root: %s: %w", path, err)
	}
	return pin, nil
}

// pinned returns the key of a root certificate, whose own signature it verifies,
// or a bare public key.
func pinned(block *pem.Block) (crypto.PublicKey, error) {
	switch block.Type {
	case "CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		if err := cert.CheckSignatureFrom(cert); err != nil {
			return nil, fmt.Errorf("this is no root certificate: %w", err)
		}
		return cert.PublicKey, nil
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	}
	return nil, fmt.Errorf("a %s is no root certificate", strings.ToLower(block.Type))
}

// The kinds of files that --trust takes.
const (
	kindRoot   = "root statement"
	kindBundle = "trust bundle"
	kindHead   = "head"
	kindOther  = "" // genuine permits, or anything
)

// trustFile is a file of --trust.
type trustFile struct {
	path   string
	body   []byte
	kind   string
	number uint64 // version or seq
}

// trustFiles reads the files of --trust and finds out what each is. One that is
// not there is as if it had not been named.
func (f *verifyFlags) trustFiles(e *env) ([]trustFile, error) {
	var files []trustFile
	for _, path := range f.trust {
		b, err := e.readFile(path, trust.MaxGenuine)
		if errors.Is(err, fs.ErrNotExist) {
			e.say("trust: %s is not there", path)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read trust: %w", err)
		}
		files = append(files, recognise(path, b))
	}
	// Older ones first, as trust.Accept wants to see them.
	slices.SortStableFunc(files, func(a, b trustFile) int { return cmp.Compare(a.number, b.number) })
	return files, nil
}

// recognise finds out what a file is by its typ. Nothing in it is believed yet.
func recognise(path string, b []byte) trustFile {
	f := trustFile{path: path, body: b}
	if s, err := trust.ParseRoot(b); err == nil {
		f.kind, f.number = kindRoot, s.Version
	} else if s, err := trust.ParseBundle(b); err == nil {
		f.kind, f.number = kindBundle, s.Seq
	} else if s, err := trust.ParseHead(b); err == nil {
		f.kind, f.number = kindHead, s.BundleSeq
	}
	return f
}

// openRoots verifies the root statements and returns the keys that are pinned now:
// the root, and the one that it says will follow.
func (b *basis) openRoots(pin crypto.PublicKey, files []trustFile) ([]crypto.PublicKey, error) {
	pins := []crypto.PublicKey{pin}
	for _, f := range files {
		if f.kind != kindRoot {
			continue
		}
		s, err := trust.OpenRoot(f.body, pin, b.now)
		if err != nil {
			return nil, fmt.Errorf("trust %s: %w", f.path, err)
		}
		b.seen, err = trust.Accept(b.seen, trust.State{Root: trust.Mark{Number: s.Version, Hash: trust.Hash(f.body)}})
		if err != nil {
			return nil, fmt.Errorf("trust %s: %w", f.path, err)
		}
		next, err := s.NextRoot()
		if err != nil {
			return nil, fmt.Errorf("trust %s: %w", f.path, err)
		}
		if next != nil {
			pins = append(pins, next)
		}
	}
	return pins, nil
}

// openBundles loads the newest bundle that holds good. Where there is none, it
// keeps why.
func (b *basis) openBundles(e *env, pins []crypto.PublicKey, files []trustFile) {
	for _, f := range files {
		if f.kind != kindBundle && f.kind != kindOther {
			continue
		}
		opened, err := openWith(pins, f.body, b.now)
		if err == nil {
			if b.seen, err = trust.Accept(b.seen, opened.trust.State()); err == nil {
				b.open, b.trust = opened, opened.trust
				continue
			}
		}
		if f.kind == kindBundle {
			e.say("trust: %s: %v", f.path, err)
		}
		b.options.TrustErr = cmp.Or(b.options.TrustErr, err)
		if errors.Is(err, trust.ErrFork) { // two that deny each other: neither can be relied on
			b.open, b.trust, b.options.TrustErr = nil, nil, err
			return
		}
	}
}

// openWith loads a bundle that one of the pins leads to. The error is that of the
// first pin.
func openWith(pins []crypto.PublicKey, file []byte, now time.Time) (*openBundle, error) {
	var first error
	for _, pin := range pins {
		t, err := verify.Load(pin, file, now)
		if err == nil {
			return &openBundle{file, pin, t}, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// openOthers reads what only a bundle gives a meaning to: heads, and the genuine
// permits of stolen keys, which the bundle names by their hash.
func (b *basis) openOthers(e *env, files []trustFile) error {
	if !slices.ContainsFunc(files, func(f trustFile) bool { return f.kind == kindHead || f.kind == kindOther }) {
		return nil
	}
	if b.open == nil {
		for _, f := range files {
			if f.kind == kindHead || f.kind == kindOther {
				e.say("trust: %s is not used: no trust bundle holds good", f.path)
			}
		}
		return nil
	}
	bundle, root, err := trust.OpenBundle(b.open.file, b.open.pin, b.now)
	if err != nil {
		return fmt.Errorf("open trust bundle: %w", err)
	}
	for _, f := range files {
		switch f.kind {
		case kindHead:
			err = b.openHead(e, f, root)
		case kindOther:
			err = b.openGenuine(e, f, bundle)
		}
		if err != nil {
			return fmt.Errorf("trust %s: %w", f.path, err)
		}
	}
	return nil
}

// openHead holds the bundle against what the head says is current.
func (b *basis) openHead(e *env, f trustFile, root trust.RootStatement) error {
	head, err := trust.OpenHead(f.body, root, b.now)
	if err != nil {
		return err
	}
	state, err := trust.Accept(trust.HeadState(head), b.open.trust.State())
	if err != nil {
		e.say("trust: %v", err)
		b.trust, b.options.TrustErr = nil, err
		return nil
	}
	if state.Snapshot.Number >= b.seen.Snapshot.Number {
		b.seen.Snapshot = state.Snapshot
	}
	return nil
}

// openGenuine reads a list of genuine permits. It counts only for a stolen key whose
// entry in the bundle names it.
func (b *basis) openGenuine(e *env, f trustFile, bundle trust.Bundle) error {
	g, err := trust.ParseGenuine(f.body)
	if err != nil {
		return errors.New("is no root statement, trust bundle or head, and no list of genuine permits")
	}
	hash := g.Hash()
	if !slices.ContainsFunc(bundle.Keys, func(k trust.Key) bool { return string(k.Genuine) == string(hash[:]) }) {
		e.say("trust: %s is a list of genuine permits that the bundle does not name", f.path)
	}
	b.options.Genuine = append(b.options.Genuine, g)
	return nil
}

// openStatus reads the snapshot. Without one, verdicts are undetermined.
func (b *basis) openStatus(e *env, path string) {
	if path == "" || b.trust == nil {
		return
	}
	body, err := e.readFile(path, status.MaxSize)
	if errors.Is(err, fs.ErrNotExist) {
		e.say("status: %s is not there", path)
		return
	}
	var s *verify.Snapshot
	if err == nil {
		s, err = b.trust.Snapshot(body)
	}
	if err == nil {
		_, err = trust.Accept(trust.State{Snapshot: b.seen.Snapshot}, s.State())
	}
	if err != nil {
		e.say("status: %s: %v", path, err)
		b.options.StatusErr = err
		return
	}
	b.snapshot = s
}
