// Package config owns the one configuration file of Signet: its struct, where
// each value came from, and what is wrong with it.
//
// A value is looked for in the flags, then in the environment (SIGNET_ and the
// key in capitals, dots as underscores: SIGNET_TRUST_BUNDLE_LIFE), then in the
// YAML file, and else has its default, so that an empty file is a good file.
// Unknown keys are refused, with the nearest known one named. No secret stands in
// the configuration: secrets are named by the path of their file. Only cmd
// imports this package; it turns the strings into live values.
package config

import "time"

// Config is the whole configuration. Every field of the zero value means its
// default.
type Config struct {
	// Data is the directory that holds everything that is not in the database.
	// Default: /var/lib/signet. Danger: whoever reads it and the key-encryption
	// key holds every private key of the city; keep it at mode 0700.
	Data string `koanf:"data"`

	// Database is sqlite:PATH or a postgres:// URL without a password.
	// Default: sqlite:DATA/signet.db. Danger: SQLite serves one machine only;
	// two programs on two copies of it are two cities that both sign.
	Database string `koanf:"database"`

	// Issuer is the public base URL, without path or trailing slash.
	// Default: http://localhost: and the port of listen_http; none if that port
	// is 0. Danger: it is fixed when the city is made and stands in certificates
	// and tokens; plain http is accepted for loopback hosts only.
	Issuer string `koanf:"issuer"`

	// Listen is the host:port of the public https listener; port 0 picks one.
	// Default: :8443. Danger: an empty host means every interface.
	Listen string `koanf:"listen"`

	// ListenHTTP is the host:port of the plain listener for what is signed in
	// itself (CRLs, OCSP, issuers' certificates).
	// Default: :8080. Danger: with an http issuer every page is here too.
	ListenHTTP string `koanf:"listen_http"`

	// ListenMTLS is the host:port of the listener that asks for client
	// certificates.
	// Default: :8444. Danger: a proxy that ends TLS before it takes the
	// certificates away.
	ListenMTLS string `koanf:"listen_mtls"`

	// ListenDebug is the host:port of metrics, profiles and the log level.
	// Default: 127.0.0.1:9090. Danger: profiles show memory; any host but a
	// loopback one is refused.
	ListenDebug string `koanf:"listen_debug"`

	// KEKFile is the file of the key-encryption key, 32 bytes made by init.
	// Default: the systemd credential kek where there is one, else DATA/kek.
	// Danger: without it no private key can be opened again; beside the data it
	// protects nothing against a stolen backup.
	KEKFile string `koanf:"kek_file"`

	// RootKeyFile is where the ceremony put the root's encrypted key.
	// Default: DATA/root.key. Danger: serve refuses to start while it can read
	// this file; move it offline after the ceremony, and do not point this
	// elsewhere to silence the refusal.
	RootKeyFile string `koanf:"root_key_file"`

	// PKCS11 is the hardware security module.
	// Default: none, keys are files. Danger: see its fields.
	PKCS11 PKCS11 `koanf:"pkcs11"`

	// TLS is the certificate of the public listener.
	// Default: one of the city's own. Danger: no citizen's browser knows the
	// city's root.
	TLS TLS `koanf:"tls"`

	// Site is how the pages call the city's services.
	// Default: see its fields. Danger: none.
	Site Site `koanf:"site"`

	// Log is what is logged, and how, on standard error.
	// Default: see its fields. Danger: see its fields.
	Log Log `koanf:"log"`

	// Trust says how long what offline verifiers carry is good.
	// Default: see its fields. Danger: see its fields.
	Trust Trust `koanf:"trust"`

	// CA is about the certificate authorities.
	// Default: see its fields. Danger: see its fields.
	CA CA `koanf:"ca"`

	// Profiles narrows what certificates may be. A policy is words: usual=365d (life
	// when nobody asks for another), longest=730d, keys=P-256,P-384, and approval
	// (an officer decides on each request) or direct. Words that are not there keep
	// the profile's own.
	// Default: see its fields. Danger: see its fields.
	Profiles Profiles `koanf:"profiles"`

	// Witnesses cosign the audit log's checkpoints (C2SP tlog-witness). Each is its
	// URL, a space and its verifier key; a comma stands between two.
	// Default: none. Danger: without any, whoever holds the database and the log's
	// key can show two logs to two people.
	Witnesses string `koanf:"witnesses"`

	// Keys says how the keys of each purpose live. A policy is words: life=DURATION
	// (in use), lead=DURATION (published before that, at least), keep=DURATION
	// (after it, until the private half is destroyed), standby=N (published keys
	// that always wait), alg=ALGORITHM, and automatic or approval. Words that are
	// not there keep their default.
	// Default: see its fields. Danger: see its fields.
	Keys Keys `koanf:"keys"`

	// Egress bounds what this service calls by itself, at addresses that sites and
	// agencies named: logout tokens, webhooks, clients' keys.
	// Default: see its fields. Danger: see its fields.
	Egress Egress `koanf:"egress"`

	// Sandbox is for developers of sites: clients that anybody makes, and invented
	// people who sign in at them.
	// Default: see its fields. Danger: see its fields.
	Sandbox Sandbox `koanf:"sandbox"`

	// Limits bounds what callers may send.
	// Default: see its fields. Danger: see its fields.
	Limits Limits `koanf:"limits"`

	sources map[string]string // key → where its value came from; absent: default
}

