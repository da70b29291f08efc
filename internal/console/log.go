package console

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/web"
)

// eventRow is what the log says.
type eventRow struct {
	At      time.Time
	What    web.Text
	Kind    string // as the log has it
	Who     web.Text
	Object  string
	Address string // of the object's page, "" for none
	Lines   []web.Text
	Place   string // in the log, "" while it is not sealed
}

// eventRows shows records. n names whom it knows.
func (c *Console) eventRows(n *names, records []audit.Record) []eventRow {
	rows := make([]eventRow, len(records))
	for i, e := range records {
		row := eventRow{At: e.At, What: eventWord(e.Kind), Kind: e.Kind, Who: n.actor(e.Actor), Object: e.Object, Lines: c.particulars(e)}
		if e.Seq >= 0 {
			row.Place = strconv.FormatInt(e.Seq, 10)
		}
		if id, ok := strings.CutPrefix(e.Object, "key:"); ok && isID(id) {
			row.Address = keyAddress(id)
		}
		if id, ok := strings.CutPrefix(e.Object, "approval:"); ok && isID(id) {
			row.Address = requestAddress(id)
		}
		if person, ok := strings.CutPrefix(e.Object, "person:"); ok && n.known[person] != "" {
			row.Object = n.known[person]
		}
		rows[i] = row
	}
	return rows
}

// particulars are what an event says that people want to read. The rest, hashes and
// bytes, stands in the export.
func (c *Console) particulars(e audit.Record) (list []web.Text) {
	if e.Erased {
		return []web.Text{{ZH: "内容已清除", EN: "Its content was erased"}}
	}
	text := func(name string) string { s, _ := e.Data[name].(string); return s }
	if purpose := text("purpose"); purpose != "" {
		p := purposeOf(purpose)
		list = append(list, web.Text{ZH: p.ZH + " " + text("owner"), EN: p.EN + " " + text("owner")})
	}
	if from, to := text("from"), text("to"); from != "" && to != "" {
		list = append(list, web.Text{ZH: stateWord(from).ZH + " → " + stateWord(to).ZH, EN: stateWord(from).EN + " → " + stateWord(to).EN})
	}
	if kind := text("kind"); kind != "" && strings.HasPrefix(e.Kind, "approval.") {
		list = append(list, c.kindTitle(kind))
	}
	if reason := text("reason"); reason != "" {
		list = append(list, web.Text{ZH: "理由：" + reason, EN: "Reason: " + reason})
	}
	return list
}

func stateWord(state string) web.Text {
	for s, t := range keyTags {
		if string(s) == state {
			return t.Word
		}
	}
	return plain(state)
}

// kindTitle is what requests of a kind are called.
func (c *Console) kindTitle(kind string) web.Text {
	for _, k := range c.o.Approvals.Kinds() {
		if k.Kind == kind {
			return k.Title
		}
	}
	return plain(kind)
}

// logPage is what log.html sees.
type logPage struct {
	room
	Events []eventRow
	pager
}

func (c *Console) getLog(w http.ResponseWriter, r *http.Request, _ officer) error {
	before := r.URL.Query().Get("before")
	if before != "" && !isID(before) {
		return errNowhere
	}
	records, err := c.o.Events(r.Context(), before, pageRows+1)
	if err != nil {
		return err
	}
	data := logPage{room: in("/security/log")}
	if before != "" {
		data.First = "/security/log"
	}
	if len(records) > pageRows {
		records = records[:pageRows]
		data.Next = at("/security/log", "before", records[pageRows-1].ID)
	}
	n, err := c.officers(r.Context())
	if err != nil {
		return err
	}
	data.Events = c.eventRows(n, records)
	return c.pages.Render(w, r, web.Page{Template: "log", Title: web.Text{ZH: "日志", EN: "Log"}, Data: data, Wide: true})
}

// isID reports whether s is an identifier of ours. Nothing else is asked of a
// database.
func isID(s string) bool {
	_, err := db.IDBytes(s)
	return err == nil
}
