package login

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// A code on paper is one factor, and whoever finds the paper has it. So it opens
// nothing at once: a day passes in which any sign-in of the account stops the recovery
// and tells its owner. Then the browser that began it may set a new password and a new
// key of codes, and its person signs in with those like anybody. There is never a
// session of less than two factors.
const (
	recoveryWait   = 24 * time.Hour
	recoveryLife   = 7 * 24 * time.Hour // after the wait
	recoveryCookie = "__Host-signet-recovery"
)

// errRecovery refuses a recovery whatever is wrong with it.
var errRecovery = web.Refuse(fault.Denied, web.Text{ZH: "用户名或恢复码不正确，或该恢复码已使用。", EN: "The username or the recovery code is not correct, or the code was used."})

// errRecoveryOver says that a recovery has ended, or was stopped.
var errRecoveryOver = web.Refuse(fault.Conflict, web.Text{ZH: "此次账户恢复已结束，或因有人登录该账户而中止。请使用另一个恢复码重新申请。",
	EN: "This recovery is over, or was stopped because somebody signed in to the account. Begin again with another code."})

// recovery is a row of login_recoveries that is not over.
type recovery struct {
	id, person string
	ready      time.Time
}

// beginRecovery uses up a code and returns the cookie of a recovery. It fails with
// errRecovery and *waitError.
func (s *Service) beginRecovery(ctx context.Context, username, code, address string, v visit) (cookie string, err error) {
	username = foldUsername(username)
	back, err := s.admit(ctx, username, address, v.device)
	if err != nil {
		if _, ok := errors.AsType[*waitError](err); ok {
			s.metrics.refused(methodRecovery, reasonLimit)
		}
		return "", err
	}
	cookie, err = s.useCode(ctx, username, code, v)
	switch {
	case err == nil:
		back()
		s.metrics.signIns.WithLabelValues(methodRecovery).Inc()
	case errors.Is(err, errRecovery):
		s.metrics.refused(methodRecovery, reasonCredentials)
	default:
		back()
	}
	return cookie, err
}

// useCode does for a username that nobody has what it does for others.
func (s *Service) useCode(ctx context.Context, username, code string, v visit) (string, error) {
	a, err := s.findAccount(ctx, username)
	if err != nil {
		return "", err
	}
	person := ""
	if a != nil {
		person = a.person
	}
	cookie, hash := newCookie()
	now := s.o.Now()
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_codes SET used = $3 WHERE person = $1 AND hash = $2 AND used = 0
			AND EXISTS (SELECT 1 FROM login_accounts WHERE person = $1 AND disabled = 0)`, person, codeHash(person, code), db.Micros(now)))
		if err != nil {
			return err
		}
		if n == 0 {
			return errRecovery
		}
		id := db.NewID()
		_, err = tx.ExecContext(ctx, `INSERT INTO login_recoveries (id, person, hash, created, ready, expires) VALUES ($1, $2, $3, $4, $5, $6)`,
			id, person, hash, db.Micros(now), db.Micros(now.Add(recoveryWait)), db.Micros(now.Add(recoveryWait+recoveryLife)))
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.recovery.begin", Actor: "person:" + person, Object: "person:" + person, Data: map[string]any{"recovery": id}})
		if err != nil {
			return err
		}
		return s.remember(ctx, tx, person, RecoveryBegun, by{visit: v})
	})
	if err != nil {
		return "", err
	}
	return cookie, nil
}

// findRecovery returns the recovery that a browser has begun, nil if there is none or
// it is over.
func (s *Service) findRecovery(ctx context.Context, hash []byte) (*recovery, error) {
	if hash == nil {
		return nil, nil
	}
	var found recovery
	var ready int64
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT id, person, ready FROM login_recoveries WHERE hash = $1 AND ended = 0 AND expires > $2`,
			hash, db.Micros(s.o.Now())).Scan(&found.id, &found.person, &ready)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find recovery: %w", err)
	}
	found.ready = db.Time(ready)
	return &found, nil
}

// stopRecoveries ends what is under way for a person who has just signed in, or changed a
// secret of their account.
func (s *Service) stopRecoveries(ctx context.Context, tx db.Tx, person string, b by) error {
	n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_recoveries SET ended = $2 WHERE person = $1 AND ended = 0`, person, db.Micros(s.o.Now())))
	if err != nil || n == 0 {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.recovery.stop", Actor: "person:" + person, Object: "person:" + person})
	if err != nil {
		return err
	}
	return s.remember(ctx, tx, person, RecoveryStopped, b)
}

// completeRecovery gives the account a new password and a new key of codes, once, and
// ends all its sessions. It fails with errRecoveryOver.
func (s *Service) completeRecovery(ctx context.Context, found *recovery, password string, secret []byte, step int64, v visit) error {
	var old []byte
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT sealed FROM login_accounts WHERE person = $1`, found.person).Scan(&old)
	})
	if err != nil {
		return fmt.Errorf("complete recovery: %w", err)
	}
	account, err := s.openAccount(ctx, found.person, old)
	if err != nil {
		return fmt.Errorf("complete recovery: %w", err)
	}
	account.TOTP = secret
	sealed, err := s.sealAccount(ctx, found.person, account)
	if err != nil {
		return fmt.Errorf("complete recovery: %w", err)
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	now := db.Micros(s.o.Now())
	err = s.change(ctx, found.person, Recovered, by{actor: "person:" + found.person, visit: v}, true, func(tx db.Tx) error {
		// The account's row is locked first, as a sign-in does that stops the recovery.
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_accounts SET password = $2, sealed = $3, totp_step = $4 WHERE person = $1 AND disabled = 0 AND sealed = $5`,
			found.person, hash, sealed, step, old))
		if err == nil && n == 1 {
			n, err = db.Affected(tx.ExecContext(ctx, `UPDATE login_recoveries SET ended = $2 WHERE id = $1 AND ended = 0 AND ready <= $2 AND expires > $2`, found.id, now))
		}
		if err == nil && n == 0 {
			err = errRecoveryOver
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("complete recovery: %w", err)
	}
	return nil
}

// recoveryVisit is a visit without a session.
func (s *Service) recoveryVisit(r *http.Request) (visit, error) {
	place, err := s.sealPlace(r.Context(), networkOf(r))
	return visit{browser: browserName(r.UserAgent()), place: place, device: s.deviceOf(r)}, err
}
