package ca_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

func TestPolicyAPI(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := c.serve(t)
	sum := hex.EncodeToString(spki(t, ecKey(t)))
	name := func(agency, name string) string { return fmt.Sprintf(`{"agency":%q,"name":%q}`, agency, name) }
	block := func(reason string, sums ...string) string {
		return fmt.Sprintf(`{"sha256":["%s"],"reason":%q}`, strings.Join(sums, `","`), reason)
	}
	for _, tt := range []struct {
		name string
		call call
		want int
	}{
		{"a name is given", call{"PUT", "/ca/v1/names", "officer", "", name("donghu-amr", ".donghu.example")}, http.StatusOK},
		{"once more", call{"PUT", "/ca/v1/names", "officer", "", name("donghu-amr", ".donghu.example")}, http.StatusOK},
		{"to another", call{"PUT", "/ca/v1/names", "officer", "", name("xishan-amr", ".donghu.example")}, http.StatusConflict},
		{"by an agency to itself", call{"PUT", "/ca/v1/names", "donghu", "", name("donghu-amr", "evil.example.com")}, http.StatusForbidden},
		{"taken by an agency", call{"DELETE", "/ca/v1/names", "donghu", "", name("donghu-amr", ".donghu.example")}, http.StatusForbidden},
		{"by a person", call{"PUT", "/ca/v1/names", "person", "", name("donghu-amr", "evil.example.com")}, http.StatusForbidden},
		{"without the scope", call{"PUT", "/ca/v1/names", "other", "", name("donghu-amr", "x.example.com")}, http.StatusForbidden},
		{"by nobody", call{"PUT", "/ca/v1/names", "", "", name("donghu-amr", "x.example.com")}, http.StatusUnauthorized},
		{"to nobody", call{"PUT", "/ca/v1/names", "officer", "", name("nobody", "x.example.com")}, http.StatusNotFound},
		{"everything", call{"PUT", "/ca/v1/names", "officer", "", name("donghu-amr", ".")}, http.StatusBadRequest},
		{"an unknown member", call{"PUT", "/ca/v1/names", "officer", "", `{"agency":"donghu-amr","name":"x.example.com","all":true}`}, http.StatusBadRequest},
		{"another agency's list", call{"GET", "/ca/v1/names?agency=xishan-amr", "donghu", "", ""}, http.StatusForbidden},
		{"a key is blocked", call{"POST", "/ca/v1/blocked-keys", "officer", "", block("lost", sum)}, http.StatusOK},
		{"by an agency", call{"POST", "/ca/v1/blocked-keys", "donghu", "", block("lost", sum)}, http.StatusForbidden},
		{"by nobody", call{"POST", "/ca/v1/blocked-keys", "", "", block("lost", sum)}, http.StatusUnauthorized},
		{"no hash", call{"POST", "/ca/v1/blocked-keys", "officer", "", block("lost", "xy")}, http.StatusBadRequest},
		{"a short hash", call{"POST", "/ca/v1/blocked-keys", "officer", "", block("lost", "ab")}, http.StatusBadRequest},
		{"without a reason", call{"POST", "/ca/v1/blocked-keys", "officer", "", block("", sum)}, http.StatusBadRequest},
		{"the list for an agency", call{"GET", "/ca/v1/blocked-keys", "donghu", "", ""}, http.StatusForbidden},
		{"after nothing", call{"GET", "/ca/v1/blocked-keys?after=x", "officer", "", ""}, http.StatusBadRequest},
	} {
		if status, _, b := tt.call.do(t, s); status != tt.want {
			t.Errorf("%s: %d, want %d: %s", tt.name, status, tt.want, b)
		}
	}
	for token, want := range map[string]int{"officer": 1, "donghu": 1, "person": 1} {
		if status, _, b := (call{"GET", "/ca/v1/names", token, "", ""}).do(t, s); status != http.StatusOK || bytes.Count(b, []byte(`"name":`)) != want {
			t.Errorf("names for %s: %d %s", token, status, b)
		}
	}
	if status, _, b := (call{"GET", "/ca/v1/blocked-keys", "officer", "", ""}).do(t, s); status != http.StatusOK || !bytes.Contains(b, []byte(sum)) {
		t.Errorf("blocked: %d %s", status, b)
	}
}
