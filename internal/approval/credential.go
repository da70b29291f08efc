package approval

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// What an approval is signed with.
const (
	MethodPasskey = "passkey" // WebAuthn
	MethodKey     = "key"     // COSE, in the command line
	MethodQuorum  = "quorum"  // the offline keys, for KindBreakGlass alone
)

// Bounds of credentials.
const (
	MaxCredentials = 8 // of an officer, in use

	maxName         = 40 // characters
	maxCredentialID = 1023
	minCredentialID = 16
	maxCertificate  = 8 << 10
)

// Credential is what an officer approves with, and does nothing else with.
type Credential struct {
	ID     string
	Person string
	Kind   string // MethodPasskey or MethodKey
	Name   string // chosen by its owner, may be empty
	Key    string // SHA-256 of the public key, in hex
	Synced bool   // a passkey that its provider may copy
	Added  time.Time
	Used   time.Time // zero for never
	Until  time.Time // of the key's certificate, zero for none
}

// credential is a row of officer_credentials.
type credential struct {
	Credential
	handle, publicKey []byte
	rpID, addedBy     string
	signCount         uint32
}

var (
	errIsOfficer  = web.Refuse(fault.Conflict, web.Text{ZH: "此人已是安全官。", EN: "this person is a security officer already"})
	errNoOfficer  = web.Refuse(fault.Conflict, web.Text{ZH: "此人不是安全官。", EN: "this person is no security officer"})
	errCredential = web.Refuse(fault.NotFound, web.Text{ZH: "没有此批准凭据。", EN: "there is no such approval credential"})
	errMany       = web.Refuse(fault.Conflict, web.Text{ZH: "批准凭据数量已达上限。", EN: "the officer has as many approval credentials as they may"})
	errKnown      = web.Refuse(fault.Conflict, web.Text{ZH: "此凭据已登记过，请另换一个。", EN: "this credential is known already: use another"})
	errName       = web.Refuse(fault.Invalid, web.Text{ZH: "名称最多40个可见字符。", EN: "a name has at most 40 visible characters"})
)

// AddKey enrols the key with which an officer approves in the command line: a
// SubjectPublicKeyInfo or a certificate in DER, on P-256 or P-384. A certificate
// counts for its key and its end alone. The code is used up. AddKey fails with kind
// Denied for a code that is not theirs or no longer good, Invalid for a key of
// another kind or a certificate that is not valid now, and Conflict for a key that
// is known already.
func (s *Service) AddKey(ctx context.Context, person, code string, der []byte, name string) (Credential, error) {
	spki, until, err := s.readKey(der)
	if err != nil {
		return Credential{}, fmt.Errorf("add key: %w", err)
	}
	handle := sha256.Sum256(spki)
	c := credential{Credential: Credential{Person: person, Kind: MethodKey, Name: name, Until: until}, handle: handle[:], publicKey: spki}
	if c, err = s.enrol(ctx, c, code); err != nil {
		return Credential{}, fmt.Errorf("add key: %w", err)
	}
	return c.Credential, nil
}

// readKey returns the public key in a certificate or a SubjectPublicKeyInfo.
func (s *Service) readKey(der []byte) (spki []byte, until time.Time, err error) {
	if len(der) > maxCertificate {
		return nil, until, fault.New(fault.TooLarge, "the key or certificate is too large")
	}
	spki = der
	if cert, err := x509.ParseCertificate(der); err == nil {
		if now := s.o.Now(); now.Before(cert.NotBefore) || !now.Before(cert.NotAfter) {
			return nil, until, fault.New(fault.Invalid, "the certificate is not valid now")
		}
		spki, until = cert.RawSubjectPublicKeyInfo, cert.NotAfter
	}
	_, err = parseKey(spki)
	return spki, until, err
}

// parseKey reads a SubjectPublicKeyInfo and accepts only what it would be encoded
// as: no key is known by two hashes.
func parseKey(spki []byte) (public any, err error) {
	if public, err = x509.ParsePKIXPublicKey(spki); err != nil {
		return nil, fault.Wrap(fault.Invalid, "this is neither a public key nor a certificate", err)
	}
	if _, _, err := algorithmOf(public); err != nil {
		return nil, err
	}
	again, err := x509.MarshalPKIXPublicKey(public)
	if err != nil || string(again) != string(spki) {
		return nil, fault.New(fault.Invalid, "the public key is not in its one form")
	}
	return public, nil
}

