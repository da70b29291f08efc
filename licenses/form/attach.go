package form

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/attachment"
)

// The inputs of a form that adds a file.
const (
	InSlot = "slot"
	InFile = "file"
)

// MaxUpload bounds the body of a form with a file: the largest file, and one byte over
// it, so that the form says so and not the server.
const MaxUpload = attachment.MaxSize + 64<<10

// AttachForm asks for a file and what it is.
func AttachForm(t *licenses.Type, key string) *web.Form {
	slot := web.Field{Name: InSlot, Type: "radio", Required: true, Label: web.Text{ZH: "材料名称", EN: "What it is"}}
	for _, s := range t.Attachments {
		o := web.Option{Value: s.ID, Label: web.Text(s.Names)}
		if s.Required {
			o.Hint = web.Text{ZH: "必需", EN: "Required"}
		}
		slot.Options = append(slot.Options, o)
	}
	if len(slot.Options) == 1 {
		slot.Value = slot.Options[0].Value
	}
	return &web.Form{Fields: []web.Field{{Name: InKey, Type: "hidden", Value: key}, slot, {Name: InFile, Type: "file", Required: true,
		Label: web.Text{ZH: "文件", EN: "File"}, Hint: web.Text{ZH: "PDF、JPEG 或 PNG，最大 5 MB。照片中的位置等信息会被去除", EN: "PDF, JPEG or PNG, up to 5 MB. Places and the like are taken out of photos"}}}}
}

// ReadFile reads what AttachForm sends. It fails with kind Invalid for a form that has
// not one file; one that is too large is for attachment.Check to refuse.
func ReadFile(r *http.Request) (f licenses.File, err error) {
	f.Slot, f.Key = r.PostForm.Get(InSlot), r.PostForm.Get(InKey)
	if r.MultipartForm == nil || len(r.MultipartForm.File[InFile]) == 0 {
		return f, nil // an empty file
	}
	sent := r.MultipartForm.File[InFile]
	if len(sent) > 1 {
		return f, web.Refuse(fault.Invalid, web.Text{ZH: "请一次选择一个文件", EN: "Choose one file at a time"})
	}
	file, err := sent[0].Open()
	if err != nil {
		return f, fmt.Errorf("open upload: %w", err)
	}
	defer func() { _ = file.Close() }()
	f.Body, err = io.ReadAll(io.LimitReader(file, attachment.MaxSize+1))
	return f, err
}

// WriteFile serves a file that somebody attached: as a download, or as a picture that
// runs nothing.
func WriteFile(w http.ResponseWriter, a licenses.Attached) error {
	h, how := w.Header(), "inline"
	if a.Kind == attachment.PDF {
		how = "attachment"
	}
	h.Set("Content-Type", a.Kind.MIME())
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	h.Set("Content-Disposition", how+`; filename="`+a.ID+a.Kind.Ext()+`"`)
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	_, err := w.Write(a.Body)
	return err
}
