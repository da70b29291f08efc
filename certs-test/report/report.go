package main

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// maxOutput bounds what is kept of one test's output: its beginning and its end
// say most.
const maxOutput = 32 << 10

// event is one line of go test -json (go doc test2json, go help buildjson).
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build-output and build-fail
	Test        string
	Elapsed     float64
	Output      string
	FailedBuild string
}

// test names a test, or with Test "" a package.
type test struct{ Package, Test string }

// report gathers the outcome of a run.
type report struct {
	out                     io.Writer
	module                  string
	output                  map[test]*text
	running                 map[test]bool
	count                   map[string]*tally // by package
	passed, failed, skipped int
	failures                []string
}

// tally counts the tests of one package.
type tally struct{ passed, failed, skipped int }

// newReport returns an empty report.
func newReport(out io.Writer, module string) *report {
	return &report{out: out, module: module, output: map[test]*text{}, running: map[test]bool{}, count: map[string]*tally{}}
}

// line takes one line. What is no event is shown as it is.
func (r *report) line(b []byte) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s\n", strings.TrimRight(string(b), "\r\n"))
		return
	}
	key := test{e.Package, e.Test}
	switch e.Action {
	case "run":
		r.running[key] = true
		delete(r.output, key) // of an earlier round
	case "output":
		if r.output[key] == nil {
			r.output[key] = new(text)
		}
		r.output[key].add(e.Output)
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
		} else {
			r.endTest(e)
		}
	}
}

// packageTally returns the tally of a package.
func (r *report) packageTally(name string) *tally {
	if r.count[name] == nil {
		r.count[name] = new(tally)
	}
	return r.count[name]
}

// endTest counts a test and shows it unless it passed.
func (r *report) endTest(e event) {
	key := test{e.Package, e.Test}
	lines := r.take(key)
	t, name := r.packageTally(e.Package), r.short(e.Package)+" "+e.Test
	switch e.Action {
	case "pass":
		r.passed++
		t.passed++
	case "skip":
		r.skipped++
		t.skipped++
		fmt.Fprintf(r.out, "skip %s: %s\n", name, reason(lines))
	case "fail":
		t.failed++
		r.fail(name)
		fmt.Fprintf(r.out, "FAIL %s (%.2fs)\n", name, e.Elapsed)
		r.indent(lines)
	}
}

// endPackage shows how a package ended.
func (r *report) endPackage(e event) {
	lines := r.take(test{e.Package, ""})
	unfinished := r.unfinished(e.Package)
	t, name := r.packageTally(e.Package), r.short(e.Package)
	if e.Action != "fail" {
		if t.passed+t.skipped > 0 {
			fmt.Fprintf(r.out, "ok   %s  %d passed, %d skipped (%.1fs)\n", name, t.passed, t.skipped, e.Elapsed)
		}
		return
	}
	for _, key := range unfinished {
		t.failed++
		r.fail(name + " " + key.Test + " (did not end)")
		fmt.Fprintf(r.out, "FAIL %s %s did not end\n", name, key.Test)
		r.indent(r.take(key))
	}
	what := ""
	if t.failed == 0 {
		what = " (no test of it failed)"
		if e.FailedBuild != "" {
			what = " (does not build)"
		}
		r.fail(name + what)
	}
	fmt.Fprintf(r.out, "FAIL %s  %d passed, %d failed, %d skipped (%.1fs)%s\n", name, t.passed, t.failed, t.skipped, e.Elapsed, what)
	r.indent(lines)
}

// unfinished returns the tests of a package that began and never ended: it
// panicked, exited or ran out of time. A parent of one of them did not fail by
// itself and is left out.
func (r *report) unfinished(name string) []test {
	var keys []test
	for key := range r.running {
		if key.Package == name && key.Test != "" {
			keys = append(keys, key)
		}
	}
	for _, key := range keys {
		delete(r.running, key)
	}
	keys = slices.DeleteFunc(keys, func(k test) bool {
		return slices.ContainsFunc(keys, func(other test) bool { return strings.HasPrefix(other.Test, k.Test+"/") })
	})
	slices.SortFunc(keys, func(a, b test) int { return strings.Compare(a.Test, b.Test) })
	return keys
}

// fail counts a failure.
func (r *report) fail(what string) {
	r.failed++
	r.failures = append(r.failures, what)
}

// end writes the summary and reports whether all was well.
func (r *report) end() bool {
	if r.passed+r.failed+r.skipped == 0 {
		r.fail("no test ran")
	}
	for _, name := range r.failures {
		fmt.Fprintf(r.out, "failed: %s\n", name)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	return r.failed == 0
}

// take returns the lines that a test or package wrote, without those of the
// testing package itself, and forgets the test.
func (r *report) take(key test) []string {
	var lines []string
	for line := range strings.Lines(r.output[key].String()) {
		line = strings.TrimRight(line, "\n")
		if line != "" && !framing.MatchString(line) {
			lines = append(lines, line)
		}
	}
	delete(r.output, key)
	delete(r.running, key)
	return lines
}

// framing matches the lines by which testing marks beginning and end.
var framing = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME)|--- (PASS|FAIL|SKIP|BENCH): )|^(PASS|FAIL)$|^(ok|FAIL|\?)\s*\t`)

// indent writes lines below a heading.
func (r *report) indent(lines []string) {
	for _, line := range lines {
		fmt.Fprintf(r.out, "    %s\n", strings.TrimPrefix(line, "    "))
	}
}

// reason returns why a test was skipped.
func reason(lines []string) string {
	for i, line := range lines {
		lines[i] = position.ReplaceAllString(strings.TrimSpace(line), "")
	}
	if len(lines) == 0 {
		return "no reason given"
	}
	return strings.Join(lines, " ")
}

// position matches the file and line that testing writes before a message.
var position = regexp.MustCompile(`^[\w.-]+\.go:\d+: `)

// short returns a package's name inside the module.
func (r *report) short(name string) string {
	if name == r.module {
		return "."
	}
	return strings.TrimPrefix(name, r.module+"/")
}

// text is a bounded text: its beginning and its end.
type text struct {
	head, tail []byte
	cut        bool
}

// add appends s.
func (t *text) add(s string) {
	if room := maxOutput - len(t.head); room > 0 {
		n := min(room, len(s))
		t.head, s = append(t.head, s[:n]...), s[n:]
	}
	t.tail = append(t.tail, s...)
	if extra := len(t.tail) - maxOutput; extra > maxOutput {
		t.tail, t.cut = append([]byte(nil), t.tail[extra:]...), true
	}
}

// String returns what was kept. A nil text is empty.
func (t *text) String() string {
	switch {
	case t == nil:
		return ""
	case t.cut:
		return string(t.head) + "\n…\n" + string(t.tail)
	default:
		return string(t.head) + string(t.tail)
	}
}
