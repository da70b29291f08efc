package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// maxFile bounds the configuration file.
const maxFile = 1 << 20

// Load reads the YAML file at path, the environment (NAME=VALUE, as os.Environ
// returns it) and the flags, each stronger than the one before, fills in the
// defaults, and validates. Path "" means no file. Flags are named by their key,
// with dashes or underscores, and hold only those that were given.
//
// The error is of type Problems and holds everything that is wrong, or says that
// the file cannot be read.
func Load(path string, environ []string, flags map[string]string) (Config, error) {
	l := loader{known: fields(), values: koanf.New("."), sources: map[string]string{}}
	if path != "" {
		if err := l.file(path); err != nil {
			return Config{}, err
		}
	}
	l.environment(environ)
	l.flags(flags)
	var c Config
	if err := l.values.Unmarshal("", &c); err != nil {
		return Config{}, fmt.Errorf("decode configuration: %w", err)
	}
	c.sources = l.sources
	c.fillDefaults(credentials(environ))
	problems := append(l.problems, c.problems()...)
	if len(problems) > 0 {
		return Config{}, problems
	}
	return c, nil
}

// loader gathers values, and what is wrong with them, from one source after the
// other.
type loader struct {
	known    []field
	values   *koanf.Koanf
	sources  map[string]string
	problems Problems
}

// add puts one layer over those before it.
func (l *loader) add(layer map[string]any, source func(key string) string) {
	// A flat map of keys from our own list always merges.
	if err := l.values.Load(confmap.Provider(layer, "."), nil); err != nil {
		l.problems = append(l.problems, Problem{Message: err.Error()})
	}
	for key := range layer {
		l.sources[key] = source(key)
	}
}

// problem records what is wrong with a key.
func (l *loader) problem(key, source, message string) {
	l.problems = append(l.problems, Problem{key, source, message})
}

// unknown records a key that is not one of known.
func (l *loader) unknown(key, source string, known []string) {
	message := "is not known"
	if near := nearest(key, known); near != "" {
		message += ": did you mean " + near + "?"
	}
	l.problem(key, source, message)
}

// find returns the field of the given key.
func (l *loader) find(key string) (field, bool) {
	i := slices.IndexFunc(l.known, func(f field) bool { return f.key == key })
	if i < 0 {
		return field{}, false
	}
	return l.known[i], true
}

// keys returns the names of all fields, made by name.
func (l *loader) keys(name func(field) string) []string {
	out := make([]string, len(l.known))
	for i, f := range l.known {
		out[i] = name(f)
	}
	return out
}

// file reads the YAML file.
func (l *loader) file(path string) error {
	b, err := readFile(path)
	if err != nil {
		return err
	}
	if separators(b) > 0 {
		return Problems{{Source: "file " + path, Message: "holds more than one YAML document"}}
	}
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(b), yaml.Parser()); err != nil {
		return Problems{{Source: "file " + path, Message: "is not a YAML map: " + quoted.ReplaceAllString(err.Error(), "a value")}}
	}
	layer := map[string]any{}
	l.walk(k.Raw(), "", "file "+path, layer)
	l.add(layer, func(string) string { return "file " + path })
	return nil
}

// quoted matches what the YAML parser repeats of a document in its errors: a file
// that is no configuration may be a secret.
var quoted = regexp.MustCompile("`[^`]*`")

// walk checks every name and type below prefix and gathers the values. It does
// not use koanf's flat keys: there a name with a dot in it would pass for a
// section.
func (l *loader) walk(m map[string]any, prefix, source string, layer map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		key, v := prefix+name, m[name]
		section := slices.ContainsFunc(l.known, func(f field) bool { return strings.HasPrefix(f.key, key+".") })
		f, leaf := l.find(key)
		switch below, isMap := v.(map[string]any); {
		case strings.Contains(name, ".") || !section && !leaf:
			l.unknown(key, source, l.keys(func(f field) string { return f.key }))
		case section && isMap:
			l.walk(below, key+".", source, layer)
		case section && v != nil: // a section whose lines are all comments is nil
			l.problem(key, source, "is a section: put its fields below it")
		case leaf:
			value, err := f.fromYAML(v)
			if err != nil {
				l.problem(key, source, err.Error())
				continue
			}
			layer[key] = value
		}
	}
}

