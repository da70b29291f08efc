package approval

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/protocol/webauthncose"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// challengeLife is how long an authenticator has for a new passkey.
const challengeLife = 5 * time.Minute

// Bytes is bytes in JSON as WebAuthn's own JSON forms have them: base64url without
// padding.
type Bytes = protocol.URLEncodedBase64

// PasskeyOptions is what a page asks an authenticator for a new passkey with.
type PasskeyOptions struct {
	Challenge   string  `json:"challenge"`
	RPID        string  `json:"rp_id"`
	UserHandle  Bytes   `json:"user_handle"`
	Username    string  `json:"username"`
	DisplayName string  `json:"display_name"`
	Algorithms  []int64 `json:"algorithms"` // COSE
	Exclude     []Bytes `json:"exclude"`    // the officer's passkeys for approvals
	Timeout     int64   `json:"timeout"`    // milliseconds
	// ResidentKey is "discouraged": nobody is to be offered this passkey for signing in.
	ResidentKey string `json:"resident_key"`
}

// Enrolment is what the page sends back.
type Enrolment struct {
	ID          Bytes  `json:"id"`
	ClientData  Bytes  `json:"client_data"`
	Attestation Bytes  `json:"attestation"`
	Name        string `json:"name"`
}

var (
	errNoPasskeys = web.Refuse(fault.Conflict, web.Text{ZH: "本站以IP地址提供服务，无法使用通行密钥。", EN: "there are no passkeys where the service has no host name"})
	errChallenge  = web.Refuse(fault.Conflict, web.Text{ZH: "操作已超时，请重新开始。", EN: "the challenge has expired or was used: begin again"})
)

var algorithms = []protocol.CredentialParameter{{Type: protocol.PublicKeyCredentialType, Algorithm: webauthncose.AlgES256}}

