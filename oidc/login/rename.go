package login

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// renamePage is what rename.html sees.
type renamePage struct {
	ID   string
	Form web.Form
}

func renameOf(id, name string, problem web.Text) web.Page {
	p := renamePage{id, web.Form{Fields: []web.Field{{Name: "name", Label: web.Text{ZH: "名称", EN: "Name"}, Value: name, Required: true, MaxLength: maxName, Problem: problem,
		Hint: web.Text{ZH: "便于您以后辨认，例如“我的手机”", EN: "To tell it apart later, such as “My phone”"}}}}}
	page := web.Page{Template: "rename", Title: web.Text{ZH: "命名通行密钥", EN: "Name your passkey"}, Data: &p, Wrong: p.Form.Wrong()}
	if page.Wrong {
		page.Status = http.StatusBadRequest
	}
	return page
}

func (s *Service) askRename(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	if !s.isFresh(w, r, id) {
		return nil
	}
	p, err := s.findListed(r, id)
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, renameOf(p.ID, p.Name, web.Text{}))
}

func (s *Service) takeRename(w http.ResponseWriter, r *http.Request, id *web.Identity) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	if !s.isFresh(w, r, id) {
		return nil
	}
	p, err := s.findListed(r, id)
	if err != nil {
		return err
	}
	name := strings.TrimSpace(form["name"])
	if !isPasskeyName(name) {
		return s.pages.Render(w, r, renameOf(p.ID, form["name"], web.Text{ZH: "名称应为1至40个可见字符", EN: "A name has 1 to 40 visible characters"}))
	}
	b, err := s.changer(r, id)
	if err != nil {
		return err
	}
	if err := s.renamePasskey(r.Context(), id.Person, p.ID, name, b); err != nil {
		return err
	}
	http.Redirect(w, r, "/account?done=passkey-named", http.StatusSeeOther)
	return nil
}

// renamePasskey gives a person's passkey another name. It fails with kind NotFound for
// one that is not theirs. The event does not tell the name, which is personal.
func (s *Service) renamePasskey(ctx context.Context, person, id, name string, b by) error {
	err := s.o.DB.Update(ctx, func(tx db.Tx) error {
		if err := holdSession(ctx, tx, person, b.session); err != nil {
			return err
		}
		n, err := db.Affected(tx.ExecContext(ctx, `UPDATE login_passkeys SET name = $3 WHERE id = $1 AND person = $2`, id, person, name))
		if err == nil && n == 0 {
			err = errPasskeyGone
		}
		if err != nil {
			return err
		}
		if _, err = audit.Append(ctx, tx, audit.Event{Kind: "login.passkey.name", Actor: b.actor, Object: "person:" + person, Data: map[string]any{"passkey": id}}); err != nil {
			return err
		}
		return s.remember(ctx, tx, person, PasskeyNamed, b)
	})
	if err != nil {
		return fmt.Errorf("name passkey: %w", err)
	}
	return nil
}
