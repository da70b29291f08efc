package login

import (
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// Code returns the one-time code of RFC 6238 that an authenticator app with the
// base32 secret shows at a time. It fails with kind Invalid if the secret is none.
func Code(secret string, at time.Time) (string, error) {
	b, err := totpEncoding.DecodeString(secret)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, "the secret of one-time codes is not base32", err)
	}
	return totpCode(b, totpStep(at)), nil
}
