// Package keys is the keyring: every signing key but the root's, and the secrets
// that encrypt and hash.
//
// A key has a purpose, an owner, a backend and a life: staged → published →
// active → retiring → retired, staged → retired, and from anywhere before
// retired → compromised. For one purpose and owner at most one key is active.
// Every step is a compare-and-swap that commits together with its audit event.
// A retired key has lost its private half; a compromised one never signs again.
// Beside its state a key can be paused: it then signs nothing until it is
// resumed, and comes no nearer to use. A Policy says how long each part of the
// life lasts, and Calendar, which is pure, what is to be done when.
//
// The file backend keeps a private key as PKCS#8 (RFC 5958) under AES-256-GCM
// with a data key of its own, which is wrapped under AES-256-GCM with the
// key-encryption key (KEK). Both bind the key's id, purpose, owner and algorithm,
// so that rows cannot be exchanged. The KEK comes from a file or a systemd
// credential; one that did not wrap this keyring is refused. Rewrap puts the next
// one in its place while the replicas sign. The PKCS#11 backend keeps the key
// inside a token and knows only its name; a token is asked for a bounded number
// of signatures at once.
//
// The secret behind Lookup rotates by generations: readers know the next and the
// previous one beside the one that writers use.
//
// A Ring holds the keys decrypted in memory, in a snapshot that is replaced when
// the version in the database changes: a replica follows within two seconds. It
// creates nothing unless asked, and never lets a key, a PIN or a secret into an
// error, an event or a log.
package keys
