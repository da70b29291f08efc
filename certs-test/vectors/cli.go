package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// cliSide answers by `signet verify --json`.
type cliSide struct {
	program string
	dir     string // for files
	bases   map[string]basis
}

// answers returns an answer for each question that a command line can ask.
func (c *cliSide) answers(ctx context.Context, questions []question) (map[int]string, error) {
	type group struct {
		args  []string
		index []int
	}
	groups := map[string]*group{}
	var order []*group
	for i, q := range questions {
		switch q.Ask {
		case askFile, askBundle, askStatus:
		default:
			continue
		}
		key := q.Basis + " " + strconv.FormatInt(q.Now, 10)
		if q.Ask != askFile {
			key = strconv.Itoa(i)
		}
		g := groups[key]
		if g == nil || len(g.index) >= 400 {
			args, err := c.args(i, q)
			if err != nil {
				return nil, err
			}
			g = &group{args: args}
			groups[key] = g
			order = append(order, g)
		}
		g.index = append(g.index, i)
	}
	answers := map[int]string{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var failed error
	work := make(chan *group)
	for range 2 {
		wait.Go(func() {
			for g := range work {
				got, err := c.run(ctx, g.args, g.index, questions)
				mu.Lock()
				failed = errors.Join(failed, err)
				for i, a := range got {
					answers[i] = a
				}
				mu.Unlock()
			}
		})
	}
	for _, g := range order {
		work <- g
	}
	close(work)
	wait.Wait()
	return answers, failed
}

func (c *cliSide) write(name string, body []byte) (string, error) {
	path := filepath.Join(c.dir, name)
	return path, os.WriteFile(path, body, 0o600)
}

// args writes the files of a basis.
func (c *cliSide) args(i int, q question) ([]string, error) {
	b := c.bases[q.Basis]
	bundle, status := plain(b.Bundle), plain(b.Status)
	if q.Ask == askBundle {
		bundle = q.body
	}
	if q.Ask == askStatus {
		status = q.body
	}
	args := []string{"verify", "--json", "--at", time.Unix(q.Now, 0).UTC().Format(time.RFC3339)}
	for _, f := range []struct {
		flag string
		body []byte
	}{{"root", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: plain(b.Pin)})}, {"trust", bundle}, {"status", status}, {"trust", plain(b.Genuine)}} {
		if len(f.body) == 0 {
			continue
		}
		path, err := c.write(fmt.Sprintf("%d-%s-%d", i, f.flag, len(args)), f.body)
		if err != nil {
			return nil, err
		}
		args = append(args, "--"+f.flag, path)
	}
	return args, nil
}

// run asks about many files at once. Each is a text, so each gives one answer.
func (c *cliSide) run(ctx context.Context, args []string, index []int, questions []question) (map[int]string, error) {
	at := map[string]int{}
	for _, i := range index {
		q := questions[i]
		body := q.body
		if q.Ask != askFile {
			body = []byte(c.bases[q.Basis].Permit)
		}
		path, err := c.write(fmt.Sprintf("%d-permit", i), body)
		if err != nil {
			return nil, err
		}
		at[path] = i
		args = append(args, path)
	}
	cmd := exec.CommandContext(ctx, c.program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	answers := map[int]string{}
	for line := range bytes.Lines(stdout.Bytes()) {
		var of struct {
			File string `json:"file"`
		}
		if err := json.Unmarshal(line, &of); err != nil {
			return nil, fmt.Errorf("signet verify printed %q: %w", line, err)
		}
		i, ok := at[of.File]
		if _, twice := answers[i]; !ok || twice {
			return nil, fmt.Errorf("signet verify answered for %s, or twice", of.File)
		}
		answers[i] = string(line)
	}
	for _, i := range index {
		if _, ok := answers[i]; !ok {
			answers[i] = fmt.Sprintf(`{"threw": %q}`, "no answer; "+stderr.String())
		}
	}
	return answers, nil
}
