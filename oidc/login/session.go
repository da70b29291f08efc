package login

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Limits of a session.
const (
	idle     = 30 * time.Minute // without use
	absolute = 12 * time.Hour
	noted    = time.Minute // how far the last use on record may lag behind
)

// The cookies. A __Host- cookie comes from this host over a secure connection and
// from no other host of the domain (RFC 6265bis section 4.1.3.2).
const (
	sessionCookie = "__Host-signet"
	browserCookie = "__Host-signet-passkey" // binds challenges to the browser that asked
	cookieSize    = 32
)

// ErrSession is returned when a session has ended, or never was.
var ErrSession = web.Explain(fault.New(fault.Denied, "the session has ended: sign in again"),
	web.Text{ZH: "登录已结束，请重新登录。", EN: "You are signed out. Sign in again."})

// session is a row of login_sessions.
type session struct {
	id, person, acr, amr string
	authTime, seen       time.Time
	firm, firmName       string
	chosen               bool
}

// newCookie returns 256 random bits as a cookie's value, and their hash.
func newCookie() (value string, hash []byte) {
	b := make([]byte, cookieSize)
	_, _ = rand.Read(b) // never fails
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(b), sum[:]
}

// cookieHash returns the hash of a cookie that we may have set, nil for none.
func cookieHash(r *http.Request, name string) []byte {
	c, err := r.Cookie(name)
	if err != nil {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(c.Value)
	if err != nil || len(b) != cookieSize {
		return nil
	}
	sum := sha256.Sum256(b)
	return sum[:]
}

// setCookie sets a cookie of ours; age 0 keeps it until the browser closes, a
// negative one deletes it.
func setCookie(w http.ResponseWriter, name, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: int(age / time.Second),
		HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
}

// visit is what a sign-in knows of the browser.
type visit struct {
	old     []byte // hash of the session's cookie that it sent, nil for none
	same    bool   // only the person of that session may sign in
	browser string // see browserName
	place   []byte // its network, sealed
	device  *device
}

func (s *Service) visitOf(r *http.Request, same bool) (visit, error) {
	place, err := s.sealPlace(r.Context(), networkOf(r))
	return visit{cookieHash(r, sessionCookie), same, browserName(r.UserAgent()), place, s.deviceOf(r)}, err
}

// proof is a person who has just been proved.
type proof struct {
	person string
	method method

	// use uses up what works once, and reports false if somebody was faster.
	use func(ctx context.Context, tx db.Tx) (bool, error)
}

// errOther refuses somebody else where the person who is signed in was asked for.
var errOther = web.Refuse(fault.Conflict, web.Text{ZH: "这不是当前登录的账户。如要换用其他账户，请选择“换用其他账户”。",
	EN: "This is not the account that is signed in. To use another one, choose so below."})

// begin signs a proved person in and returns the new cookie, "" if the proof was used
// already. The session that the browser had goes on if it was theirs, under the new
// cookie: what agencies' sites were given under it stays good when somebody proves
// themselves again. Another person's ends, so that no session outlives a change of
// person and none that somebody planted becomes theirs. It fails with errOther.
func (s *Service) begin(ctx context.Context, p proof, v visit) (cookie string, err error) {
	cookie, hash := newCookie()
	used := false
	err = s.o.DB.Update(ctx, func(tx db.Tx) error {
		old, err := s.readSession(ctx, tx, "hash", v.old)
		if err != nil {
			return err
		}
		if v.same && old != nil && old.person != p.person {
			return errOther
		}
		used, err = p.use(ctx, tx)
		if err != nil || !used {
			return err
		}
		if err := s.stopRecoveries(ctx, tx, p.person, by{visit: v}); err != nil {
			return err
		}
		if old != nil && old.person == p.person {
			return s.goOn(ctx, tx, p, old, hash, v)
		}
		if v.old != nil {
			if err := s.end(ctx, tx, "hash", v.old, ""); err != nil {
				return err
			}
		}
		return s.insertSession(ctx, tx, p, hash, v)
	})
	if err != nil || !used {
		return "", err
	}
	s.metrics.signIns.WithLabelValues(p.method.name).Inc()
	return cookie, nil
}

func (s *Service) insertSession(ctx context.Context, tx db.Tx, p proof, hash []byte, v visit) error {
	id, now := db.NewID(), s.o.Now()
	_, err := tx.ExecContext(ctx, `INSERT INTO login_sessions (id, hash, person, acr, amr, auth_time, seen, expires, browser, place)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, $9)`,
		id, hash, p.person, p.method.acr, strings.Join(p.method.amr, " "), db.Micros(now), db.Micros(now.Add(absolute)), v.browser, v.place)
	if err != nil {
		return err
	}
	if err := s.remember(ctx, tx, p.person, p.method.kind, by{session: id, visit: v}); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.sign_in", Actor: "person:" + p.person, Object: "session:" + id,
		Data: map[string]any{"method": p.method.name, "acr": p.method.acr}})
	return err
}

