package audit_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

func prove(t testing.TB, d *db.DB, event string) audit.Proof {
	t.Helper()
	p, err := audit.Prove(t.Context(), d, event)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func appendCertificate(t testing.TB, d *db.DB, der []byte) (id string) {
	t.Helper()
	err := d.Update(t.Context(), func(tx db.Tx) (err error) {
		id, err = audit.AppendCertificate(t.Context(), tx, der)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// strangerChecksProof reads a proof file by C2SP tlog-proof and what docs/spec/log.md
// says of its extra data, and returns the salt and the content that it opens.
func strangerChecksProof(t *testing.T, file []byte, key note.Verifier) (index int64, salt, content []byte) {
	t.Helper()
	head, checkpoint, ok := strings.Cut(string(file), "\n\n")
	lines := strings.Split(head, "\n")
	if !ok || lines[0] != "c2sp.org/tlog-proof@v1" || !strings.HasPrefix(lines[1], "extra ") || !strings.HasPrefix(lines[2], "index ") {
		t.Fatalf("not a tlog-proof:\n%s", file)
	}
	extra := must(base64.StdEncoding.DecodeString(lines[1][len("extra "):]))
	salt, content = extra[1:1+extra[0]], extra[1+extra[0]:]
	entry := audit.CertificateEntry(content)
	if len(salt) > 0 {
		entry = audit.EventEntry(salt, content) // held to the specification by TestSpecificationsExample
	}
	index = must(strconv.ParseInt(lines[2][len("index "):], 10, 64))
	var path tlog.RecordProof
	for _, line := range lines[3:] {
		path = append(path, tlog.Hash(must(base64.StdEncoding.DecodeString(line))))
	}
	n := must(note.Open([]byte(checkpoint), note.VerifierList(key)))
	text := strings.Split(n.Text, "\n")
	size := must(strconv.ParseInt(text[1], 10, 64))
	root := must(base64.StdEncoding.DecodeString(text[2]))
	if err := tlog.CheckRecord(path, size, tlog.Hash(root), index, tlog.RecordHash(entry)); err != nil {
		t.Error(err)
	}
	return index, salt, content
}

func must[V any](v V, err error) V {
	if err != nil {
		panic(err)
	}
	return v
}

func TestProofFilesAreForStrangers(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		l := newLog(t, d, signer)
		der := []byte("\x30\x09certified")
		certificate := appendCertificate(t, d, der)
		seal(t, l)
		ids := appendEvents(t, d, some(600)...)
		seal(t, l)
		for _, n := range []int{0, 1, 254, 255, 256, 511, 599} {
			file := prove(t, d, ids[n])
			index, _, content := strangerChecksProof(t, file.Encode(), key)
			if c, err := audit.Decode(content); err != nil || c.ID != ids[n] || index != int64(n+1) {
				t.Errorf("event %d: %v at %d: %v", n, c, index, err)
			}
		}
		for _, name := range []string{certificate, audit.CertificateObject(der)} {
			file := prove(t, d, name)
			if index, salt, content := strangerChecksProof(t, file.Encode(), key); index != 0 || len(salt) > 0 || !bytes.Equal(content, der) {
				t.Errorf("%s: at %d, salt %x, content %x", name, index, salt, content)
			}
		}
	})
}

func TestProofSaysWhatHappened(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	l := newLog(t, d, signer)
	der := []byte("\x30\x09certified")
	appendCertificate(t, d, der)
	ids := appendEvents(t, d, some(9)...)
	seal(t, l)
	for _, name := range []string{ids[4], audit.CertificateObject(der)} {
		p := prove(t, d, name)
		file := p.Encode()
		again, err := audit.ParseProof(file)
		if err != nil || !bytes.Equal(again.Encode(), file) {
			t.Fatalf("the file of %s is another when read again: %v", name, err)
		}
		got, err := again.Verify([]note.Verifier{key})
		if err != nil {
			t.Fatal(err)
		}
		want := find(t, d, audit.EventFilter{Object: got.Object})[0]
		if want.Kind == audit.KindCertificate {
			want.ID, want.At = "", got.At // the entry does not hold them
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the proof says %v, the log %v", got, want)
		}
	}
}

func TestProveRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, _ := newKey(t)
		l := newLog(t, d, signer)
		want := func(event string, kind fault.Kind) {
			t.Helper()
			if _, err := audit.Prove(t.Context(), d, event); fault.KindOf(err) != kind {
				t.Errorf("%s: %v, want kind %v", event, err, kind)
			}
		}
		ids := appendEvents(t, d, some(3)...)
		want(ids[0], fault.Unavailable)
		want("nobody", fault.NotFound)
		want("", fault.NotFound)
		want("sha256:00", fault.NotFound)
		seal(t, l)
		meddle(t, d, "UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 1) WHERE seq = 0")
		want(ids[0], fault.Conflict)
		meddle(t, d, "UPDATE audit_events SET seq = 7 WHERE seq = 2")
		want(ids[2], fault.Unavailable)
		meddle(t, d, "UPDATE audit_events SET seq = 0 WHERE id = '"+ids[2]+"' AND (SELECT count(*) FROM audit_events WHERE seq = 9) = 1",
			"UPDATE audit_events SET seq = NULL WHERE seq = 0", "UPDATE audit_events SET seq = 0 WHERE id = '"+ids[2]+"'")
		want(ids[2], fault.Conflict) // it is genuine, and not what was sealed there
		meddle(t, d, "DELETE FROM audit_checkpoints")
		want(ids[1], fault.Unavailable)
	})
}

