package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/config"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
)

// newConfig returns the command group config.
func newConfig(e *env) *cobra.Command {
	return group("config", "Read the configuration", newConfigPrint(e), newConfigCheck(e))
}

// newConfigPrint returns the command config print.
func newConfigPrint(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "print",
		Short: "Print the effective configuration and where each value came from",
		Args:  cobra.NoArgs,
	}
	addConfigFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err != nil {
			return err
		}
		if !asJSON {
			return cfg.Print(e.stdout)
		}
		type value struct {
			Key    string `json:"key"`
			Value  any    `json:"value"`
			Source string `json:"source"`
		}
		var values []value
		for _, s := range settings(cfg) {
			values = append(values, value{s.key, s.value, cfg.SourceOf(s.key)})
		}
		return e.writeJSON(map[string]any{"values": values})
	}
	return c
}

// newConfigCheck returns the command config check.
func newConfigCheck(e *env) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and report every problem at once",
		Args:  cobra.NoArgs,
	}
	addConfigFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		cfg, err := loadConfig(c, e)
		if err == nil {
			err = checkPolicies(cfg)
		}
		switch {
		case asJSON:
			return e.writeProblems(err)
		case err != nil:
			return err
		}
		return e.write([]byte("config: ok\n"))
	}
	return c
}

// witnesses are those of the audit log, as the configuration has them.
func witnesses(cfg config.Config) (list []string) {
	for one := range strings.SplitSeq(cfg.Witnesses, ",") {
		if one = strings.TrimSpace(one); one != "" {
			list = append(list, one)
		}
	}
	return list
}

// keyPolicies are the policies of keys by purpose, as the configuration has them.
func keyPolicies(cfg config.Config) map[string]string {
	k := cfg.Keys
	return map[string]string{"token": k.Token, "permit": k.Permit, "ca": k.CA, "trust": k.Trust, "status": k.Status, "log": k.Log}
}

// profiles are the policies of certificates by profile, as the configuration has them.
func profiles(cfg config.Config) map[string]string {
	p := cfg.Profiles
	return map[string]string{"permit": p.Permit, "document": p.Document, "system_server": p.SystemServer, "system_client": p.SystemClient,
		"firm": p.Firm, "citizen": p.Citizen, "officer": p.Officer, "timestamp": p.Timestamp}
}

// checkPolicies reads the policies as serve does.
func checkPolicies(cfg config.Config) error {
	_, ofKeys := city.Policies(keyPolicies(cfg), cfg.Trust.BundleLife)
	_, ofCertificates := city.Profiles(profiles(cfg))
	var list config.Problems
	for _, p := range append(fault.Problems(ofKeys), fault.Problems(ofCertificates)...) {
		list = append(list, config.Problem{Key: p.Path, Source: cfg.SourceOf(p.Path), Message: p.Message})
	}
	if list != nil {
		return list
	}
	return errors.Join(ofKeys, ofCertificates)
}

// writeProblems writes what is wrong with a configuration, as JSON. A file that
// could not be read stays an error.
func (e *env) writeProblems(err error) error {
	type problem struct {
		Key     string `json:"key"`
		Source  string `json:"source"`
		Message string `json:"message"`
	}
	list := []problem{}
	if err != nil {
		problems, ok := errors.AsType[config.Problems](err)
		if !ok {
			return err
		}
		for _, p := range problems {
			list = append(list, problem(p))
		}
	}
	if err := e.writeJSON(map[string]any{"problems": list}); err != nil {
		return err
	}
	if len(list) > 0 {
		return &exitError{1, nil}
	}
	return nil
}

