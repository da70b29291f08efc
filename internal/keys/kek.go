package keys

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/signet-city/signet/internal/fault"
)

const keySize = 32

// LoadKEK reads the key-encryption key from a regular file that only its owner
// can read: exactly 32 raw bytes, or 64 hexadecimal digits and at most a line
// feed. With an empty path it reads the systemd credential named kek, from
// $CREDENTIALS_DIRECTORY. It fails with kind Invalid for any other file.
func LoadKEK(path string) ([]byte, error) {
	if path == "" {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fault.New(fault.Invalid, "no key-encryption key: give its file, or the systemd credential kek")
		}
		path = filepath.Join(dir, "kek")
	}
	b, err := readPrivate(path, 2*keySize+1)
	if err != nil {
		return nil, fmt.Errorf("load key-encryption key: %w", err)
	}
	kek, err := parseKEK(b)
	clear(b)
	if err != nil {
		return nil, fmt.Errorf("load key-encryption key: %w", err)
	}
	return kek, nil
}

func parseKEK(b []byte) ([]byte, error) {
	if len(b) == 2*keySize+1 && b[2*keySize] == '\n' {
		b = b[:2*keySize]
	}
	kek := make([]byte, keySize)
	switch len(b) {
	case keySize:
		copy(kek, b)
		return kek, nil
	case 2 * keySize:
		if _, err := hex.Decode(kek, b); err == nil {
			return kek, nil
		}
	}
	return nil, fault.New(fault.Invalid, "the file holds neither 32 bytes nor 64 hexadecimal digits")
}

// readPrivate reads a regular file of at most most bytes that only its owner can
// read.
func readPrivate(path string, most int64) ([]byte, error) {
	allowed := fs.FileMode(0o600)
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" && filepath.Dir(path) == filepath.Clean(dir) {
		allowed = 0o640 // systemd admits its unit's user by an ACL, whose mask shows as the group's bits
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO must not hold us
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, path+" is no regular file")
	}
	if extra := info.Mode().Perm() &^ allowed; extra != 0 {
		return nil, fault.New(fault.Invalid, fmt.Sprintf("%s has mode %04o: others could read or change it; chmod 600 it", path, info.Mode().Perm()))
	}
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > most {
		return nil, fault.New(fault.TooLarge, fmt.Sprintf("%s has more than %d bytes", path, most))
	}
	return b, nil
}

// NewKEK makes a key-encryption key and writes it, as 64 hexadecimal digits, to
// a new file that only its owner can read. When it returns, the file survives a
// power loss. It fails if the file exists.
func NewKEK(path string) ([]byte, error) {
	kek := make([]byte, keySize)
	_, _ = rand.Read(kek) // never fails
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make key-encryption key: %w", err)
	}
	_, err = f.WriteString(hex.EncodeToString(kek))
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make key-encryption key: %w", err), os.Remove(path))
	}
	return kek, nil
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