// goOn gives a session a new cookie and says of it what the newest proof says, also
// where that is less than before. It fails with ErrSession if it has ended meanwhile.
func (s *Service) goOn(ctx context.Context, tx db.Tx, p proof, old *session, hash []byte, v visit) error {
	now := s.o.Now()
	n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_sessions SET hash = $2, acr = $3, amr = $4, auth_time = $5, seen = $5, expires = $6, browser = $7, place = $8
		WHERE id = $1`, old.id, hash, p.method.acr, strings.Join(p.method.amr, " "), db.Micros(now), db.Micros(now.Add(absolute)), v.browser, v.place))
	if err == nil && n == 0 {
		err = ErrSession
	}
	if err != nil {
		return err
	}
	if err := s.remember(ctx, tx, p.person, p.method.kind, by{session: old.id, visit: v}); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.sign_in", Actor: "person:" + p.person, Object: "session:" + old.id,
		Data: map[string]any{"method": p.method.name, "acr": p.method.acr, "again": true}})
	return err
}

// end deletes the session whose column has that value, with its event, by actor, ""
// for its person. It is harmless if there is none.
func (s *Service) end(ctx context.Context, tx db.Tx, column string, value any, actor string) error {
	var id, person string
	err := tx.QueryRowContext(ctx, `DELETE FROM login_sessions WHERE `+column+` = $1 RETURNING id, person`, value).Scan(&id, &person)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := s.o.Ended(ctx, tx, id); err != nil {
		return err
	}
	if actor == "" {
		actor = "person:" + person
	}
	_, err = audit.Append(ctx, tx, audit.Event{Kind: "login.sign_out", Actor: actor, Object: "session:" + id})
	return err
}

// SignOut ends a session by the name that web.Identity gives it. Repeating it is
// harmless.
func (s *Service) SignOut(ctx context.Context, session string) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error { return s.end(ctx, tx, "id", session, "") })
	if err != nil {
		return fmt.Errorf("sign out: %w", err)
	}
	return nil
}

// Live reports whether a session is still in force. Asking does not prolong it.
func (s *Service) Live(ctx context.Context, session string) (bool, error) {
	found, err := s.findSession(ctx, "id", session)
	if err != nil {
		return false, fmt.Errorf("find session: %w", err)
	}
	return found != nil, nil
}

// HoldSession reports, in the caller's transaction, whether the session is in force,
// and keeps it so until the transaction ends: who ends it meanwhile waits.
func (s *Service) HoldSession(ctx context.Context, tx db.Tx, session string) (live bool, err error) {
	now := s.o.Now()
	n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_sessions SET seen = seen WHERE id = $1 AND expires > $2 AND seen > $3`,
		session, db.Micros(now), db.Micros(now.Add(-idle))))
	if err != nil {
		return false, fmt.Errorf("hold session: %w", err)
	}
	return n == 1, nil
}

// findSessionQuery finds a session in force by one of its columns.
const findSessionQuery = `SELECT id, person, acr, amr, auth_time, seen, firm, firm_name, chosen FROM login_sessions
	WHERE %s = $1 AND expires > $2 AND seen > $3`

// findSession is readSession in a transaction of its own.
func (s *Service) findSession(ctx context.Context, column string, value any) (found *session, err error) {
	err = s.o.DB.Read(ctx, func(tx db.Tx) error {
		found, err = s.readSession(ctx, tx, column, value)
		return err
	})
	return found, err
}

// readSession returns the session in force whose column has that value, nil if there
// is none.
func (s *Service) readSession(ctx context.Context, tx db.Tx, column string, value any) (*session, error) {
	var found session
	var authTime, seen, chosen int64
	now := s.o.Now()
	err := tx.QueryRowContext(ctx, fmt.Sprintf(findSessionQuery, column), value, db.Micros(now), db.Micros(now.Add(-idle))).
		Scan(&found.id, &found.person, &found.acr, &found.amr, &authTime, &seen, &found.firm, &found.firmName, &chosen)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	found.authTime, found.seen, found.chosen = db.Time(authTime), db.Time(seen), chosen != 0
	return &found, nil
}

// touch notes that a session was used, once a minute.
func (s *Service) touch(ctx context.Context, found *session) error {
	now := s.o.Now()
	if now.Sub(found.seen) < noted {
		return nil
	}
	return s.o.DB.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE login_sessions SET seen = $2 WHERE id = $1 AND seen < $2`, found.id, db.Micros(now))
		return err
	})
}

// Identify returns who a request's session cookie stands for, nil if it has none
// or the session has ended. Name and posts are as the registry has them now. A
// firm that the person may no longer act for is left out, and they have to choose
// anew.
func (s *Service) Identify(r *http.Request) (*web.Identity, error) {
	hash := cookieHash(r, sessionCookie)
	if hash == nil {
		return nil, nil
	}
	ctx := r.Context()
	found, err := s.findSession(ctx, "hash", hash)
	if err == nil && found != nil {
		err = s.touch(ctx, found)
	}
	if err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	if found == nil {
		return nil, nil
	}
	id, err := s.identity(ctx, found)
	if err != nil {
		return nil, fmt.Errorf("identify: %w", err)
	}
	return id, nil
}

// identity adds to a session what the registry knows.
func (s *Service) identity(ctx context.Context, found *session) (*web.Identity, error) {
	id := &web.Identity{Session: found.id, Person: found.person, ACR: found.acr, AMR: strings.Fields(found.amr), AuthTime: found.authTime,
		Firm: found.firm, FirmName: found.firmName, Chosen: found.chosen}
	person, err := s.o.Registry.PersonByID(ctx, found.person)
	if err != nil {
		return nil, err
	}
	id.Name = person.Name
	posts, err := s.o.Registry.PostsOf(ctx, found.person)
	if err != nil {
		return nil, err
	}
	for _, p := range posts {
		id.Roles = append(id.Roles, web.Role{Agency: p.Agency, Name: p.Role})
	}
	if id.Firm != "" {
		may, err := s.o.Registry.MayActFor(ctx, found.person, id.Firm, s.o.Now())
		if err != nil {
			return nil, err
		}
		if !may {
			id.Firm, id.FirmName, id.Chosen = "", "", false
		}
	}
	return id, nil
}

// noRows returns missing for an error that says that there is no row.
func noRows(err, missing error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return missing
	}
	return err
}
