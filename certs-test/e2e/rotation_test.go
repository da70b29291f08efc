package e2e_test

import (
	"context"
	"encoding/json/v2"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// kill ends the demo as a power cut does.
func (s *served) kill(t *testing.T) {
	t.Helper()
	s.done = true
	if err := s.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.cmd.Wait()
}

// keyRow is a key as the command line lists it.
type keyRow struct {
	ID      string `json:"id"`
	Purpose string `json:"purpose"`
	Owner   string `json:"owner"`
	State   string `json:"state"`
}

func (s *served) keys(t *testing.T) (list []keyRow) {
	t.Helper()
	var view struct {
		Keys []keyRow `json:"keys"`
	}
	if err := json.Unmarshal([]byte(must(t, "keys", "list", "--demo", s.file, "--json")), &view); err != nil {
		t.Fatal(err)
	}
	return view.Keys
}

// checkKeys holds that every place has its one key in use.
func (s *served) checkKeys(t *testing.T) {
	t.Helper()
	active := map[string]int{}
	for _, k := range s.keys(t) {
		place := k.Purpose + " " + k.Owner
		if _, seen := active[place]; !seen {
			active[place] = 0
		}
		if k.State == "active" {
			active[place]++
		}
	}
	for place, n := range active {
		if n != 1 {
			t.Errorf("%s has %d keys in use", place, n)
		}
	}
}

// inUse returns the key in use at a place.
func (s *served) inUse(t *testing.T, purpose, owner string) string {
	t.Helper()
	for _, k := range s.keys(t) {
		if k.Purpose == purpose && k.Owner == owner && k.State == "active" {
			return k.ID
		}
	}
	t.Fatalf("%s of %s has no key in use", purpose, owner)
	return ""
}

// turn is one rotation as officers do it: commands that may be cut off at any
// moment, and repeated.
type turn struct {
	purpose, owner string
	commands       func(from string) [][]string
}

// TestKillDuringRotation ends the service by kill -9 at seeded moments of rotations.
// Started again, every place has exactly one key in use, the rotation can be
// completed by repeating it, everything that was signed verifies, and nothing is
// missing from the log.
func TestKillDuringRotation(t *testing.T) {
	engines(t, func(t *testing.T, database func(*testing.T) string) {
		dir, url := filepath.Join(t.TempDir(), "city"), database(t)
		s := demo(t, dir, append(on(url), anyPort...)...)
		random := rand.New(rand.NewPCG(4, 2026))
		var permits []string
		rotate := func(purpose, owner string) turn {
			return turn{purpose: purpose, owner: owner, commands: func(from string) [][]string {
				return [][]string{{"keys", "rotate", purpose, owner, "--from", from, "--before-verifiers-know", "--demo", s.file}}
			}}
		}
		turns := []turn{rotate("permit", agency), rotate("token", "city"), rotate("tls", "city"), rotate("ocsp", "donghu"),
			rotate("trust", "city"), rotate("status", "city"), rotate("log", "city"), rotate("permit", agency)}
		for i, one := range turns {
			permits = append(permits, write(t, filepath.Join(t.TempDir(), "permit.txt"), []byte(s.issue(t).Permit)))
			from := s.inUse(t, one.purpose, one.owner)
			delay := time.Duration(random.IntN(160)) * time.Millisecond
			s.cutOff(t, delay, one.commands(from))
			s = demo(t, dir, append(on(url), samePorts...)...)
			s.checkKeys(t)
			for _, command := range one.commands(from) {
				repeat(t, command...)
			}
			if now := s.inUse(t, one.purpose, one.owner); now == from {
				t.Errorf("turn %d: %s of %s was not rotated", i, one.purpose, one.owner)
			}
			again := s.inUse(t, one.purpose, one.owner)
			for _, command := range one.commands(from) { // a repetition changes nothing
				must(t, command...)
			}
			if now := s.inUse(t, one.purpose, one.owner); now != again {
				t.Errorf("turn %d: %s of %s was rotated twice", i, one.purpose, one.owner)
			}
			s.checkKeys(t)
		}
		s.cutRootAct(t, dir, url, random)
		s = demo(t, dir, append(on(url), samePorts...)...)
		s.checkKeys(t)
		permits = append(permits, write(t, filepath.Join(t.TempDir(), "permit.txt"), []byte(s.issue(t).Permit)))
		s.stop(t)
		out := must(t, append([]string{"verify", "--data", dir, "--json"}, permits...)...)
		if n := strings.Count(out, `"verdict":"valid"`); n != len(permits) {
			t.Errorf("%d of %d permits verify:\n%s", n, len(permits), out)
		}
		if r := run(t, append([]string{"fsck", "--data", dir}, on(url)...)...); r.code != 0 || !strings.HasSuffix(r.last(), " problems=0") {
			t.Errorf("fsck: exit code %d\n%s%s", r.code, r.out, r.err)
		}
	})
}

// repeat runs a command as somebody does who is told to try again: what a crash has
// left of a certificate is given up after half a minute.
func repeat(t *testing.T, args ...string) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Second) {
		r := run(t, args...)
		if r.code == 0 {
			return
		}
		if !strings.Contains(r.err, "(unavailable)") || time.Now().After(end) {
			t.Fatalf("signet %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
		}
	}
}

// cutOff runs commands one after the other and kills the service amid them.
func (s *served) cutOff(t *testing.T, delay time.Duration, commands [][]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, command := range commands {
			if err := exec.CommandContext(ctx, signet, command...).Run(); err != nil {
				return // cut off
			}
		}
	}()
	select {
	case <-time.After(delay):
	case <-done:
	}
	s.kill(t)
	cancel()
	<-done
}

// cutRootAct kills the service while an act of the root is applied, which two
// officers asked for, until it is done.
func (s *served) cutRootAct(t *testing.T, dir, url string, random *rand.Rand) {
	t.Helper()
	tmp := t.TempDir()
	request := write(t, filepath.Join(tmp, "request.json"), []byte(must(t, "root", "ask", "--issuer", "city", "--issuer", "donghu", "--demo", s.file)))
	response := write(t, filepath.Join(tmp, "response.json"), []byte(must(t, "root", "sign", request, "--root", s.RootPEM,
		"--key", filepath.Join(dir, "ceremony", "root.key"), "--passphrase-file", filepath.Join(dir, "ceremony", "passphrase"))))
	var asked struct {
		ID string `json:"id"`
	}
	out := must(t, "approval", "request", "root.apply", "--file", "response="+response, "--reason", "new issuing keys", "--demo", s.file,
		"--officer", s.Officers[0].Username, "--json")
	if err := json.Unmarshal([]byte(out), &asked); err != nil {
		t.Fatal(err)
	}
	s.cutOff(t, time.Duration(40+random.IntN(160))*time.Millisecond,
		[][]string{{"approval", "approve", asked.ID, "--yes", "--demo", s.file, "--officer", s.Officers[1].Username}})
	again := demo(t, dir, append(on(url), samePorts...)...)
	defer again.stop(t)
	// Who ran it holds a lease of 90 s.
	for end := time.Now().Add(150 * time.Second); ; time.Sleep(time.Second) {
		show := must(t, "approval", "show", asked.ID, "--demo", again.file, "--officer", s.Officers[0].Username, "--json")
		switch {
		case strings.Contains(show, `"state":"done"`):
			return
		case strings.Contains(show, `"state":"open"`): // the approval did not arrive
			must(t, "approval", "approve", asked.ID, "--yes", "--demo", again.file, "--officer", s.Officers[1].Username)
		case time.Now().After(end):
			t.Fatalf("the act of the root was not completed:\n%.200s", show)
		}
	}
}
