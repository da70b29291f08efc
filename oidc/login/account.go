package login

import (
	"context"
	"crypto/ecdsa"
	"encoding/json/v2"
	"errors"
	"fmt"
	"strings"

	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// ErrAccount is returned when the person asked for has no account.
var ErrAccount = fault.New(fault.NotFound, "the person has no account")

// Account is what a person signs in with when they have no passkey at hand.
type Account struct {
	Person   string // id in the registry
	Username string // 2 to 64 of a-z 0-9 . _ - @; capitals and full-width characters count as these
	Password string // 8 to 128 characters
}

// Secret is what a new account's owner is told once.
type Secret struct {
	TOTP string // base32 without padding, for an authenticator app
}

// sealedAccount is what is encrypted of an account.
type sealedAccount struct {
	Username string `json:"username"`
	TOTP     []byte `json:"totp"`
}

// AddAccount gives a person an account. It fails with kind Invalid for wrong
// particulars, with kind NotFound for an unknown person, and with kind Conflict
// if the person has an account or the username is taken: the secret is not shown
// again.
func (s *Service) AddAccount(ctx context.Context, actor string, a Account) (Secret, error) {
	secret, err := s.addAccount(ctx, actor, a)
	if err != nil {
		return Secret{}, fmt.Errorf("add account: %w", err)
	}
	return Secret{totpEncoding.EncodeToString(secret)}, nil
}

func (s *Service) addAccount(ctx context.Context, actor string, a Account) (secret []byte, err error) {
	username, password := foldUsername(a.Username), foldPassword(a.Password)
	if err := errors.Join(checkUsername(username), checkPassword(password)); err != nil {
		return nil, err
	}
	if _, err := s.o.Registry.PersonByID(ctx, a.Person); err != nil {
		return nil, err
	}
	secret = newTOTPSecret()
	sealed, err := s.sealAccount(ctx, a.Person, sealedAccount{username, secret})
	if err != nil {
		return nil, err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	return secret, s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := s.takeUsername(ctx, tx, a.Person, username, sealed, hash); err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.account.add", Actor: actor, Object: "person:" + a.Person})
		return err
	})
}

