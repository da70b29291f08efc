package licenses

import (
	"net/http"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// postFounding founds a firm, once for each key.
func (s *Service) postFounding(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return fault.New(fault.Invalid, "the header Idempotency-Key is required")
	}
	var req FoundingRequest
	if err := web.DecodeJSON(w, r, maxBody, &req); err != nil {
		return err
	}
	f, err := s.Found(r.Context(), c, key, req)
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/licenses/v1/foundings/"+f.ID)
	return web.WriteJSON(w, http.StatusCreated, f)
}

// getFounding shows a founding of the agency, one that its clerks decided on too.
func (s *Service) getFounding(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	f, err := s.FoundingAt(r.Context(), c.Agency, r.PathValue("id"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, f)
}
