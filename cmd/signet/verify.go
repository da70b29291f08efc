package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/read"
	"github.com/signet-city/signet/verify/trust"
)

// verifyFlags say what a verifier relies on.
type verifyFlags struct {
	root   string
	trust  []string
	status string
	data   string
	at     string
	json   bool
}

// newVerify returns the command verify.
func newVerify(e *env) *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify FILE…",
		Short: "Check permits with no network",
		Long: `Check the permits in pictures (PNG, JPEG) and texts; - is standard input.

Nothing but the files named is read, and no network is used. What cannot be known
because the trust bundle or the status is absent, refused or too old gives the
verdict "undetermined".

Exit code 0: every permit is valid. 2: undetermined, or a file that cannot be
read. 1: any other verdict; with many files 1 beats 2.`,
		Example: `  signet verify --root root.pem --trust bundle.cbor --status snapshot.elr1 permit.png
  signet verify --data build/demo --json permit.png`,
		Args: cobra.MinimumNArgs(1),
	}
	flags := c.Flags()
	flags.StringVar(&f.root, "root", "", "PEM `FILE` of the root certificate that is pinned, or of its public key")
	flags.StringArrayVar(&f.trust, "trust", nil, "trust bundle `FILE`; again for a root statement, a head, or a stolen key's genuine permits")
	flags.StringVar(&f.status, "status", "", "status snapshot `FILE`")
	flags.StringVar(&f.data, "data", "", "`DIR` of a city: takes root.pem, bundle.cbor and snapshot.elr1 from DIR/public")
	flags.StringVar(&f.at, "at", "", "check as of this `TIME` (RFC 3339), not now")
	flags.BoolVar(&f.json, "json", false, "print one JSON object per permit")
	c.RunE = func(_ *cobra.Command, files []string) error { return f.run(e, files) }
	return c
}

// run checks the files.
func (f *verifyFlags) run(e *env, files []string) error {
	now := time.Now()
	if f.at != "" {
		at, err := time.Parse(time.RFC3339, f.at)
		if err != nil {
			return usage(withHint(fmt.Errorf("--at %q is no RFC 3339 time", f.at), "such as 2027-01-31T12:00:00+08:00"))
		}
		now = at
	}
	b, err := f.basis(e, now)
	if err != nil {
		return usage(err)
	}
	code := 0
	for _, name := range files {
		for _, r := range b.check(e, name) {
			if err := f.print(e, r, now); err != nil {
				return err
			}
			code = worse(code, r.Verdict)
		}
	}
	if code != 0 {
		return &exitError{code, nil}
	}
	return nil
}

// worse returns the exit code after another verdict: 1 beats 2 beats 0.
func worse(code int, v verify.Verdict) int {
	switch {
	case v == verify.Valid || code == 1:
		return code
	case v == verify.Undetermined:
		return 2
	}
	return 1
}

// Reasons of verdicts about a file, before there is a permit to check.
const (
	reasonUnreadable = "file_unreadable"
	reasonNoCode     = "no_code_in_file"
	reasonTooLarge   = "over_a_bound"
)

// check returns a result for each permit in a file, at least one.
func (b *basis) check(e *env, name string) []verify.Result {
	texts, err := open(e, name)
	if err != nil {
		e.say("%s: %v", name, err)
		return []verify.Result{b.unread(name, err)}
	}
	results := make([]verify.Result, len(texts))
	for i, text := range texts {
		results[i] = verify.Check(text, b.trust, b.snapshot, b.now, b.options)
		results[i].File = name
	}
	return results
}

// open returns the texts of the permits in a file.
func open(e *env, name string) ([]string, error) {
	if name == "-" {
		return read.From(e.stdin)
	}
	in, err := os.Open(name)
	if err != nil {
		return nil, errors.Unwrap(err) // the name stands before it already
	}
	defer func() { _ = in.Close() }()
	return read.From(in)
}