// PKCS11 names a hardware security module. Its first three fields are set, or none.
type PKCS11 struct {
	// Module is the absolute path of the vendor's library.
	// Default: none. Danger: it is code that runs inside this program.
	Module string `koanf:"module"`

	// Token is the label of the token.
	// Default: none. Danger: two tokens of one label are told apart by nothing.
	Token string `koanf:"token"`

	// PINFile is the file that holds the user's PIN and nothing else.
	// Default: none. Danger: a wrong PIN, tried at each start, locks a token.
	PINFile string `koanf:"pin_file"`

	// Concurrent is how many signatures the token is asked for at once. From 1 to 32.
	// Default: 4. Danger: some tokens fail under more than they are made for.
	Concurrent int64 `koanf:"concurrent"`
}

// TLS names a certificate and its key, PEM files that are read again when they
// change. Both fields are set, or none.
type TLS struct {
	// CertFile holds the certificate, then its intermediates.
	// Default: none. Danger: without the intermediates some clients fail and
	// others do not.
	CertFile string `koanf:"cert_file"`

	// KeyFile holds the private key.
	// Default: none. Danger: it is not under the key-encryption key.
	KeyFile string `koanf:"key_file"`
}

// Log is the configuration of the log.
type Log struct {
	// Level is debug, info, warn or error.
	// Default: info. Danger: debug under load fills disks.
	Level string `koanf:"level"`

	// Format is text or json.
	// Default: text. Danger: none.
	Format string `koanf:"format"`
}

// Trust is the configuration of what offline verifiers carry. A head names a
// snapshot and a snapshot is read with a bundle: the lives may not fall in that
// order.
type Trust struct {
	// BundleLife is how long a trust bundle is good: which agencies there are and
	// what they may issue. From 1s to 2160h.
	// Default: 336h. Danger: short, and verifiers that nobody updates know
	// nobody; long, and a new key must be published that much before its use.
	BundleLife time.Duration `koanf:"bundle_life"`

	// SnapshotLife is how long a status snapshot is good. From 1s to 336h.
	// Default: 72h. Danger: long, and a revoked permit passes that long where
	// there is no network.
	SnapshotLife time.Duration `koanf:"snapshot_life"`

	// HeadLife is how long a head is good. From 1s to 168h.
	// Default: 24h. Danger: long, and an old snapshot can be shown as the newest.
	HeadLife time.Duration `koanf:"head_life"`
}

// CA is the configuration of the certificate authorities.
type CA struct {
	// CRLLife is how long a revocation list is good. From 1m to 240h.
	// Default: 96h. Danger: short, and an outage makes every certificate
	// unverifiable; long, and a revoked one passes that long.
	CRLLife time.Duration `koanf:"crl_life"`

	// Backdate is how long before its issue a certificate begins to be valid, for
	// peers whose clocks are slow. Keys that sign permits, documents or timestamps
	// begin when they are issued, whatever stands here. From 1s to 1h.
	// Default: 5m. Danger: short, and such peers refuse a certificate that was
	// just made.
	Backdate time.Duration `koanf:"backdate"`
}

