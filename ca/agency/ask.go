package agency

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Inputs of the forms.
const (
	inProfile = "profile"
	inName    = "name"
	inHosts   = "hosts"
	inCSR     = "csr"
	inFile    = "file"
	inKey     = "key"
	inReason  = "reason"
)

// offered are the profiles that an agency's people ask for here. The others are about
// a firm or a person.
var offered = []profile.Kind{profile.DocumentSigning, profile.SystemServer, profile.SystemClient, profile.PermitSigning}

// askPage is what ask.html sees.
type askPage struct {
	Home, Self string
	Agency     web.Text
	Form       web.Form
}

func newForm(key string) web.Form {
	kinds := web.Field{Name: inProfile, Type: "radio", Label: web.Text{ZH: "证书用途", EN: "What it is for"}, Required: true}
	for _, k := range offered {
		kinds.Options = append(kinds.Options, web.Option{Value: string(k), Label: profileWord(k)})
	}
	return web.Form{Fields: []web.Field{
		{Name: inKey, Type: "hidden", Value: key}, kinds,
		{Name: inName, Label: web.Text{ZH: "程序名称", EN: "Name of the program"}, MaxLength: 64,
			Hint: web.Text{ZH: "仅客户端证书填写", EN: "For a program alone"}},
		{Name: inHosts, Type: "textarea", Label: web.Text{ZH: "域名或 IP 地址", EN: "Hosts or IP addresses"},
			Hint: web.Text{ZH: "仅服务器证书填写，每行一个；不填则取证书请求中的名称", EN: "For a server alone, one on each line. If it is empty, those in the request count"}},
		{Name: inCSR, Type: "textarea", Label: web.Text{ZH: "证书请求（PKCS #10，PEM）", EN: "Certificate request (PKCS #10, PEM)"},
			Hint: web.Text{ZH: "粘贴内容，或在下面选择文件。私钥请自行保管，切勿提交", EN: "Paste it, or choose the file below. Keep the private key: never send it"}},
		{Name: inFile, Type: "file", Label: web.Text{ZH: "或选择证书请求文件", EN: "Or choose its file"}},
	}}
}

func (s *Service) getAsk(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.agency.ID == "" {
		return web.Refuse(fault.Denied, textNotYours)
	}
	return s.drawAsk(w, r, v, newForm(db.NewID()), 0)
}

func (s *Service) drawAsk(w http.ResponseWriter, r *http.Request, v *visitor, form web.Form, status int) error {
	return s.pages.Render(w, r, web.Page{Template: "ask", Title: web.Text{ZH: "申请证书", EN: "Ask for a certificate"}, Status: status, Wrong: form.Wrong(),
		Data: &askPage{v.at("/agency"), v.at("/agency/new"), nameOf(v.agency), form}})
}

func (s *Service) postAsk(w http.ResponseWriter, r *http.Request, v *visitor) error {
	if v.agency.ID == "" {
		return web.Refuse(fault.Denied, textNotYours)
	}
	form := newForm(db.NewID())
	wish, err := readWish(r, &form)
	if err != nil {
		return err
	}
	wish.Agency, wish.Actor = v.agency.ID, "person:"+v.person
	if form.Wrong() {
		return s.drawAsk(w, r, v, form, http.StatusBadRequest)
	}
	address, err := s.send(r, wish)
	if list, ok := says(err); ok {
		form.Problems = append(form.Problems, list...)
		return s.drawAsk(w, r, v, form, web.Status(err))
	}
	if err != nil {
		return err
	}
	http.Redirect(w, r, address, http.StatusSeeOther)
	return nil
}

// send issues or submits and returns the address of what came of it. A key that signs
// permits signs documents too, by its extended key usage: one that a clerk keeps waits
// for an officer like a document key, whatever is issued at once to programs.
func (s *Service) send(r *http.Request, wish ca.Request) (string, error) {
	a, err := s.o.CA.Ask(r.Context(), wish, s.o.CA.NeedsApproval(wish.Profile) || wish.Profile == profile.PermitSigning)
	if a.Pending.ID != "" {
		return "/agency/requests/" + a.Pending.ID, err
	}
	return "/agency/certificates/" + a.Certificate.Serial, err
}

// readWish reads the form, with every problem at its field.
func readWish(r *http.Request, form *web.Form) (wish ca.Request, err error) {
	for _, name := range []string{inProfile, inName, inHosts, inCSR} {
		form.Field(name).Value = visible(r.PostForm.Get(name))
	}
	wish.Profile, wish.Name = profile.Kind(form.Field(inProfile).Value), strings.TrimSpace(form.Field(inName).Value)
	wish.IdempotencyKey = "page:" + r.PostForm.Get(inKey)
	if _, err := db.IDBytes(r.PostForm.Get(inKey)); err != nil {
		form.Problems = append(form.Problems, web.Text{ZH: "表单已失效，请重新提交。", EN: "The form is out of date: send it once more."})
	} else {
		form.Field(inKey).Value = r.PostForm.Get(inKey) // sent again, it means the same request
	}
	known := false
	for _, k := range offered {
		known = known || k == wish.Profile
	}
	if !known {
		form.Blame(inProfile, web.Text{ZH: "请选择证书用途", EN: "Choose what it is for"})
	}
	if server := wish.Profile == profile.SystemServer; server {
		wish.Hosts = strings.Fields(form.Field(inHosts).Value)
		if err := profile.CheckHosts(wish.Hosts); len(wish.Hosts) > 0 && err != nil {
			form.Blame(inHosts, web.Text{ZH: "每行须为一个小写域名或 IP 地址，不得重复，最多 32 个", EN: "Each line is a DNS name in lowercase or an IP address, once, at most 32"})
		}
	} else if known && strings.TrimSpace(form.Field(inHosts).Value) != "" {
		form.Blame(inHosts, web.Text{ZH: "只有服务器证书有域名", EN: "A server's certificate alone names hosts"})
	}
	if program := wish.Profile == profile.SystemClient; program != (wish.Name != "") && known {
		form.Blame(inName, web.Text{ZH: "客户端证书须有程序名称，其他证书没有", EN: "A program has a name, and nothing else has one"})
	}
	wish.CSR, err = readCSR(r, form, wish.Profile, known)
	return wish, err
}

// readCSR takes the request from the file or the text, and looks at it.
func readCSR(r *http.Request, form *web.Form, kind profile.Kind, known bool) ([]byte, error) {
	text, where := []byte(strings.TrimSpace(form.Field(inCSR).Value)), inCSR
	file, header, err := r.FormFile(inFile)
	switch {
	case errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) || err == nil && header.Size == 0:
	case err != nil:
		return nil, err
	case len(text) > 0:
		form.Blame(inFile, web.Text{ZH: "粘贴和文件只能选其一", EN: "Paste it or choose a file, not both"})
		return nil, file.Close()
	default:
		where = inFile
		text, err = io.ReadAll(io.LimitReader(file, ca.MaxCSR+1))
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
	}
	if len(text) == 0 {
		form.Blame(inCSR, web.Text{ZH: "证书请求为必填项", EN: "The certificate request is missing"})
	} else if known {
		if _, err := ca.ParseCSR(kind, text); err != nil {
			var why web.Form
			if !why.BlameFault(err) {
				return nil, err
			}
			form.Blame(where, web.Text{ZH: "证书请求不可用：" + why.Problems[0].ZH, EN: "The certificate request cannot be used: " + why.Problems[0].EN})
		}
	}
	return text, nil
}

// visible makes what was sent fit to be shown again: text of lines.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r == 0xfffd {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
}
