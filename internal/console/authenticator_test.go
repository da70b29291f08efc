package console_test

import (
	"testing"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/testkit"
)

// authenticator is one passkey in software that answers as the pages ask.
type authenticator struct{ testkit.Authenticator }

func newAuthenticator(t testing.TB, origin string) *authenticator {
	t.Helper()
	return &authenticator{*testkit.NewAuthenticator(t, origin)}
}

func (a *authenticator) create(t testing.TB, o approval.PasskeyOptions) approval.Enrolment {
	t.Helper()
	c := a.Create(t, o.Challenge, o.UserHandle)
	return approval.Enrolment{ID: c.ID, ClientData: c.ClientData, Attestation: c.Attestation, Name: "Key"}
}

// get answers navigator.credentials.get, counting up.
func (a *authenticator) get(t testing.TB, challenge []byte) *approval.Assertion {
	t.Helper()
	a.Count++
	g := a.Get(t, testkit.Text(challenge))
	return &approval.Assertion{ID: g.ID, ClientData: g.ClientData, AuthenticatorData: g.AuthenticatorData, Signature: g.Signature}
}
