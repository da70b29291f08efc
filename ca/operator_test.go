package ca_test

import (
	"net/http"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/testkit"
)

// TestPersonsAreNoOperators: who acts for no agency and is a person, not a program of
// the operator's, sees and changes nothing.
func TestPersonsAreNoOperators(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := c.serveAs(t, tokens{"citizen": {ClientID: "site", Person: "somebody", Scopes: []string{ca.Scope}}}, nil)
	cert := c.issue(t, request(t))
	at := "/ca/v1/certificates/" + cert.Serial
	for _, one := range []call{
		{method: "GET", path: at, token: "citizen"},
		{method: "GET", path: "/ca/v1/certificates", token: "citizen"},
		{method: "GET", path: "/ca/v1/expiring", token: "citizen"},
		{method: "GET", path: "/ca/v1/names", token: "citizen"},
		{method: "GET", path: "/ca/v1/requests", token: "citizen"},
		{method: "GET", path: "/ca/v1/blocked-keys", token: "citizen"},
		{"POST", at + "/revoke", "citizen", "1", `{"reason":"superseded"}`},
		{"POST", at + "/release", "citizen", "2", `{}`},
		{"POST", at + "/renew", "citizen", "3", `{"csr":"x"}`},
	} {
		if status, _, body := one.do(t, s); status != http.StatusForbidden {
			t.Errorf("%s %s: %d %.80s", one.method, one.path, status, body)
		}
	}
	if found, err := c.Find(t.Context(), cert.Serial); err != nil || found.Status != ca.Issued {
		t.Errorf("%s, %v", found.Status, err)
	}
}
