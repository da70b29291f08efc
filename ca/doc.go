// Package ca is the city's certificate authority.
//
// It owns the ceremony that makes a city (Hold), the issuing of certificates, their
// revocation, the CRLs, the OCSP responders, the city's own TLS certificate, and what
// is served under /ca/. Certificates follow RFC 5280 and the profiles of ca/profile;
// CRLs are sharded, each certificate naming its own; OCSP follows RFC 6960 and 5019.
//
// A certificate is issued through smallstep's embedded authority, one for each CA
// key, whose signing service is ours: lint the template (ca/lint) → commit an
// intent row and event → sign exactly what was linted → commit the certificate,
// its outcome event and its entry in the log. A crash between any two leaves an
// intent row, which Recover marks abandoned: its signature never left the process.
//
// The states of a certificate are intent → issued ⇄ held → revoked, or intent → abandoned;
// a held one is revoked for the reason certificateHold.
//
// The package refuses to sign anything that did not pass the linter or did not
// come through Issue, to renew by copying an old certificate, to revoke what it
// did not issue, and to serve a city whose ceremony was not finished.
package ca
