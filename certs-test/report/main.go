// Command report reads the output of go test -json and writes what a person
// wants to see of it: each package as it ends, each failure with its output,
// each skipped test with its reason, and as the last line
//
//	N passed, N failed, N skipped
//
// Tests and subtests count alike. A package that fails without a failing test,
// because it does not build, panics or exits, counts as one failure; so does a
// run without any test. The exit status is 1 if anything failed.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
)

func main() {
	module := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		module = info.Main.Path
	}
	ok, err := run(os.Stdin, os.Stdout, module)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// run reports what it reads and says whether all was well. Module is cut off the
// names of packages.
func run(in io.Reader, out io.Writer, module string) (bool, error) {
	r := newReport(out, module)
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if err == io.EOF {
			return r.end(), nil
		}
		if err != nil {
			r.fail("reading the tests' output: " + err.Error())
			return r.end(), fmt.Errorf("read test output: %w", err)
		}
	}
}
