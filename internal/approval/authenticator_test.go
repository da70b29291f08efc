package approval_test

import (
	"testing"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/testkit"
)

// authenticator is one passkey in software that answers as this package asks.
type authenticator struct{ testkit.Authenticator }

func newAuthenticator(t testing.TB) *authenticator {
	t.Helper()
	a := &authenticator{*testkit.NewAuthenticator(t, issuer)}
	a.RPID, a.Handle = rpID, nil
	return a
}

func (a *authenticator) create(t testing.TB, o approval.PasskeyOptions) approval.Enrolment {
	t.Helper()
	c := a.Create(t, o.Challenge, o.UserHandle)
	return approval.Enrolment{ID: c.ID, ClientData: c.ClientData, Attestation: c.Attestation, Name: "Key"}
}

// get answers navigator.credentials.get for a statement.
func (a *authenticator) get(t testing.TB, statement []byte) *approval.Assertion {
	t.Helper()
	g := a.Get(t, approval.ChallengeText(statement))
	return &approval.Assertion{ID: g.ID, ClientData: g.ClientData, AuthenticatorData: g.AuthenticatorData, Signature: g.Signature, UserHandle: g.UserHandle}
}
