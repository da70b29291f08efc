package ca_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

// TestCrashBetweenIntentAndStore stops at each point where a certificate exists in
// part, and finds, recovers and repeats it.
func TestCrashBetweenIntentAndStore(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		for _, point := range []string{"intent", "signed"} {
			t.Run(point, func(t *testing.T) { crashAt(t, newCity(t, fresh(t, d)), point) })
		}
	})
}

// fresh returns another database of d's engine.
func fresh(t *testing.T, d *db.DB) *db.DB {
	if d.Engine() == db.SQLite {
		return testkit.SQLite(t)
	}
	return testkit.PostgreSQL(t)
}

func crashAt(t *testing.T, c *city, point string) {
	r := request(t)
	r.IdempotencyKey = "order 1"
	serial, err := c.Half(t.Context(), r, point)
	if err != nil {
		t.Fatal(err)
	}
	after := c.reopen(t) // another process finds the row
	if list, err := after.List(t.Context(), ca.Filter{Status: ca.Intent}); err != nil || len(list) != 1 || list[0].Serial != serial || list[0].DER != nil {
		t.Fatalf("%d intents, %v", len(list), err)
	}
	if _, problems := c.audit(t); len(problems) > 0 {
		t.Errorf("an intent is no problem by itself: %v", problems)
	}
	_, err = after.Issue(t.Context(), r) // it might be under way elsewhere
	wantKind(t, err, fault.Unavailable)
	if n, err := after.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("recovered %d at once, %v: it might be under way", n, err)
	}
	err = after.Revoke(t.Context(), serial, ca.Superseded, actor)
	wantKind(t, err, fault.NotFound)

	c.clock.advance(time.Minute)
	if n, err := after.Recover(t.Context()); n != 1 || err != nil {
		t.Fatalf("recovered %d, %v", n, err)
	}
	old, err := after.Find(t.Context(), serial)
	if err != nil || old.Status != ca.Abandoned || old.DER != nil {
		t.Errorf("%+v, %v", old, err)
	}
	// Who signed and then slept comes too late.
	err = c.StoreLate(t.Context(), serial, c.result.RootCertificate)
	wantKind(t, err, fault.Unavailable)
	cert, err := after.Issue(t.Context(), r)
	if err != nil || cert.Serial == serial {
		t.Fatalf("repeated after the crash: %v", err)
	}
	if again, err := after.Issue(t.Context(), r); err != nil || again.Serial != cert.Serial {
		t.Errorf("repeated again: %s, %v", again.Serial, err)
	}
	if n, problems := c.audit(t); n != 9 || len(problems) > 0 {
		t.Errorf("%d certificates, problems %v", n, problems)
	}
}

// TestRetryRecoversByItself: who repeats a request after a crash need not wait for
// the sweeper.
func TestRetryRecoversByItself(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		r := request(t)
		r.IdempotencyKey = "order 1"
		serial, err := c.Half(t.Context(), r, "signed")
		if err != nil {
			t.Fatal(err)
		}
		c.clock.advance(time.Minute)
		if cert := c.issue(t, r); cert.Serial == serial {
			t.Error("the old serial number came back")
		}
	})
}

const childURL = "SIGNET_CA_TEST_DATABASE"

// TestKill9 kills a process that issues as fast as it can, again and again: every
// certificate that it acknowledged is there and in the log, and whatever else is
// there is an intent that recovers.
func TestKill9(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for seconds")
	}
	urls := map[string]func(testing.TB) string{db.SQLite: testkit.SQLiteURL, db.PostgreSQL: testkit.PostgresURL}
	for engine, newURL := range urls {
		t.Run(engine, func(t *testing.T) {
			url := newURL(t)
			d, err := db.Open(t.Context(), url, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c := newCity(t, d)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			var acknowledged []string
			for round := range 5 {
				acknowledged = append(acknowledged, killedChild(t, url, time.Duration(30+17*round)*time.Millisecond)...)
			}
			if c.db, err = db.Open(t.Context(), url, db.Options{}); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.db.Close() }()
			c.ring = openRing(t, c.db, c.clock)
			checkAfterKills(t, c, acknowledged)
		})
	}
}

func checkAfterKills(t *testing.T, c *city, acknowledged []string) {
	t.Helper()
	var err error
	if c.registry, err = registry.New(registry.Options{DB: c.db, Sealer: c.ring, Now: c.clock.now}); err != nil {
		t.Fatal(err)
	}
	c.clock.advance(time.Hour)
	c.CA = c.reopen(t)
	recovered, err := c.Recover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, serial := range acknowledged {
		if cert, err := c.Find(t.Context(), serial); err != nil || cert.Status != ca.Issued {
			t.Errorf("acknowledged %s: %s, %v", serial, cert.Status, err)
		}
	}
	n, problems := c.audit(t)
	if len(problems) > 0 || n < 8+len(acknowledged) {
		t.Errorf("%d certificates, %d acknowledged, problems %v", n, len(acknowledged), problems)
	}
	if left, err := c.List(t.Context(), ca.Filter{Status: ca.Intent}); err != nil || len(left) > 0 {
		t.Errorf("%d intents left, %v", len(left), err)
	}
	t.Logf("%d acknowledged, %d certificates, %d intents recovered", len(acknowledged), n, recovered)
	if len(acknowledged) == 0 {
		t.Error("the children were killed before they did anything")
	}
}

// killedChild runs this test binary as a process that issues until it is killed,
// and returns the serial numbers that it printed.
func killedChild(t *testing.T, url string, after time.Duration) (serials []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildIssues$", "-test.v")
	cmd.Env = append(os.Environ(), childURL+"="+url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		serial, ok := strings.CutPrefix(lines.Text(), "issued ")
		if !ok {
			continue
		}
		if len(serials) == 0 {
			time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
		}
		serials = append(serials, serial)
	}
	_ = cmd.Wait() // killed
	return serials
}

// TestChildIssues is the process of TestKill9.
func TestChildIssues(t *testing.T) {
	url := os.Getenv(childURL)
	if url == "" {
		t.Skip("only as a child of TestKill9")
	}
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ring, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{DB: d, Sealer: ring})
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Open(t.Context(), ca.Options{DB: d, Ring: ring, Agencies: r, BaseURL: base})
	if err != nil {
		t.Fatal(err)
	}
	lines := make(chan string)
	for range 4 {
		go func() {
			for {
				cert, err := c.Issue(context.Background(), request(t))
				if err != nil {
					lines <- "failed " + err.Error()
					return
				}
				lines <- "issued " + cert.Serial
			}
		}()
	}
	for range 100000 {
		fmt.Println(<-lines)
	}
}
