package audit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// witness is one as somebody else would write it: C2SP tlog-witness and
// tlog-cosignature are all it knows, and the key of the log.
type witness struct {
	name   string
	key    ed25519.PrivateKey
	log    note.Verifier
	server *httptest.Server

	mu     sync.Mutex
	tree   tlog.Tree // the newest that it has cosigned
	asked  int
	answer func(w http.ResponseWriter, honest []byte) bool // replaces an honest answer if it returns true
}

func newWitness(t testing.TB, name string) *witness {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &witness{name: name, key: key}
}

// watch begins to watch the log with that key.
func (w *witness) watch(t testing.TB, log note.Verifier) *audit.Witness {
	t.Helper()
	w.log = log
	mux := http.NewServeMux()
	mux.HandleFunc("POST /some/prefix/add-checkpoint", w.addCheckpoint)
	w.server = httptest.NewServer(mux)
	t.Cleanup(w.server.Close)
	known, err := audit.NewWitness(audit.WitnessOptions{URL: w.server.URL + "/some/prefix", Key: w.vkey()})
	if err != nil {
		t.Fatal(err)
	}
	return known
}

func (w *witness) public() []byte { return w.key.Public().(ed25519.PublicKey) }

func (w *witness) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{4}, w.public()...)))
}

// Name, KeyHash and Verify make the witness a note.Verifier of its own.
func (w *witness) Name() string { return w.name }

func (w *witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (w *witness) Verify(text, sig []byte) bool {
	return len(sig) == 72 && ed25519.Verify(w.public(), statement(binary.BigEndian.Uint64(sig), text), sig[8:])
}

func statement(at uint64, text []byte) []byte {
	return fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
}

// cosign returns the line that the witness answers with.
func (w *witness) cosign(text string, at uint64) []byte {
	sig := binary.BigEndian.AppendUint32(nil, w.KeyHash())
	sig = binary.BigEndian.AppendUint64(sig, at)
	sig = append(sig, ed25519.Sign(w.key, statement(at, []byte(text)))...)
	return []byte("— " + w.name + " " + base64.StdEncoding.EncodeToString(sig) + "\n")
}

func (w *witness) addCheckpoint(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	body, err := io.ReadAll(r.Body)
	head, checkpoint, ok := strings.Cut(string(body), "\n\n")
	lines := strings.Split(head, "\n")
	old, isOld := strings.CutPrefix(lines[0], "old ")
	oldSize, parseErr := strconv.ParseInt(old, 10, 64)
	if err != nil || !ok || !isOld || parseErr != nil || strconv.FormatInt(oldSize, 10) != old || len(lines) > 64 {
		http.Error(rw, "malformed", http.StatusBadRequest)
		return
	}
	n, err := note.Open([]byte(checkpoint), note.VerifierList(w.log))
	if err != nil {
		http.Error(rw, "unknown key", http.StatusForbidden)
		return
	}
	text := strings.Split(n.Text, "\n")
	next := tlog.Tree{N: must(strconv.ParseInt(text[1], 10, 64)), Hash: tlog.Hash(must(base64.StdEncoding.DecodeString(text[2])))}
	var proof tlog.TreeProof
	for _, line := range lines[1:] {
		proof = append(proof, tlog.Hash(must(base64.StdEncoding.DecodeString(line))))
	}
	switch status := w.judge(oldSize, next, proof); status {
	case http.StatusOK:
		w.tree = next
		line := w.cosign(n.Text, uint64(time.Now().Unix()))
		if w.answer == nil || !w.answer(rw, line) {
			_, _ = rw.Write(line)
		}
	case http.StatusConflict:
		if oldSize != w.tree.N {
			rw.Header().Set("Content-Type", "text/x.tlog.size")
			rw.WriteHeader(status)
			fmt.Fprintf(rw, "%d\n", w.tree.N)
			return
		}
		fallthrough
	default:
		http.Error(rw, "no", status)
	}
}

// judge decides by the rules of tlog-witness.
func (w *witness) judge(old int64, next tlog.Tree, proof tlog.TreeProof) (status int) {
	switch {
	case old > next.N:
		return http.StatusBadRequest
	case old != w.tree.N:
		return http.StatusConflict
	case old == next.N && next.Hash != w.tree.Hash:
		return http.StatusConflict
	case old == 0 || old == next.N:
		if len(proof) != 0 {
			return http.StatusUnprocessableEntity
		}
	case tlog.CheckTree(proof, next.N, next.Hash, old, w.tree.Hash) != nil:
		return http.StatusUnprocessableEntity
	}
	return http.StatusOK
}

func (w *witness) size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.tree.N
}

// watched returns a log over d that asks the witnesses.
func watched(t testing.TB, d *db.DB, s note.Signer, witnesses ...*audit.Witness) *audit.Log {
	t.Helper()
	return audit.New(audit.Options{DB: d, Origin: origin, Logger: testkit.Logger(t), Witnesses: witnesses, Every: 5 * time.Millisecond,
		Signer: func(context.Context) (note.Signer, error) { return s, nil }})
}

func cosigned(t testing.TB, l *audit.Log) audit.Checkpoint {
	t.Helper()
	if err := l.Cosign(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Cosigned(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signatures returns who signed a checkpoint, as a stranger finds out.
func signatures(t testing.TB, checkpoint []byte, keys ...note.Verifier) (names []string) {
	t.Helper()
	n, err := note.Open(checkpoint, note.VerifierList(keys...))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range n.Sigs {
		names = append(names, s.Name)
	}
	return names
}
