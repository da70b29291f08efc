package oidc

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// assertionType is the one kind of client assertion (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how far ahead an assertion may end: for so long it is remembered.
const assertionLife = 10 * time.Minute

// assertionTypes are the types that an assertion's header may name; most libraries
// name the second or none.
var assertionTypes = []string{"", "JWT", "jwt", "client-authentication+jwt"}

// assertionClaims are those of RFC 7523 section 3.
type assertionClaims struct {
	Issuer    string         `json:"iss"`
	Subject   string         `json:"sub"`
	Audience  jsontext.Value `json:"aud"`
	Expires   *float64       `json:"exp"`
	NotBefore *float64       `json:"nbf"`
	IssuedAt  *float64       `json:"iat"`
	ID        string         `json:"jti"`
}

// badAssertion is for whoever has proved to be the client: it may know why.
func badAssertion(description string) *refusal {
	return &refusal{http.StatusUnauthorized, "invalid_client", "client_assertion: " + description}
}

var errAssertionAgain = badAssertion("it has been used: make one for every request")

// authenticateByKey finds the client that has signed the assertion of a form. The
// assertion must still be spent.
func (p *Provider) authenticateByKey(ctx context.Context, r *http.Request, form url.Values) (*client, once, error) {
	if len(r.Header.Values("Authorization")) > 0 || form.Get("client_secret") != "" {
		return nil, once{}, invalid("the client authenticates in more than one way")
	}
	if form.Get("client_assertion_type") != assertionType {
		return nil, once{}, errClient
	}
	s, err := parseClientJWS(form.Get("client_assertion"))
	if err != nil || !slices.Contains(assertionTypes, s.Typ) || s.JWK != nil {
		return nil, once{}, errClient
	}
	var claims assertionClaims
	if json.Unmarshal(s.payload, &claims) != nil || claims.Subject == "" || claims.Issuer != claims.Subject {
		return nil, once{}, errClient
	}
	if id := form.Get("client_id"); id != "" && id != claims.Subject {
		return nil, once{}, invalid("client_id is another one than in client_assertion")
	}
	c, err := p.findClient(ctx, claims.Subject)
	if fault.KindOf(err) == fault.NotFound {
		return nil, once{}, errClient
	}
	if err != nil {
		return nil, once{}, err
	}
	if c.AuthMethod != AuthKey || !c.Disabled.IsZero() {
		return nil, once{}, errClient
	}
	signed, err := p.signedBy(ctx, c, s)
	if err != nil {
		return nil, once{}, err
	}
	if !signed {
		return nil, once{}, errClient
	}
	if problem := claims.check(p.o.Issuer, p.o.Now()); problem != "" {
		return nil, once{}, badAssertion(problem)
	}
	return c, newOnce("assertion", c.ID, claims.ID, seconds(*claims.Expires).Add(time.Minute), errAssertionAgain), nil
}

// check says what is wrong with the claims of an assertion that the client has signed,
// "" for nothing. The audience is the issuer and nothing beside it, as a string: an
// assertion that names several could be used at each of them by any other (FAPI 2.0
// Security Profile section 5.3.2.1).
func (c *assertionClaims) check(issuer string, now time.Time) string {
	var audience string
	if json.Unmarshal(c.Audience, &audience) != nil || audience != issuer {
		return "aud must be the issuer " + issuer + " as a string"
	}
	if c.ID == "" || len(c.ID) > maxID {
		return "jti must be 1 to 256 bytes"
	}
	if c.Expires == nil || !isDate(*c.Expires) {
		return "exp is missing or no time"
	}
	for _, date := range []*float64{c.NotBefore, c.IssuedAt} {
		if date != nil && (!isDate(*date) || seconds(*date).After(now.Add(clientSkew))) {
			return "iat or nbf is in the future" + clockIs(now)
		}
	}
	switch end := seconds(*c.Expires); {
	case !now.Before(end):
		return "it has expired" + clockIs(now)
	case end.After(now.Add(assertionLife + clientSkew)):
		return "exp must be at most 10 minutes ahead" + clockIs(now)
	}
	return ""
}

// clockIs tells a client the time here, since most dates that are wrong come from a clock
// that is.
func clockIs(now time.Time) string {
	return ": it is " + now.UTC().Format(time.RFC3339) + " here, compare your clock"
}