// enrol writes a credential and uses up the code that allows it.
func (s *Service) enrol(ctx context.Context, c credential, code string) (credential, error) {
	if c.Name = strings.TrimSpace(c.Name); !isName(c.Name) {
		return c, errName
	}
	now := s.o.Now()
	c.ID, c.Added, c.Key = db.NewID(), now, keyHash(c.publicKey)
	err := s.o.DB.Update(ctx, func(tx db.Tx) (err error) {
		if _, err := lock(ctx, tx); err != nil {
			return err
		}
		if _, err := officerSince(ctx, tx, c.Person); err != nil {
			return err
		}
		if c.addedBy, err = useEnrolment(ctx, tx, c.Person, code, now); err != nil {
			return err
		}
		return insertCredential(ctx, tx, c)
	})
	return c, err
}

func insertCredential(ctx context.Context, tx db.Tx, c credential) error {
	var have int
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM officer_credentials WHERE person = $1 AND removed_at = 0`, c.Person).Scan(&have); err != nil {
		return err
	}
	if have >= MaxCredentials {
		return errMany
	}
	ok, err := db.Changed(tx.ExecContext(ctx, `INSERT INTO officer_credentials (id, person, kind, handle, public_key, rp_id, sign_count, backup_eligible,
		ends_at, name, added_at, added_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING`,
		c.ID, c.Person, c.Kind, c.handle, c.publicKey, c.rpID, int64(c.signCount), number(c.Synced), db.Micros(c.Until), c.Name, db.Micros(c.Added), c.addedBy))
	if err != nil {
		return err
	}
	if !ok {
		return errKnown
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "officer.credential.add", Actor: actorOf(c.Person), Object: actorOf(c.Person),
		Data: map[string]any{"credential": c.ID, "kind": c.Kind, "key": c.Key, "by": c.addedBy}})
	return err
}

// RemoveCredential lets an officer give up one of their own credentials, such as
// one that they have lost, at once. A new one takes a request by others. It fails
// with kind NotFound for a credential that is not theirs or was removed.
func (s *Service) RemoveCredential(ctx context.Context, person, id string) error {
	now := s.o.Now()
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		if _, err := lock(ctx, tx); err != nil {
			return err
		}
		list, err := readCredentials(ctx, tx, `id = $1 AND person = $2 AND removed_at = 0`, id, person)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errCredential
		}
		return removeCredential(ctx, tx, list[0], actorOf(person), now)
	})
	if err != nil {
		return fmt.Errorf("remove credential: %w", err)
	}
	return nil
}

// removeCredential ends a credential that is in use. What it signed stays good.
func removeCredential(ctx context.Context, tx db.Tx, c credential, actor string, now time.Time) error {
	ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE officer_credentials SET removed_at = $2 WHERE id = $1 AND removed_at = 0`, c.ID, db.Micros(now)))
	if err != nil {
		return err
	}
	if !ok {
		return errCredential
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "officer.credential.remove", Actor: actor, Object: actorOf(c.Person),
		Data: map[string]any{"credential": c.ID, "kind": c.Kind, "key": c.Key}})
	return err
}

func readCredentials(ctx context.Context, tx db.Tx, where string, args ...any) (list []credential, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT id, person, kind, handle, public_key, rp_id, sign_count, backup_eligible, ends_at, name, added_at, added_by, used_at
		FROM officer_credentials WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var c credential
		var count, synced, until, added, used int64
		if err := rows.Scan(&c.ID, &c.Person, &c.Kind, &c.handle, &c.publicKey, &c.rpID, &count, &synced, &until, &c.Name, &added, &c.addedBy, &used); err != nil {
			return nil, err
		}
		c.signCount, c.Synced, c.Key = uint32(count), synced != 0, keyHash(c.publicKey)
		c.Until, c.Added, c.Used = db.Time(until), db.Time(added), db.Time(used)
		list = append(list, c)
	}
	return list, rows.Err()
}

func keyHash(public []byte) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:])
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func isName(s string) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}
