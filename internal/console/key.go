package console

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// maxKeyReason is the longest reason for pausing a key, in bytes, as the keyring has
// it.
const maxKeyReason = 500

// happened is one time in a key's life.
type happened struct {
	What web.Text
	At   time.Time
}

// keyPage is what key.html sees.
type keyPage struct {
	room
	ID, Alg, Backend string
	Purpose          web.Text
	Owner            string
	Tags             []tag
	Fingerprint      string // SHA-256 of its SubjectPublicKeyInfo
	Certificate      string // SHA-256, "" for none
	Life             []happened
	Steps            []stepRow
	Act              string // what may be done at once: "pause", "resume" or ""
	Form             web.Form
	Self             string
	Asks             []link
	History          []eventRow
	Done             *web.Text
	Notices          []web.Text
}

var errKey = web.Refuse(fault.NotFound, web.Text{ZH: "没有此密钥。", EN: "there is no such key"})

func (c *Console) findKey(ctx context.Context, id string) (keys.Key, error) {
	list, err := c.o.Keys(ctx)
	if err != nil {
		return keys.Key{}, err
	}
	i := slices.IndexFunc(list, func(k keys.Key) bool { return k.ID == id })
	if i < 0 {
		return keys.Key{}, errKey
	}
	return list[i], nil
}

