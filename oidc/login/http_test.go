package login_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// callers are the tokens of a test.
type callers map[string]web.Caller

func (c callers) CheckToken(_ context.Context, token string) (web.Caller, error) {
	if caller, ok := c[token]; ok {
		return caller, nil
	}
	return web.Caller{}, fault.New(fault.Denied, "the access token is not valid")
}

// TestAccountsAPI: the city's operator ends sessions and closes accounts; nobody else
// does.
func TestAccountsAPI(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		p, b := c.citizen(t, "wang"), c.client(t)
		want(t, b.signIn(p, c.code(p, 0)), 303)
		mux := http.NewServeMux()
		c.service.MountAccounts(mux, callers{"operator": {ClientID: "operator", Scopes: []string{"registry"}},
			"agency": {ClientID: "a", Agency: c.agency.ID, Scopes: []string{"registry"}}, "keys": {ClientID: "k", Scopes: []string{"keys"}}})
		call := func(method, path, token string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, "/login/v1/people/"+path, nil)
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			return w
		}
		for name, k := range map[string]struct {
			method, path, token string
			status              int
		}{
			"no token":        {"POST", p.id + "/disable", "", 401},
			"a wrong token":   {"POST", p.id + "/disable", "forged", 401},
			"another scope":   {"POST", p.id + "/disable", "keys", 403},
			"an agency's":     {"POST", p.id + "/disable", "agency", 403},
			"nobody":          {"POST", "nobody/disable", "operator", 404},
			"no account":      {"POST", c.firm.LegalRep + "/signout", "operator", 404},
			"another verb":    {"POST", p.id + "/delete", "operator", 404},
			"only looking":    {"GET", p.id + "/disable", "operator", 405},
			"enable, nobody":  {"POST", "nobody/enable", "operator", 404},
			"signout, nobody": {"POST", "x/signout", "operator", 404},
			"signout, NUL":    {"POST", "%00/signout", "operator", 404},
		} {
			t.Run(name, func(t *testing.T) {
				if w := call(k.method, k.path, k.token); w.Code != k.status {
					t.Errorf("status %d: %s", w.Code, w.Body)
				}
			})
		}
		if c.identity(t, b) == nil {
			t.Fatal("a refused call has ended the session")
		}
		for _, k := range []struct{ verb, says string }{{"signout", `"disabled":false,"sessions":0`}, {"disable", `"disabled":true`}, {"disable", `"disabled":true`},
			{"enable", `"disabled":false`}, {"enable", `"disabled":false`}} {
			if w := call("POST", p.id+"/"+k.verb, "operator"); w.Code != 200 || !strings.Contains(w.Body.String(), k.says) {
				t.Errorf("%s: status %d: %s", k.verb, w.Code, w.Body)
			}
			if c.identity(t, b) != nil {
				t.Error("still signed in")
			}
		}
		e := c.events(t, "login.account.disabled", "login.account.enabled", "login.account.sign_out")
		if !slices.Equal(e, []string{"login.account.disabled", "login.account.enabled", "login.account.sign_out"}) {
			t.Errorf("events %v", e)
		}
	})
}
