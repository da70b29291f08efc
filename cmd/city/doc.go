// Package city plugs the parts of Signet together into one city: it makes a city
// (the ceremony), opens it, serves it, and checks it.
//
// It owns what belongs to no single part: which addresses and which data directory
// a city has, rotation of keys where certificates and the trust bundle take part,
// the demo city, and fsck. It refuses to open a city on other addresses than it was
// made for, to create keys or schema while opening, and to serve while it can read
// the root's key.
package city
