package login

import (
	"context"
	"net/http"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// scopeAccounts is what a token must carry to end people's sessions and to close their
// accounts: that of the registry, to which people belong.
const scopeAccounts = "registry"

// accountState is what the calls answer with.
type accountState struct {
	Person   string `json:"person"`
	Disabled bool   `json:"disabled"`
	Sessions int    `json:"sessions"` // in force, at most a hundred are counted
}

// MountAccounts adds POST /login/v1/people/{id}/{signout,disable,enable} for the
// city's own operators, whose tokens the checker knows. Each may be repeated.
func (s *Service) MountAccounts(mux *http.ServeMux, tokens web.TokenChecker) {
	for name, act := range map[string]func(ctx context.Context, actor, person string) error{
		"signout": s.SignOutPerson, "disable": s.Disable, "enable": s.Enable,
	} {
		mux.Handle("POST /login/v1/people/{id}/"+name, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			caller, err := web.Authorize(tokens, r, scopeAccounts)
			if err != nil {
				return err
			}
			if caller.Agency != "" {
				return fault.New(fault.Denied, "accounts are managed by the city")
			}
			if err := act(r.Context(), "client:"+caller.ClientID, r.PathValue("id")); err != nil {
				return err
			}
			return s.writeState(w, r)
		}, s.log))
	}
}

func (s *Service) writeState(w http.ResponseWriter, r *http.Request) error {
	state := accountState{Person: r.PathValue("id")}
	list, err := s.Sessions(r.Context(), state.Person)
	if err != nil {
		return err
	}
	state.Sessions = len(list)
	if state.Disabled, err = s.isDisabled(r.Context(), state.Person); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, state)
}
