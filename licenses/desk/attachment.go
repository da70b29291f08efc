package desk

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/attachment"
	"github.com/signet-city/signet/licenses/form"
)

const eventAttach = "license.application.attach"

// The words for what is wrong with a file.
var wrongFiles = map[error]web.Text{
	attachment.ErrEmpty:  {ZH: "请选择一个文件", EN: "Choose a file"},
	attachment.ErrLarge:  {ZH: "文件不得超过 5 MB", EN: "The file must have at most 5 MB"},
	attachment.ErrKind:   {ZH: "只接受 PDF、JPEG 或 PNG 文件", EN: "Only PDF, JPEG and PNG files are taken"},
	attachment.ErrBroken: {ZH: "文件已损坏或不完整，请重新扫描或拍照", EN: "The file is damaged or not complete: scan or photograph it again"},
	attachment.ErrPixels: {ZH: "图片不得超过 2500 万像素（渐进式 JPEG 和 16 位图片更少），请缩小后重试",
		EN: "The picture must have at most 25 million pixels, fewer if it is a progressive JPEG or has 16 bits to a colour: make it smaller"},
	attachment.ErrActive: {ZH: "不接受带脚本或内嵌文件的 PDF，请另存为普通 PDF", EN: "PDFs that run scripts or carry files are not taken: save it as a plain PDF"},

	attachment.ErrEncrypted: {ZH: "不接受加密的 PDF，请去除密码后重试", EN: "Encrypted PDFs are not taken: save it without a password"},
}

var (
	errNoSlot    = web.Refuse(fault.Invalid, web.Text{ZH: "请选择材料名称", EN: "Choose what the file is"})
	errManyFiles = web.Refuse(fault.Conflict, web.Text{ZH: "此申请已有 10 个附件，不能再添加。", EN: "This application has 10 files: no more are taken."})
	errNoFile    = fault.New(fault.NotFound, "no such attachment")
)

func attachmentAAD(application, id string) []byte {
	return []byte("license attachment " + application + " " + id)
}

