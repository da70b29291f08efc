package licenses_test

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json/v2"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

const (
	childURL    = "SIGNET_LICENSES_TEST_DATABASE"
	childKEK    = "SIGNET_LICENSES_TEST_KEK"
	killRounds  = 3
	killedLines = 2400 // of the whole file
)

// TestKill9AmidBatches kills a process that takes a batch over HTTP, again and again,
// each time after a number of answers that a seed gives. Every licence of an answered
// line is there, signed, indexed once and in the log; the lines that were not answered
// are sent again with the same keys, and nothing is there twice.
func TestKill9AmidBatches(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{db.SQLite: testkit.SQLiteURL, db.PostgreSQL: testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			k := newKilled(t, newURL(t), seed)
			for range killRounds {
				k.round(t)
			}
			k.finish(t)
		})
	}
}

// killed is a file of lines that processes are killed over.
type killed struct {
	url      string
	kek      []byte
	r        *rand.Rand
	lines    []string
	answered map[string]answer // by key
}

func newKilled(t *testing.T, url string, seed uint64) *killed {
	t.Helper()
	k := &killed{url: url, kek: make([]byte, 32), r: rand.New(rand.NewPCG(seed, 7)), answered: map[string]answer{}}
	for i := range k.kek {
		k.kek[i] = byte(k.r.Uint32())
	}
	for i := range killedLines {
		k.lines = append(k.lines, text(t, struct {
			Key string `json:"key"`
			licenses.Request
		}{fmt.Sprint("k", i), food(func(r *licenses.Request) { r.Data["seats"] = float64(1 + i%400) })}))
	}
	c, done := k.open(t, t.Context())
	defer done()
	for _, name := range []string{keys.SecretData, keys.SecretLookup, licenses.PermutationSecret} {
		must(t, c.ring.MakeSecret(t.Context(), name, "ceremony"))
	}
	c.populate(t)
	return k
}

// open opens the city's database without its licence service.
func (k *killed) open(t testing.TB, ctx context.Context) (c *city, done func()) {
	t.Helper()
	d, err := db.Open(ctx, k.url, db.Options{})
	must(t, err)
	c = &city{db: d}
	c.ring, err = keys.Open(ctx, keys.Options{DB: d, KEK: k.kek})
	must(t, err)
	c.reg, err = registry.New(registry.Options{DB: d, Sealer: c.ring})
	must(t, err)
	return c, func() { _ = d.Close() }
}

// start adds the licence service.
func (c *city) start(t testing.TB, ctx context.Context) {
	t.Helper()
	types, err := licenses.ShippedTypes()
	must(t, err)
	c.Service, err = licenses.New(ctx, licenses.Options{DB: c.db, Ring: c.ring, Registry: c.reg, Types: types, Tokens: tokens{}, Orders: orders{}})
	must(t, err)
}

// unanswered returns the lines whose keys no answer had, in order.
func (k *killed) unanswered() []string {
	var rest []string
	for i, line := range k.lines {
		if _, ok := k.answered[fmt.Sprint("k", i)]; !ok {
			rest = append(rest, line)
		}
	}
	return rest
}

// round sends what was not answered to a process, and kills it amid the batch.
func (k *killed) round(t *testing.T) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildTakesBatches$", "-test.v")
	cmd.Env = append(os.Environ(), childURL+"="+k.url, childKEK+"="+hex.EncodeToString(k.kek))
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	base := ""
	for lines := bufio.NewScanner(out); base == "" && lines.Scan(); {
		base, _ = strings.CutPrefix(lines.Text(), "serving ")
		if !strings.HasPrefix(base, "http") {
			base = ""
		}
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	// Answers come in groups of a batch: the kill falls a little after one of them.
	after, pause := 1+k.r.IntN(licenses.Batch*2), time.Duration(k.r.IntN(60))*time.Millisecond
	rest, got := k.unanswered(), 0
	for a := range answersOf(t, base, rest) {
		k.take(t, a)
		if got++; got == after {
			time.AfterFunc(pause, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // killed
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended otherwise: %v", cmd.ProcessState)
	}
	if got < after || got == len(rest) {
		t.Errorf("%d of %d lines were answered before the kill at %d", got, len(rest), after)
	}
	t.Logf("killed %v after %d answers; %d of %d arrived", pause, after, got, len(rest))
}

// take keeps an answer. It is the first one of its line.
func (k *killed) take(t *testing.T, a answer) {
	t.Helper()
	if _, twice := k.answered[a.Key]; twice || a.Error != "" || a.ID == "" || a.Permit == "" {
		t.Errorf("line %d, key %s: %+v", a.Line, a.Key, a)
	}
	k.answered[a.Key] = a
}

// answersOf sends lines as one batch and yields what arrives, until the end or the
// break of the connection.
func answersOf(t *testing.T, base string, lines []string) func(yield func(answer) bool) {
	return func(yield func(answer) bool) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/licenses/v1/batch", strings.NewReader(strings.Join(lines, "\n")))
		must(t, err)
		req.Header.Set("Authorization", "Bearer donghu")
		req.Header.Set("Content-Type", "application/x-ndjson")
		resp, err := (&http.Client{}).Do(req)
		must(t, err)
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("batch: status %d", resp.StatusCode)
		}
		in := bufio.NewReader(resp.Body)
		for {
			line, err := in.ReadBytes('\n') // one without its end was not answered
			if err != nil {
				return
			}
			var a answer
			must(t, json.Unmarshal(line, &a, json.MatchCaseInsensitiveNames(true)))
			if !yield(a) {
				return
			}
		}
	}
}

