package login

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// freshFor is how long after proving themselves a person may change their passkeys:
// a session that somebody else finds open is not enough.
const freshFor = 5 * time.Minute

// errStale asks for the proof again.
var errStale = web.Refuse(fault.Denied, web.Text{ZH: "距上次登录已超过5分钟。为保护您的账户，请重新登录后再试。",
	EN: "You signed in more than 5 minutes ago. To protect your account, sign in again first."})

// enrolmentOptions is what the script asks an authenticator for a new passkey with.
type enrolmentOptions struct {
	Challenge   string      `json:"challenge"`
	RPID        string      `json:"rp_id"`
	UserHandle  base64url   `json:"user_handle"`
	Username    string      `json:"username"`
	DisplayName string      `json:"display_name"`
	Algorithms  []int64     `json:"algorithms"` // COSE
	Exclude     []base64url `json:"exclude"`    // the person's passkeys
	Timeout     int64       `json:"timeout"`    // milliseconds
}

// enrolment is what the script sends back.
type enrolment struct {
	ID          base64url `json:"id"`
	ClientData  base64url `json:"client_data"`
	Attestation base64url `json:"attestation"`
	Name        string    `json:"name"` // "" lets us choose
}

// whoEnrols returns the person at the browser, who must have proved themselves
// lately.
func (s *Service) whoEnrols(r *http.Request) (*web.Identity, error) {
	id, err := s.Identify(r)
	if err != nil {
		return nil, err
	}
	if id == nil {
		return nil, ErrSession
	}
	return id, s.checkFresh(id)
}

func (s *Service) checkFresh(id *web.Identity) error {
	if s.o.Now().Sub(id.AuthTime) > freshFor {
		return errStale
	}
	return nil
}

func (s *Service) beginEnrolment(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	id, err := s.whoEnrols(r)
	if err != nil {
		return err
	}
	if s.limits.ask.take(keyOf(addressOf(r)), s.o.Now()) > 0 {
		return errTooMany
	}
	o := enrolmentOptions{RPID: s.passkeys.Config.RPID, DisplayName: id.Name, Timeout: int64(challengeLife / time.Millisecond)}
	for _, a := range algorithms {
		o.Algorithms = append(o.Algorithms, int64(a.Algorithm))
	}
	var sealed []byte
	if o.UserHandle, sealed, err = s.userHandle(ctx, id.Person); err != nil {
		return err
	}
	account, err := s.openAccount(ctx, id.Person, sealed)
	if err != nil {
		return err
	}
	o.Username = account.Username
	list, err := s.passkeysOf(ctx, id.Person)
	if err != nil {
		return err
	}
	for _, p := range list {
		o.Exclude = append(o.Exclude, p.credentialID)
	}
	// The session's cookie is what binds this challenge to the browser.
	if o.Challenge, err = s.newChallenge(ctx, cookieHash(r, sessionCookie), id.Person); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, o)
}

// userHandle returns the person's user handle, which it makes if there is none,
// and their sealed account.
func (s *Service) userHandle(ctx context.Context, person string) (handle, sealed []byte, err error) {
	made := make([]byte, 32)
	_, _ = rand.Read(made) // never fails
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `UPDATE login_accounts SET handle = COALESCE(handle, $2) WHERE person = $1 RETURNING handle, sealed`,
			person, made).Scan(&handle, &sealed)
	})
	return handle, sealed, err
}

func (s *Service) finishEnrolment(w http.ResponseWriter, r *http.Request) error {
	var e enrolment
	if err := web.DecodeJSON(w, r, maxBody, &e); err != nil {
		return err
	}
	id, err := s.whoEnrols(r)
	if err != nil {
		return err
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	if err := s.enrol(r.Context(), id.Person, e, b, web.VisitorOf(r).Lang); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, map[string]string{"next": "/account?done=passkey-added"})
}

