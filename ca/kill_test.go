package ca_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
)

const childPoint = "SIGNET_CA_TEST_POINT"

// killPoints are the places between an intent and a published CRL where a process
// is killed; handed says whether somebody may have the certificate by then.
var killPoints = []struct {
	name            string
	handed, revoked bool
}{
	{"after the intent", false, false},
	{"after the signature", false, false},
	{"after it is stored", true, false},
	{"between revocation and CRL", true, true},
	{"amid the publication of a CRL", true, true},
	{"after the publication", true, true},
}

// TestKill9AtEachPoint kills a process at every named point, by turns on one
// database: what was handed out is found and can be revoked, what was revoked comes
// on the next CRL, and numbers rise.
func TestKill9AtEachPoint(t *testing.T) {
	for engine, newURL := range map[string]func(testing.TB) string{db.SQLite: testkit.SQLiteURL, db.PostgreSQL: testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			url := newURL(t)
			d, err := db.Open(t.Context(), url, db.Options{})
			if err != nil {
				t.Fatal(err)
			}
			c := newCity(t, d)
			c.publish(t)
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			listed, number := map[string]bool{}, int64(0)
			for _, p := range killPoints {
				serial := diesAt(t, url, p.name)
				if c.db, err = db.Open(t.Context(), url, db.Options{}); err != nil {
					t.Fatal(err)
				}
				c.ring = openRing(t, c.db, c.clock)
				if c.registry, err = registry.New(registry.Options{DB: c.db, Sealer: c.ring, Now: c.clock.now}); err != nil {
					t.Fatal(err)
				}
				c.clock.advance(time.Minute) // beyond the reservation of who died
				c.CA = c.reopen(t)
				number = c.afterDeath(t, serial, p.name, p.handed, p.revoked, listed, number)
				if err := c.db.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// afterDeath looks at what a process left, revokes what it handed out, and returns
// the number of the CRL that lists it.
func (c *city) afterDeath(t *testing.T, serial, point string, handed, revoked bool, listed map[string]bool, before int64) int64 {
	t.Helper()
	if _, err := c.Recover(t.Context()); err != nil {
		t.Fatal(err)
	}
	cert, err := c.Find(t.Context(), serial)
	switch {
	case err != nil:
		t.Errorf("%s: %v", point, err)
	case !handed && cert.Status != ca.Abandoned, handed && !revoked && cert.Status != ca.Issued, revoked && cert.Status != ca.Revoked:
		t.Errorf("%s: it is %s", point, cert.Status)
	}
	if handed && !revoked {
		if err := c.Revoke(t.Context(), serial, ca.Superseded, actor); err != nil {
			t.Errorf("%s: %v", point, err)
		}
	}
	if handed {
		listed[serial] = true
	}
	// Whatever was out before is not taken back, and the next one is higher.
	_, out, err := c.CRL(t.Context(), "city", 1)
	if err != nil || out < before {
		t.Errorf("%s: number %d after %d, %v", point, out, before, err)
	}
	c.publish(t)
	number := c.crl(t, "city", 1).Number.Int64()
	if number < out || handed && point != "after the publication" && number <= before {
		t.Errorf("%s: number %d after %d", point, number, out)
	}
	entries := c.entries(t, "city", 1)
	for serial := range listed {
		if _, ok := entries[serial]; !ok {
			t.Errorf("%s: %s is not on the CRL", point, serial)
		}
	}
	if len(entries) != len(listed) {
		t.Errorf("%s: %d entries, want %d", point, len(entries), len(listed))
	}
	if _, problems := c.audit(t); len(problems) > 0 {
		t.Errorf("%s: %v", point, problems)
	}
	c.checkNumbers(t)
	return number
}

// diesAt runs this test binary as a process that kills itself at a point, and
// returns the serial number of its certificate.
func diesAt(t *testing.T, url, point string) (serial string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChildDies$", "-test.v")
	cmd.Env = append(os.Environ(), childURL+"="+url, childPoint+"="+point)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		all = append(all, lines.Text())
		if s, ok := strings.CutPrefix(lines.Text(), "dies with "); ok {
			serial = s
		}
	}
	_ = cmd.Wait() // killed
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGKILL || serial == "" {
		t.Fatalf("%s: the process ended otherwise: %v\n%s", point, cmd.ProcessState, strings.Join(all, "\n"))
	}
	return serial
}

// TestChildDies is the process of TestKill9AtEachPoint.
func TestChildDies(t *testing.T) {
	url, point := os.Getenv(childURL), os.Getenv(childPoint)
	if url == "" || point == "" {
		t.Skip("only as a child of TestKill9AtEachPoint")
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
	serial, err := upTo(t, c, point)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("dies with " + serial)
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// upTo does what stands before a point.
func upTo(t *testing.T, c *ca.CA, point string) (serial string, err error) {
	ctx := context.Background()
	r := ca.Request{Profile: profile.PermitSigning, Agency: "jiangcheng-amr", Issuer: "city", Key: ecKey(t), Actor: actor}
	switch point {
	case "after the intent":
		return c.Half(ctx, r, "intent")
	case "after the signature":
		return c.Half(ctx, r, "signed")
	}
	cert, err := c.Issue(ctx, r)
	if err != nil || point == "after it is stored" {
		return cert.Serial, err
	}
	if err := c.Revoke(ctx, cert.Serial, ca.KeyCompromise, actor); err != nil {
		return "", err
	}
	switch point {
	case "amid the publication of a CRL":
		_, err = c.SlowCRL(ctx, "city", 1) // reserved and signed, not stored
	case "after the publication":
		err = c.PublishCRLs(ctx)
	}
	return cert.Serial, err
}
