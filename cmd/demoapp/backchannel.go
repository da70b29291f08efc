package demoapp

import (
	"context"
	"encoding/base64"
	"encoding/json/v2"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
)

const (
	logoutType  = "logout+jwt"
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
	maxLogout   = 8 << 10
)

// errLogoutToken refuses what is no logout token for this site.
var errLogoutToken = errors.New("no logout token for this site")

// logoutToken is what counts of one (OpenID Connect Back-Channel Logout 1.0 section
// 2.4).
type logoutToken struct {
	Subject string                    `json:"sub"`
	Session string                    `json:"sid"`
	ID      string                    `json:"jti"`
	Nonce   *string                   `json:"nonce"`
	Events  map[string]map[string]any `json:"events"`
}

// postBackchannel ends what the provider says has ended. The token alone says who
// asks; hearing it twice is answered like once, since nothing is left to end.
func (a *app) postBackchannel(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	err := r.ParseForm()
	var token logoutToken
	if err == nil {
		token, err = a.verifyLogout(r.Context(), r.PostForm["logout_token"])
	}
	if err != nil {
		a.o.Logger.InfoContext(r.Context(), "logout refused", slog.Any("cause", err))
		http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
		return
	}
	n := a.sessions.removeAll(func(s session) bool {
		return s.claims.Subject == token.Subject && token.Session == "" || token.Session != "" && s.claims.all["sid"] == token.Session
	})
	a.o.Logger.InfoContext(r.Context(), "signed out by the provider", slog.Int("sessions", n))
}

// verifyLogout checks a token as section 2.6 says: signature, issuer, audience and dates
// like an ID token's, its type, its event, and that it is no ID token.
func (a *app) verifyLogout(ctx context.Context, sent []string) (logoutToken, error) {
	if len(sent) != 1 || len(sent[0]) > maxLogout {
		return logoutToken{}, errLogoutToken
	}
	p, err := a.provider.discover(ctx)
	if err != nil {
		return logoutToken{}, err
	}
	verified, err := p.verifier.Verify(a.provider.context(ctx), sent[0])
	if err != nil {
		return logoutToken{}, fmt.Errorf("verify logout token: %w", err)
	}
	first, _, _ := strings.Cut(sent[0], ".")
	b, err := base64.RawURLEncoding.DecodeString(first)
	var header struct {
		Type string `json:"typ"`
	}
	if err != nil || json.Unmarshal(b, &header) != nil || !strings.EqualFold(header.Type, logoutType) {
		return logoutToken{}, errLogoutToken
	}
	var t logoutToken
	if err := verified.Claims(&t); err != nil || t.Nonce != nil || t.Events[logoutEvent] == nil || t.ID == "" || t.Session == "" && t.Subject == "" {
		return logoutToken{}, errLogoutToken
	}
	return t, nil
}
