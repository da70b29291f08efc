// Package agency is where an agency's people see to its certificates: the pages at
// /agency. Whoever has a post at an agency sees its certificates and requests, sends
// a certificate request (PKCS #10, pasted or as a file) and takes back what waits. An
// officer sees what waits, reads what would be certified, and decides with a reason.
//
// The package decides nothing: every rule is the authority's (package ca), which looks
// at everything again. It refuses to show that another agency's request or certificate
// exists, and decisions of officers who did not sign in with a passkey. Certificates
// are revoked by the API and the command line, not here.
package agency
