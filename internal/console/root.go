package console

import (
	"encoding/json/v2"
	"net/http"
	"strings"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// rootPage is what root.html sees.
type rootPage struct {
	room
	Open   bool   // an act is under way
	ID     string // of the request
	Digest string // SHA-256 of its file
	Bytes  int
	Begin  []link // requests that begin an act, or give it up
	Apply  []link // the one that takes the response
}

// kindApply is the kind of request that takes the root's response.
const kindApply = "root.apply"

func (c *Console) getRoot(w http.ResponseWriter, r *http.Request, _ officer) error {
	data := rootPage{room: in("/security/root")}
	for _, a := range c.forms {
		switch {
		case a.Kind == kindApply:
			data.Apply = append(data.Apply, link{Name: a.Title, Address: a.address})
		case strings.HasPrefix(a.Kind, "root."):
			data.Begin = append(data.Begin, link{Name: a.Title, Address: a.address})
		}
	}
	file, err := c.o.Root.OpenRootAct(r.Context())
	switch {
	case err == nil:
		data.Open, data.Digest, data.Bytes, data.ID = true, hexHash(file), len(file), requestID(file)
	case fault.KindOf(err) != fault.NotFound:
		return err
	}
	return c.pages.Render(w, r, web.Page{Template: "root", Title: web.Text{ZH: "根密钥仪式", EN: "Root ceremony"}, Data: data})
}

// requestID is the id in a request's file, as it is read aloud offline.
func requestID(file []byte) string {
	var q struct {
		ID string `json:"id"`
	}
	_ = json.Unmarshal(file, &q) // made by ourselves
	return q.ID
}

func (c *Console) getRootRequest(w http.ResponseWriter, r *http.Request, _ officer) error {
	file, err := c.o.Root.OpenRootAct(r.Context())
	if fault.KindOf(err) == fault.NotFound {
		return web.Refuse(fault.NotFound, web.Text{ZH: "目前没有进行中的根密钥签署。", EN: "no act of the root is under way"})
	}
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="request.json"`)
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write(file) // the officer may be gone
	return nil
}