// environment reads the variables that begin with SIGNET_. Kubernetes sets
// SIGNET_PORT… and SIGNET_SERVICE_… for a service called signet: those are its
// own.
func (l *loader) environment(environ []string) {
	layer, names := map[string]any{}, map[string]field{}
	for _, f := range l.known {
		names[f.env()] = f
	}
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		f, ok := names[name]
		switch {
		case ok:
			l.text(f, value, "environment "+name, layer)
		case !strings.HasPrefix(name, "SIGNET_"), strings.HasPrefix(name, "SIGNET_PORT"), strings.HasPrefix(name, "SIGNET_SERVICE_"):
		default:
			l.unknown(name, "environment", l.keys(field.env))
		}
	}
	l.add(layer, func(key string) string { f, _ := l.find(key); return "environment " + f.env() })
}

// flags reads the flags.
func (l *loader) flags(flags map[string]string) {
	layer := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		f, ok := l.find(strings.ReplaceAll(name, "-", "_"))
		if !ok {
			l.unknown("--"+name, "flag", l.keys(func(f field) string { return "--" + f.flag() }))
			continue
		}
		l.text(f, flags[name], "flag --"+f.flag(), layer)
	}
	l.add(layer, func(key string) string { f, _ := l.find(key); return "flag --" + f.flag() })
}

// text parses a value that came as text.
func (l *loader) text(f field, s, source string, layer map[string]any) {
	v, err := f.parse(s)
	if err != nil {
		l.problem(f.key, source, err.Error())
		return
	}
	layer[f.key] = v
}

// fillDefaults gives every field that is still zero its default. Credentials is
// the directory of systemd's credentials, "" for none.
func (c *Config) fillDefaults(credentials string) {
	def := func(p *string, v string) {
		if *p == "" {
			*p = v
		}
	}
	life := func(p *time.Duration, v time.Duration) {
		if *p == 0 {
			*p = v
		}
	}
	number := func(p *int64, v int64) {
		if *p == 0 {
			*p = v
		}
	}
	def(&c.Data, "/var/lib/signet")
	def(&c.Database, "sqlite:"+filepath.Join(c.Data, "signet.db"))
	def(&c.Listen, ":8443")
	def(&c.ListenHTTP, ":8080")
	def(&c.ListenMTLS, ":8444")
	def(&c.ListenDebug, "127.0.0.1:9090")
	if _, port, err := net.SplitHostPort(c.ListenHTTP); err == nil && port != "0" {
		def(&c.Issuer, "http://localhost:"+port)
	}
	def(&c.KEKFile, kekFile(c.Data, credentials))
	def(&c.RootKeyFile, filepath.Join(c.Data, "root.key"))
	def(&c.Site.NameZH, "一网通办")
	def(&c.Site.NameEN, "City services")
	def(&c.Log.Level, "info")
	def(&c.Log.Format, "text")
	life(&c.Trust.BundleLife, 336*time.Hour)
	life(&c.Trust.SnapshotLife, 72*time.Hour)
	life(&c.Trust.HeadLife, 24*time.Hour)
	life(&c.CA.CRLLife, 96*time.Hour)
	life(&c.CA.Backdate, 5*time.Minute)
	number(&c.PKCS11.Concurrent, 4)
	number(&c.Limits.BodyBytes, 8<<20)
	number(&c.Limits.BatchLines, 10_000)
}

// credentials returns the directory that systemd names for this service.
func credentials(environ []string) string {
	for _, line := range environ {
		if dir, ok := strings.CutPrefix(line, "CREDENTIALS_DIRECTORY="); ok {
			return dir
		}
	}
	return ""
}

// kekFile returns the default place of the key-encryption key.
func kekFile(data, credentials string) string {
	if credentials != "" {
		path := filepath.Join(credentials, "kek")
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return filepath.Join(data, "kek")
}

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open configuration: %w", err)
	}
	defer f.Close() // only read
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("read configuration: %w", errTooLarge)
	}
	return b, nil
}

// errTooLarge is wrapped for a file over maxFile.
var errTooLarge = errors.New("larger than 1 MiB")

// separators counts the marks that begin a further YAML document: the parser
// would read the first and drop the rest without a word.
func separators(b []byte) int {
	n, begun := 0, false
	for line := range bytes.Lines(b) {
		line = bytes.TrimRight(line, " \t\r\n")
		switch {
		case bytes.Equal(line, []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) || bytes.Equal(line, []byte("...")):
			if begun {
				n++
			}
			begun = true
		case len(line) > 0 && line[0] != '#' && line[0] != '%':
			begun = true
		}
	}
	return n
}
