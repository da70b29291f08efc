package lint

import (
	"crypto"

	"github.com/signet-city/signet/ca/profile"
)

// checkKey: the profile accepts the key, and it is not the issuer's own.
func checkKey(c candidate) string {
	if err := profile.CheckKey(c.kind, c.PublicKey); err != nil {
		return err.Error()
	}
	if c.issuer != nil {
		if k, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || k.Equal(c.issuer.PublicKey) {
			return "has its issuer's key"
		}
	}
	return ""
}