// enrol adds the passkey that an authenticator has made for the person (WebAuthn
// section 7.1). Attestation is not asked for: any authenticator that verifies its
// user will do.
func (s *Service) enrol(ctx context.Context, person string, e enrolment, b by, lang web.Lang) error {
	e.Name = strings.TrimSpace(e.Name)
	if e.Name != "" && !isPasskeyName(e.Name) {
		return fault.InvalidInput("the passkey is not as it should be", fault.Problem{Path: "/name", Message: "has 1 to 40 visible characters"})
	}
	invalid := func(cause error) error {
		return fault.Wrap(fault.Invalid, "this is no new passkey of an authenticator", cause)
	}
	parsed, err := e.parse()
	if err != nil {
		return invalid(err)
	}
	if err := s.useChallenge(ctx, parsed.Response.CollectedClientData.Challenge, b.visit.old, person); err != nil {
		return err
	}
	handle, _, err := s.userHandle(ctx, person)
	if err != nil {
		return err
	}
	if err := s.checkClientData(parsed.Response.CollectedClientData); err != nil {
		return invalid(err)
	}
	made, err := s.passkeys.CreateCredential(owner{handle: handle}, ceremony(parsed.Response.CollectedClientData.Challenge, handle), parsed)
	if err != nil {
		return invalid(err)
	}
	if len(made.ID) < 16 || len(made.ID) > maxCredentialID || len(made.PublicKey) > maxPublicKey || len(made.Authenticator.AAGUID) != 16 {
		return invalid(errors.New("unexpected size"))
	}
	c := credential{id: db.NewID(), person: person, credentialID: made.ID, publicKey: made.PublicKey, signCount: made.Authenticator.SignCount,
		aaguid: made.Authenticator.AAGUID, backupEligible: made.Flags.BackupEligible, backedUp: made.Flags.BackupState}
	return s.addEnrolled(ctx, c, e.Name, b, lang)
}

// addEnrolled writes a new passkey under its name, or under a number.
func (s *Service) addEnrolled(ctx context.Context, c credential, name string, b by, lang web.Lang) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := holdSession(ctx, tx, c.person, b.session); err != nil {
			return err
		}
		c.name = name
		if name == "" {
			var have int64
			if err := tx.QueryRowContext(ctx, `SELECT COUNT(*) FROM login_passkeys WHERE person = $1`, c.person).Scan(&have); err != nil {
				return err
			}
			c.name = fmt.Sprintf(web.Text{ZH: "通行密钥%d", EN: "Passkey %d"}.In(lang), have+1)
		}
		if err := s.insertPasskey(ctx, tx, b.actor, c); err != nil {
			return err
		}
		return s.remember(ctx, tx, c.person, PasskeyAdded, b)
	})
	if err != nil {
		return fmt.Errorf("enrol passkey: %w", err)
	}
	return nil
}

func (e enrolment) parse() (*protocol.ParsedCredentialCreationData, error) {
	return protocol.CredentialCreationResponse{
		PublicKeyCredential: publicKeyCredential(e.ID),
		AttestationResponse: protocol.AuthenticatorAttestationResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: e.ClientData},
			AttestationObject:     e.Attestation,
		},
	}.Parse()
}

// listed is a passkey as its owner sees it.
type listed struct {
	ID            string
	Name          string
	Created, Used time.Time // Used is zero for never
	Synced        bool

	credentialID []byte
}

// passkeysOf returns a person's passkeys in the order of their enrolment.
func (s *Service) passkeysOf(ctx context.Context, person string) (list []listed, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, name, created, used, backed_up, credential FROM login_passkeys
			WHERE person = $1 ORDER BY id`, person)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var p listed
			var created, used, synced int64
			if err := rows.Scan(&p.ID, &p.Name, &created, &used, &synced, &p.credentialID); err != nil {
				return err
			}
			p.Created, p.Used, p.Synced = db.Time(created), db.Time(used), synced != 0
			list = append(list, p)
		}
		return rows.Err()
	})
	return list, err
}

// removePasskey takes a passkey from its owner's account. Repeating it is
// harmless: a passkey that is not theirs is none.
func (s *Service) removePasskey(ctx context.Context, person, id string, b by) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `DELETE FROM login_passkeys WHERE id = $1 AND person = $2`, id, person))
		if err != nil || n == 0 {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.passkey.remove", Actor: b.actor, Object: "person:" + person,
			Data: map[string]any{"passkey": id}})
		if err != nil {
			return err
		}
		return s.remember(ctx, tx, person, PasskeyRemoved, b)
	})
	if err != nil {
		return fmt.Errorf("remove passkey: %w", err)
	}
	return nil
}