// finish sends the rest and then everything once more, and looks at what is there.
func (k *killed) finish(t *testing.T) {
	t.Helper()
	c, done := k.open(t, t.Context())
	defer done()
	c.start(t, t.Context())
	_, err := c.SweepBefore(t.Context(), time.Now().Add(time.Hour))
	must(t, err)
	for key, a := range k.answered { // before anything is sent again
		l, err := c.Find(t.Context(), "donghu-amr", a.ID)
		if err != nil || l.Permit != a.Permit || l.Number != a.Number || l.Status != licenses.Issued {
			t.Fatalf("the acknowledged licence of %s: %+v, %v", key, l, err)
		}
	}
	acknowledged := len(k.answered)
	mux := http.NewServeMux()
	c.Mount(mux)
	s := httptest.NewServer(mux)
	defer s.Close()
	for a := range answersOf(t, s.URL, k.unanswered()) {
		k.take(t, a)
	}
	again := 0
	for a := range answersOf(t, s.URL, k.lines) {
		if again++; a.ID != k.answered[a.Key].ID || a.Permit != k.answered[a.Key].Permit {
			t.Errorf("%s was %s and is %s", a.Key, k.answered[a.Key].ID, a.ID)
		}
	}
	if again != killedLines || len(k.answered) != killedLines {
		t.Errorf("%d answers and %d keys for %d lines", again, len(k.answered), killedLines)
	}
	c.wantClean(t, killedLines)
	c.wantOnce(t, killedLines)
	c.wantLogged(t, killedLines)
	t.Logf("%d of %d lines were acknowledged before kills", acknowledged, killedLines)
}

// wantOnce wants n licences with n places, numbers and keys, nothing in signing, and
// every place below what was leased.
func (c *city) wantOnce(t *testing.T, n int) {
	t.Helper()
	var rows, places, numbers, used, permits, signing, highest, leased int
	must(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		return tx.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT place), COUNT(DISTINCT number), COUNT(DISTINCT request_key), MAX(place),
			(SELECT COUNT(*) FROM permits), (SELECT COUNT(*) FROM license_signing), (SELECT next FROM license_counters WHERE name = 'place') FROM licenses`).
			Scan(&rows, &places, &numbers, &used, &highest, &permits, &signing, &leased)
	}))
	if rows != n || places != n || numbers != n || used != n || permits != n || signing != 0 || highest >= leased {
		t.Errorf("%d licences, %d places up to %d of %d, %d numbers, %d keys, %d permits, %d in signing; want %d of each", rows, places, highest, leased, numbers, used, permits, signing, n)
	}
}

// wantLogged wants one intent and one outcome in the log for each of n licences, and
// none for anything else.
func (c *city) wantLogged(t *testing.T, n int) {
	t.Helper()
	must(t, c.db.Read(t.Context(), func(tx db.Tx) error {
		for _, kind := range []string{licenses.EventIntent, licenses.EventOutcome} {
			var events, objects int
			var none sql.NullInt64
			err := tx.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(DISTINCT e.object), SUM(CASE WHEN l.id IS NULL THEN 1 ELSE 0 END)
				FROM audit_events e LEFT JOIN licenses l ON e.object = 'license:' || l.id WHERE e.kind = $1`, kind).Scan(&events, &objects, &none)
			if err != nil {
				return err
			}
			if events != n || objects != n || none.Int64 != 0 {
				t.Errorf("%s: %d events of %d objects, %d of no licence; want %d", kind, events, objects, none.Int64, n)
			}
		}
		return nil
	}))
}

// TestChildTakesBatches is the process of TestKill9AmidBatches.
func TestChildTakesBatches(t *testing.T) {
	k := &killed{url: os.Getenv(childURL)}
	if k.url == "" {
		t.Skip("only as a child of TestKill9AmidBatches")
	}
	var err error
	k.kek, err = hex.DecodeString(os.Getenv(childKEK))
	must(t, err)
	c, done := k.open(t, t.Context())
	defer done()
	c.start(t, t.Context())
	go func() { _ = c.Run(t.Context()) }()
	mux := http.NewServeMux()
	c.Mount(mux)
	s := httptest.NewServer(mux)
	fmt.Println("serving " + s.URL)
	time.Sleep(2 * time.Minute) // until it is killed
}
