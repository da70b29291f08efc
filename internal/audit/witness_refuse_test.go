package audit_test

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestWitnessSeesARestoredBackup restores one, and then lets the log go on.
func TestWitnessSeesARestoredBackup(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		w := newWitness(t, "witness.example/w1")
		l := watched(t, d, signer, w.watch(t, key))
		appendEvents(t, d, some(10)...)
		seal(t, l)
		cosigned(t, l)
		save(t, d)
		appendEvents(t, d, some(10)...)
		seal(t, l)
		cosigned(t, l)
		restore(t, d)
		appendEvents(t, d, some(3)...)
		seal(t, l)
		if err := l.Cosign(t.Context()); !errors.Is(err, audit.ErrRolledBack) {
			t.Errorf("shorter than the witness knows: %v", err)
		}
		appendEvents(t, d, some(7)...)
		seal(t, l)
		if err := l.Cosign(t.Context()); !errors.Is(err, audit.ErrNotContinued) {
			t.Errorf("as long as the witness knows, and another: %v", err)
		}
		appendEvents(t, d, some(7)...)
		c := seal(t, l)
		if err := l.Cosign(t.Context()); !errors.Is(err, audit.ErrNotContinued) {
			t.Errorf("longer, and another: %v", err)
		}
		if now, err := l.Cosigned(t.Context()); err != nil || len(signatures(t, now.Note, key, w)) != 1 || now.Size != c.Size {
			t.Errorf("the log goes on without its witness: %v", err)
		}
	})
}

func TestWitnessAnswersAreNotBelieved(t *testing.T) {
	signer, key := newKey(t)
	stranger := newWitness(t, "witness.example/other")
	impostor := newWitness(t, "witness.example/w1") // of the same name
	old, honest := []byte(nil), []byte(nil)
	write := func(b ...byte) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { _, _ = w.Write(b) }
	}
	status := func(code int, header ...string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			for i := 0; i+1 < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			_, _ = w.Write([]byte("5\n"))
		}
	}
	text := func(c audit.Checkpoint) string { return string(c.Note[:strings.Index(string(c.Note), "\n\n")+1]) }
	for name, c := range map[string]struct {
		answer func(c audit.Checkpoint) func(http.ResponseWriter)
		kind   fault.Kind // Internal: it is taken
	}{
		"honest": {func(audit.Checkpoint) func(http.ResponseWriter) { return write(honest...) }, fault.Internal},
		"honest among others": {func(c audit.Checkpoint) func(http.ResponseWriter) {
			return write(append(stranger.cosign(text(c), 1), honest...)...)
		}, fault.Internal},
		"nothing":                {func(audit.Checkpoint) func(http.ResponseWriter) { return write() }, fault.Unavailable},
		"text":                   {func(audit.Checkpoint) func(http.ResponseWriter) { return write([]byte("thank you\n")...) }, fault.Unavailable},
		"cut":                    {func(audit.Checkpoint) func(http.ResponseWriter) { return write(honest[:len(honest)-9]...) }, fault.Unavailable},
		"a stranger's":           {func(c audit.Checkpoint) func(http.ResponseWriter) { return write(stranger.cosign(text(c), 1)...) }, fault.Unavailable},
		"an impostor's":          {func(c audit.Checkpoint) func(http.ResponseWriter) { return write(impostor.cosign(text(c), 1)...) }, fault.Unavailable},
		"of an older checkpoint": {func(audit.Checkpoint) func(http.ResponseWriter) { return write(old...) }, fault.Unavailable},
		"another text in front":  {func(audit.Checkpoint) func(http.ResponseWriter) { return write(append([]byte("\n"), honest...)...) }, fault.Unavailable},
		"too much":               {func(audit.Checkpoint) func(http.ResponseWriter) { return write(make([]byte, 64<<10)...) }, fault.Unavailable},
		"redirected": {func(audit.Checkpoint) func(http.ResponseWriter) {
			return status(307, "Location", "/some/prefix/add-checkpoint")
		}, fault.Unavailable},
		"not found":               {func(audit.Checkpoint) func(http.ResponseWriter) { return status(404) }, fault.Denied},
		"forbidden":               {func(audit.Checkpoint) func(http.ResponseWriter) { return status(403) }, fault.Denied},
		"malformed, it says":      {func(audit.Checkpoint) func(http.ResponseWriter) { return status(400) }, fault.Denied},
		"broken":                  {func(audit.Checkpoint) func(http.ResponseWriter) { return status(500) }, fault.Unavailable},
		"conflict without a size": {func(audit.Checkpoint) func(http.ResponseWriter) { return status(409) }, fault.Conflict},
		"conflict with what it had": {func(audit.Checkpoint) func(http.ResponseWriter) {
			return status(409, "Content-Type", "text/x.tlog.size")
		}, fault.Conflict},
		"proof refused": {func(audit.Checkpoint) func(http.ResponseWriter) { return status(422) }, fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			d := testkit.SQLite(t)
			w := newWitness(t, "witness.example/w1")
			l := watched(t, d, signer, w.watch(t, key))
			appendEvents(t, d, some(5)...)
			seal(t, l)
			w.answer = func(_ http.ResponseWriter, line []byte) bool { old = line; return false }
			cosigned(t, l)
			appendEvents(t, d, some(5)...)
			newest := seal(t, l)
			w.answer = func(rw http.ResponseWriter, line []byte) bool { honest = line; c.answer(newest)(rw); return true }
			err := l.Cosign(t.Context())
			now, _ := l.Cosigned(t.Context())
			signed := len(signatures(t, now.Note, key, w)) == 2
			if c.kind == fault.Internal {
				if err != nil || !signed {
					t.Errorf("it was not taken: %v", err)
				}
				return
			}
			if fault.KindOf(err) != c.kind || signed {
				t.Errorf("signed %v, error %v, want kind %v", signed, err, c.kind)
			}
		})
	}
}

