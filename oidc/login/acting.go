package login

import (
	"context"
	"fmt"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// self is what a form sends for acting for oneself.
const self = "self"

// ErrDelegation is returned when the person may not act for the firm asked for,
// whether or not there is one.
var ErrDelegation = web.Refuse(fault.Denied, web.Text{ZH: "您没有该企业的有效授权，不能以其名义办理。", EN: "You hold no delegation in force for this firm."})

// ActFor sets for whom the person of a session acts from now on: a firm, or ""
// or "self" for themselves. Repeating it is harmless. It fails with ErrDelegation,
// and with ErrSession if the session has ended; both are of kind Denied.
func (s *Service) ActFor(ctx context.Context, session, uscc string) error {
	found, err := s.findSession(ctx, "id", session)
	if err != nil {
		return fmt.Errorf("act for firm: %w", err)
	}
	if found == nil {
		return fmt.Errorf("act for firm: %w", ErrSession)
	}
	var firm registry.Firm
	if uscc != "" && uscc != self {
		if firm, err = s.delegated(ctx, found.person, uscc); err != nil {
			return fmt.Errorf("act for firm: %w", err)
		}
	}
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_sessions SET firm = $2, firm_name = $3, chosen = 1 WHERE id = $1`,
			session, firm.USCC, firm.Name))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrSession
		}
		if found.chosen && found.firm == firm.USCC {
			return nil
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.acting", Actor: "person:" + found.person, Object: "session:" + session,
			Data: map[string]any{"firm": firm.USCC}})
		return err
	})
	if err != nil {
		return fmt.Errorf("act for firm: %w", err)
	}
	return nil
}

// delegated returns the firm if the person may act for it.
func (s *Service) delegated(ctx context.Context, person, uscc string) (registry.Firm, error) {
	if registry.CheckUSCC(uscc) != nil {
		return registry.Firm{}, ErrDelegation
	}
	may, err := s.o.Registry.MayActFor(ctx, person, uscc, s.o.Now())
	if err != nil {
		return registry.Firm{}, err
	}
	if !may {
		return registry.Firm{}, ErrDelegation
	}
	return s.o.Registry.FindFirm(ctx, uscc)
}
