package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	tellEvery = time.Second            // lines
	drawEvery = 200 * time.Millisecond // a bar on a terminal
	barWidth  = 30
)

// progress tells people how far an import is: a bar on a terminal, a line a second
// elsewhere.
type progress struct {
	env      *env
	terminal bool
	begun    time.Time
	told     time.Time
	drawn    int // characters of the bar that stand there
}

func newProgress(e *env) *progress {
	return &progress{env: e, terminal: isTerminal(e.stderr), begun: time.Now(), told: time.Now()}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// tell tells how far the import is, not too often.
func (p *progress) tell(i *importer) {
	now := time.Now()
	switch since := now.Sub(p.told); {
	case p.terminal && since >= drawEvery:
		p.told = now
		p.draw(bar(i.in.raw.n, i.in.size) + counts(i) + p.pace(i, now))
	case !p.terminal && since >= tellEvery:
		p.told = now
		p.env.say("import: %s", counts(i)+p.pace(i, now))
	}
}

// end tells where the import ended.
func (p *progress) end(i *importer) {
	if p.drawn > 0 {
		p.draw("")
		_, _ = io.WriteString(p.env.stderr, "\r")
	}
	p.env.say("import: %s", counts(i))
}

// draw writes over what stands there.
func (p *progress) draw(text string) {
	n := len(text)
	_, _ = io.WriteString(p.env.stderr, "\r"+text+strings.Repeat(" ", max(0, p.drawn-n)))
	p.drawn = n
}

func counts(i *importer) string {
	return fmt.Sprintf("lines=%d issued=%d refused=%d", i.done, i.done-i.refused, i.refused)
}

// pace says how fast the import is and, where the size of the file is known, how long
// the rest takes at the pace of what was done in this run.
func (p *progress) pace(i *importer, now time.Time) string {
	spent := now.Sub(p.begun)
	text := fmt.Sprintf(" rate=%.0f/s", float64(i.done)/max(spent.Seconds(), 0.001))
	if read := i.in.raw.n; i.in.size > 0 && read > 0 {
		rest := time.Duration(float64(spent) * float64(i.in.size-read) / float64(read))
		text += fmt.Sprintf(" percent=%d eta=%v", 100*read/i.in.size, rest.Round(time.Second))
	}
	return text
}

// bar draws how much of the file was read, "" where nobody knows.
func bar(read, size int64) string {
	if size == 0 {
		return ""
	}
	full := int(barWidth * min(read, size) / size)
	return "[" + strings.Repeat("#", full) + strings.Repeat(".", barWidth-full) + "] "
}
