package desk

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// The authors of a message.
const (
	byAgency = "agency"
	byHolder = "holder"
)

const (
	maxMessages = 100  // of one application
	maxMessage  = 1000 // characters
)

const (
	eventAsk    = "license.application.ask"
	eventAnswer = "license.application.answer"
)

// The input and the button of a question.
const (
	inMessage = "message"
	inAsk     = "ask"
)

var (
	errNotAsked = web.Refuse(fault.Conflict, web.Text{ZH: "发证机关没有等待您答复的问题。", EN: "The agency has no question that waits for your answer."})
	errFull     = web.Refuse(fault.Conflict, web.Text{ZH: "此申请的往来消息已达 100 条。", EN: "There are 100 messages about this application: no more are taken."})
)

// errSent says that the key of a message is used: with what is found by reading it.
var errSent = errors.New("the message was sent before")

// message is one on its way.
type message struct {
	application, author, person, key, text string

	recusal func(tx db.Tx) error // nil for a holder's
}

func messageAAD(m message) []byte {
	return []byte("license application message " + m.application + " " + m.person + " " + m.key)
}

// send records a message once for each key of its person. A clerk asks as long as the
// application is open, a holder answers once for each question.
func (s *Service) send(ctx context.Context, m message) error {
	if done, err := s.sent(ctx, m); done || err != nil {
		return err
	}
	sealed, err := s.sealer.Seal(ctx, []byte(m.text), messageAAD(m))
	if err != nil {
		return fmt.Errorf("send message: %w", err)
	}
	kind, asked, before := eventAsk, 1, 0
	if m.author == byHolder {
		kind, asked, before = eventAnswer, 0, 1
	}
	now := db.Micros(s.now())
	err = s.db.Update(ctx, func(tx db.Tx) error {
		seq, err := place(ctx, tx, m, asked, before)
		if err == nil && m.recusal != nil {
			err = m.recusal(tx)
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO license_messages (application, seq, author, person, body, request_key, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7)`, m.application, seq, m.author, m.person, sealed, m.key, now)
		if err != nil {
			return err
		}
		return record(ctx, tx, kind, "person:"+m.person, m.application, map[string]any{"message": int64(seq)})
	})
	if errors.Is(err, errSent) {
		_, err = s.sent(ctx, m)
	}
	return err
}

// place takes the application's row, which makes those who write to it wait for each
// other, and returns the number of the next message.
func place(ctx context.Context, tx db.Tx, m message, asked, before int) (seq int, err error) {
	var was int
	err = tx.QueryRowContext(ctx, "UPDATE license_holder_applications SET messages = messages + 1 WHERE application = $1 RETURNING messages, asked",
		m.application).Scan(&seq, &was)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, errNoApplication
	}
	if err != nil {
		return 0, err
	}
	var used, isOpen int
	err = tx.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM license_messages WHERE application = $1 AND person = $2 AND request_key = $3),
		(SELECT COUNT(*) FROM license_applications a WHERE a.id = $1 AND `+open+`)`, m.application, m.person, m.key).Scan(&used, &isOpen)
	switch {
	case err != nil:
		return 0, err
	case used > 0:
		return 0, errSent
	case isOpen == 0:
		return 0, errDealtWith
	case m.author == byHolder && was != before:
		return 0, errNotAsked
	case seq > maxMessages:
		return 0, errFull
	}
	_, err = tx.ExecContext(ctx, "UPDATE license_holder_applications SET asked = $1 WHERE application = $2", asked, m.application)
	return seq, err
}

// sent reports whether the message was recorded before. It fails if another text was
// sent with its key.
func (s *Service) sent(ctx context.Context, m message) (bool, error) {
	var sealed []byte
	err := s.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT body FROM license_messages WHERE application = $1 AND person = $2 AND request_key = $3",
			m.application, m.person, m.key).Scan(&sealed)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find message: %w", err)
	}
	text, err := s.sealer.Open(ctx, sealed, messageAAD(m))
	if err == nil && string(text) != m.text {
		err = errUsedForm
	}
	return err == nil, err
}

// messages returns what was written about an application, in order.
func (s *Service) messages(ctx context.Context, application string) (list []licenses.Message, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		rows, err := tx.QueryContext(ctx, "SELECT author, person, request_key, body, at FROM license_messages WHERE application = $1 ORDER BY seq", application)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			m := message{application: application}
			var sealed []byte
			var at int64
			if err := rows.Scan(&m.author, &m.person, &m.key, &sealed, &at); err != nil {
				return err
			}
			text, err := s.sealer.Open(ctx, sealed, messageAAD(m))
			if err != nil {
				return fmt.Errorf("open message: %w", err)
			}
			list = append(list, licenses.Message{FromHolder: m.author == byHolder, Text: string(text), At: db.Time(at)})
		}
		return rows.Err()
	})
	return list, err
}

