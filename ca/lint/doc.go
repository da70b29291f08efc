// Package lint decides whether a certificate may be signed.
//
// It owns the rules: those of zlint for RFC 5280 and its companions and for ETSI,
// and the city's own, one file each. Linter.Check builds the certificate that a
// template would become, with a throwaway key's signature over something else in the
// place of the real one, runs every rule over it and, only if all pass, returns a
// Token: the permission for one signature over exactly these bytes. Token.Signer is
// the only way to spend it.
//
// A warning counts as a failure. The package is pure but for the randomness of
// the throwaway keys.
package lint