// BeginPasskey returns the options for a new passkey for approvals. It fails with
// kind Denied for a code that is not this officer's or no longer good, and with kind
// Conflict where there are no passkeys.
func (s *Service) BeginPasskey(ctx context.Context, person, code string) (PasskeyOptions, error) {
	if s.passkeys == nil {
		return PasskeyOptions{}, errNoPasskeys
	}
	p, err := s.person(ctx, person)
	if err != nil {
		return PasskeyOptions{}, fmt.Errorf("begin passkey: %w", err)
	}
	now := s.o.Now()
	challenge := make([]byte, 32)
	_, _ = rand.Read(challenge) // never fails
	o := PasskeyOptions{Challenge: base64.RawURLEncoding.EncodeToString(challenge), RPID: s.rpID, Username: p.Name + " (approvals)", DisplayName: p.Name,
		Algorithms: []int64{int64(webauthncose.AlgES256)}, Timeout: challengeLife.Milliseconds(), ResidentKey: "discouraged"}
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		id, err := findEnrolment(ctx, tx, person, code, now)
		if err != nil {
			return err
		}
		if o.UserHandle, err = officerHandle(ctx, tx, person); err != nil {
			return err
		}
		list, err := readCredentials(ctx, tx, `person = $1 AND kind = $2 AND removed_at = 0 ORDER BY id`, person, MethodPasskey)
		if err != nil {
			return err
		}
		o.Exclude = []Bytes{}
		for _, c := range list {
			o.Exclude = append(o.Exclude, c.handle)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO approval_challenges (hash, enrolment, expires_at) VALUES ($1, $2, $3)`,
			codeHash(o.Challenge), id, db.Micros(now.Add(challengeLife)))
		return err
	})
	if err != nil {
		return PasskeyOptions{}, fmt.Errorf("begin passkey: %w", err)
	}
	return o, nil
}

// FinishPasskey enrols the passkey that an authenticator has made (WebAuthn section
// 7.1) and uses up the code. The passkey's owner must have been verified;
// attestation is not asked for. It fails as BeginPasskey does, with kind Conflict for
// a challenge that was not given for this code, was used or has expired, and with
// kind Invalid for what no authenticator answers.
func (s *Service) FinishPasskey(ctx context.Context, person, code string, e Enrolment) (Credential, error) {
	if s.passkeys == nil {
		return Credential{}, errNoPasskeys
	}
	parsed, err := e.parse()
	if err != nil {
		return Credential{}, fmt.Errorf("finish passkey: %w", invalidPasskey(err))
	}
	handle, err := s.useChallenge(ctx, person, code, parsed.Response.CollectedClientData.Challenge)
	if err != nil {
		return Credential{}, fmt.Errorf("finish passkey: %w", err)
	}
	made, err := s.verifyEnrolment(parsed, handle)
	if err != nil {
		return Credential{}, fmt.Errorf("finish passkey: %w", invalidPasskey(err))
	}
	c := credential{Credential: Credential{Person: person, Kind: MethodPasskey, Name: e.Name, Synced: made.Flags.BackupEligible},
		handle: made.ID, publicKey: made.PublicKey, rpID: s.rpID, signCount: made.Authenticator.SignCount}
	if c, err = s.enrol(ctx, c, code); err != nil {
		return Credential{}, fmt.Errorf("finish passkey: %w", err)
	}
	return c.Credential, nil
}

func invalidPasskey(cause error) error {
	return fault.Wrap(fault.Invalid, "this is no new passkey of an authenticator", cause)
}

func (e Enrolment) parse() (*protocol.ParsedCredentialCreationData, error) {
	if len(e.ID) < minCredentialID || len(e.ID) > maxCredentialID || len(e.ClientData) > maxClientData || len(e.Attestation) > maxAttestation {
		return nil, errors.New("unexpected size")
	}
	return protocol.CredentialCreationResponse{
		PublicKeyCredential: publicKeyCredential(e.ID),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: e.ClientData}, AttestationObject: e.Attestation,
		},
	}.Parse()
}

// useChallenge uses up a challenge that was given for this code, and returns the
// officer's handle. No challenge is good for a second answer, whatever the first was
// worth.
func (s *Service) useChallenge(ctx context.Context, person, code, challenge string) (handle []byte, err error) {
	now := s.o.Now()
	var expires int64
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		id, err := findEnrolment(ctx, tx, person, code, now)
		if err != nil {
			return err
		}
		if handle, err = officerHandle(ctx, tx, person); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `DELETE FROM approval_challenges WHERE hash = $1 AND enrolment = $2 RETURNING expires_at`,
			codeHash(challenge), id).Scan(&expires)
	})
	if errors.Is(err, sql.ErrNoRows) || err == nil && !now.Before(db.Time(expires)) {
		return nil, errChallenge
	}
	return handle, err
}

func officerHandle(ctx context.Context, tx db.Tx, person string) (handle []byte, err error) {
	err = tx.QueryRowContext(ctx, `SELECT handle FROM officers WHERE person = $1 AND removed_at = 0`, person).Scan(&handle)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errOfficer
	}
	return handle, err
}

// owner is an officer as the library sees them.
type owner []byte

// The methods of webauthn.User.

func (o owner) WebAuthnID() []byte                         { return o }
func (o owner) WebAuthnName() string                       { return "" }
func (o owner) WebAuthnDisplayName() string                { return "" }
func (o owner) WebAuthnCredentials() []webauthn.Credential { return nil }

func (s *Service) verifyEnrolment(parsed *protocol.ParsedCredentialCreationData, handle []byte) (*webauthn.Credential, error) {
	data := parsed.Response.CollectedClientData
	if data.Origin != s.o.Issuer { // byte for byte, which the library does not ask for
		return nil, errors.New("another origin")
	}
	made, err := s.passkeys.CreateCredential(owner(handle), webauthn.SessionData{Challenge: data.Challenge, UserID: handle,
		UserVerification: protocol.VerificationRequired, CredParams: algorithms}, parsed)
	if err != nil {
		return nil, err
	}
	if len(made.ID) < minCredentialID || len(made.ID) > maxCredentialID {
		return nil, errors.New("unexpected size")
	}
	_, err = parseCOSEKey(made.PublicKey)
	return made, err
}

// publicKeyCredential is what both answers of an authenticator begin with.
func publicKeyCredential(id []byte) protocol.PublicKeyCredential {
	return protocol.PublicKeyCredential{
		Credential: protocol.Credential{ID: base64.RawURLEncoding.EncodeToString(id), Type: string(protocol.PublicKeyCredentialType)}, RawID: id,
	}
}
