// Package e2e tests Signet from the outside: it builds the program, runs it as its
// users do, kills it, and holds its answers against other people's tools (openssl,
// zbarimg) and against its own fsck.
//
// It refuses to look inside: what a test knows came from a command's output, from
// an address or from a file that Signet hands out.
package e2e
