package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/signet-city/signet/internal/fault"
)

const (
	witnessTimeout   = 10 * time.Second
	maxWitnessAnswer = 16 << 10
)

// WitnessOptions say where a witness is and who it is. Both are required.
type WitnessOptions struct {
	URL string // the submission prefix of C2SP tlog-witness, http or https
	Key string // name+hash+key, of type cosignature/v1
}

// Witness is somebody else who remembers how long the log was, and signs only what
// continues it.
type Witness struct {
	*cosigner
	address string // of add-checkpoint
}

// NewWitness returns a witness. It sends nothing. It fails with kind Invalid for an
// address that is none or carries a password, and for a key that is not of a
// witness.
func NewWitness(o WitnessOptions) (*Witness, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// It is not repeated: a password may stand in it.
		return nil, fault.New(fault.Invalid, "the address of a witness is written https://HOST/PATH")
	}
	c, err := parseCosigner(o.Key)
	if err != nil {
		return nil, err
	}
	return &Witness{c, strings.TrimRight(o.URL, "/") + "/add-checkpoint"}, nil
}

// witnessClient is how witnesses are asked when Options does not say: no redirect
// is followed, nothing is waited for longer than a seal may be old.
func witnessClient() *http.Client {
	return &http.Client{
		Timeout:       witnessTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// What a witness may know that this log should have known.
var (
	// ErrRolledBack means that a witness has cosigned a longer log than this one.
	ErrRolledBack = fault.New(fault.Conflict, "a witness knows a longer log than this one: was an old backup restored?")
	// ErrNotContinued means that a witness has cosigned a log that this one does
	// not continue.
	ErrNotContinued = fault.New(fault.Conflict, "a witness knows another log of this name: this one does not continue it")
)

// conflict is an answer 409: the witness has last cosigned another size than it
// was told.
type conflict struct{ size int64 }

// Error implements error.
func (c *conflict) Error() string { return fmt.Sprintf("the witness is at size %d", c.size) }

// submit asks for a cosignature on c, which the proof shows to continue the log of
// size old, and returns its line. The error is a *conflict when the witness is at
// another size, ErrNotContinued when it does not accept the proof, of kind Denied
// when it does not know the log or its key, else of kind Unavailable.
func (w *Witness) submit(ctx context.Context, client *http.Client, old int64, proof tlog.TreeProof, c Checkpoint) (line string, err error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "old %d\n", old)
	writeHashes(&b, proof)
	b.WriteByte('\n')
	b.Write(c.Note)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.address, &b)
	if err != nil {
		return "", fmt.Errorf("ask witness: %w", err)
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	req.Header.Set("User-Agent", "signet")
	resp, err := client.Do(req)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, "the witness is away", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxWitnessAnswer+1))
	if err != nil || len(body) > maxWitnessAnswer {
		return "", fault.Wrap(fault.Unavailable, "the witness gave no whole answer", err)
	}
	return w.answer(resp, body, c)
}

// answer reads what the witness said.
func (w *Witness) answer(resp *http.Response, body []byte, c Checkpoint) (line string, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		return w.cosignature(c, body)
	case http.StatusConflict:
		size, ok := decimal(strings.TrimSuffix(string(body), "\n"), 1<<62)
		if resp.Header.Get("Content-Type") != "text/x.tlog.size" || !ok {
			return "", ErrNotContinued // of the same size, with another root
		}
		return "", &conflict{size}
	case http.StatusUnprocessableEntity:
		return "", ErrNotContinued
	case http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest:
		return "", fault.New(fault.Denied, "the witness does not take this log: status "+strconv.Itoa(resp.StatusCode))
	default:
		return "", fault.New(fault.Unavailable, "the witness answered with status "+strconv.Itoa(resp.StatusCode))
	}
}

// cosignature finds this witness's signature among the lines of an answer. Those
// of other keys are ignored, as C2SP tlog-witness requires.
func (w *Witness) cosignature(c Checkpoint, lines []byte) (line string, err error) {
	text, _, _ := bytes.Cut(c.Note, []byte("\n\n"))
	n, err := note.Open(bytes.Join([][]byte{text, lines}, []byte("\n\n")), note.VerifierList(w.cosigner))
	if err != nil || len(n.Sigs) == 0 {
		return "", fault.Wrap(fault.Unavailable, "the witness's answer holds no good cosignature", err)
	}
	line = "— " + n.Sigs[0].Name + " " + n.Sigs[0].Base64 + "\n"
	if !isSignatureLine(line) {
		return "", fault.New(fault.Unavailable, "the witness's answer holds no good cosignature")
	}
	return line, nil
}

// isSignatureLine reports whether a line can stand below a signed note.
func isSignatureLine(line string) bool {
	rest, ok := strings.CutPrefix(line, "— ")
	rest, ended := strings.CutSuffix(rest, "\n")
	name, sig, _ := strings.Cut(rest, " ")
	b, decoded := unbase64(sig, maxWitnessAnswer)
	return ok && ended && isNoteName(name) && decoded && len(b) > 4
}

// outcome names what came of asking a witness, for metrics.
func outcome(err error) string {
	switch {
	case err == nil:
		return "cosigned"
	case errors.Is(err, ErrRolledBack):
		return "rolled_back"
	case errors.Is(err, ErrNotContinued):
		return "not_continued"
	case fault.KindOf(err) == fault.Denied:
		return "refused"
	case fault.KindOf(err) == fault.Unavailable:
		return "away"
	}
	return "failed"
}
