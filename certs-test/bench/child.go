package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// patience is how long a program may take to begin or to end.
const patience = 2 * time.Minute

// child is a program that is measured from outside, so that what its client spends
// is not counted.
type child struct {
	cmd *exec.Cmd
	out *bufio.Reader
}

// build builds a program below build/ and returns its path.
func build(ctx context.Context, name string, environment []string, arguments ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join("build", name))
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", append([]string{"build", "-o", path}, arguments...)...)
	cmd.Env = append(os.Environ(), environment...)
	if said, err := cmd.CombinedOutput(); err != nil {
		lines := strings.Split(strings.TrimSpace(string(said)), "\n")
		return "", fmt.Errorf("build %s: %w: %s", name, err, lines[len(lines)-1])
	}
	return path, nil
}

// start starts a program. What it says on standard error goes to log.
func start(ctx context.Context, log io.Writer, program string, arguments ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, program, arguments...)}
	c.cmd.Stderr = log
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	return c, nil
}

// line returns the first line on standard output, and drops the rest.
func (c *child) line() (string, error) {
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer hung.Stop()
	line, err := c.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("the program ended before it was ready: %w", err)
	}
	c.drop()
	return strings.TrimSuffix(line, "\n"), nil
}

func (c *child) drop() { go func() { _, _ = io.Copy(io.Discard, c.out) }() }

// stop asks the program to end and waits for it.
func (c *child) stop() error {
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	hung := time.AfterFunc(patience, func() { _ = c.cmd.Process.Kill() })
	defer hung.Stop()
	err := c.cmd.Wait()
	if status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGTERM {
		return nil // it has no other way to end
	}
	return err
}