// TestWitnessAtAnotherSizeEveryTime gives up after a few attempts.
func TestWitnessAtAnotherSizeEveryTime(t *testing.T) {
	d := testkit.SQLite(t)
	signer, key := newKey(t)
	w := newWitness(t, "witness.example/w1")
	n := 0
	l := watched(t, d, signer, w.watch(t, key))
	w.server.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		n++
		rw.Header().Set("Content-Type", "text/x.tlog.size")
		rw.WriteHeader(http.StatusConflict)
		fmt.Fprintf(rw, "%d\n", n)
	})
	appendEvents(t, d, some(50)...)
	seal(t, l)
	if err := l.Cosign(t.Context()); err == nil || n != 4 {
		t.Errorf("asked %d times: %v", n, err)
	}
}

func TestNewWitnessRefuses(t *testing.T) {
	w := newWitness(t, "witness.example/w1")
	for name, o := range map[string]audit.WitnessOptions{
		"nothing":       {},
		"no address":    {Key: w.vkey()},
		"no key":        {URL: "https://witness.example"},
		"no scheme":     {URL: "witness.example/w1", Key: w.vkey()},
		"file":          {URL: "file:///etc/passwd", Key: w.vkey()},
		"no host":       {URL: "https:///w1", Key: w.vkey()},
		"password":      {URL: "https://a:secret@witness.example", Key: w.vkey()},
		"query":         {URL: "https://witness.example/?a=b", Key: w.vkey()},
		"fragment":      {URL: "https://witness.example/#a", Key: w.vkey()},
		"key of a log":  {URL: "https://witness.example", Key: must(logKey())},
		"key of nobody": {URL: "https://witness.example", Key: "witness.example/w1+00000000+" + strings.Split(w.vkey(), "+")[2]},
	} {
		_, err := audit.NewWitness(o)
		if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func logKey() (string, error) {
	_, key, err := note.GenerateKey(rand.Reader, origin)
	return key, err
}

// TestMeddledCosignaturesAreLeftOut writes what is no signature into the database.
func TestMeddledCosignaturesAreLeftOut(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		w := newWitness(t, "witness.example/w1")
		l := watched(t, d, signer, w.watch(t, key))
		appendEvents(t, d, some(5)...)
		seal(t, l)
		cosigned(t, l)
		for i, line := range []string{"", "hello\n", "— a AAAA\n", "— a AAAAAAAA", "— a AAAAAAAA\n\n", "— a b AAAAAAAA\n", "— a AAAAAAAA\n— b AAAAAAAA\n", "\n— a AAAAAAAA\n"} {
			meddle(t, d, fmt.Sprintf("INSERT INTO audit_cosignatures (size, witness, line, at) VALUES (5, '%d', '%s', 0)", i, line))
		}
		c, err := l.Cosigned(t.Context())
		if err != nil || len(signatures(t, c.Note, key, w)) != 2 || strings.Count(string(c.Note), "\n") != 6 {
			t.Errorf("%s\n%v", c.Note, err)
		}
	})
}