// takeUsername writes an account. It hashes the username at the last moment: the
// longer ago, the likelier somebody knows of a generation that we do not.
func (s *Service) takeUsername(ctx context.Context, tx db.Tx, person, username string, sealed []byte, password string) error {
	lookups, err := s.lookups(ctx, username)
	if err != nil {
		return err
	}
	old, err := accountUnder(ctx, tx, lookups)
	if err != nil {
		return err
	}
	free := false
	if old == nil {
		if free, err = accountIndex().Take(ctx, tx, person, lookups); err != nil {
			return err
		}
	}
	if !free {
		return errTaken
	}
	n, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO login_accounts (person, lookup, sealed, password, created)
		VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING`, person, lookups[0], sealed, password, db.Micros(s.o.Now())))
	if err == nil && n == 0 {
		err = errTaken
	}
	return err
}

var errTaken = fault.New(fault.Conflict, "the person has an account, or the username is taken")

func (s *Service) sealAccount(ctx context.Context, person string, a sealedAccount) ([]byte, error) {
	plain, err := json.Marshal(a)
	if err != nil { // its error could quote the data
		return nil, errors.New("encode account")
	}
	return s.o.Sealer.Seal(ctx, plain, []byte("login.account:"+person))
}

func (s *Service) openAccount(ctx context.Context, person string, sealed []byte) (a sealedAccount, err error) {
	plain, err := s.o.Sealer.Open(ctx, sealed, []byte("login.account:"+person))
	if err != nil {
		return a, fmt.Errorf("decrypt account: %w", err)
	}
	if json.Unmarshal(plain, &a) != nil {
		return a, errors.New("decode account")
	}
	return a, nil
}

// lookups returns the hashes by which a folded username is found, the one to write
// first.
func (s *Service) lookups(ctx context.Context, username string) ([][]byte, error) {
	return s.o.Sealer.Lookups(ctx, "login.username", []byte(username))
}

// foldUsername makes one of capitals, of full-width characters (which Chinese
// input methods write) and of spaces around.
func foldUsername(s string) string {
	return strings.ToLower(strings.TrimSpace(norm.NFKC.String(s)))
}

func checkUsername(s string) error {
	if len(s) < 2 || len(s) > 64 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789._-@") != "" {
		return fault.New(fault.Invalid, "a username has 2 to 64 of a-z 0-9 . _ - @")
	}
	return nil
}

// Passkey is a credential that an authenticator holds already: AddPasskey is for
// demonstrations and tests, people enrol theirs at /account.
type Passkey struct {
	CredentialID   []byte // 16 to 1023 bytes
	UserHandle     []byte // 1 to 64 bytes, the same in all passkeys of a person; random
	PublicKey      []byte // COSE_Key (RFC 9052 section 7), see COSEKey
	SignCount      uint32
	Name           string // 1 to 40 visible characters
	BackupEligible bool   // may be synchronized between devices
}

// AddPasskey adds a passkey to a person's account. It fails with ErrAccount if
// there is none, with kind Invalid for wrong particulars and with kind Conflict
// if the credential is known already or the user handle is not the person's.
func (s *Service) AddPasskey(ctx context.Context, actor, person string, p Passkey) error {
	c := credential{id: db.NewID(), person: person, credentialID: p.CredentialID, publicKey: p.PublicKey, signCount: p.SignCount,
		aaguid: make([]byte, 16), backupEligible: p.BackupEligible, backedUp: p.BackupEligible, name: p.Name}
	if err := checkPasskey(p); err != nil {
		return fmt.Errorf("add passkey: %w", err)
	}
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET handle = $2 WHERE person = $1 AND (handle IS NULL OR handle = $2)
			AND NOT EXISTS (SELECT 1 FROM login_accounts WHERE handle = $2 AND person <> $1)`, person, p.UserHandle))
		if err != nil {
			return err
		}
		if n == 0 {
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_accounts WHERE person = $1`, person).Scan(&n); err != nil {
				return err
			}
			if n == 0 {
				return ErrAccount
			}
			return fault.New(fault.Conflict, "the person has another user handle, or another person this one")
		}
		return s.insertPasskey(ctx, tx, actor, c)
	})
	if err != nil {
		return fmt.Errorf("add passkey: %w", err)
	}
	return nil
}

func checkPasskey(p Passkey) error {
	var problems []fault.Problem
	bad := func(wrong bool, path, message string) {
		if wrong {
			problems = append(problems, fault.Problem{Path: path, Message: message})
		}
	}
	_, err := webauthncose.ParsePublicKey(p.PublicKey)
	bad(len(p.CredentialID) < 16 || len(p.CredentialID) > maxCredentialID, "/credential_id", "has 16 to 1023 bytes")
	bad(len(p.UserHandle) < 1 || len(p.UserHandle) > 64, "/user_handle", "has 1 to 64 bytes")
	bad(len(p.PublicKey) > maxPublicKey || err != nil, "/public_key", "is no COSE key that passkeys use")
	bad(!isPasskeyName(p.Name), "/name", "has 1 to 40 visible characters")
	if len(problems) > 0 {
		return fault.InvalidInput("the passkey is not as it should be", problems...)
	}
	return nil
}

// COSEKey returns a P-256 public key as passkeys carry it: COSE_Key (RFC 9052
// section 7) for ES256, in CTAP2's canonical CBOR. It panics for another curve.
func COSEKey(key *ecdsa.PublicKey) []byte {
	point, err := key.Bytes() // 4, x, y
	if err != nil || len(point) != 65 {
		panic("COSE key: not a key of P-256")
	}
	b := []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20} // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
	b = append(b, point[1:33]...)
	b = append(b, 0x22, 0x58, 0x20)
	return append(b, point[33:]...)
}
