package web

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/signet-city/signet/internal/fault"
)

// maxToken bounds an access token.
const maxToken = 8 << 10

// challenge is an error that overrides the status and adds WWW-Authenticate.
type challenge struct {
	status int    // 0: by the fault's kind
	header string // "": none
	nonce  string // DPoP-Nonce, "": none
	err    error
}

// Error implements error.
func (c *challenge) Error() string { return c.err.Error() }

// Unwrap returns the fault.
func (c *challenge) Unwrap() error { return c.err }

// Unauthorized returns a fault of kind Denied that is answered with 401 and a
// bearer challenge. Code is an error code of RFC 6750 section 3.1, such as
// "invalid_token", or "" for a request that carried no credentials at all; cause,
// which may be nil, goes to the log only.
func Unauthorized(code string, cause error) error {
	header, public := `Bearer realm="signet"`, "this needs an access token"
	if code != "" {
		header, public = header+`, error="`+code+`"`, "the access token is not valid"
	}
	return &challenge{status: http.StatusUnauthorized, header: header, err: fault.Wrap(fault.Denied, public, cause)}
}

// isToken reports whether s is a b64token of RFC 6750 section 2.1.
func isToken(s string) bool {
	body := strings.TrimRight(s, "=")
	for _, c := range []byte(body) {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return body != ""
}

// Caller is who acts: a program by its access token, or a person on a page.
type Caller struct {
	ClientID string
	Person   string // id in the registry, "" for a program
	Agency   string // the agency that the client belongs to, "" for none
	Scopes   []string
}

// Has reports whether the token carries scope.
func (c Caller) Has(scope string) bool { return slices.Contains(c.Scopes, scope) }

// Actor returns the caller as audit events name it.
func (c Caller) Actor() string {
	if c.Person != "" {
		return "person:" + c.Person
	}
	return "client:" + c.ClientID
}

// TokenChecker tells whose access token it is shown.
type TokenChecker interface {
	// CheckToken returns the caller of a token that is genuine and in force. For
	// any other token the error is a fault of kind Denied, Invalid or NotFound;
	// every other error says that the checking itself did not work.
	CheckToken(ctx context.Context, token string) (Caller, error)
}

// Authorize returns the caller of the request's bearer token if it has scope.
// The error is answered with 401 for a missing or bad token and with 403 for a
// token without the scope; an error of tc that is not about the token is
// returned as it is.
func Authorize(tc TokenChecker, r *http.Request, scope string) (Caller, error) {
	token, proof, err := Token(r)
	if err != nil {
		return Caller{}, err
	}
	caller, err := checkWith(tc, r, token, proof)
	if err != nil {
		if _, ok := errors.AsType[*challenge](err); ok {
			return Caller{}, err
		}
		switch fault.KindOf(err) {
		case fault.Denied, fault.Invalid, fault.NotFound:
			return Caller{}, Unauthorized("invalid_token", err)
		default:
			return Caller{}, err
		}
	}
	if !caller.Has(scope) {
		header := `Bearer realm="signet", error="insufficient_scope", scope="` + scope + `"`
		return Caller{}, &challenge{status: http.StatusForbidden, header: header, err: fault.New(fault.Denied, "the access token lacks the scope "+scope)}
	}
	return caller, nil
}

// checkWith checks a token by the scheme that it came with.
func checkWith(tc TokenChecker, r *http.Request, token string, proof bool) (Caller, error) {
	if !proof {
		return tc.CheckToken(r.Context(), token)
	}
	pc, ok := tc.(ProofChecker)
	if !ok {
		return Caller{}, Unauthorized("", errors.New("another scheme"))
	}
	return pc.CheckProof(r, token)
}
