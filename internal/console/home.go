package console

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

const (
	dueSoon  = 30 * 24 * time.Hour
	pageRows = 50
)

// keyRow is a key, or one that is to be made, with its next step.
type keyRow struct {
	Address string // "" for a key that is to be made
	Purpose web.Text
	Owner   string
	Tags    []tag
	Since   time.Time // of its state
	Next    stepRow
}

// stepRow is a step of the calendar; without At there is none.
type stepRow struct {
	Do   web.Text
	At   time.Time
	Late bool // its time has come
	Who  web.Text
}

// homePage is what home.html sees.
type homePage struct {
	room
	Waiting  []requestRow // for this officer to approve
	Own      []requestRow // for others: made by this officer, or about them
	Due      []keyRow
	Stopped  []keyRow
	Calendar []keyRow
	Purposes []web.Field // one select
	All      int         // rows of the calendar
	pager
}

func (c *Console) getHome(w http.ResponseWriter, r *http.Request, o officer) error {
	ctx, q := r.Context(), r.URL.Query()
	data := homePage{room: in("/security")}
	open, err := c.o.Approvals.List(ctx, approval.Open)
	if err != nil {
		return err
	}
	if data.Waiting, data.Own, err = c.waiting(ctx, open, o); err != nil {
		return err
	}
	list, err := c.o.Keys(ctx)
	if err != nil {
		return err
	}
	steps, err := c.o.Calendar(ctx)
	if err != nil {
		return err
	}
	rows := c.calendar(list, steps)
	for _, row := range rows {
		if !row.Next.At.IsZero() && !row.Next.At.After(c.o.Now().Add(dueSoon)) {
			data.Due = append(data.Due, row)
		}
		if slices.ContainsFunc(row.Tags, func(t tag) bool { return t.Class == "bad" }) {
			data.Stopped = append(data.Stopped, row)
		}
	}
	chosen := q.Get("purpose")
	data.Purposes = purposeSelect(list, chosen)
	if chosen != "" {
		rows = slices.DeleteFunc(rows, func(row keyRow) bool { return row.Purpose != purposeOf(chosen) })
	}
	data.All = len(rows)
	if data.Calendar, data.pager, err = cut(rows, q.Get("page"), pageRows, "/security", "purpose", chosen); err != nil {
		return err
	}
	return c.pages.Render(w, r, web.Page{Template: "home", Title: web.Text{ZH: "密钥安全", EN: "Key security"}, Data: data, Wide: true})
}

// waiting parts open requests by who can do something about them.
func (c *Console) waiting(ctx context.Context, open []approval.Request, o officer) (others, own []requestRow, err error) {
	n := c.names()
	for _, q := range open {
		row, err := c.requestRow(ctx, n, q)
		if err != nil {
			return nil, nil, err
		}
		if q.Requester == o.person || q.Subject == o.person {
			own = append(own, row)
		} else {
			others = append(others, row)
		}
	}
	return others, own, nil
}

// calendar returns every key that is not retired and every key that is to be made,
// in the order of their next steps. Those with none stand at the end.
func (c *Console) calendar(list []keys.Key, steps []keys.Step) (rows []keyRow) {
	seen := map[string]bool{}
	for _, s := range steps {
		switch {
		case s.Key.ID == "":
			rows = append(rows, keyRow{Purpose: purposeOf(s.Purpose), Owner: s.Owner, Tags: []tag{tagNone}, Next: c.stepRow(s)})
		case !seen[s.Key.ID]:
			rows = append(rows, c.keyRow(s.Key, s))
			seen[s.Key.ID] = true
		}
	}
	var rest []keys.Key
	for _, k := range list {
		if !seen[k.ID] && k.State != keys.Retired {
			rest = append(rest, k)
		}
	}
	slices.SortFunc(rest, func(a, b keys.Key) int {
		return strings.Compare(a.Purpose+"\x00"+a.Owner+"\x00"+a.ID, b.Purpose+"\x00"+b.Owner+"\x00"+b.ID)
	})
	for _, k := range rest {
		rows = append(rows, c.keyRow(k, keys.Step{}))
	}
	return rows
}

func (c *Console) keyRow(k keys.Key, s keys.Step) keyRow {
	row := keyRow{Address: keyAddress(k.ID), Purpose: purposeOf(k.Purpose), Owner: k.Owner, Tags: tagsOf(k), Since: since(k)}
	if s.Do != "" {
		row.Next = c.stepRow(s)
	}
	return row
}

func (c *Console) stepRow(s keys.Step) stepRow {
	row := stepRow{Do: wordOf(stepWords, s.Do), At: s.At, Late: s.Due(c.o.Now()), Who: web.Text{ZH: "两名安全官", EN: "Two officers"}}
	switch {
	case s.Automatic:
		row.Who = textSystem
	case c.o.ByRoot(s):
		row.Who = web.Text{ZH: "根密钥仪式", EN: "The root, in a ceremony"}
	}
	return row
}

// since returns when a key came to its state.
func since(k keys.Key) time.Time {
	switch k.State {
	case keys.Published:
		return k.Published
	case keys.Active:
		return k.Activated
	case keys.Retiring:
		return k.Retiring
	case keys.Retired:
		return k.Retired
	case keys.Compromised:
		return k.Compromised
	}
	return k.Created
}

func keyAddress(id string) string { return "/security/keys/" + id }

// purposeSelect chooses among the purposes that there are keys of.
func purposeSelect(list []keys.Key, chosen string) []web.Field {
	var purposes []string
	for _, k := range list {
		if !slices.Contains(purposes, k.Purpose) {
			purposes = append(purposes, k.Purpose)
		}
	}
	if len(purposes) < 2 {
		return nil
	}
	slices.Sort(purposes)
	f := web.Field{Name: "purpose", Type: "select", Label: web.Text{ZH: "用途", EN: "Purpose"}, Value: chosen,
		Options: []web.Option{{Label: web.Text{ZH: "全部", EN: "All"}}}}
	for _, p := range purposes {
		f.Options = append(f.Options, web.Option{Value: p, Label: purposeOf(p)})
	}
	return []web.Field{f}
}
