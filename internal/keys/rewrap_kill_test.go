package keys_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	process "os/exec"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

// TestRewrapKilled kills a process that rewraps: all of it is done, or nothing.
func TestRewrapKilled(t *testing.T) {
	for engine, url := range map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL} {
		t.Run(engine, func(t *testing.T) {
			at := url(t)
			opened := func() *db.DB {
				d, err := db.Open(t.Context(), at, db.Options{})
				if err != nil {
					t.Fatal(err)
				}
				return d
			}
			d := opened()
			_, list := stock(t, d, keys.Options{})
			seen := map[bool]bool{}
			for range 6 {
				killed(t, at)
				old, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: testKEK})
				second, secondErr := keys.Open(t.Context(), keys.Options{DB: d, KEK: nextKEK})
				if (err == nil) == (secondErr == nil) {
					t.Fatalf("want one key that opens, got %v and %v", err, secondErr)
				}
				r := old
				if err != nil {
					r = second
				}
				seen[err == nil] = true
				whole(t, r, list)
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			t.Logf("ended under the first key: %v", seen)
			t.Cleanup(func() { // after the ring of stock is closed
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

const rewrapVariable = "SIGNET_TEST_REWRAP"

// killed runs TestRewrapProcess for a moment.
func killed(t *testing.T, url string) {
	t.Helper()
	cmd := rewrapProcess(t, url)
	ready := make([]byte, 1)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(ready); err != nil {
		t.Error(err)
	}
	time.Sleep(time.Duration(rand.IntN(60_000)) * time.Microsecond)
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	out, err := io.ReadAll(pipe)
	if err != nil {
		t.Error(err)
	}
	if err := cmd.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the process ended by itself: %v\n%s", err, out)
	}
}

func rewrapProcess(t *testing.T, url string) *process.Cmd {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := process.CommandContext(t.Context(), self, "-test.run=^TestRewrapProcess$")
	cmd.Env = append(os.Environ(), rewrapVariable+"="+url)
	return cmd
}

// TestRewrapProcess rewraps without end, for TestRewrapKilled.
func TestRewrapProcess(t *testing.T) {
	url := os.Getenv(rewrapVariable)
	if url == "" {
		t.Skip("runs in the process that TestRewrapKilled kills")
	}
	d, err := db.Open(t.Context(), url, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	n, two := 0, [][]byte{testKEK, nextKEK}
	next := func() ([]byte, error) { return two[(n+1)%2], nil }
	if first, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: testKEK}); err == nil {
		_ = first.Close()
	} else { // under the other since the last time
		n = 1
	}
	r, err := keys.Open(t.Context(), keys.Options{DB: d, KEK: two[n], NextKEK: next})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Print("r")
	for ; ; n++ {
		if err := r.Rewrap(t.Context(), actor); err != nil {
			t.Fatal(err)
		}
	}
}
