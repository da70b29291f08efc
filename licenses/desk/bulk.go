package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

const (
	inPick   = "id" // of each line that was ticked
	bulkMost = 100  // lines of one form
)

// bulkForm stands below a list whose lines can be ticked.
type bulkForm struct {
	web.Form
	Action  string
	Buttons []button
}

// bulkRow is what became of one line.
type bulkRow struct {
	row
	Done bool
	Says web.Text
}

// bulkPage is what bulk.html sees.
type bulkPage struct {
	desk
	Back  string
	Rows  []bulkRow
	Count int // of those done
}

var (
	textOn       = web.Text{ZH: "已通过，转入复审", EN: "Approved: on to the second review"}
	textFirstOne = web.Text{ZH: "未办理：您已初审，须由另一名工作人员复审", EN: "Not done: you reviewed it first, and another clerk has to take the second review"}
	textPostLine = web.Text{ZH: "未办理：须由有“复审”岗位的工作人员办理", EN: "Not done: it takes a clerk with the post of reviewer"}
	textLook     = web.Text{ZH: "未办理：该申请曾被退回初审，请逐件办理", EN: "Not done: it was sent back once, open it and look"}
	textDone     = web.Text{ZH: "已办理", EN: "Done"}
	textOwn      = web.Text{ZH: "未办理：不能复核自己提交的申请", EN: "Not done: nobody reviews their own application"}
	textLate     = web.Text{ZH: "未办理：状态已发生变化", EN: "Not done: it has changed meanwhile"}
	textMissing  = web.Text{ZH: "未办理：找不到", EN: "Not done: there is none"}
	textNotTaken = web.Text{ZH: "未办理：无此职权", EN: "Not done: your agency has no authority for it"}
)

// bulk returns the form below a list, nil where there is nothing to tick.
func (c *clerk) bulk(path string, rows int, buttons ...button) *bulkForm {
	if rows == 0 {
		return nil
	}
	return &bulkForm{Action: c.at(path), Buttons: buttons, Form: web.Form{Fields: []web.Field{
		{Name: inKey, Type: "hidden", Value: db.NewID()},
		{Name: inReason, Type: "textarea", Label: web.Text{ZH: "理由（适用于所选各项）", EN: "Reason, for all that are ticked"},
			Hint: web.Text{ZH: "通过时不必填写；最多 500 字", EN: "Not needed to approve. Up to 500 characters"}}}}}
}

var (
	approveButton = button{string(approve), "", web.Text{ZH: "通过所选", EN: "Approve those ticked"}}
	rejectButton  = button{string(reject), "danger", web.Text{ZH: "退回所选", EN: "Reject those ticked"}}
	suspendButton = button{string(licenses.Suspend), "secondary", web.Text{ZH: "暂停所选", EN: "Suspend those ticked"}}
)

// pickApplications lets those be ticked that the clerk can decide about; what was
// sent back once is looked at first.
func (s *Service) pickApplications(ctx context.Context, c *clerk, in state, rows []row, list []*application) (*bulkForm, error) {
	parties, err := s.parties(ctx, c.person, list...)
	if err != nil {
		return nil, err
	}
	n := 0
	for i, a := range list {
		if err := s.deals(ctx, c, a, ""); errors.Is(err, errAway) {
			continue
		} else if err != nil {
			return nil, err
		}
		if a.Submitter != c.person && a.Round == 0 && c.bar(a, s.reviews(a.Request.Type), parties[a.ID]) == nil {
			rows[i].Pick = a.ID
			n++
		}
	}
	f := c.bulk("/desk/applications", n, approveButton, rejectButton)
	if f != nil {
		f.Fields = append(f.Fields, web.Field{Name: inStep, Type: "hidden", Value: stepOf(in, 0)})
	}
	return f, nil
}

// pickLicenses lets those in force be ticked.
func (c *clerk) pickLicenses(rows []row, list []*licenses.License) *bulkForm {
	n := 0
	for i, l := range list {
		if l.Status == licenses.Issued {
			rows[i].Pick = l.ID
			n++
		}
	}
	return c.bulk("/desk/licenses", n, suspendButton)
}

// picked returns what was ticked, once each, and the key of the form.
func picked(r *http.Request) (ids []string, key string, err error) {
	for _, id := range r.PostForm[inPick] {
		if _, err := db.IDBytes(id); err != nil {
			return nil, "", fault.New(fault.Invalid, "the form is not ours")
		}
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
		if len(ids) > bulkMost {
			return nil, "", web.Refuse(fault.Invalid, web.Text{ZH: "一次最多办理 100 项。", EN: "At most 100 at a time."})
		}
	}
	if len(ids) == 0 {
		return nil, "", web.Refuse(fault.Invalid, web.Text{ZH: "没有选择任何一项。请返回列表勾选。", EN: "Nothing is ticked. Go back to the list and tick some."})
	}
	if key = r.PostForm.Get(inKey); !isID(key) || key == "" {
		return nil, "", web.Refuse(fault.Invalid, textStale)
	}
	return ids, key, nil
}

