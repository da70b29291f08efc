package web

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// proofAlgs are what proofs of keys are signed with.
const proofAlgs = `algs="ES256 PS256 EdDSA"`

// ProofChecker is a TokenChecker that knows tokens which are bound to a key.
type ProofChecker interface {
	// CheckProof is CheckToken for a token that came with the scheme DPoP: r carries a
	// proof of the key (RFC 9449 section 7). An error made by UnauthorizedProof is
	// answered as it is.
	CheckProof(r *http.Request, token string) (Caller, error)
}

// UnauthorizedProof is Unauthorized for a token that came with the scheme DPoP (RFC
// 9449 section 7.1). Nonce, unless it is "", is what the next proof is to carry.
func UnauthorizedProof(code, nonce string, cause error) error {
	return &challenge{status: http.StatusUnauthorized, header: `DPoP realm="signet", error="` + code + `", ` + proofAlgs, nonce: nonce,
		err: fault.Wrap(fault.Denied, "the access token or the proof of its key is not valid", cause)}
}

// InsufficientAuthentication returns a fault of kind Denied that asks the client to
// have the person proved more surely or anew (RFC 9470 section 3): acrValues are the
// levels that would do, maxAge how long ago the sign-in may be. Either may be zero;
// proof says that the token came with the scheme DPoP.
func InsufficientAuthentication(acrValues []string, maxAge time.Duration, proof bool) error {
	header := `Bearer realm="signet"`
	if proof {
		header = `DPoP realm="signet", ` + proofAlgs
	}
	header += `, error="insufficient_user_authentication", error_description="a sign-in that is surer or newer is needed"`
	if len(acrValues) > 0 {
		header += `, acr_values="` + strings.Join(acrValues, " ") + `"`
	}
	if maxAge > 0 {
		header += `, max_age=` + strconv.Itoa(int(maxAge/time.Second))
	}
	return &challenge{status: http.StatusUnauthorized, header: header, err: fault.New(fault.Denied, "this needs a sign-in that is surer or newer")}
}

// Token returns the token of the Authorization header, and whether it came with the
// scheme DPoP of RFC 9449 section 7.1 and not with Bearer. The error is made by
// Unauthorized: there is none, more than one, another scheme, or one that is not
// of the alphabet or length of a token. Tokens in the query or body do not count.
func Token(r *http.Request) (token string, proof bool, err error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", false, Unauthorized("", errors.New("no authorization header"))
	}
	if len(headers) > 1 {
		return "", false, Unauthorized("invalid_request", errors.New("several authorization headers"))
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	proof = strings.EqualFold(scheme, "DPoP")
	if !proof && !strings.EqualFold(scheme, "Bearer") {
		return "", false, Unauthorized("", errors.New("another scheme"))
	}
	if len(token) > maxToken || !isToken(token) {
		return "", false, Unauthorized("invalid_token", errors.New("not a token"))
	}
	return token, proof, nil
}