// Profiles are the policies of certificates by profile.
type Profiles struct {
	// Permit is for agencies' keys that sign permits.
	// Default: usual=730d longest=1827d keys=P-256,P-384,Ed25519 direct. Danger: a
	// life shorter than that of the keys leaves them without a certificate.
	Permit string `koanf:"permit"`

	// Document is for agencies' keys that sign documents.
	// Default: usual=730d longest=1827d keys=P-256,P-384,RSA approval. Danger: with
	// direct, whoever holds an agency's client signs in its name.
	Document string `koanf:"document"`

	// SystemServer is for agencies' TLS servers, under names that are the agency's.
	// Default: usual=90d longest=398d keys=P-256,P-384,RSA approval. Danger: none.
	SystemServer string `koanf:"system_server"`

	// SystemClient is for agencies' programs that call others.
	// Default: usual=365d longest=825d keys=P-256,P-384,Ed25519,RSA approval.
	// Danger: with direct, whoever holds an agency's client speaks as its programs.
	SystemClient string `koanf:"system_client"`

	// Firm is for firms that sign in.
	// Default: usual=1095d longest=1827d keys=P-256,P-384,RSA approval. Danger: with
	// direct, whoever asks for a firm is the firm.
	Firm string `koanf:"firm"`

	// Citizen is for citizens who sign in.
	// Default: usual=1095d longest=1827d keys=P-256,P-384,RSA approval. Danger: with
	// direct, whoever asks for a person is that person.
	Citizen string `koanf:"citizen"`

	// Officer is for agencies' officers who sign in.
	// Default: usual=365d longest=825d keys=P-256,P-384 approval. Danger: as Citizen.
	Officer string `koanf:"officer"`

	// Timestamp is for the city's timestamp authority.
	// Default: usual=1095d longest=1827d keys=P-256,P-384. Danger: none.
	Timestamp string `koanf:"timestamp"`
}

// Site names the city's services on every page, at most 40 characters each.
type Site struct {
	// NameZH is the Chinese name.
	// Default: 一网通办. Danger: none.
	NameZH string `koanf:"name_zh"`

	// NameEN is the English name.
	// Default: City services. Danger: none.
	NameEN string `koanf:"name_en"`
}

// Keys are the policies of keys by purpose.
type Keys struct {
	// Token is for keys of access and ID tokens.
	// Default: alg=ES256 life=2160h lead=24h keep=24h standby=1 automatic.
	// Danger: a lead below five minutes, and a relying party that has kept the key
	// set refuses good tokens.
	Token string `koanf:"token"`

	// Permit is for agencies' permit keys.
	// Default: alg=ES256 life=8760h lead=trust.bundle_life keep=24h standby=1
	// automatic. Danger: a lead shorter than a bundle's life, and an inspector who
	// has not been on the network since meets a key that he does not know.
	Permit string `koanf:"permit"`

	// CA is for issuing CAs. Only the root certifies their next key.
	// Default: alg=ES256 life=43800h lead=24h keep=96360h approval. Danger: a keep
	// that ends before the last certificate does leaves it without a CRL.
	CA string `koanf:"ca"`

	// Trust is for trust-list signers. Only the root names the next one.
	// Default: alg=ES256 life=8760h keep=24h standby=1 automatic. Danger: none.
	Trust string `koanf:"trust"`

	// Status is for status signers. Only the root names the next one.
	// Default: alg=ES256 life=8760h keep=24h standby=1 automatic. Danger: none.
	Status string `koanf:"status"`

	// Log is for the log's keys. Only the root names the next one.
	// Default: alg=Ed25519 life=8760h keep=24h standby=1 automatic. Danger: none.
	Log string `koanf:"log"`
}

// Egress bounds what this service calls by itself.
type Egress struct {
	// AllowPrivateAddressesInsecure lets those addresses be loopback and private
	// ones.
	// Default: false. Danger: whoever may register a site or a webhook reaches
	// whatever this machine reaches.
	AllowPrivateAddressesInsecure bool `koanf:"allow_private_addresses_insecure"`
}

// Sandbox is for developers of sites.
type Sandbox struct {
	// Enabled lets anybody who reaches this service make a client, 1,000 of them at
	// once, each for 30 days. Such a client is reached on its developer's machine
	// alone and never meets a real person.
	// Default: false. Danger: tokens of invented people are signed with the same keys
	// as those of real ones; whoever accepts tokens of clients that are not their own,
	// which nobody must, would take them for real unless they look for "sandbox".
	Enabled bool `koanf:"enabled"`
}

// Limits bounds what callers may send.
type Limits struct {
	// BodyBytes is the largest body of an API call, a batch included. From 4096
	// to 67108864.
	// Default: 8388608. Danger: each call at work may hold this much memory.
	BodyBytes int64 `koanf:"body_bytes"`

	// BatchLines is the number of lines that a batch may have. From 1 to 100000.
	// Default: 10000. Danger: a long batch holds others up.
	BatchLines int64 `koanf:"batch_lines"`
}

// SourceOf returns where the value of key came from: "default", "file PATH",
// "environment NAME" or "flag --NAME".
func (c Config) SourceOf(key string) string {
	if s := c.sources[key]; s != "" {
		return s
	}
	return "default"
}
