// Package console is the security officers' pages at /security and the same for
// their command line at /security/v1/: what becomes of every key and when, the
// requests that wait for a second officer, the officers themselves, the acts of the
// offline root, and what the log says.
//
// It owns no state and no rule. That two people stand behind what matters is
// decided by internal/approval; here it is only shown, asked for and passed on. What
// can be asked for is given by whoever plugs the parts together: each kind of
// request has a Form, whose fields become the parameters.
//
// Pages are for officers who signed in with a passkey. Anybody else is refused with
// the sentence that says what is missing. One officer alone may do what can only
// make things safer, or undo that: pause a key and resume it, reject a request, give
// up a credential of their own.
//
// Everything works without JavaScript but the passkeys: enrolling one and approving
// with it. A page that lies could show one request and have another one signed, so
// each request is shown with the fingerprint of its statement, which the command
// line works out by itself (docs/spec/apr1.md); what was shown and what is to be
// signed are compared once more in the script, against mistakes alone.
//
// It refuses forms that another site sends (web.Protect), and a form that acts
// carries a key or what it was drawn from, so that sending it twice is answered like
// the first time or does nothing.
package console