// attach adds a file to an application that waits, once for each key of its person. The
// file is looked at whole before anything is written. A clerk adds none to what is their
// own or of a firm that they act for: what the agency adds, it has seen.
func (s *Service) attach(ctx context.Context, a *application, author, person string, f licenses.File) error {
	if _, err := db.IDBytes(f.Key); err != nil {
		return errOldForm
	}
	if t := s.formOf(a.Request.Type); t == nil || t.Type.Slot(f.Slot) == nil {
		return errNoSlot
	}
	kind, clean, err := s.clean(ctx, f.Body)
	if err != nil {
		return err
	}
	id := db.NewID()
	sealed, err := s.sealer.Seal(ctx, clean, attachmentAAD(a.ID, id))
	if err != nil {
		return fmt.Errorf("attach file: %w", err)
	}
	hashes, err := s.sealer.Lookups(ctx, "desk.attachment", append([]byte(f.Slot+"\x00"), clean...))
	if err != nil {
		return fmt.Errorf("attach file: %w", err)
	}
	recusal, err := s.recusal(ctx, a, author, person)
	if err != nil {
		return fmt.Errorf("attach file: %w", err)
	}
	now := db.Micros(s.now())
	err = s.db.Update(ctx, func(tx db.Tx) error {
		// Taken first, the application's row makes those who attach wait for each other.
		ok, err := db.Changed(tx.ExecContext(ctx, `UPDATE license_applications SET changed_at = $1 WHERE id = $2
			AND state IN ('submitted', 'reviewed')`, now, a.ID))
		if err != nil {
			return err
		}
		done, err := attachedBefore(ctx, tx, a.ID, person, f.Key, hashes)
		switch {
		case err != nil || done:
			return err
		case !ok:
			return errDealtWith
		}
		if err := recusal(tx); err != nil {
			return err
		}
		if err := roomFor(ctx, tx, a.ID); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO license_attachments (id, application, slot, kind, size, body, author, person, request_key, request_hash, at)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`, id, a.ID, f.Slot, string(kind), len(clean), sealed, author, person, f.Key, hashes[0], now)
		if err != nil {
			return err
		}
		return record(ctx, tx, eventAttach, "person:"+person, a.ID,
			map[string]any{"attachment": id, "slot": f.Slot, "kind": string(kind), "size": int64(len(clean)), "hash": hashes[0]})
	})
	if err == nil {
		s.metrics.attached.WithLabelValues(string(kind)).Inc()
	}
	return err
}

// roomFor fails if an application has as many files as it may have.
func roomFor(ctx context.Context, tx db.Tx, application string) error {
	var n int
	err := tx.QueryRowContext(ctx, "SELECT COUNT(*) FROM license_attachments WHERE application = $1", application).Scan(&n)
	if err == nil && n >= licenses.MaxAttached {
		err = errManyFiles
	}
	return err
}

// clean looks at a file; two at a time, since a picture may take a hundred megabytes of
// memory.
func (s *Service) clean(ctx context.Context, b []byte) (attachment.Kind, []byte, error) {
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	kind, clean, err := attachment.Check(b)
	if err != nil {
		s.metrics.attached.WithLabelValues("refused").Inc()
		return "", nil, web.Refuse(fault.Invalid, wrongFiles[err])
	}
	return kind, clean, nil
}

// attachedBefore reports whether the file was attached with its key before. It fails if
// another one was.
func attachedBefore(ctx context.Context, tx db.Tx, application, person, key string, hashes [][]byte) (bool, error) {
	var hash []byte
	err := tx.QueryRowContext(ctx, "SELECT request_hash FROM license_attachments WHERE application = $1 AND person = $2 AND request_key = $3",
		application, person, key).Scan(&hash)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err == nil && !slices.ContainsFunc(hashes, func(h []byte) bool { return bytes.Equal(h, hash) }) {
		err = errUsedForm
	}
	return err == nil, err
}

// attached lists the files of an application, in order.
func (s *Service) attached(ctx context.Context, application string) (list []licenses.Attached, err error) {
	err = s.db.Read(ctx, func(tx db.Tx) error {
		list = nil
		rows, err := tx.QueryContext(ctx, "SELECT id, slot, kind, size, author, at FROM license_attachments WHERE application = $1 ORDER BY id", application)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		for rows.Next() {
			var a licenses.Attached
			var author string
			var at int64
			if err := rows.Scan(&a.ID, &a.Slot, &a.Kind, &a.Size, &author, &at); err != nil {
				return err
			}
			a.FromHolder, a.At = author == byHolder, db.Time(at)
			list = append(list, a)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list attachments: %w", err)
	}
	return list, nil
}

// attachedFile returns one of the files of an application.
func (s *Service) attachedFile(ctx context.Context, application, id string) (licenses.Attached, error) {
	a := licenses.Attached{ID: id}
	var sealed []byte
	err := s.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, "SELECT slot, kind, size, body FROM license_attachments WHERE application = $1 AND id = $2", application, id).
			Scan(&a.Slot, &a.Kind, &a.Size, &sealed)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return a, errNoFile
	}
	if err == nil {
		a.Body, err = s.sealer.Open(ctx, sealed, attachmentAAD(application, id))
	}
	if err != nil {
		return a, fmt.Errorf("open attachment: %w", err)
	}
	return a, nil
}

// Attach adds a file to a holder's application that waits, once for each key. It fails
// with kind NotFound for another holder's, Invalid for a file that is not taken or a slot
// that the type does not have, and Conflict for one that has been dealt with, has ten
// files, or for a key that was used with another file.
func (s *Service) Attach(ctx context.Context, by licenses.Applicant, id string, f licenses.File) error {
	a, err := s.ofHolder(ctx, by, id)
	if err != nil {
		return err
	}
	return s.attach(ctx, a, byHolder, by.Person, f)
}

// Attachment returns a file of a holder's application. It fails with kind NotFound.
func (s *Service) Attachment(ctx context.Context, by licenses.Applicant, id, file string) (licenses.Attached, error) {
	a, err := s.ofHolder(ctx, by, id)
	if err != nil {
		return licenses.Attached{}, err
	}
	return s.attachedFile(ctx, a.ID, file)
}

// missing returns what an application that its holder sent still needs, nil for one that
// a clerk typed in: they have seen the paper.
func (s *Service) missing(ctx context.Context, a *application) ([]licenses.Slot, error) {
	f := s.formOf(a.Request.Type)
	if f == nil {
		return nil, nil
	}
	asked, err := s.asked(ctx, []*application{a})
	if _, fromHolder := asked[a.ID]; err != nil || !fromHolder {
		return nil, err
	}
	list, err := s.attached(ctx, a.ID)
	return f.Type.Missing(list), err
}

// errMissing says what an application needs before it is approved.
func (s *Service) errMissing(ctx context.Context, a *application) error {
	missing, err := s.missing(ctx, a)
	if err != nil || len(missing) == 0 {
		return err
	}
	return web.Refuse(fault.Conflict, textMissingFiles(missing))
}

func textMissingFiles(missing []licenses.Slot) web.Text {
	t := web.Text{ZH: "申请人尚未提交必需材料：", EN: "The applicant has not sent in what is required: "}
	for i, m := range missing {
		if i > 0 {
			t.ZH, t.EN = t.ZH+"、", t.EN+", "
		}
		t.ZH, t.EN = t.ZH+m.Names.ZH, t.EN+m.Names.EN
	}
	return web.Text{ZH: t.ZH + "。", EN: t.EN + "."}
}

// paper is an attached file as a page shows it.
type paper struct {
	Name       web.Text
	Address    string
	Kind, Size string
	FromHolder bool
	At         time.Time
}

// papers are the files of an application and the form to add one.
type papers struct {
	List    []paper
	Missing *web.Text
	Form    *web.Form // nil: nothing can be added
	Action  string
}

// papers gathers them; nil for a type with which nothing comes.
func (s *Service) papers(ctx context.Context, c *clerk, a *application) (*papers, error) {
	f := s.formOf(a.Request.Type)
	list, err := s.attached(ctx, a.ID)
	if err != nil || f == nil || len(f.Type.Attachments)+len(list) == 0 {
		return nil, err
	}
	self := "/desk/applications/" + a.ID + "/attachments"
	p := &papers{Action: c.at(self)}
	for _, one := range list {
		name := textUnknown
		if slot := f.Type.Slot(one.Slot); slot != nil {
			name = web.Text(slot.Names)
		}
		p.List = append(p.List, paper{name, c.at(self + "/" + one.ID), string(one.Kind), kilobytes(one.Size), one.FromHolder, one.At})
	}
	if a.State.waits() && len(list) < licenses.MaxAttached && len(f.Type.Attachments) > 0 {
		p.Form = form.AttachForm(f.Type, db.NewID())
	}
	missing, err := s.missing(ctx, a)
	if len(missing) > 0 && a.State.waits() {
		t := textMissingFiles(missing)
		p.Missing = &t
	}
	return p, err
}

// kilobytes says how large a file is.
func kilobytes(n int64) string { return strconv.FormatInt((n+1023)/1024, 10) + " kB" }

// postAttachment adds a clerk's file.
func (s *Service) postAttachment(w http.ResponseWriter, r *http.Request, c *clerk) error {
	a, err := s.application(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.deals(r.Context(), c, a, ""); a.State.waits() && err != nil {
		return err
	}
	f, err := form.ReadFile(r)
	if err == nil {
		err = s.attach(r.Context(), a, byAgency, c.person, f)
	}
	if fault.KindOf(err) == fault.Invalid {
		data, drawErr := s.applicationPage(r.Context(), c, a)
		if drawErr == nil && data.Papers != nil && data.Papers.Form != nil && data.Papers.Form.BlameFault(err) {
			return s.drawApplication(w, r, data, http.StatusBadRequest)
		}
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, c.at("/desk/applications/"+a.ID), http.StatusSeeOther)
	return nil
}

// getAttachment serves a file to a clerk.
func (s *Service) getAttachment(w http.ResponseWriter, r *http.Request, c *clerk) error {
	a, err := s.application(r.Context(), c, r.PathValue("id"))
	if err != nil {
		return err
	}
	file, err := s.attachedFile(r.Context(), a.ID, r.PathValue("file"))
	if err != nil {
		return err
	}
	return form.WriteFile(w, file)
}
