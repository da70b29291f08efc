// Package web is the edge of every HTTP interface: one adapter that turns errors
// into answers, strict JSON in and out, bearer tokens, the server's limits, and the
// pages' frame, looks, languages and forms.
//
// Handlers return errors and never write a failure themselves. A fault of
// internal/fault becomes a status and a JSON object (see Handler) or a page in the
// visitor's language (see Pages.Handler); any other error becomes status 500 with a
// reference number and nothing else, and its cause goes to the log under that
// number. Bearer tokens follow RFC 6750.
//
// Pages are drawn into a buffer first, work without JavaScript, and hold no script or
// style of their own: their policy (Content-Security-Policy) allows the site's
// files alone. Every text stands in Chinese and English beside each other in its
// template; a visitor's choice of language and text size is kept in two cookies,
// which say nothing else. The style sheet's classes are shown, and checked, by the
// page "everything" of this package's tests.
package web
