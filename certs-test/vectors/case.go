package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// The kinds of questions.
const (
	askFile     = "file"     // what is the file with a permit in it worth: go, cli, page
	askBundle   = "bundle"   // what is a permit worth under the bundle in Bytes: go, cli, page
	askStatus   = "status"   // what is it worth under the snapshot in Bytes: go, cli, page
	askText     = "text"     // what is the text worth, byte by byte: go, page
	askPermit   = "permit"   // what does the permit say, is its signature right: go, page
	askSnapshot = "snapshot" // likewise a snapshot
	askDelta    = "delta"    // what a delta leads to from the snapshot in From
	askRoot     = "root"     // likewise a root statement
	askTrust    = "trust"    // likewise a bundle
	askHead     = "head"     // likewise a head
)

// question is a case. Bytes are in Base64, as the page gets them.
type question struct {
	Name  string `json:"name"`
	Ask   string `json:"ask"`
	Bytes string `json:"bytes"`
	Basis string `json:"basis,omitempty"` // of file, text, bundle, status
	Now   int64  `json:"now,omitempty"`

	Alg        int64  `json:"alg,omitempty"`        // of permit, snapshot
	SPKI       string `json:"spki,omitempty"`       // of permit, snapshot; the pin of root, trust, head
	Dictionary string `json:"dictionary,omitempty"` // of permit
	Root       string `json:"root,omitempty"`       // the root statement of head
	From       string `json:"from,omitempty"`       // the snapshot that delta applies to

	body   []byte
	want   string // the outcome or the verdict and reason that the vector expects; "" for a mutant
	result string // of delta: SHA-256 of the file that it must lead to
	mutant bool
}

// basis is what verdicts rest on: files in Base64.
type basis struct {
	Pin     string `json:"pin"` // SubjectPublicKeyInfo
	Bundle  string `json:"bundle"`
	Status  string `json:"status"`
	Genuine string `json:"genuine"`
	Permit  string `json:"permit"` // of askBundle and askStatus
	Now     int64  `json:"now"`
}

func b64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// plain is the reverse of b64, for what b64 or a vector wrote.
func plain(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// dice are the same at each run for the same name.
func dice(name string) *rand.Rand {
	sum := sha256.Sum256([]byte(name))
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(sum[:]), binary.BigEndian.Uint64(sum[8:])))
}

// vector is a file of docs/spec/vectors.
type vector struct {
	name string
	head map[string]string
	body []byte
}

func readVectors(dir string) ([]vector, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var all []vector
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		head, body, _ := strings.Cut(string(b), "\n\n")
		v := vector{strings.TrimSuffix(filepath.Base(path), ".txt"), map[string]string{}, []byte(body)}
		for line := range strings.Lines(head) {
			key, value, _ := strings.Cut(strings.TrimRight(line, "\n"), ":")
			v.head[key] = strings.TrimPrefix(value, " ")
		}
		all = append(all, v)
	}
	return all, nil
}
