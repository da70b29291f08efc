package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"os"
)

// input is a file of lines, plain or packed with gzip.
type input struct {
	io.Reader
	path string // "" for standard input
	size int64  // bytes of the file, 0 where it is not known
	raw  *counting
	file *os.File
	sum  string // of the content, "" until it was asked for
}

// counting counts what was read.
type counting struct {
	io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counting) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.n += int64(n)
	return n, err
}

// openInput opens a file; "-" is standard input.
func openInput(e *env, path string) (*input, error) {
	in := &input{raw: &counting{Reader: e.stdin}}
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("read file: %w", err)
		}
		in.path, in.file, in.raw.Reader = path, file, file
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			in.size = info.Size()
		}
	}
	var err error
	if in.Reader, err = unpack(in.raw); err != nil {
		in.close()
		return nil, err
	}
	return in, nil
}

func (in *input) close() {
	if in.file != nil {
		_ = in.file.Close()
	}
}

// unpack goes by the content: a name says nothing.
func unpack(r io.Reader) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	head, err := b.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read file: %w", err)
	}
	if !bytes.Equal(head, []byte{0x1f, 0x8b}) {
		return b, nil
	}
	z, err := gzip.NewReader(b)
	if err != nil {
		return nil, fmt.Errorf("read file: %w", err)
	}
	return z, nil
}

// hash returns the SHA-256 of the file's lines, unpacked, in hexadecimal. It reads the
// file once more.
func (in *input) hash() (string, error) {
	if in.sum != "" {
		return in.sum, nil
	}
	file, err := os.Open(in.path)
	if err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	defer func() { _ = file.Close() }()
	r, err := unpack(file)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", fmt.Errorf("read file: %w", err)
	}
	in.sum = hex.EncodeToString(h.Sum(nil))
	return in.sum, nil
}

// keyed returns the line with a key. One that has a key, or is no object, stays as it
// is, and so does a line of standard input, which has no content to make a key of.
func (in *input) keyed(line []byte, no int) ([]byte, error) {
	var of struct {
		Key *string `json:"key"`
	}
	if in.path == "" || line[0] != '{' || json.Unmarshal(line, &of) != nil || of.Key != nil {
		return line, nil
	}
	sum, err := in.hash()
	if err != nil {
		return nil, err
	}
	rest := bytes.TrimSpace(line[1:])
	comma := ","
	if rest[0] == '}' {
		comma = ""
	}
	return fmt.Appendf(nil, `{"key":"file-%s-%d"%s%s`, sum[:32], no, comma, rest), nil
}