func (c *Console) getKey(w http.ResponseWriter, r *http.Request, _ officer) error {
	k, err := c.findKey(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	data, err := c.keyPage(r.Context(), k)
	if err != nil {
		return err
	}
	switch done := r.URL.Query().Get("done"); {
	case done == "pause" && data.Act == "resume":
		data.Done = &web.Text{ZH: "密钥已暂停，所有服务器将在两秒内停止使用。", EN: "The key is paused. Within two seconds no server signs with it."}
	case done == "resume" && data.Act == "pause":
		data.Done = &web.Text{ZH: "密钥已恢复使用。", EN: "The key signs again."}
	}
	return c.drawKey(w, r, data, 0)
}

func (c *Console) drawKey(w http.ResponseWriter, r *http.Request, data *keyPage, status int) error {
	return c.pages.Render(w, r, web.Page{Template: "key", Title: web.Text{ZH: data.Purpose.ZH + "密钥", EN: "Key: " + data.Purpose.EN},
		Data: data, Status: status, Wrong: data.Form.Wrong()})
}

func (c *Console) keyPage(ctx context.Context, k keys.Key) (*keyPage, error) {
	data := &keyPage{room: in(""), ID: k.ID, Alg: k.Alg, Backend: k.Backend, Purpose: purposeOf(k.Purpose), Owner: k.Owner, Tags: tagsOf(k),
		Life: life(k), Self: keyAddress(k.ID)}
	if spki, err := x509.MarshalPKIXPublicKey(k.Public); err == nil {
		data.Fingerprint = hexHash(spki)
	}
	if len(k.Certificate) > 0 {
		data.Certificate = hexHash(k.Certificate)
	}
	data.offer(k)
	for _, a := range c.forms {
		if a.ForKey == nil {
			continue
		}
		if values, ok := a.ForKey(k); ok {
			var query []string
			for _, x := range a.Fields {
				query = append(query, x.Name, values[x.Name])
			}
			data.Asks = append(data.Asks, link{Name: a.Title, Address: at(a.address, query...)})
		}
	}
	steps, err := c.o.Calendar(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range steps {
		if s.Key.ID == k.ID {
			data.Steps = append(data.Steps, c.stepRow(s))
		}
	}
	records, err := c.o.History(ctx, "key:"+k.ID)
	if err != nil {
		return nil, err
	}
	slices.Reverse(records)
	n, err := c.officers(ctx)
	if err != nil {
		return nil, err
	}
	data.History = c.eventRows(n, records)
	return data, nil
}

// offer draws the form for what one officer may do at once. It carries how the key
// stood when it was drawn, so that an old form does not undo what was done since.
func (data *keyPage) offer(k keys.Key) {
	data.Act = "pause"
	switch {
	case k.State == keys.Retired || k.State == keys.Compromised:
		data.Act = ""
		return
	case !k.Paused.IsZero():
		data.Act = "resume"
	}
	data.Form = web.Form{Fields: []web.Field{
		{Name: "reason", Type: "textarea", Required: true, Label: web.Text{ZH: "理由", EN: "Reason"},
			Hint: web.Text{ZH: "记入日志，请勿写入个人姓名或号码，最多约 160 个汉字", EN: "It goes to the log. No names or numbers of people. Up to 500 characters"}},
		{Name: "seen", Type: "hidden", Value: stand(k)}}}
}

// stand says how a key stands.
func stand(k keys.Key) string {
	return string(k.State) + " " + strconv.FormatInt(db.Micros(k.Paused), 10)
}

// life lists what has happened to a key, in its order.
func life(k keys.Key) (list []happened) {
	for _, h := range []happened{
		{web.Text{ZH: "生成", EN: "Made"}, k.Created}, {web.Text{ZH: "公布", EN: "Published"}, k.Published},
		{web.Text{ZH: "启用", EN: "Put into use"}, k.Activated}, {web.Text{ZH: "停止签名", EN: "Stopped signing"}, k.Retiring},
		{web.Text{ZH: "销毁", EN: "Retired"}, k.Retired}, {web.Text{ZH: "暂停", EN: "Paused"}, k.Paused},
		{web.Text{ZH: "认定泄露", EN: "Marked compromised"}, k.Compromised},
		{web.Text{ZH: "自何时起不再可信", EN: "Not believed since"}, k.Since},
	} {
		if !h.At.IsZero() {
			list = append(list, h)
		}
	}
	slices.SortStableFunc(list, func(a, b happened) int { return a.At.Compare(b.At) })
	return list
}

// halt is what one officer alone does to a key.
type halt struct {
	act     string
	do      func(ctx context.Context, id, actor, reason string) error
	already bool // the key stands so
}

// readHalt returns what a form asks for.
func (c *Console) readHalt(r *http.Request, k keys.Key) (halt, error) {
	switch pause, resume := r.PostForm.Has("pause"), r.PostForm.Has("resume"); {
	case pause == resume:
		return halt{}, fault.New(fault.Invalid, "want either pause or resume")
	case pause:
		return halt{"pause", c.o.Pause, !k.Paused.IsZero()}, nil
	default:
		return halt{"resume", c.o.Resume, k.Paused.IsZero()}, nil
	}
}

// postKey pauses or resumes a key.
func (c *Console) postKey(w http.ResponseWriter, r *http.Request, o officer) error {
	k, err := c.findKey(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	h, err := c.readHalt(r, k)
	if err != nil {
		return err
	}
	data, err := c.keyPage(r.Context(), k)
	if err != nil {
		return err
	}
	reason := oneLine(r.PostForm.Get("reason"))
	switch problem, bad := badHaltReason(reason); {
	case data.Act != "" && h.already: // sent twice, or a colleague was faster
	case data.Act != h.act || r.PostForm.Get("seen") != stand(k):
		data.Notices = []web.Text{{ZH: "此密钥已发生变化，您的操作没有生效。以下为最新状态。", EN: "This key has changed meanwhile: what you did has had no effect. This is how it stands now."}}
		return c.drawKey(w, r, data, http.StatusConflict)
	case bad:
		data.Form.Field("reason").Value = seen(reason)
		data.Form.Blame("reason", problem)
		return c.drawKey(w, r, data, http.StatusBadRequest)
	default:
		if err := c.metrics.did(h.act, "page", h.do(r.Context(), k.ID, o.actor(), reason)); err != nil {
			var ok bool
			if data.Notices, ok = says(err); !ok {
				return err
			}
			return c.drawKey(w, r, data, web.Status(err))
		}
	}
	http.Redirect(w, r, keyAddress(k.ID)+"?done="+h.act, http.StatusSeeOther)
	return nil
}

func badHaltReason(reason string) (web.Text, bool) {
	problem, bad := badReason(reason, maxKeyReason)
	if !bad && len(reason) > maxKeyReason {
		return web.Text{ZH: "理由过长", EN: "The reason is too long"}, true
	}
	return problem, bad
}

func hexHash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
