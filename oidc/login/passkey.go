package login

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// Bounds of what browsers send.
const (
	maxBody         = 16 << 10
	maxField        = 4000 // bytes of a form's field
	maxNext         = 2000 // bytes of an address to go on to
	maxCredentialID = 1023 // WebAuthn section 4
	maxPublicKey    = 2 << 10
	maxPasskeys     = 10 // of a person
	maxName         = 40 // characters of a passkey's name
)

// algorithms are those that passkeys may have: ES256, EdDSA, and RS256 for Windows
// Hello on old machines.
var algorithms = []protocol.CredentialParameter{
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgEdDSA},
	{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgRS256},
}

// newRelyingParty returns the verifier of what authenticators answer, nil where
// the issuer's host is an IP address.
func newRelyingParty(issuer string) (*webauthn.WebAuthn, error) {
	host, err := checkIssuer(issuer)
	if err != nil {
		return nil, err
	}
	if isAddress(host) {
		return nil, nil
	}
	return webauthn.New(&webauthn.Config{RPID: host, RPDisplayName: host, RPOrigins: []string{issuer}})
}

// base64url is bytes in JSON as WebAuthn's own JSON forms have them.
type base64url = protocol.URLEncodedBase64

// credential is a row of login_passkeys.
type credential struct {
	id, person               string
	credentialID, publicKey  []byte
	signCount                uint32
	aaguid                   []byte
	backupEligible, backedUp bool
	name                     string
	handle                   []byte // of the person
}

// insertPasskey writes a new passkey with its event.
func (s *Service) insertPasskey(ctx context.Context, tx db.Tx, actor string, c credential) error {
	var have int64
	if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_passkeys WHERE person = $1`, c.person).Scan(&have); err != nil {
		return err
	}
	if have >= maxPasskeys {
		return fault.New(fault.Conflict, "the person has as many passkeys as they may")
	}
	n, err := db.Affected(tx.ExecContext(ctx, `INSERT INTO login_passkeys (id, person, credential, public_key, sign_count, aaguid,
		backup_eligible, backed_up, name, created) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		c.id, c.person, c.credentialID, c.publicKey, int64(c.signCount), c.aaguid, number(c.backupEligible), number(c.backedUp), c.name, db.Micros(s.o.Now())))
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "the passkey is known already")
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.passkey.add", Actor: actor, Object: "person:" + c.person,
		Data: map[string]any{"passkey": c.id}})
	return err
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// findCredential returns the passkey with an authenticator's id, nil if there is
// none.
func (s *Service) findCredential(ctx context.Context, id []byte) (*credential, error) {
	c := credential{credentialID: id}
	var signCount, eligible int64
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT p.id, p.person, p.public_key, p.sign_count, p.backup_eligible, a.handle
			FROM login_passkeys p JOIN login_accounts a ON a.person = p.person WHERE p.credential = $1`, id).
			Scan(&c.id, &c.person, &c.publicKey, &signCount, &eligible, &c.handle)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.signCount, c.backupEligible = uint32(signCount), eligible != 0
	return &c, nil
}

// owner is a person as the library sees them.
type owner struct {
	handle      []byte
	credentials []webauthn.Credential
}

// The methods of webauthn.User. Names matter only in options, which we make
// ourselves.

func (o owner) WebAuthnID() []byte                         { return o.handle }
func (o owner) WebAuthnName() string                       { return "" }
func (o owner) WebAuthnDisplayName() string                { return "" }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return o.credentials }

// ceremony is what both ceremonies are checked against. UserID is for enrolment.
func ceremony(challenge string, userID []byte) webauthn.SessionData {
	return webauthn.SessionData{Challenge: challenge, UserID: userID, UserVerification: protocol.VerificationRequired, CredParams: algorithms}
}

// checkClientData refuses an origin that is ours in the library's eyes but not
// byte for byte, which no browser sends.
func (s *Service) checkClientData(c protocol.CollectedClientData) error {
	if c.Origin != s.o.Issuer {
		return errors.New("another origin")
	}
	return nil
}

// publicKeyCredential is what both answers begin with.
func publicKeyCredential(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(id), Type: string(protocol.PublicKeyCredentialType)},
		RawID:      id,
	}
}

// browser returns the hash of the cookie that binds challenges to a browser, and
// gives it one if it has none.
func browser(w http.ResponseWriter, r *http.Request) []byte {
	if hash := cookieHash(r, browserCookie); hash != nil {
		return hash
	}
	value, hash := newCookie()
	setCookie(w, browserCookie, value, 0)
	return hash
}

func isPasskeyName(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= maxName && utf8.ValidString(s) && strings.TrimSpace(s) == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsGraphic(r) })
}

// sameBytes reports whether two values are equal and there.
func sameBytes(a, b []byte) bool { return len(a) > 0 && bytes.Equal(a, b) }