// unread is the result for a file that gave no permit.
func (b *basis) unread(name string, err error) verify.Result {
	r := verify.Result{File: name, Verdict: verify.Undetermined, Reason: reasonUnreadable}
	switch {
	case errors.Is(err, read.ErrTooLarge):
		r.Verdict, r.Reason = verify.TooLarge, reasonTooLarge
	case errors.Is(err, read.ErrNoCode):
		r.Reason = reasonNoCode
	}
	if b.snapshot != nil {
		r.AsOf = b.snapshot.AsOf()
	}
	return r
}

// print writes one result.
func (f *verifyFlags) print(e *env, r verify.Result, now time.Time) error {
	if f.json {
		out := json.NewEncoder(e.stdout)
		out.SetEscapeHTML(false)
		if err := out.Encode(r); err != nil {
			return fmt.Errorf("write result: %w", err)
		}
		return nil
	}
	var w strings.Builder
	describe(&w, r, now)
	return e.write([]byte(w.String()))
}

// verdictWords names a verdict for people.
func verdictWords(v verify.Verdict) trust.Names {
	switch v {
	case verify.Valid:
		return trust.Names{ZH: "有效", EN: "VALID"}
	case verify.Expired:
		return trust.Names{ZH: "已过期", EN: "EXPIRED"}
	case verify.NotYetValid:
		return trust.Names{ZH: "尚未生效", EN: "NOT YET VALID"}
	case verify.Revoked:
		return trust.Names{ZH: "已吊销", EN: "REVOKED"}
	case verify.Suspended:
		return trust.Names{ZH: "已暂停", EN: "SUSPENDED"}
	case verify.UnknownIssuer:
		return trust.Names{ZH: "签发者未知", EN: "UNKNOWN ISSUER"}
	case verify.IssuerNotAllowed:
		return trust.Names{ZH: "签发者无权", EN: "ISSUER NOT ALLOWED"}
	case verify.KeyCompromised:
		return trust.Names{ZH: "密钥已泄露", EN: "KEY COMPROMISED"}
	case verify.BadSignature:
		return trust.Names{ZH: "签名不符", EN: "BAD SIGNATURE"}
	case verify.Malformed:
		return trust.Names{ZH: "格式不符", EN: "MALFORMED"}
	case verify.TooLarge:
		return trust.Names{ZH: "过大", EN: "TOO LARGE"}
	case verify.LiveCopy:
		return trust.Names{ZH: "动态证照的复制件", EN: "COPY OF A LIVE PERMIT"}
	}
	return trust.Names{ZH: "无法判定", EN: "UNDETERMINED"}
}

// describe writes a result for people: the verdict first, then why, then how old
// the status is, then what the permit says.
func describe(w io.Writer, r verify.Result, now time.Time) {
	words := verdictWords(r.Verdict)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format+"\n", args...) } // w is in memory
	line("%s %s: %s", words.EN, words.ZH, visible(r.File))
	if why := r.Sentence(); why.EN != "" {
		line("  %s %s", why.EN, why.ZH)
	}
	if r.AsOf.IsZero() {
		line("  Status 状态: none")
	} else {
		line("  Status as of 状态截至: %s, %s", r.AsOf.UTC().Format(time.RFC3339), age(now.Sub(r.AsOf)))
	}
	for _, f := range r.Fields {
		value := visible(f.Value)
		if names := f.ValueNames; names.ZH != "" || names.EN != "" {
			value += " (" + join(names) + ")"
		}
		line("  %s: %s", visible(join(f.Names, f.Name)), visible(value))
	}
}

// join writes both names once, or what stands in for them.
func join(n trust.Names, otherwise ...string) string {
	switch {
	case n.EN == n.ZH && n.EN == "":
		return strings.Join(otherwise, "")
	case n.EN == n.ZH || n.ZH == "":
		return n.EN
	case n.EN == "":
		return n.ZH
	}
	return n.EN + " " + n.ZH
}

// age says how long before the check the status was made.
func age(d time.Duration) string {
	if d < 0 {
		return (-d).Round(time.Second).String() + " after the time of this check"
	}
	switch days := int(d / (24 * time.Hour)); {
	case days >= 2:
		return fmt.Sprintf("%d days old", days)
	case d < time.Second:
		return "just made"
	}
	return d.Round(time.Second).String() + " old"
}
