package desk

import (
	"context"
	"net/http"
	"strings"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/form"
)

// searchForm looks for a number. It is sent by POST: numbers do not stand in
// addresses.
type searchForm struct {
	web.Form
	Agency string // hidden, for clerks of several agencies
}

func (c *clerk) search(number string) searchForm {
	f := searchForm{Form: web.Form{Fields: []web.Field{{Name: "number", Label: web.Text{ZH: "查找证照", EN: "Find a licence"},
		Hint:  web.Text{ZH: "证照编号、统一社会信用代码或公民身份号码", EN: "Licence number, unified social credit code or resident number"},
		Value: number}}}}
	if len(c.agencies) > 1 {
		f.Agency = c.agency.ID
	}
	return f
}

// licensesPage is what licenses.html sees.
type licensesPage struct {
	desk
	Search      searchForm
	Filter      []web.Field // of the list; none for a search
	Hidden      string      // the agency, as the filter sends it on
	Searched    bool
	Rows        []row
	Bulk        *bulkForm // nil: nothing can be ticked
	First, Next string    // addresses
	After       string    // of a search: what the next page's form sends
	All         string    // address of the list
}

func (s *Service) getLicenses(w http.ResponseWriter, r *http.Request, c *clerk) error {
	f := licenses.Filter{Agency: c.agency.ID, Type: r.Form.Get("type"), Status: licenses.Status(r.Form.Get("status")),
		After: r.Form.Get("after"), Limit: listRows}
	if f.Type != "" && !s.hasType(f.Type) || f.Status != "" && !knownStatus(f.Status) || !isID(f.After) {
		return fault.New(fault.NotFound, "no such page")
	}
	list, next, err := s.licenses.List(r.Context(), f)
	if err != nil {
		return err
	}
	rows, err := s.licenseRows(r.Context(), c, list)
	if err != nil {
		return err
	}
	data := licensesPage{desk: c.desk(), Search: c.search(""), Filter: s.filter(f), Rows: rows, All: c.at("/desk/licenses")}
	data.Hidden, data.Bulk = data.Search.Agency, c.pickLicenses(data.Rows, list)
	at := func(after string) string {
		return c.at("/desk/licenses", "type", f.Type, "status", string(f.Status), "after", after)
	}
	if f.After != "" {
		data.First = at("")
	}
	if next != "" {
		data.Next = at(next)
	}
	return s.pages.Render(w, r, web.Page{Template: "licenses", Title: web.Text{ZH: "证照", EN: "Licences"}, Data: &data, Wide: true})
}

func (s *Service) hasType(id string) bool {
	for _, t := range s.types() {
		if t.ID == id {
			return true
		}
	}
	return false
}

// filter are the choices above the list.
func (s *Service) filter(f licenses.Filter) []web.Field {
	all := web.Option{Label: web.Text{ZH: "全部", EN: "All"}}
	kinds := web.Field{Name: "type", Type: "select", Label: web.Text{ZH: "证照类型", EN: "Type"}, Value: f.Type, Options: []web.Option{all}}
	for _, t := range s.types() {
		kinds.Options = append(kinds.Options, web.Option{Value: t.ID, Label: web.Text(t.Names)})
	}
	states := web.Field{Name: "status", Type: "select", Label: web.Text{ZH: "状态", EN: "Status"}, Value: string(f.Status), Options: []web.Option{all}}
	for _, t := range statusTags {
		states.Options = append(states.Options, web.Option{Value: string(t.status), Label: t.tag.Word})
	}
	return []web.Field{kinds, states}
}

func (s *Service) postSearch(w http.ResponseWriter, r *http.Request, c *clerk) error {
	number, after := form.Compact(r.PostForm.Get("number")), r.PostForm.Get("after")
	if !isID(after) {
		return fault.New(fault.Invalid, "the form is not ours")
	}
	page := web.Page{Template: "licenses", Title: web.Text{ZH: "查找结果", EN: "Search results"}, Wide: true}
	data := licensesPage{desk: c.desk(), Search: c.search(number), Searched: true, All: c.at("/desk/licenses")}
	if number == "" || len(number) > 64 || strings.ContainsFunc(number, form.Hidden) {
		data.Search = c.search("")
		data.Search.Blame("number", web.Text{ZH: "请输入证照编号、统一社会信用代码或公民身份号码", EN: "Enter a licence number, a unified social credit code or a resident number"})
		data.Searched, page.Data, page.Wrong, page.Status = false, &data, true, http.StatusBadRequest
		return s.pages.Render(w, r, page)
	}
	list, next, err := s.lookUp(r.Context(), c, number, after)
	if err != nil {
		return err
	}
	if len(list) == 1 && after == "" {
		http.Redirect(w, r, c.at("/desk/licenses/"+list[0].ID), http.StatusSeeOther)
		return nil
	}
	if data.Rows, err = s.licenseRows(r.Context(), c, list); err != nil {
		return err
	}
	data.After = next
	data.Bulk = c.pickLicenses(data.Rows, list)
	page.Data = &data
	return s.pages.Render(w, r, page)
}

// lookUp finds the licence with a number, or those of the holder with it, also those of
// agencies whose place the clerk's has taken.
func (s *Service) lookUp(ctx context.Context, c *clerk, number, after string) ([]*licenses.License, string, error) {
	list, next, err := s.licenses.List(ctx, licenses.Filter{Agency: c.agency.ID, Number: number, Limit: listRows})
	if err != nil || len(list) > 0 {
		return list, next, err
	}
	return s.licenses.List(ctx, licenses.Filter{Agency: c.agency.ID, Holder: number, After: after, Limit: listRows})
}
