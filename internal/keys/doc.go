// Package keys is the keyring: every signing key but the root's, and the secrets
// that encrypt and hash.
//
// A key has a purpose, an owner, a backend and a life: staged → published →
// active → retiring → retired, staged → retired, and from anywhere before
// retired → compromised. For one purpose and owner at most one key is active.
// Every step is a compare-and-swap that commits together with its audit event.
// A retired key has lost its private half; a compromised one never signs again.
//
// The file backend keeps a private key as PKCS#8 (RFC 5958) under AES-256-GCM
// with a data key of its own, which is wrapped under AES-256-GCM with the
// key-encryption key (KEK). Both bind the key's id, purpose, owner and algorithm,
// so that rows cannot be exchanged. The KEK comes from a file or a systemd
// credential; one that did not wrap this keyring is refused. The PKCS#11 backend
// keeps the key inside a token and knows only its name.
//
// A Ring holds the keys decrypted in memory, in a snapshot that is replaced when
// the version in the database changes: a replica follows within a second. It
// creates nothing unless asked, decides no policy, and never lets a key, a PIN or
// a secret into an error, an event or a log.
package keys
