package approval

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
)

// Bounds of what authenticators and browsers answer, in bytes.
const (
	maxClientData  = 2 << 10
	maxAuthData    = 512
	maxSignature   = 80 // DER on P-256
	maxUserHandle  = 64
	maxAttestation = 8 << 10
)

// Assertion is an authenticator's answer to an approval: the members of WebAuthn's
// AuthenticatorAssertionResponse that count.
type Assertion struct {
	ID                Bytes `json:"id"`
	ClientData        Bytes `json:"client_data"`
	AuthenticatorData Bytes `json:"authenticator_data"`
	Signature         Bytes `json:"signature"`
	UserHandle        Bytes `json:"user_handle,omitempty"`
}

// VerifyPasskey checks that an assertion (WebAuthn section 7.2) is over a statement
// by the passkey with this public key, a COSE_Key, whose owner was verified, on a
// page of this origin. It fails with ErrMalformed for what cannot be read and with
// ErrSignature for everything else. Whose passkey it is, and its counter, are for
// the caller.
func VerifyPasskey(statement []byte, a Assertion, public []byte, rpID, origin string) error {
	_, err := verifyPasskey(statement, a, public, rpID, origin)
	return err
}

func verifyPasskey(statement []byte, a Assertion, public []byte, rpID, origin string) (*protocol.ParsedCredentialAssertionData, error) {
	if _, err := parseCOSEKey(public); err != nil {
		return nil, err
	}
	parsed, err := a.parse()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	refuse := func(cause error) (*protocol.ParsedCredentialAssertionData, error) {
		return nil, fmt.Errorf("%w: %w", ErrSignature, cause)
	}
	// Byte for byte, which the library does not ask for.
	if parsed.Response.CollectedClientData.Origin != origin {
		return refuse(errors.New("another origin"))
	}
	err = parsed.Verify(ChallengeText(statement), rpID, "", []string{origin}, nil, nil,
		protocol.TopOriginExplicitVerificationMode, false, true, true, public, protocol.SignaturePolicy{})
	if err != nil {
		return refuse(err)
	}
	if flags := parsed.Response.AuthenticatorData.Flags; flags.HasBackupState() && !flags.HasBackupEligible() {
		return refuse(errors.New("backed up but not eligible"))
	}
	return parsed, nil
}

func (a Assertion) parse() (*protocol.ParsedCredentialAssertionData, error) {
	if len(a.ID) < minCredentialID || len(a.ID) > maxCredentialID || len(a.ClientData) > maxClientData || len(a.AuthenticatorData) > maxAuthData ||
		len(a.Signature) > maxSignature || len(a.UserHandle) > maxUserHandle {
		return nil, errors.New("unexpected size")
	}
	return protocol.CredentialAssertionResponse{
		PublicKeyCredential: publicKeyCredential(a.ID),
		AssertionResponse: protocol.AuthenticatorAssertionResponse{
			AuthenticatorResponse: protocol.AuthenticatorResponse{ClientDataJSON: a.ClientData},
			AuthenticatorData:     a.AuthenticatorData, Signature: a.Signature, UserHandle: a.UserHandle,
		},
	}.Parse()
}

// parseCOSEKey reads the COSE_Key of an ES256 passkey in the one form that CTAP2
// gives it: {1: 2, 3: -7, -1: 1, -2: x, -3: y}.
func parseCOSEKey(b []byte) (*ecdsa.PublicKey, error) {
	x, ok := bytes.CutPrefix(b, []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20})
	if !ok || len(x) != 32+3+32 || !bytes.Equal(x[32:35], []byte{0x22, 0x58, 0x20}) {
		return nil, malformed("not the COSE_Key of an ES256 key")
	}
	point := append(append([]byte{4}, x[:32]...), x[35:]...)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, malformed("not a point on P-256")
	}
	return key, nil
}
