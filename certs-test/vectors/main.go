package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "vectors:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout io.Writer) error {
	flags := flag.NewFlagSet("vectors", flag.ContinueOnError)
	dir := flags.String("vectors", "docs/spec/vectors", "folder of the vectors")
	program := flags.String("signet", "bin/signet", "program that is asked by its command line")
	only := flags.String("case", "", "ask only cases with this in their name, and print all of what differs")
	if err := flags.Parse(args); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	b, err := build(*dir)
	if err != nil {
		return err
	}
	b.questions = slices.DeleteFunc(b.questions, func(q question) bool { return !strings.Contains(q.Name, *only) })
	b.whole = *only != ""
	files, err := os.MkdirTemp("", "signet-vectors-cli-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(files) }()

	page, err := pageAnswers(ctx, b)
	if err != nil {
		return err
	}
	if len(page) != len(b.questions) {
		return fmt.Errorf("the page has %d answers for %d questions", len(page), len(b.questions))
	}
	cli, err := (&cliSide{*program, files, b.bases}).answers(ctx, b.questions)
	if err != nil {
		return err
	}
	g := &goSide{b.bases, map[string]loaded{}}
	return compare(stdout, b, func(i int) (string, string, string) { return g.answer(b.questions[i]), cli[i], page[i] })
}

// compare prints where the sides differ, a line for each kind of question, and the
// last line.
func compare(w io.Writer, b *builder, answers func(i int) (golang, cli, page string)) error {
	asked, refused := map[string]int{}, map[string]int{}
	agree, mutants := 0, 0
	verdicts := map[string]int{}
	for i, q := range b.questions {
		golang, cli, page := answers(i)
		asked[q.Ask]++
		if q.mutant {
			mutants++
		}
		first, word := canonical(golang)
		verdicts[word]++
		wrong := []string{}
		if other, _ := canonical(page); !reflect.DeepEqual(first, other) {
			wrong = append(wrong, "go and page differ")
		}
		if cli != "" {
			if other, _ := canonical(cli); !reflect.DeepEqual(first, other) {
				wrong = append(wrong, "go and cli differ")
			}
		}
		if strings.Contains(word, "threw") {
			wrong = append(wrong, "an error that is no outcome")
		}
		if q.want != "" && strings.TrimSpace(word) != strings.TrimSpace(q.want) {
			wrong = append(wrong, "expected "+q.want)
		}
		if !strings.HasPrefix(word, "valid") {
			refused[q.Ask]++
		}
		if len(wrong) == 0 {
			agree++
			continue
		}
		fmt.Fprintf(w, "%s %s: %s\n  bytes %s\n  go   %s\n  cli  %s\n  page %s\n", q.Ask, q.Name, strings.Join(wrong, "; "), b.short(q.Bytes), b.short(golang), b.short(cli), b.short(page))
	}
	for _, kind := range []string{askFile, askBundle, askStatus, askText, askPermit, askSnapshot, askDelta, askRoot, askTrust, askHead} {
		across := "go,page"
		switch kind {
		case askFile, askBundle, askStatus:
			across = "go,cli,page"
		}
		fmt.Fprintf(w, "%-9s cases=%d not_valid=%d across=%s\n", kind, asked[kind], refused[kind], across)
	}
	n := len(b.questions)
	fmt.Fprintf(w, "vectors: %d agree=%d across=go,cli,page mutants=%d\n", n, agree, mutants)
	if agree != n {
		return fmt.Errorf("%d of %d do not agree", n-agree, n)
	}
	return nil
}

// canonical returns an answer without the name of the file, and its outcome or its
// verdict and reason.
func canonical(answer string) (any, string) {
	d := json.NewDecoder(strings.NewReader(answer))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		return nil, "threw " + err.Error()
	}
	if v["threw"] != nil {
		return v, fmt.Sprint("threw ", v["threw"])
	}
	if outcome, ok := v["outcome"].(string); ok {
		if value, ok := v["value"].(map[string]any); ok && value["verified"] == false {
			outcome = "bad_signature"
		}
		return v, outcome
	}
	delete(v, "file")
	return v, fmt.Sprint(v["verdict"], " ", v["reason"])
}

func (b *builder) short(s string) string {
	const most = 700
	if len(s) > most && !b.whole {
		return s[:most] + "…"
	}
	return strings.TrimSpace(s)
}
