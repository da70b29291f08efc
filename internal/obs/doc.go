// Package obs is what an operator sees of a running program: structured logs
// that carry a request id, metrics with bounded labels, liveness and readiness,
// and the handler of the debug listener.
//
// It refuses whatever could leak or grow without bound: a request's path, query,
// headers and body never reach a log or a label, only the pattern of the route
// that took it; the debug handler answers only requests addressed to a loopback
// host.
package obs
