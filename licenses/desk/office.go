package desk

import (
	"cmp"
	"context"
	"errors"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// What an agency was asked for is dealt with by the one that has taken its place and may
// issue licences of the type in its area (registry.Office); the clerks of the former, and
// of those in between, look on. A decision of two steps goes on where the first one left
// it: people are held apart, whatever agencies they work for.
var (
	errAway  = web.Refuse(fault.Denied, web.Text{ZH: "此申请已由承接本部门职责的部门办理。", EN: "The agency that has taken your agency's place deals with this."})
	textAway = web.Text{ZH: "未办理：已由承接本部门职责的部门办理", EN: "Not done: the agency that took your agency's place deals with it"}
)

// dealing returns the agency that deals with an application, or dealt with it at its end.
func (s *Service) dealing(ctx context.Context, a *application) (string, error) {
	if !a.State.waits() {
		return cmp.Or(a.Office, a.Agency), nil
	}
	office, _, err := s.registry.Office(ctx, a.Agency, a.Request.Type, s.now())
	return office, err
}

// deals fails with errAway unless the clerk's agency deals now with what another was asked
// for, and with errUnable if it approves that without authority. An agency that has lost
// its own finds out when it issues, as it always does.
func (s *Service) deals(ctx context.Context, c *clerk, a *application, v verdict) error {
	office, may, err := s.registry.Office(ctx, a.Agency, a.Request.Type, s.now())
	switch {
	case err != nil:
		return err
	case office != c.agency.ID:
		return errAway
	case v == approve && !may && office != a.Agency:
		return errUnable
	}
	return nil
}

var errUnable = web.Refuse(fault.Denied, textNoAuthority)

// office is the clerk's agency, where it took the place of the one that was asked.
func (c *clerk) office(a *application) string {
	if c.agency.ID == a.Agency {
		return ""
	}
	return c.agency.ID
}

// where is what the event of a step says of the agencies.
func where(a *application, office string) map[string]any {
	data := map[string]any{"agency": cmp.Or(office, a.Agency)}
	if office != "" {
		data["asked"] = a.Agency
	}
	return data
}

// standing is what a page says of who deals with an application.
type standing struct {
	Dealing web.Text  // the agency
	Asked   web.Text  // the one that was asked, if that is another
	Away    bool      // the visitor's agency only looks on
	Unable  *web.Text // why it cannot approve
}

func (s *Service) standing(ctx context.Context, c *clerk, a *application) (st standing, err error) {
	office, err := s.dealing(ctx, a)
	if err != nil {
		return st, err
	}
	if st.Dealing, err = s.agencyName(ctx, office); err != nil {
		return st, err
	}
	if office != a.Agency {
		if st.Asked, err = s.agencyName(ctx, a.Agency); err != nil {
			return st, err
		}
	}
	if !a.State.waits() {
		return st, nil
	}
	switch err := s.deals(ctx, c, a, approve); {
	case errors.Is(err, errAway):
		st.Away = true
	case errors.Is(err, errUnable):
		st.Unable = &textNoAuthority
	case err != nil:
		return st, err
	}
	return st, nil
}

// textAwayTo says to whom it has gone.
func (st standing) textAwayTo() *web.Text {
	return &web.Text{ZH: "此申请已由" + st.Dealing.ZH + "承接办理，本部门只能查看。", EN: st.Dealing.EN + " has taken your agency's place and decides on this. Your agency can only look at it."}
}

// sees reports whether the clerk can open a licence for the agency that they act for.
func (s *Service) sees(ctx context.Context, c *clerk, license string) (bool, error) {
	_, err := s.licenses.Find(ctx, c.agency.ID, license)
	if errors.Is(err, licenses.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
