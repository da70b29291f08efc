// Package profile turns a request into an unsigned X.509 template.
//
// It owns what each kind of certificate of the city looks like: names, uses,
// lifetimes, keys, extensions and serial numbers. Nothing of a template comes from
// a certificate request but the public key. It refuses keys, names and periods
// outside a profile, and clamps every validity to the issuer's.
//
// Templates follow RFC 5280; the organisation's number stands in the subject as
// organizationIdentifier in the form of ETSI EN 319 412-1 clause 5.1.4. The package
// is pure: no clock, no network, no database.
package profile
