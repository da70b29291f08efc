package web_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// tokens knows two callers and two ways to go wrong.
type tokens struct{}

func (tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	switch token {
	case "desk":
		return web.Caller{ClientID: "c1", Agency: "donghu-amr", Scopes: []string{"openid", "licenses"}}, nil
	case "reader":
		return web.Caller{ClientID: "c2", Scopes: []string{"licenses.read"}}, nil
	case "down":
		return web.Caller{}, errors.New("connection refused")
	default:
		return web.Caller{}, fault.New(fault.Denied, "expired")
	}
}

func TestAuthorize(t *testing.T) {
	tests := []struct {
		name      string
		headers   []string
		status    int
		challenge string
	}{
		{"good", []string{"Bearer desk"}, 200, ""},
		{"scheme in another case", []string{"bearer desk"}, 200, ""},
		{"none", nil, 401, `Bearer realm="signet"`},
		{"basic", []string{"Basic ZGVzazpkZXNr"}, 401, `Bearer realm="signet"`},
		{"two", []string{"Bearer desk", "Bearer desk"}, 401, `Bearer realm="signet", error="invalid_request"`},
		{"empty", []string{"Bearer "}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"scheme alone", []string{"Bearer"}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"two spaces", []string{"Bearer  desk"}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"list", []string{"Bearer desk, Bearer reader"}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"padding inside", []string{"Bearer de=sk"}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"too long", []string{"Bearer " + strings.Repeat("a", 8<<10+1)}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"expired", []string{"Bearer old"}, 401, `Bearer realm="signet", error="invalid_token"`},
		{"another scope", []string{"Bearer reader"}, 403, `Bearer realm="signet", error="insufficient_scope", scope="licenses"`},
		{"checker down", []string{"Bearer down"}, 500, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := web.Handler(func(w http.ResponseWriter, r *http.Request) error {
				caller, err := web.Authorize(tokens{}, r, "licenses")
				if err != nil {
					return err
				}
				return web.WriteJSON(w, 200, caller.ClientID+" "+caller.Agency)
			}, nil)
			r := httptest.NewRequest("POST", "/?access_token=desk", nil)
			for _, header := range tt.headers {
				r.Header.Add("Authorization", header)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("status %d, challenge %q; want %d, %q", w.Code, w.Header().Get("WWW-Authenticate"), tt.status, tt.challenge)
			}
			if tt.status == 200 && w.Body.String() != "\"c1 donghu-amr\"\n" {
				t.Errorf("caller %s", w.Body)
			}
		})
	}
}
