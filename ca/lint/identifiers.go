package lint

import (
	"bytes"

	"github.com/signet-city/signet/ca/profile"
)

// checkIdentifiers: the subject's key identifier is its key's (RFC 7093), the
// authority's is the issuer's, which for the root is itself. x509_strict demands
// both.
func checkIdentifiers(c candidate) string {
	id, err := profile.KeyID(c.PublicKey)
	if err != nil || !bytes.Equal(id, c.SubjectKeyId) {
		return "has a key identifier that is not its key's"
	}
	want := c.SubjectKeyId
	if c.issuer != nil {
		want = c.issuer.SubjectKeyId
	}
	if len(want) == 0 || !bytes.Equal(c.AuthorityKeyId, want) {
		return "has an authority's key identifier that is not its issuer's"
	}
	return ""
}
