package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	Key     string // "trust.bundle_life", "" for the whole
	Source  string // where the value came from
	Message string
}

// String returns the problem as one line. It never holds the value: a person may
// have put a password where none belongs.
func (p Problem) String() string {
	s := p.Message
	if p.Key != "" {
		s = p.Key + " " + s
	}
	if p.Source != "" {
		s += " (" + p.Source + ")"
	}
	return s
}

// Problems is everything that is wrong with a configuration.
type Problems []Problem

// Error returns one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// Validate checks everything that can be known without touching a file or the
// network. Zero fields are taken for their defaults. The error, of type Problems,
// holds everything that is wrong.
func (c Config) Validate() error {
	c.fillDefaults("")
	if problems := c.problems(); len(problems) > 0 {
		return problems
	}
	return nil
}

// problems checks a configuration whose defaults are filled in.
func (c Config) problems() Problems {
	var out Problems
	check := func(key, message string) {
		if message != "" {
			out = append(out, Problem{key, c.SourceOf(key), message})
		}
	}
	check("database", databaseProblem(c.Database))
	check("issuer", issuerProblem(c.Issuer))
	c.checkListeners(check)
	check("pkcs11", togetherProblem(c.PKCS11.Module, c.PKCS11.Token, c.PKCS11.PINFile))
	if c.PKCS11.Module != "" && !filepath.IsAbs(c.PKCS11.Module) {
		check("pkcs11.module", "must be an absolute path")
	}
	check("tls", togetherProblem(c.TLS.CertFile, c.TLS.KeyFile))
	for key, name := range map[string]string{"site.name_zh": c.Site.NameZH, "site.name_en": c.Site.NameEN} {
		if utf8.RuneCountInString(name) > 40 {
			check(key, "is longer than 40 characters")
		}
	}
	check("log.level", choiceProblem(c.Log.Level, "debug", "info", "warn", "error"))
	check("log.format", choiceProblem(c.Log.Format, "text", "json"))
	c.checkLives(check)
	check("pkcs11.concurrent", numberProblem(c.PKCS11.Concurrent, 1, 32))
	check("limits.body_bytes", numberProblem(c.Limits.BodyBytes, 4096, 64<<20))
	check("limits.batch_lines", numberProblem(c.Limits.BatchLines, 1, 100_000))
	if filepath.Clean(c.KEKFile) == filepath.Clean(c.RootKeyFile) {
		check("kek_file", "is the same file as root_key_file")
	}
	for _, f := range fields() {
		if s, ok := f.of(&c).Interface().(string); ok && !isPrintable(s) {
			check(f.key, "holds a character that cannot be printed")
		}
	}
	return out
}

// isPrintable reports whether s is UTF-8 without control characters and odd
// spaces: those change in a YAML file and hide in a log.
func isPrintable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// checkListeners checks each address and that no two are the same.
func (c Config) checkListeners(check func(key, message string)) {
	seen := map[string]string{}
	for _, l := range []struct{ key, addr string }{
		{"listen", c.Listen}, {"listen_http", c.ListenHTTP}, {"listen_mtls", c.ListenMTLS}, {"listen_debug", c.ListenDebug},
	} {
		host, port, message := splitListen(l.addr)
		check(l.key, message)
		if message != "" {
			continue
		}
		if l.key == "listen_debug" && !isLoopback(host) {
			check(l.key, "must have a loopback host, such as 127.0.0.1: profiles show memory")
		}
		if other := seen[port]; other != "" && port != "0" {
			check(l.key, "has the port of "+other)
		}
		seen[port] = l.key
	}
}

// splitListen splits host:port.
func splitListen(addr string) (host, port, message string) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", "", "must be host:port"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return "", "", "must have a port from 0 to 65535"
	}
	return host, port, ""
}

// isLoopback reports whether host is localhost or a loopback address.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// databaseProblem checks the database URL.
func databaseProblem(s string) string {
	if path, ok := strings.CutPrefix(s, "sqlite:"); ok {
		if path == "" || strings.ContainsAny(path, "?#") {
			return "must be sqlite: and a plain path"
		}
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" || u.Opaque != "" {
		return "must be sqlite:PATH or postgres://…"
	}
	_, password := u.User.Password()
	if query := u.Query(); password || query.Has("password") || query.Has("sslpassword") {
		return "holds a password: put it in a file and name that with passfile=PATH"
	}
	return ""
}

// issuerProblem checks the public base URL. It stands in signatures and is
// compared byte for byte, so it must be written in the one normal way.
func issuerProblem(s string) string {
	if s == "" {
		return "" // the port is not known yet
	}
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return "must be a URL such as https://id.example.gov.cn"
	case u.Scheme != "https" && u.Scheme != "http":
		return "must begin with https://"
	case u.User != nil:
		return "must not hold a user"
	case u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.HasSuffix(s, "#"):
		return "must end after the host and port: no path, slash, query or fragment"
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return "must begin with https://: plain http is for loopback hosts only"
	case u.String() != s || strings.ToLower(s) != s || strings.HasSuffix(u.Host, ":") || u.Hostname() == "":
		return "must be written in lower case and without anything to spare"
	case u.Port() == defaultPort(u.Scheme) || !validPort(u.Port()):
		return "must not hold its scheme's own port, nor one above 65535"
	}
	return ""
}

// defaultPort returns the port that a scheme implies.
func defaultPort(scheme string) string {
	return map[string]string{"https": "443", "http": "80"}[scheme]
}

// validPort reports whether s is empty or a port.
func validPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return s == "" || err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// togetherProblem checks that the fields of a section are all set, or none.
func togetherProblem(values ...string) string {
	if slices.Contains(values, "") && slices.ContainsFunc(values, func(s string) bool { return s != "" }) {
		return "needs all of its fields, or none"
	}
	return ""
}

// choiceProblem checks that s is one of the choices.
func choiceProblem(s string, choices ...string) string {
	if slices.Contains(choices, s) {
		return ""
	}
	return "must be one of " + strings.Join(choices, ", ")
}

// numberProblem checks a range.
func numberProblem(n, least, most int64) string {
	if n < least || n > most {
		return fmt.Sprintf("must be from %d to %d", least, most)
	}
	return ""
}

// checkLives checks how long signed things are good, and their order.
func (c Config) checkLives(check func(key, message string)) {
	for _, l := range []struct {
		key         string
		life        time.Duration
		least, most time.Duration
	}{
		{"trust.bundle_life", c.Trust.BundleLife, time.Second, 2160 * time.Hour},
		{"trust.snapshot_life", c.Trust.SnapshotLife, time.Second, 336 * time.Hour},
		{"trust.head_life", c.Trust.HeadLife, time.Second, 168 * time.Hour},
		{"ca.crl_life", c.CA.CRLLife, time.Minute, 240 * time.Hour},
		{"ca.backdate", c.CA.Backdate, time.Second, time.Hour},
	} {
		if l.life < l.least || l.life > l.most {
			check(l.key, fmt.Sprintf("must be from %v to %v", l.least, l.most))
		} else if l.life%time.Second != 0 {
			check(l.key, "must be whole seconds")
		}
	}
	if c.Trust.HeadLife > c.Trust.SnapshotLife {
		check("trust.head_life", "must not be longer than trust.snapshot_life")
	}
	if c.Trust.SnapshotLife > c.Trust.BundleLife {
		check("trust.snapshot_life", "must not be longer than trust.bundle_life")
	}
}
