package login

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// Kind says what an Entry is about.
type Kind string

// What an account's history tells.
const (
	SignedInByPassword Kind = "password"
	SignedInByPasskey  Kind = "passkey"
	PasskeyAdded       Kind = "passkey-added"
	PasskeyNamed       Kind = "passkey-named"
	PasskeyRemoved     Kind = "passkey-removed"
	PasswordChanged    Kind = "password-changed"
	CodesChanged       Kind = "codes-changed" // another secret of one-time codes
	SignedOutAll       Kind = "signed-out-all"
	SignedOutByOffice  Kind = "signed-out-by-office"
	Disabled           Kind = "disabled"
	Enabled            Kind = "enabled"
	RecoveryCodesMade  Kind = "recovery-codes"
	RecoveryBegun      Kind = "recovery-begun"
	RecoveryStopped    Kind = "recovery-stopped"
	Recovered          Kind = "recovered"
	ReproofBegun       Kind = "reproof-begun" // a desk gave out a code
	ReproofCancelled   Kind = "reproof-cancelled"
	Reproofed          Kind = "reproofed"
)

// Text returns the sentence that tells it.
func (k Kind) Text() web.Text {
	switch k {
	case SignedInByPassword:
		return web.Text{ZH: "使用密码和动态验证码登录", EN: "Signed in with password and code"}
	case SignedInByPasskey:
		return web.Text{ZH: "使用通行密钥登录", EN: "Signed in with a passkey"}
	case PasskeyAdded:
		return web.Text{ZH: "添加了通行密钥", EN: "A passkey was added"}
	case PasskeyNamed:
		return web.Text{ZH: "更改了通行密钥的名称", EN: "A passkey was named"}
	case PasskeyRemoved:
		return web.Text{ZH: "移除了通行密钥", EN: "A passkey was removed"}
	case PasswordChanged:
		return web.Text{ZH: "更改了密码", EN: "The password was changed"}
	case CodesChanged:
		return web.Text{ZH: "更换了动态验证码密钥", EN: "The codes got a new key"}
	case SignedOutAll:
		return web.Text{ZH: "在所有设备上退出登录", EN: "Signed out everywhere"}
	case SignedOutByOffice:
		return web.Text{ZH: "管理机构结束了您的全部登录", EN: "An office ended all your sign-ins"}
	case Disabled:
		return web.Text{ZH: "账户被停用", EN: "The account was closed"}
	case RecoveryCodesMade:
		return web.Text{ZH: "生成了新的恢复码", EN: "New recovery codes were made"}
	case RecoveryBegun:
		return web.Text{ZH: "有人使用恢复码申请恢复账户", EN: "Somebody used a recovery code to get the account back"}
	case RecoveryStopped:
		return web.Text{ZH: "因账户登录，恢复已中止", EN: "A recovery was stopped by a sign-in"}
	case Recovered:
		return web.Text{ZH: "使用恢复码恢复了账户", EN: "The account was recovered with a code"}
	case ReproofBegun:
		return web.Text{ZH: "身份核验窗口当面核验后发出了恢复代码", EN: "An identity desk saw you and gave out a code"}
	case ReproofCancelled:
		return web.Text{ZH: "身份核验窗口发出的代码已作废", EN: "A code of an identity desk was withdrawn"}
	case Reproofed:
		return web.Text{ZH: "使用窗口代码重新设置了账户，原有登录方式全部移除", EN: "The account was set up anew with a desk's code, and what it had before was removed"}
	case Enabled:
		return web.Text{ZH: "账户恢复使用", EN: "The account was opened again"}
	}
	return web.Text{ZH: "其他变动", EN: "Another change"}
}

// warns lists what an owner is told of at the next sign-in, in case it was not them.
var warns = [...]Kind{PasskeyAdded, PasskeyRemoved, PasswordChanged, CodesChanged, SignedOutByOffice, Disabled, Enabled,
	RecoveryCodesMade, RecoveryBegun, RecoveryStopped, Recovered, ReproofBegun, ReproofCancelled, Reproofed}

// Entry is one thing that happened to an account.
type Entry struct {
	ID      string
	At      time.Time
	Kind    Kind
	Browser string   // family and system, "" for unknown or none
	Network string   // see networkOf, "" for unknown or none
	Here    bool     // in the session that asks
	Office  web.Text // the desk that did it, both "" for none

	place  []byte
	agency string
}

// kept is how many entries an account has at most.
const kept = 100

// by is who changes something: the person in a session of theirs, or somebody else
// without one.
type by struct {
	actor   string // as in audit.Event
	session string
	visit   visit
	agency  string // the desk that stands behind it, "" for none
}

// remember writes an entry, and forgets the oldest where there are too many.
func (s *Service) remember(ctx context.Context, tx db.Tx, person string, kind Kind, b by) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO login_history (person, id, at, kind, session, browser, place, agency) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		person, db.NewID(), db.Micros(s.o.Now()), string(kind), b.session, b.visit.browser, b.visit.place, b.agency)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `DELETE FROM login_history WHERE person = $1 AND id <=
		(SELECT id FROM login_history WHERE person = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)`, person, kept)
	return err
}

// History returns what happened to a person's account, the newest first, at most a
// hundred entries. Session is the one that asks.
func (s *Service) History(ctx context.Context, person, session string) ([]Entry, error) {
	list, err := s.history(ctx, person, session, "")
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return list, nil
}

// News returns what an owner should be told, in case it was not them: changes that
// they have not seen and that were not made in this session. The newest stands first.
func (s *Service) News(ctx context.Context, person, session string) ([]Entry, error) {
	var told string
	err := s.o.DB.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT told FROM login_accounts WHERE person = $1`, person).Scan(&told)
	})
	if err != nil {
		return nil, fmt.Errorf("read news: %w", err)
	}
	list, err := s.history(ctx, person, session, told)
	if err != nil {
		return nil, fmt.Errorf("read news: %w", err)
	}
	return slices.DeleteFunc(list, func(e Entry) bool { return e.Here || !slices.Contains(warns[:], e.Kind) }), nil
}

// Seen notes that the owner was shown their news up to an entry. Repeating it, or an
// older one, is harmless.
func (s *Service) Seen(ctx context.Context, person, entry string) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE login_accounts SET told = $2 WHERE person = $1 AND told < $2
			AND EXISTS (SELECT 1 FROM login_history WHERE person = $1 AND id = $2)`, person, entry)
		return err
	})
	if err != nil {
		return fmt.Errorf("note news: %w", err)
	}
	return nil
}

// history returns the entries after one.
func (s *Service) history(ctx context.Context, person, session, after string) (list []Entry, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, `SELECT id, at, kind, session, browser, place, agency FROM login_history
			WHERE person = $1 AND id > $2 ORDER BY id DESC LIMIT $3`, person, after, kept)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var e Entry
			var at int64
			var in string
			if err := rows.Scan(&e.ID, &at, &e.Kind, &in, &e.Browser, &e.place, &e.agency); err != nil {
				return err
			}
			e.At, e.Here = db.Time(at), in != "" && in == session
			list = append(list, e)
		}
		return rows.Err()
	})
	for i := range list {
		list[i].Network = s.openPlace(ctx, list[i].place)
		if list[i].agency != "" && err == nil {
			list[i].Office, err = s.officeOf(ctx, list[i].agency)
		}
	}
	return list, err
}

// officeOf returns the name of a desk's agency.
func (s *Service) officeOf(ctx context.Context, agency string) (web.Text, error) {
	a, err := s.o.Registry.FindAgency(ctx, agency)
	return web.Text{ZH: a.NameZH, EN: a.NameEN}, err
}
