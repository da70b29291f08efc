// Command signet is a city's trust services in one program: it makes and serves a
// city, gives its operators and officers their commands, and checks permits with
// no network.
//
// Results go to standard output. Everything else goes to standard error, prefixed
// with "signet: ", in lowercase, with a line "signet: hint: " where the remedy is
// known. The program exits with 0 when all went well, with 2 when it was called
// wrongly, and else with 1; signet verify has codes of its own.
//
// A command that changes something is a client of the service's API; the database
// has one writer, the service. Commands refuse to send credentials in the clear
// anywhere but to this machine, and to read them from a file that others can read.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"

	"github.com/signet-city/signet/internal/obs"
)

func main() {
	obs.SpareHeap(obs.HeapFloor)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Environ())
	stop()
	os.Exit(report(os.Stderr, err))
}

// run does what the arguments ask for.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, environ []string) error {
	e := &env{stdin: stdin, stdout: stdout, stderr: stderr, environ: environ}
	root := newRoot(e)
	begun := false
	each(root, func() { begun = true })
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	c, err := root.ExecuteContextC(ctx)
	if err != nil && !begun { // cobra refused the arguments
		return usage(withHint(err, "see %s --help", c.CommandPath()))
	}
	return err
}

// exitError ends the program with a code. err is nil where everything has been
// said already.
type exitError struct {
	code int
	err  error
}

// Error implements error.
func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

// Unwrap returns the cause, or nil.
func (e *exitError) Unwrap() error { return e.err }

// usage says that the program was called wrongly.
func usage(err error) error { return &exitError{2, err} }

// hinted is an error whose remedy is known.
type hinted struct {
	error
	hint string
}

// Unwrap returns the error without its hint.
func (h *hinted) Unwrap() error { return h.error }

// withHint adds a remedy to an error.
func withHint(err error, format string, args ...any) error {
	return &hinted{err, fmt.Sprintf(format, args...)}
}

// report tells a person what went wrong and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code := 1
	if exit, ok := errors.AsType[*exitError](err); ok {
		if code = exit.code; exit.err == nil {
			return code
		}
	}
	say(w, err.Error())
	for h, ok := errors.AsType[*hinted](err); ok; h, ok = errors.AsType[*hinted](h.error) {
		say(w, "hint: "+h.hint)
	}
	return code
}

// say writes a message, each of its lines under the program's name.
func say(w io.Writer, message string) {
	for line := range strings.Lines(message) {
		_, _ = fmt.Fprintf(w, "signet: %s\n", visible(strings.TrimRight(line, "\n")))
	}
}

// visible replaces what a terminal would obey instead of show.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
