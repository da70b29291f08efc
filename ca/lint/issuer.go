package lint

import (
	"bytes"
	"crypto/x509"

	"github.com/signet-city/signet/ca/profile"
)

// checkIssuer: the issuer is the root exactly for a CA below it and is named as
// it names itself; only the root has its own name; the signature is made as the
// issuer's key makes it.
func checkIssuer(c candidate) string {
	if (c.issuer == nil) != (c.kind == profile.Root) {
		return "only the root has no issuer"
	}
	signs := c.PublicKey
	if c.issuer != nil {
		signs = c.issuer.PublicKey
		switch {
		case !c.issuer.IsCA || c.issuer.KeyUsage&x509.KeyUsageCertSign == 0:
			return "the issuer is no CA"
		case c.IsCA && c.issuer.MaxPathLenZero:
			return "the issuer may not sign a CA"
		case !c.IsCA && !c.issuer.MaxPathLenZero:
			return "the root signs CAs alone"
		case !bytes.Equal(c.RawIssuer, c.issuer.RawSubject):
			return "does not name its issuer"
		}
	}
	if bytes.Equal(c.RawIssuer, c.RawSubject) != (c.issuer == nil) {
		return "has its issuer's name"
	}
	want := map[profile.Algorithm]x509.SignatureAlgorithm{profile.P256: x509.ECDSAWithSHA256, profile.P384: x509.ECDSAWithSHA384}
	if a, err := profile.AlgorithmOf(signs); err != nil || want[a] != c.SignatureAlgorithm {
		return "has a signature algorithm that is not its issuer's"
	}
	return ""
}