// postApplications approves or rejects the applications that were ticked, each for
// itself. A form that is sent again finds its own decisions done.
func (s *Service) postApplications(w http.ResponseWriter, r *http.Request, c *clerk) error {
	ids, _, err := picked(r)
	if err != nil {
		return err
	}
	d, err := readDecision(r)
	if err != nil {
		return err
	}
	if d.verdict == sendBack || d.round != 0 {
		return fault.New(fault.Invalid, "the form is not ours")
	}
	if problem, bad := badReason(d.why.Reason); d.verdict == reject && bad {
		return web.Refuse(fault.Invalid, problem)
	}
	data := &bulkPage{desk: c.desk(), Back: c.at("/desk/applications", "state", string(d.step))}
	for _, id := range ids {
		one := *c
		a, says, err := s.decideOne(r.Context(), &one, id, d)
		if err != nil {
			return err
		}
		line := bulkRow{Says: says, Done: says == textDone || says == textOn}
		if a != nil {
			rows, err := s.applicationRows(r.Context(), &one, []*application{a})
			if err != nil {
				return err
			}
			line.row = rows[0]
		}
		data.add(line)
	}
	return s.drawBulk(w, r, data)
}

// decideOne is the decision on one of several applications; nil for one that the
// clerk cannot see.
func (s *Service) decideOne(ctx context.Context, c *clerk, id string, d decision) (*application, web.Text, error) {
	a, err := s.application(ctx, c, id)
	if errors.Is(err, errNoApplication) {
		return nil, textMissing, nil
	}
	if err != nil {
		return nil, web.Text{}, err
	}
	switch {
	case a.Submitter == c.person:
		return a, textOwn, nil
	case a.State == reviewed && d.step == reviewed && a.Reviewer == c.person:
		return a, textFirstOne, nil
	case a.State.waits() && a.Round > 0: // whoever decides again reads why it came back
		return a, textLook, nil
	}
	if d.verdict == approve {
		missing, err := s.missing(ctx, a)
		if err != nil {
			return nil, web.Text{}, err
		}
		if len(missing) > 0 {
			return a, textMissingFiles(missing), nil
		}
	}
	ok, err := s.decide(ctx, c, a, d)
	switch {
	case errors.Is(err, errAway):
		return a, textAway, nil
	case errors.Is(err, errUnable):
		return a, textNotTaken, nil
	}
	if isBarred(err) {
		s.metrics.decided.WithLabelValues("barred").Inc()
		if errors.Is(err, errPost) {
			return a, textPostLine, nil
		}
		return a, textPartyLine, nil
	}
	if err != nil {
		return nil, web.Text{}, err
	}
	if ok {
		s.metrics.decided.WithLabelValues(d.word(a)).Inc()
	} else if a, err = s.application(ctx, c, id); err != nil {
		return nil, web.Text{}, err
	} else if !d.done(a, c.person) {
		s.metrics.decided.WithLabelValues("late").Inc()
		return a, textLate, nil
	}
	if a.State == approved {
		if err := s.complete(ctx, a); err != nil { // the approval stands: the sweeper goes on
			s.log.ErrorContext(ctx, "approved application left to the sweeper", slog.Any("error", err))
		}
	}
	if a.State == reviewed {
		return a, textOn, nil
	}
	return a, textDone, nil
}

// postLicenses suspends the licences that were ticked, each for itself and once for
// each key.
func (s *Service) postLicenses(w http.ResponseWriter, r *http.Request, c *clerk) error {
	ids, key, err := picked(r)
	if err != nil {
		return err
	}
	if !r.PostForm.Has(string(licenses.Suspend)) {
		return fault.New(fault.Invalid, "want suspend")
	}
	reason := reasonOf(r)
	if problem, bad := badReason(reason); bad {
		return web.Refuse(fault.Invalid, problem)
	}
	data := &bulkPage{desk: c.desk(), Back: c.at("/desk/licenses")}
	for _, id := range ids {
		one := *c
		l, says, err := s.suspendOne(r.Context(), &one, id, reason, "bulk-"+c.person+"-"+key+"-"+id)
		if err != nil {
			return err
		}
		line := bulkRow{Says: says, Done: says == textDone}
		if l != nil {
			rows, err := s.licenseRows(r.Context(), &one, []*licenses.License{l})
			if err != nil {
				return err
			}
			line.row = rows[0]
		}
		data.add(line)
	}
	return s.drawBulk(w, r, data)
}

// suspendOne suspends one of several licences; nil for one that the clerk cannot see.
func (s *Service) suspendOne(ctx context.Context, c *clerk, id, reason, key string) (*licenses.License, web.Text, error) {
	_, err := s.license(ctx, c, id) // c then acts for the agency that may
	if errors.Is(err, licenses.ErrNotFound) {
		return nil, textMissing, nil
	}
	if err != nil {
		return nil, web.Text{}, err
	}
	result, says := "refused", textDone
	_, err = s.licenses.Act(ctx, c.caller(), id, licenses.Suspend, reason, key)
	switch kind := fault.KindOf(err); {
	case err == nil:
		result = "done"
	case errors.Is(err, licenses.ErrParty):
		says = textPartyLine
	case kind == fault.Conflict:
		says = textLate
	case kind == fault.Denied:
		says = textNotTaken
	default:
		return nil, web.Text{}, err
	}
	s.metrics.acts.WithLabelValues(string(licenses.Suspend), result).Inc()
	l, err := s.license(ctx, c, id)
	return l, says, err
}

func (p *bulkPage) add(line bulkRow) {
	p.Rows = append(p.Rows, line)
	if line.Done {
		p.Count++
	}
}

func (s *Service) drawBulk(w http.ResponseWriter, r *http.Request, data *bulkPage) error {
	return s.pages.Render(w, r, web.Page{Template: "bulk", Title: web.Text{ZH: "批量办理结果", EN: "What was done"}, Data: data, Wide: true})
}
