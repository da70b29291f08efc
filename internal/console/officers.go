package console

import (
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// credentialRow is a credential for approvals as officers see it.
type credentialRow struct {
	ID, Name, Key string
	Kind          web.Text
	Synced        bool
	Added, Used   time.Time
	Until         time.Time
	Remove        string // address, for the officer's own
	Replace       string // address of the request, for others'
}

// officerRow is an officer with what they approve with.
type officerRow struct {
	Name, Person string
	Self         bool
	Added        time.Time
	Credentials  []credentialRow
	Asks         []link // about them
}

// officersPage is what officers.html sees.
type officersPage struct {
	room
	Officers []officerRow
	Asks     []link   // about nobody yet
	Form     web.Form // of a key for the command line
	Done     *web.Text
	Notices  []web.Text
}

func (c *Console) getOfficers(w http.ResponseWriter, r *http.Request, o officer) error {
	data, err := c.officersPage(r, o)
	if err != nil {
		return err
	}
	switch r.URL.Query().Get("done") {
	case "enrol":
		data.Done = &web.Text{ZH: "批准凭据已登记。", EN: "The approval credential is enrolled."}
	case "remove":
		data.Done = &web.Text{ZH: "批准凭据已移除。", EN: "The approval credential is removed."}
	}
	return c.drawOfficers(w, r, data, 0)
}

func (c *Console) drawOfficers(w http.ResponseWriter, r *http.Request, data *officersPage, status int) error {
	return c.pages.Render(w, r, web.Page{Template: "officers", Title: web.Text{ZH: "安全官", EN: "Security officers"}, Data: data, Status: status,
		Wrong: data.Form.Wrong()})
}

func (c *Console) officersPage(r *http.Request, o officer) (*officersPage, error) {
	list, err := c.o.Approvals.Officers(r.Context())
	if err != nil {
		return nil, err
	}
	data := &officersPage{room: in("/security/officers"), Form: keyForm(), Asks: c.askLinks("", approval.KindAdd, approval.KindQuorum)}
	n := c.names()
	for _, one := range list {
		name, err := n.of(r.Context(), one.Person)
		if err != nil {
			return nil, err
		}
		row := officerRow{Name: name, Person: one.Person, Self: one.Person == o.person, Added: one.Added}
		if !row.Self {
			row.Asks = c.askLinks(one.Person, approval.KindEnrol, approval.KindRemove)
		}
		for _, k := range one.Credentials {
			row.Credentials = append(row.Credentials, c.credentialRow(k, row.Self))
		}
		data.Officers = append(data.Officers, row)
	}
	return data, nil
}

func (c *Console) credentialRow(k approval.Credential, own bool) credentialRow {
	row := credentialRow{ID: k.ID, Name: k.Name, Key: k.Key, Kind: wordOf(credentialWords, k.Kind), Synced: k.Synced, Added: k.Added, Used: k.Used, Until: k.Until}
	if own {
		row.Remove = "/security/officers/credentials/" + k.ID + "/remove"
	} else if a := c.findAsk(approval.KindEnrol); a != nil {
		row.Replace = at(a.address, "person", k.Person, "remove", k.ID)
	}
	return row
}

// askLinks leads to requests of some kinds, about a person if one is given.
func (c *Console) askLinks(person string, kinds ...string) (list []link) {
	for _, kind := range kinds {
		if a := c.findAsk(kind); a != nil {
			list = append(list, link{Name: a.Title, Address: at(a.address, "person", person)})
		}
	}
	return list
}

func keyForm() web.Form {
	return web.Form{Fields: []web.Field{
		{Name: "code", Label: web.Text{ZH: "一次性登记码", EN: "One-time code"}, Required: true},
		{Name: "key", Type: "textarea", Required: true, Label: web.Text{ZH: "公钥或证书", EN: "Public key or certificate"},
			Hint: web.Text{ZH: "PEM 格式，P-256 或 P-384", EN: "In PEM, on P-256 or P-384"}},
		{Name: "name", Label: web.Text{ZH: "名称（选填）", EN: "Name (optional)"}, MaxLength: 40}}}
}

// postKeyCredential enrols the key with which an officer approves in the command
// line.
func (c *Console) postKeyCredential(w http.ResponseWriter, r *http.Request, o officer) error {
	data, err := c.officersPage(r, o)
	if err != nil {
		return err
	}
	for _, name := range []string{"code", "key", "name"} {
		text := strings.TrimSpace(r.PostForm.Get(name))
		data.Form.Field(name).Value = seen(text)
		if text == "" && name != "name" {
			data.Form.Blame(name, textMissing)
		}
	}
	der, ok := readPEM(r.PostForm.Get("key"))
	if !ok {
		data.Form.Blame("key", web.Text{ZH: "不是 PEM 格式的公钥或证书", EN: "This is no public key or certificate in PEM"})
	}
	if !data.Form.Wrong() {
		_, err := c.o.Approvals.AddKey(r.Context(), o.person, strings.TrimSpace(r.PostForm.Get("code")), der, r.PostForm.Get("name"))
		if c.metrics.did("enrol", "page", err) == nil {
			http.Redirect(w, r, "/security/officers?done=enrol", http.StatusSeeOther)
			return nil
		}
		list, ok := says(err)
		if !ok {
			return err
		}
		data.Form.Problems = list
		data.Form.Field("code").Value = "" // it stands on no page again
		return c.drawOfficers(w, r, data, web.Status(err))
	}
	return c.drawOfficers(w, r, data, http.StatusBadRequest)
}

// readPEM returns what is in the only block of a text.
func readPEM(text string) ([]byte, bool) {
	block, rest := pem.Decode([]byte(text))
	if block == nil || len(strings.TrimSpace(string(rest))) > 0 || block.Type != "PUBLIC KEY" && block.Type != "CERTIFICATE" {
		return nil, false
	}
	return block.Bytes, true
}

func (c *Console) postRemove(w http.ResponseWriter, r *http.Request, o officer) error {
	id, err := r.PathValue("id"), error(nil)
	if isID(id) {
		err = c.o.Approvals.RemoveCredential(r.Context(), o.person, id)
	} else {
		err = errNowhere
	}
	if err = c.metrics.did("remove", "page", err); err != nil {
		list, ok := says(err)
		if !ok {
			return err
		}
		data, pageErr := c.officersPage(r, o)
		if pageErr != nil {
			return pageErr
		}
		data.Notices = list
		return c.drawOfficers(w, r, data, web.Status(err))
	}
	http.Redirect(w, r, "/security/officers?done=remove", http.StatusSeeOther)
	return nil
}

// enrolment is what the script sends for a new passkey.
type enrolment struct {
	Code string `json:"code"`
	approval.Enrolment
}

// beginPasskey answers with what the script asks the authenticator.
func (c *Console) beginPasskey(w http.ResponseWriter, r *http.Request, o officer) error {
	var body struct {
		Code string `json:"code"`
	}
	if err := web.DecodeJSON(w, r, maxScript, &body); err != nil {
		return err
	}
	options, err := c.o.Approvals.BeginPasskey(r.Context(), o.person, strings.TrimSpace(body.Code))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, options)
}

// finishPasskey takes the authenticator's answer.
func (c *Console) finishPasskey(w http.ResponseWriter, r *http.Request, o officer) error {
	var body enrolment
	if err := web.DecodeJSON(w, r, maxScript, &body); err != nil {
		return err
	}
	_, err := c.o.Approvals.FinishPasskey(r.Context(), o.person, strings.TrimSpace(body.Code), body.Enrolment)
	if err = c.metrics.did("enrol", "page", err); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, next{"/security/officers?done=enrol"})
}

// readKey returns the key or certificate that the API was given: DER in base64, as
// it stands between the lines of a PEM.
func readKey(text string) ([]byte, error) {
	der, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fault.InvalidInput("this is no key", fault.Problem{Path: "/key", Message: "is not DER in base64"})
	}
	return der, nil
}
