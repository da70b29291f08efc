package audit_test

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/audit"
)

// block returns what stands in a fenced block of the specification.
func block(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(b, []byte("```"+name+"\n"))
	text, _, ended := bytes.Cut(rest, []byte("```"))
	if !ok || !ended {
		t.Fatalf("the specification has no %s", name)
	}
	return text
}

func TestSpecificationsProof(t *testing.T) {
	v, key, _ := example(t)
	b, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\nwitness-key: ")
	witnessKey, _, _ := strings.Cut(rest, "\n")
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	witnesses, err := audit.WitnessVerifiers(witnessKey)
	if err != nil {
		t.Fatal(err)
	}
	file := block(t, "proof")
	index, salt, content := strangerChecksProof(t, file, verifier)
	if index != 0 || !bytes.Equal(salt, v["salt"]) || !bytes.Equal(content, v["content"]) {
		t.Errorf("it opens %x and %x at %d", salt, content, index)
	}
	p, err := audit.ParseProof(file)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := p.Verify([]note.Verifier{verifier}, witnesses...); err != nil || r.Object != "license:1" || !bytes.Equal(p.Encode(), file) {
		t.Errorf("it proves %v: %v", r, err)
	}
}

const spec = "../../docs/spec/log.md"

// example reads the lines "name: hex" and the checkpoint of the specification's
// example.
func example(t *testing.T) (values map[string][]byte, key string, checkpoint []byte) {
	t.Helper()
	b, err := os.ReadFile(spec)
	if err != nil {
		t.Fatal(err)
	}
	values = map[string][]byte{}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), ": ")
		if !ok || strings.Contains(name, " ") {
			continue
		}
		if name == "key" {
			key = value
			continue
		}
		if h, err := hex.DecodeString(value); err == nil {
			values[name] = append(values[name], h...)
		}
	}
	if _, rest, ok := bytes.Cut(b, []byte("```checkpoint\n")); ok {
		checkpoint, _, _ = bytes.Cut(rest, []byte("```"))
	}
	return values, key, checkpoint
}

func TestSpecificationsExample(t *testing.T) {
	v, key, checkpoint := example(t)
	c, err := audit.Decode(v["content"])
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != "06eejv1000000000000000000g" || c.At != 1767225600000000 || c.Kind != "license.issue.intent" ||
		c.Actor != "client:desk" || c.Object != "license:1" || c.Data["number"] != "JC-000001" || len(c.Data) != 1 {
		t.Errorf("the content is %+v", c)
	}
	entry, certificate := audit.EventEntry(v["salt"], v["content"]), audit.CertificateEntry(v["certificate"])
	leaves := []tlog.Hash{tlog.RecordHash(entry), tlog.RecordHash(certificate)}
	root := tlog.NodeHash(leaves[0], leaves[1])
	for name, got := range map[string][]byte{"entry": entry, "leaf": leaves[0][:], "certificate-entry": certificate,
		"certificate-leaf": leaves[1][:], "root": root[:]} {
		if !bytes.Equal(got, v[name]) {
			t.Errorf("%s is %x, the specification says %x", name, got, v[name])
		}
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.OpenCheckpoint(checkpoint, verifier)
	if err != nil {
		t.Fatal(err)
	}
	if signed.Origin != origin || signed.Size != 2 || signed.Hash != [32]byte(root) {
		t.Errorf("the checkpoint is of %q, size %d, hash %x", signed.Origin, signed.Size, signed.Hash)
	}
}
