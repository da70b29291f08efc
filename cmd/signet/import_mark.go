package main

import (
	"encoding/json/v2"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// mark says how far an import came. Lines are answered in their order, so the last one
// that was answered says which were. It stands beside the file while an import of it
// is not complete.
type mark struct {
	Content string `json:"content"` // SHA-256 of the file's lines
	Server  string `json:"server"`
	Client  string `json:"client"`
	Line    int    `json:"line"` // the last one that was answered
	Key     string `json:"key"`  // of that line

	path  string
	begin int // Line, when the import began
}

const markSuffix = ".import"

// loadMark reads where an import of the file by the client broke off. Where nothing is
// kept it begins at the first line. It refuses what was kept of another content, server
// or client.
func loadMark(path string, in *input, a *api) (mark, error) {
	sum, err := in.hash()
	if err != nil {
		return mark{}, err
	}
	m := mark{Content: sum, Server: a.server, Client: a.id, path: path + markSuffix}
	b, err := os.ReadFile(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return mark{}, fmt.Errorf("read where the import broke off: %w", err)
	}
	var kept mark
	err = json.Unmarshal(b, &kept)
	switch {
	case err != nil || kept.Line < 1:
		err = errors.New("it is not what an import wrote")
	case kept.Content != sum:
		err = errors.New("the file has changed since")
	case kept.Server != m.Server || kept.Client != m.Client:
		err = errors.New("that was another server or client")
	default:
		m.Line, m.Key, m.begin = kept.Line, kept.Key, kept.Line
		return m, nil
	}
	return mark{}, withHint(fmt.Errorf("resume from %s: %w", m.path, err), "without --resume the import begins at the first line, and what is done is not done twice")
}

// save keeps the mark. A power failure may lose it, which costs sending lines again.
func (m *mark) save() error {
	if m.path == "" || m.Line == m.begin {
		return nil
	}
	b, err := json.Marshal(m)
	if err == nil {
		err = os.WriteFile(m.path+".new", append(b, '\n'), 0o600)
	}
	if err == nil {
		err = os.Rename(m.path+".new", m.path)
	}
	if err != nil {
		return fmt.Errorf("keep how far the import came: %w", err)
	}
	return nil
}

// remove takes the mark away after the last line.
func (m *mark) remove() error {
	if m.path == "" {
		return nil
	}
	if err := os.Remove(m.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove what was kept of the import: %w", err)
	}
	return nil
}

// openFailures opens the file of refused lines, which an import that goes on adds to.
func openFailures(path string, goesOn bool) (*os.File, error) {
	flags := os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	if goesOn {
		flags = os.O_WRONLY | os.O_CREATE | os.O_APPEND
	}
	file, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write failures: %w", err)
	}
	return file, nil
}
