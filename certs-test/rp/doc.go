// Package rp holds docs/relying-party.md to what is true: it takes every block of code
// out of the page and runs it, as a developer would, against a demo city.
package rp