// configFlags are the flags of the configuration's fields and what each means.
func configFlags() [][2]string {
	return [][2]string{
		{"data", "`DIR` that holds everything that is not in the database"},
		{"database", "sqlite:PATH or a postgres:// `URL` without a password"},
		{"issuer", "public base `URL`, without path"},
		{"listen", "`HOST:PORT` of the public https listener"},
		{"listen-http", "`HOST:PORT` of the plain listener"},
		{"listen-mtls", "`HOST:PORT` of the listener that asks for client certificates"},
		{"listen-debug", "loopback `HOST:PORT` of metrics, profiles and the log level"},
		{"kek-file", "`FILE` of the key-encryption key"},
		{"root-key-file", "`FILE` in which the ceremony puts the root's encrypted key"},
		{"pkcs11.module", "`FILE` of the PKCS#11 library"},
		{"pkcs11.token", "`LABEL` of the PKCS#11 token"},
		{"pkcs11.pin-file", "`FILE` that holds the token's PIN"},
		{"pkcs11.concurrent", "how many `SIGNATURES` the token is asked for at once"},
		{"tls.cert-file", "PEM `FILE` of the public certificate and its intermediates"},
		{"tls.key-file", "PEM `FILE` of its private key"},
		{"site.name-zh", "the Chinese `NAME` that the pages carry"},
		{"site.name-en", "the English `NAME` that the pages carry"},
		{"log.level", "`LEVEL` debug, info, warn or error"},
		{"log.format", "`FORMAT` text or json"},
		{"trust.bundle-life", "`DURATION` for which a trust bundle is good"},
		{"trust.snapshot-life", "`DURATION` for which a status snapshot is good"},
		{"trust.head-life", "`DURATION` for which a head is good"},
		{"ca.crl-life", "`DURATION` for which a revocation list is good"},
		{"ca.backdate", "`DURATION` before their issue that certificates begin"},
		{"profiles.permit", "what certificates of permit keys may be: a `POLICY` such as \"usual=365d longest=730d keys=P-256,P-384 approval\""},
		{"profiles.document", "`POLICY` of certificates of keys that sign documents"},
		{"profiles.system-server", "`POLICY` of certificates of agencies' servers"},
		{"profiles.system-client", "`POLICY` of certificates of agencies' programs"},
		{"profiles.firm", "`POLICY` of certificates with which firms sign in"},
		{"profiles.citizen", "`POLICY` of certificates with which citizens sign in"},
		{"profiles.officer", "`POLICY` of certificates with which officers sign in"},
		{"profiles.timestamp", "`POLICY` of certificates of the timestamp authority"},
		{"witnesses", "`WITNESSES` of the audit log: URL and verifier key, a space between; commas between two"},
		{"keys.token", "how keys of tokens live: a `POLICY` such as \"life=2160h lead=24h keep=24h standby=1 automatic\""},
		{"keys.permit", "`POLICY` of agencies' permit keys"},
		{"keys.ca", "`POLICY` of issuing CAs"},
		{"keys.trust", "`POLICY` of trust-list signers"},
		{"keys.status", "`POLICY` of status signers"},
		{"keys.log", "`POLICY` of the log's keys"},
		{"egress.allow-private-addresses-insecure", "whether sites and agencies may name loopback and private addresses, `BOOL`"},
		{"sandbox.enabled", "whether developers may make clients that invented people sign in at, `BOOL`"},
		{"limits.body-bytes", "largest body of an API call, in `BYTES`"},
		{"limits.batch-lines", "most `LINES` of a batch"},
	}
}

// addConfigFlags adds --config and the flags of the fields named, or of all.
func addConfigFlags(c *cobra.Command, names ...string) {
	c.Flags().String("config", "", "YAML `FILE`")
	for _, f := range configFlags() {
		if len(names) == 0 || slices.Contains(names, f[0]) {
			c.Flags().String(f[0], "", f[1])
		}
	}
}

// loadConfig loads the configuration from the file, the environment and the flags
// of a command that addConfigFlags prepared.
func loadConfig(c *cobra.Command, e *env) (config.Config, error) {
	given := map[string]string{}
	known := configFlags()
	c.Flags().Visit(func(f *pflag.Flag) {
		for _, k := range known {
			if k[0] == f.Name {
				given[f.Name] = f.Value.String()
			}
		}
	})
	path, err := c.Flags().GetString("config")
	if err != nil {
		return config.Config{}, fmt.Errorf("load configuration: %w", err)
	}
	// These two belong to the commands that call the API.
	var environ []string
	for _, line := range e.environ {
		if name, _, _ := strings.Cut(line, "="); name != envServer && name != envCredentials {
			environ = append(environ, line)
		}
	}
	return config.Load(path, environ, given)
}

// whereOf returns where the city of a configuration is kept. Its directory no
// longer depends on the one that the command was run in.
func whereOf(cfg config.Config) (city.Where, error) {
	data, err := filepath.Abs(cfg.Data)
	if err != nil {
		return city.Where{}, fmt.Errorf("find data directory: %w", err)
	}
	w := city.Where{Data: data, Database: cfg.Database, KEKFile: cfg.KEKFile}
	if m := cfg.PKCS11; m.Module != "" {
		w.PKCS11 = &keys.PKCS11Config{Module: m.Module, Token: m.Token, PINFile: m.PINFile}
		w.Concurrent = int(m.Concurrent)
	}
	return w, nil
}

// setting is one field of the configuration.
type setting struct {
	key   string
	value any // string or int64
}

// settings lists the fields in the order of the struct.
func settings(cfg config.Config) []setting {
	var list []setting
	var walk func(v reflect.Value, prefix string)
	walk = func(v reflect.Value, prefix string) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch key := prefix + f.Tag.Get("koanf"); {
			case !f.IsExported():
			case f.Type.Kind() == reflect.Struct:
				walk(v.Field(i), key+".")
			default:
				value := v.Field(i).Interface()
				if d, ok := value.(time.Duration); ok {
					value = d.String()
				}
				list = append(list, setting{key, value})
			}
		}
	}
	walk(reflect.ValueOf(cfg), "")
	return list
}
