package trust

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// rootFile is where the root statement is kept in Options.Dir.
const rootFile = "root.cbor"

var files = map[kind]string{kindBundle: "bundle.cbor", kindHead: "head.cbor", kindSnapshot: "snapshot.elr1"}

// write brings Options.Dir up to date. A file that cannot be written is tried
// again at the next Publish.
func (p *Publisher) write() error {
	if p.o.Dir == "" {
		return nil
	}
	var failed []error
	if root := p.root.Load(); root != p.writtenRoot {
		err := errors.Join(os.MkdirAll(p.o.Dir, 0o755), replace(filepath.Join(p.o.Dir, rootFile), root.file))
		if err == nil {
			p.writtenRoot = root
		}
		failed = append(failed, err)
	}
	for _, k := range kinds {
		o := p.current[k].Load()
		if o == nil || p.written[k] == o.seq {
			continue
		}
		if err := replace(filepath.Join(p.o.Dir, files[k]), o.body); err != nil {
			failed = append(failed, err)
			continue
		}
		p.written[k] = o.seq
	}
	return errors.Join(append(failed, p.writeGenuine())...)
}

// replace writes a file in one move: whoever reads it finds the old bytes or the
// new ones.
func replace(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", filepath.Base(path), err)
	}
	return nil
}