// asked returns which of the applications came from their holder, and whether a
// question waits for that holder's answer.
func (s *Service) asked(ctx context.Context, list []*application) (map[string]bool, error) {
	found := map[string]bool{}
	err := s.db.Read(ctx, func(tx db.Tx) error {
		for _, a := range list { // a page of them: each is a look-up by key
			var asked int
			err := tx.QueryRowContext(ctx, "SELECT asked FROM license_holder_applications WHERE application = $1", a.ID).Scan(&asked)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return err
			}
			found[a.ID] = asked > 0
		}
		return nil
	})
	return found, err
}

// Answer records a holder's answer to the question that waits for it, once for each
// key. It fails with kind NotFound for another holder's application, Conflict if no
// question waits or the key was used with another text, and Invalid for a text that is
// empty, over 1,000 characters or cannot be seen.
func (s *Service) Answer(ctx context.Context, by licenses.Applicant, id, key, text string) error {
	if _, err := s.Applied(ctx, by, id); err != nil {
		return err
	}
	if _, err := db.IDBytes(key); err != nil {
		return errOldForm
	}
	text = oneLine(text)
	if problem, bad := badMessage(text); bad {
		return web.Refuse(fault.Invalid, problem)
	}
	return s.send(ctx, message{application: id, author: byHolder, person: by.Person, key: key, text: text})
}

func badMessage(text string) (web.Text, bool) {
	switch {
	case text == "":
		return web.Text{ZH: "请填写内容", EN: "Write something"}, true
	case utf8.RuneCountInString(text) > maxMessage:
		return web.Text{ZH: "内容不得超过 1000 个字", EN: "At most 1,000 characters"}, true
	case strings.ContainsFunc(text, form.Hidden):
		return web.Text{ZH: "内容" + form.TextHidden.ZH, EN: "The text " + form.TextHidden.EN}, true
	}
	return web.Text{}, false
}

// thread is what a clerk sees of the messages of an application that its holder sent.
type thread struct {
	Messages []licenses.Message
	Asked    bool
	Form     *web.Form // to ask with; nil if it has ended or is the clerk's own
	Self     string
}

// thread returns the messages of an application, nil for one that a clerk submitted.
func (s *Service) thread(ctx context.Context, c *clerk, a *application) (*thread, error) {
	asked, err := s.asked(ctx, []*application{a})
	waits, fromHolder := asked[a.ID]
	if err != nil || !fromHolder {
		return nil, err
	}
	t := &thread{Asked: waits && a.State.waits(), Self: c.at("/desk/applications/" + a.ID)}
	if t.Messages, err = s.messages(ctx, a.ID); err != nil {
		return nil, err
	}
	if a.State.waits() && a.Submitter != c.person {
		t.Form = askForm(db.NewID())
	}
	return t, nil
}

func askForm(key string) *web.Form {
	return &web.Form{Fields: []web.Field{{Name: inKey, Type: "hidden", Value: key}, {Name: inMessage, Type: "textarea", Required: true,
		Label: web.Text{ZH: "向申请人提问", EN: "Question to the applicant"}, Hint: web.Text{ZH: "最多 1000 字，申请人在“我的证照”中答复", EN: "Up to 1,000 characters. They answer in their wallet"}}}}
}

// postAsk sends a clerk's question.
func (s *Service) postAsk(w http.ResponseWriter, r *http.Request, c *clerk, a *application) error {
	key, text := r.PostForm.Get(inKey), oneLine(r.PostForm.Get(inMessage))
	if _, err := db.IDBytes(key); err != nil {
		return errOldForm
	}
	if a.Submitter == c.person {
		return web.Refuse(fault.Denied, web.Text{ZH: "不能办理自己提交的申请。", EN: "You cannot deal with what you applied for."})
	}
	if err := s.deals(r.Context(), c, a, ""); a.State.waits() && err != nil {
		return err
	}
	parties, err := s.parties(r.Context(), c.person, a)
	if err != nil {
		return err
	}
	if parties[a.ID] {
		return errParty
	}
	if problem, bad := badMessage(text); bad {
		data, err := s.applicationPage(r.Context(), c, a)
		if err != nil {
			return err
		}
		if data.Thread == nil || data.Thread.Form == nil {
			return errDealtWith
		}
		data.Thread.Form.Field(inMessage).Value = strings.Map(form.Visible, text)
		data.Thread.Form.Blame(inMessage, problem)
		return s.drawApplication(w, r, data, http.StatusBadRequest)
	}
	recusal, err := s.recusal(r.Context(), a, byAgency, c.person)
	if err != nil {
		return err
	}
	if err := s.send(r.Context(), message{a.ID, byAgency, c.person, key, text, recusal}); err != nil {
		return err
	}
	http.Redirect(w, r, c.at("/desk/applications/"+a.ID), http.StatusSeeOther)
	return nil
}
