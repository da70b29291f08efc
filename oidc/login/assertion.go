package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// errAssertion refuses an answer whatever is wrong with it: nobody learns which
// credentials exist.
var errAssertion = fault.New(fault.Denied, "the passkey was not accepted")

var errTooMany = fault.New(fault.Unavailable, "too many tries, wait a moment")

// assertionOptions is what the script asks an authenticator with.
type assertionOptions struct {
	Challenge string `json:"challenge"`
	RPID      string `json:"rp_id"`
	Timeout   int64  `json:"timeout"` // milliseconds
}

// assertion is what the script sends back: the members of WebAuthn's
// AuthenticatorAssertionResponse that count.
type assertion struct {
	ID                base64url `json:"id"`
	ClientData        base64url `json:"client_data"`
	AuthenticatorData base64url `json:"authenticator_data"`
	Signature         base64url `json:"signature"`
	UserHandle        base64url `json:"user_handle"`
	Next              string    `json:"next"`
	ACR               string    `json:"acr,omitzero"`   // the level that the page was asked for
	Again             bool      `json:"again,omitzero"` // whoever is signed in proves themselves again
}

func (s *Service) beginAssertion(w http.ResponseWriter, r *http.Request) error {
	if s.limits.ask.take(keyOf(addressOf(r)), s.o.Now()) > 0 {
		return errTooMany
	}
	challenge, err := s.newChallenge(r.Context(), browser(w, r), "")
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, assertionOptions{challenge, s.passkeys.Config.RPID, int64(challengeLife / time.Millisecond)})
}

func (s *Service) finishAssertion(w http.ResponseWriter, r *http.Request) error {
	var a assertion
	if err := web.DecodeJSON(w, r, maxBody, &a); err != nil {
		return err
	}
	page := newSignInPage(localNext(a.Next), a.ACR, a.Again)
	v, err := s.visitOf(r, a.Again)
	if err != nil {
		return err
	}
	cookie, err := s.signInByPasskey(r.Context(), a, cookieHash(r, browserCookie), v)
	if errors.Is(err, errOther) { // the page says so, in words that the script does not have
		return web.WriteJSON(w, http.StatusOK, map[string]string{"next": page.address("problem", "other")})
	}
	if err != nil {
		return err
	}
	setCookie(w, sessionCookie, cookie, 0)
	return web.WriteJSON(w, http.StatusOK, map[string]string{"next": page.Next})
}

// signInByPasskey begins a session for the owner of the passkey that made a.
func (s *Service) signInByPasskey(ctx context.Context, a assertion, browser []byte, v visit) (cookie string, err error) {
	parsed, err := a.parse()
	if err != nil {
		s.metrics.refused(methodPasskey, reasonAssertion)
		return "", fault.Wrap(fault.Invalid, "this is no answer of an authenticator", err)
	}
	challenge := parsed.Response.CollectedClientData.Challenge
	if err := s.useChallenge(ctx, challenge, browser, ""); err != nil {
		if errors.Is(err, errChallenge) {
			s.metrics.refused(methodPasskey, reasonChallenge)
		}
		return "", err
	}
	known, used, err := s.verify(ctx, parsed)
	if err != nil {
		if errors.Is(err, errAssertion) {
			s.metrics.refused(methodPasskey, reasonAssertion)
		}
		return "", err
	}
	if used.Authenticator.CloneWarning {
		return "", s.refuseCopy(ctx, known)
	}
	cookie, err = s.begin(ctx, passkeyProof(known, used, s.o.Now()), v)
	if err == nil && cookie == "" {
		s.metrics.refused(methodPasskey, reasonCounter)
		err = errAssertion
	}
	return cookie, err
}

func (a assertion) parse() (*protocol.ParsedCredentialAssertionData, error) {
	return protocol.CredentialAssertionResponse{
		PublicKeyCredential: publicKeyCredential(a.ID),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientData},
			AuthenticatorData:     a.AuthenticatorData, Signature: a.Signature, UserHandle: a.UserHandle,
		},
	}.Parse()
}

// verify does the rest of WebAuthn section 7.2. It returns the passkey as it
// stands on record and as the library would have it from now on.
func (s *Service) verify(ctx context.Context, parsed *protocol.ParsedCredentialAssertionData) (*credential, *webauthn.Credential, error) {
	known, err := s.findCredential(ctx, parsed.RawID)
	if err != nil {
		return nil, nil, err
	}
	refuse := func(cause error) (*credential, *webauthn.Credential, error) {
		return nil, nil, fmt.Errorf("%w: %w", errAssertion, cause)
	}
	if known == nil {
		return refuse(errors.New("unknown credential"))
	}
	if err := s.checkClientData(parsed.Response.CollectedClientData); err != nil {
		return refuse(err)
	}
	used, err := s.passkeys.ValidateDiscoverableLogin(func(_, userHandle []byte) (webauthn.User, error) {
		if !sameBytes(known.handle, userHandle) {
			return nil, errors.New("another person's user handle")
		}
		return owner{known.handle, []webauthn.Credential{{
			ID: known.credentialID, PublicKey: known.publicKey, Flags: webauthn.CredentialFlags{BackupEligible: known.backupEligible},
			Authenticator: webauthn.Authenticator{SignCount: known.signCount},
		}}}, nil
	}, ceremony(parsed.Response.CollectedClientData.Challenge, nil), parsed)
	if err != nil {
		return refuse(err)
	}
	return known, used, nil
}

// refuseCopy records that a passkey's counter fell, which says that there are two
// of it (WebAuthn section 6.1.1), and refuses it.
func (s *Service) refuseCopy(ctx context.Context, c *credential) error {
	s.metrics.refused(methodPasskey, reasonCounter)
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := audit.Append(ctx, tx, audit.Event{Kind: "login.passkey.copied", Actor: "system", Object: "person:" + c.person,
			Data: map[string]any{"passkey": c.id}})
		return err
	})
	if err != nil {
		return err
	}
	return errAssertion
}

// passkeyProof is a person proved by a passkey. Its counter moves by
// compare-and-swap, so of two answers at once with the same count one is refused.
func passkeyProof(known *credential, used *webauthn.Credential, now time.Time) proof {
	by := byDevicePasskey
	if known.backupEligible {
		by = bySyncedPasskey
	}
	return proof{person: known.person, method: by,
		use: func(ctx context.Context, tx db.Tx) (bool, error) {
			// The account's row is what Disable locks too.
			n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET disabled = 0 WHERE person = $1 AND disabled = 0`, known.person))
			if err != nil || n == 0 {
				return false, err
			}
			n, err = db.Affected(tx.ExecContext(ctx, `UPDATE login_passkeys SET sign_count = $3, backed_up = $4, used = $5 WHERE id = $1 AND sign_count = $2`,
				known.id, int64(known.signCount), int64(used.Authenticator.SignCount), number(used.Flags.BackupState), db.Micros(now)))
			return n == 1, err
		}}
}
