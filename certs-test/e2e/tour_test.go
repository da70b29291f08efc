package e2e_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/signet-city/signet/cmd/city"
)

var (
	tourEnd  = regexp.MustCompile(`^tour: steps=(\d+) ok=(\d+)$`)
	fsckEnd  = regexp.MustCompile(`^fsck: events=(\d+) certificates=(\d+) licenses=(\d+) problems=(\d+)$`)
	auditEnd = regexp.MustCompile(`^audit: size=\d+ problems=0$`)
)

// fsck runs signet fsck with the ledger of the tour in dir.
func fsck(t *testing.T, dir, database string) result {
	t.Helper()
	return run(t, append([]string{"fsck", "--data", dir, "--ledger", filepath.Join(dir, "ledger.jsonl")}, on(database)...)...)
}

func TestTour(t *testing.T) {
	engines(t, func(t *testing.T, database func(*testing.T) string) {
		dir, url := filepath.Join(t.TempDir(), "city"), database(t)
		start := time.Now()
		out := run(t, append([]string{"tour", "--data", dir}, on(url)...)...)
		t.Logf("the tour took %.1f s", time.Since(start).Seconds())
		end := tourEnd.FindStringSubmatch(out.last())
		if out.code != 0 || end == nil || end[1] != end[2] || end[1] == "0" {
			t.Fatalf("exit code %d\n%s%s", out.code, out.out, out.err)
		}
		checked := fsck(t, dir, url)
		n := fsckEnd.FindStringSubmatch(checked.last())
		if checked.code != 0 || n == nil || n[1] == "0" || n[2] == "0" || n[3] != "3" || n[4] != "0" {
			t.Errorf("fsck: exit code %d\n%s%s", checked.code, checked.out, checked.err)
		}
		if again := run(t, "tour", "--data", dir); again.code != 2 {
			t.Errorf("a tour in a directory that is in use: exit code %d, want 2\n%s", again.code, again.err)
		}
		inventAct(t, dir, url)
	})
}

