// Package pki holds tests of how the city judges certificates that clients present:
// every way in which one can be wrong, in real handshakes with the mutual listener,
// and NIST's path validation vectors.
package pki
