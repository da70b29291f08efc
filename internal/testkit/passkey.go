package testkit

import (
	"context"
	"encoding/base64"
	"fmt"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Passkey is the private half of a passkey as demo.json holds it: bytes in base64url
// without padding.
type Passkey struct {
	CredentialID    string `json:"credential_id"`
	UserHandle      string `json:"user_handle"`
	PrivateKeyPKCS8 string `json:"private_key_pkcs8"` // of a key on P-256
	SignCount       uint32 `json:"sign_count"`
	RPID            string `json:"rp_id"`
}

// VirtualPasskey gives the browser's tab an authenticator: built in, CTAP2, keeps
// discoverable credentials, and its person is there and proves it at once. It
// returns the authenticator's id.
func VirtualPasskey(ctx context.Context) (webauthn.AuthenticatorID, error) {
	if _, err := chromedp.Call(ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		return "", fmt.Errorf("enable virtual authenticators: %w", err)
	}
	r, err := chromedp.Call(ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		// CMTG keys because AddCredential cannot leave out a member that needs them.
		HasCmtgKey: true, HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		return "", fmt.Errorf("add virtual authenticator: %w", err)
	}
	return r.AuthenticatorID, nil
}

// RemoveAuthenticator takes a virtual authenticator away with its passkeys, as if the
// person were at another device.
func RemoveAuthenticator(ctx context.Context, id webauthn.AuthenticatorID) error {
	_, err := chromedp.Call(ctx, webauthn.RemoveVirtualAuthenticator, webauthn.RemoveVirtualAuthenticatorParams{AuthenticatorID: id})
	if err != nil {
		return fmt.Errorf("remove virtual authenticator: %w", err)
	}
	return nil
}

// AddCredential puts a passkey into a virtual authenticator.
func AddCredential(ctx context.Context, id webauthn.AuthenticatorID, p Passkey) error {
	c := &webauthn.Credential{IsResidentCredential: true, RpID: p.RPID, SignCount: float64(p.SignCount)}
	for _, one := range []struct {
		text string
		to   *[]byte
	}{{p.CredentialID, &c.CredentialID}, {p.UserHandle, &c.UserHandle}, {p.PrivateKeyPKCS8, &c.PrivateKey}} {
		b, err := base64.RawURLEncoding.DecodeString(one.text)
		if err != nil {
			return fmt.Errorf("read passkey: %w", err)
		}
		*one.to = b
	}
	_, err := chromedp.Call(ctx, webauthn.AddCredential, webauthn.AddCredentialParams{AuthenticatorID: id, Credential: c})
	return err
}

// SignCount returns how often a passkey of a virtual authenticator has signed, -1
// if the authenticator does not hold it.
func SignCount(ctx context.Context, id webauthn.AuthenticatorID, credentialID []byte) (int, error) {
	r, err := chromedp.Call(ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id})
	if err != nil {
		return 0, err
	}
	for _, c := range r.Credentials {
		if string(c.CredentialID) == string(credentialID) {
			return int(c.SignCount), nil
		}
	}
	return -1, nil
}