// proofCase is a proof with one thing wrong.
type proofCase struct {
	name  string
	spoil func(p *audit.Proof)
}

func TestProofIsNotBelieved(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	l := newLog(t, d, signer)
	der := []byte("\x30\x09certified")
	appendCertificate(t, d, der)
	ids := appendEvents(t, d, some(9)...)
	seal(t, l)
	other := prove(t, d, ids[5])
	_, stranger := newKey(t)
	forger, _ := newKey(t)
	newest, err := l.Latest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []proofCase{
		{"index of another", func(p *audit.Proof) { p.Index = other.Index }},
		{"index before the first", func(p *audit.Proof) { p.Index = -1 }},
		{"index beyond the end", func(p *audit.Proof) { p.Index = 1000 }},
		{"salt of another", func(p *audit.Proof) { p.Salt = other.Salt }},
		{"no salt", func(p *audit.Proof) { p.Salt = nil }},
		{"content of another", func(p *audit.Proof) { p.Content = other.Content }},
		{"content with a byte behind", func(p *audit.Proof) { p.Content = append(p.Content, 0) }},
		{"path of another", func(p *audit.Proof) { p.Path = other.Path }},
		{"path too short", func(p *audit.Proof) { p.Path = p.Path[1:] }},
		{"path too long", func(p *audit.Proof) { p.Path = append(p.Path, p.Path[0]) }},
		{"no path", func(p *audit.Proof) { p.Path = nil }},
		{"checkpoint of another size", func(p *audit.Proof) {
			p.Checkpoint.Note = bytes.Replace(p.Checkpoint.Note, []byte("\n10\n"), []byte("\n9\n"), 1)
		}},
		{"checkpoint without a signature", func(p *audit.Proof) {
			p.Checkpoint.Note = p.Checkpoint.Note[:bytes.Index(p.Checkpoint.Note, []byte("\n\n"))+2]
		}},
		{"checkpoint of another key", func(p *audit.Proof) {
			text, _, _ := strings.Cut(string(newest.Note), "\n\n")
			p.Checkpoint.Note = must(note.Sign(&note.Note{Text: text + "\n"}, forger))
		}},
		{"a checkpoint in memory that was not signed", func(p *audit.Proof) {
			p.Content = other.Content
			p.Checkpoint.Hash = [32]byte(tlog.RecordHash(audit.EventEntry(p.Salt, p.Content)))
			p.Checkpoint.Size, p.Index, p.Path = 1, 0, nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := prove(t, d, ids[4])
			if _, err := p.Verify([]note.Verifier{key}); err != nil {
				t.Fatal(err)
			}
			p.Content, p.Salt, p.Path = slices.Clone(p.Content), slices.Clone(p.Salt), slices.Clone(p.Path)
			c.spoil(&p)
			if r, err := p.Verify([]note.Verifier{key}); fault.KindOf(err) != fault.Invalid {
				t.Errorf("it proves %v: %v", r, err)
			}
			again, err := audit.ParseProof(p.Encode())
			if err != nil {
				return
			}
			if r, err := again.Verify([]note.Verifier{key}); err == nil {
				t.Errorf("as a file it proves %v", r)
			}
		})
	}
	p := prove(t, d, ids[4])
	if _, err := p.Verify([]note.Verifier{stranger}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("under a stranger's key: %v", err)
	}
	if _, err := p.Verify(nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("under no key: %v", err)
	}
	if _, err := p.Verify([]note.Verifier{key}, stranger); fault.KindOf(err) != fault.Invalid {
		t.Errorf("cosigned by nobody: %v", err)
	}
}

// TestProofOfWhatIsNoEvent signs, with the log's own key, leaves that no Append made.
func TestProofOfWhatIsNoEvent(t *testing.T) {
	signer, key := newKey(t)
	salt := bytes.Repeat([]byte{1}, 16)
	for name, p := range map[string]audit.Proof{
		"text as an event":            {Salt: salt, Content: []byte("hello")},
		"text as a certificate":       {Content: []byte("hello")},
		"two certificates":            {Content: []byte("\x30\x00\x30\x00")},
		"primitive":                   {Content: []byte("\x02\x01\x05")},
		"sequence of another class":   {Content: []byte("\x70\x00")},
		"event's hash as certificate": {Content: bytes.Repeat([]byte{0x30}, 96)},
	} {
		entry := audit.CertificateEntry(p.Content)
		if len(p.Salt) > 0 {
			entry = audit.EventEntry(p.Salt, p.Content)
		}
		leaf := tlog.RecordHash(entry)
		p.Checkpoint.Note = must(note.Sign(&note.Note{Text: origin + "\n1\n" + base64.StdEncoding.EncodeToString(leaf[:]) + "\n"}, signer))
		if r, err := p.Verify([]note.Verifier{key}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s proves %v: %v", name, r, err)
		}
	}
}
