// Package web is the edge of every HTTP interface: one adapter that turns errors
// into answers, strict JSON in and out, bearer tokens, and the server's limits.
//
// Handlers return errors and never write a failure themselves. A fault of
// internal/fault becomes a status and a JSON object (see Handler); any other
// error becomes status 500 with a reference number and nothing else, and its
// cause goes to the log under that number. Bearer tokens follow RFC 6750.
package web