// inventAct adds acts to the ledger that never happened: fsck finds each.
func inventAct(t *testing.T, dir, url string) {
	ledger, err := city.OpenLedger(filepath.Join(dir, "ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	acts := []string{city.ActCity, city.ActCertificate, city.ActLicense, city.ActRevoke, city.ActRotate, city.ActPublish, city.ActSignIn}
	for _, act := range acts {
		if err := ledger.Write(act, "06h0r7ggyvzsnjfcsg5rext278", "00"); err != nil {
			t.Fatal(err)
		}
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
	r := fsck(t, dir, url)
	if r.code != 1 || !strings.HasSuffix(r.last(), fmt.Sprintf(" problems=%d", len(acts))) {
		t.Errorf("fsck with invented acts: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	for _, act := range acts {
		if !strings.Contains(r.out, ": "+act+" 06h0r7ggyvzsnjfcsg5rext278: ") {
			t.Errorf("fsck does not miss %s\n%s", act, r.out)
		}
	}
}

// TestFsckKnowsALostCity keeps fsck from taking a city that lost a part for one
// that was never made.
func TestFsckKnowsALostCity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "city")
	demo(t, dir, anyPort...).stop(t)
	must(t, "fsck", "--data", dir)
	for _, lost := range []string{"kek", "signet.db"} {
		away := filepath.Join(t.TempDir(), lost)
		if err := os.Rename(filepath.Join(dir, lost), away); err != nil {
			t.Fatal(err)
		}
		if r := run(t, "fsck", "--data", dir); r.code != 1 || r.out != "" {
			t.Errorf("without %s: exit code %d, %q", lost, r.code, r.out)
		}
		if err := os.Rename(away, filepath.Join(dir, lost)); err != nil {
			t.Fatal(err)
		}
	}
	if r := run(t, "fsck", "--data", filepath.Join(dir, "nothing")); r.code != 1 {
		t.Errorf("a directory that is not there: exit code %d\n%s", r.code, r.out)
	}
}

// TestKillAnyMoment kills tours at moments spread over their whole length. What the
// ledger acknowledges must be there afterwards, and the city must open again.
//
// One problem is accepted: a licence that the ledger does not hold may still be in
// signing. The service completes it 15 s after it was begun, which is longer than a
// test should wait, and the sweeper has tests of its own in package licenses.
func TestKillAnyMoment(t *testing.T) {
	rounds := map[string]int{"sqlite": 6, "postgres": 4}
	engines(t, func(t *testing.T, database func(*testing.T) string) {
		_, engine, _ := strings.Cut(t.Name(), "/")
		n := rounds[engine]
		rnd := rand.New(rand.NewPCG(*seed, uint64(n)))
		t.Logf("-seed %d", *seed)
		const soonest = 200 * time.Millisecond
		whole, first := killTour(t, database, time.Minute)
		for i := range n {
			from := soonest
			if i%2 == 1 { // half of the kills fall where acts are acknowledged
				from = first
			}
			span := max(whole+whole/10-from, soonest)
			delay := from + time.Duration((float64(i)+rnd.Float64())/float64(n)*float64(span))
			t.Run(fmt.Sprintf("%d", i+1), func(t *testing.T) { killTour(t, database, delay) })
		}
	})
}

// killTour starts a tour, kills it after a delay and checks what is left. It
// returns how long the tour ran and when its first act was acknowledged, 0 for none.
func killTour(t *testing.T, database func(*testing.T) string, delay time.Duration) (took, first time.Duration) {
	dir, url := filepath.Join(t.TempDir(), "city"), database(t)
	cmd := exec.Command(signet, append([]string{"tour", "--data", dir}, on(url)...)...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its children go with it
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(delay, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	kill.Stop()
	took = time.Since(start)
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); err != nil && status.Signal() != syscall.SIGKILL {
		t.Fatalf("the tour ended by itself: %v\n%s", err, &said)
	}
	if !exists(filepath.Join(dir, "ledger.jsonl")) {
		t.Logf("killed after %.3f s, before there was anything", took.Seconds())
		return took, first
	}
	acts := ledgerOf(t, dir)
	if len(acts) > 0 {
		first = acts[0].At.Sub(start)
	}
	finished := exists(filepath.Join(dir, "demo-secrets.json")) && !exists(filepath.Join(dir, "INCOMPLETE"))
	r := fsck(t, dir, url)
	t.Logf("ended after %.3f s (%v), city finished: %t, %d acts acknowledged, %s", took.Seconds(), err, finished, len(acts), r.last())
	checkLeft(t, r, acts)
	if !finished {
		if len(acts) > 0 {
			t.Error("acts were acknowledged in an unfinished city")
		}
		reopenUnfinished(t, dir, url)
		return took, first
	}
	demo(t, dir, append(on(url), samePorts...)...).stop(t)
	checkLeft(t, fsck(t, dir, url), acts)
	if r := run(t, append([]string{"audit", "verify", "--data", dir}, on(url)...)...); r.code != 0 || !auditEnd.MatchString(r.last()) {
		t.Errorf("audit verify: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	return took, first
}

// checkLeft holds fsck's findings against the acknowledged acts.
func checkLeft(t *testing.T, r result, acts []city.Entry) {
	t.Helper()
	issued := map[string]bool{}
	for _, a := range acts {
		if a.Act == city.ActLicense {
			issued["license:"+a.Object] = true
		}
	}
	if !fsckEnd.MatchString(r.last()) {
		t.Errorf("fsck: exit code %d\n%s%s", r.code, r.out, r.err)
		return
	}
	want := 0
	for line := range strings.Lines(r.out) {
		what, problem, found := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case what == "fsck":
		case found && problem == "is still in signing" && strings.HasPrefix(what, "license:") && !issued[what]:
			want = 1
		default:
			t.Errorf("fsck: %s", line)
		}
	}
	if r.code != want && !t.Failed() {
		t.Errorf("fsck: exit code %d, want %d\n%s", r.code, want, r.out)
	}
}

// reopenUnfinished opens a directory in which the making of a city was cut off: it
// is made anew in its own directory, and refused in a server's database.
func reopenUnfinished(t *testing.T, dir, url string) {
	begun := exists(filepath.Join(dir, "INCOMPLETE"))
	if url != "" && begun {
		r := run(t, append(append([]string{"demo", "--data", dir}, on(url)...), anyPort...)...)
		if r.code != 1 || r.out != "" || !strings.Contains(r.err, "was cut off: give an empty database and directory") {
			t.Errorf("demo: exit code %d\n%s%s", r.code, r.out, r.err)
		}
		return
	}
	demo(t, dir, append(on(url), anyPort...)...).stop(t)
	if r := run(t, append([]string{"fsck", "--data", dir}, on(url)...)...); r.code != 0 {
		t.Errorf("fsck after making the city anew: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

func ledgerOf(t *testing.T, dir string) []city.Entry {
	t.Helper()
	acts, err := city.ReadLedger(filepath.Join(dir, "ledger.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return acts
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
