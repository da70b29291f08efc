package desk

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/form"
)

const (
	inReason  = "reason"
	maxReason = 500 // characters, as the register has it
)

// line is one name and value of a summary.
type line struct{ Label, Value web.Text }

// applicationPage is what application.html sees.
type applicationPage struct {
	desk
	Queue     string
	Type      web.Text
	Tag       tag
	Lines     []line
	Submitter string
	Submitted time.Time
	Reviewer  string // of the first of two reviews
	Reviewed  time.Time
	Decider   string
	Decided   time.Time
	Reason    string // of a rejection, or for sending it back
	Returner  string // who sent it back to the first review last
	Second    bool   // it waits for the second review
	Onward    bool   // a second review comes after this one
	standing
	Why     []web.Text // it failed
	License string     // address
	Again   string     // address of a fresh form
	Self    string
	Own     bool      // the visitor submitted it
	Bar     *web.Text // why the visitor cannot decide otherwise
	Review  *web.Form
	Done    string // what the visitor has just done
	Notice  *web.Text
	Thread  *thread // of an application that its holder sent
	Papers  *papers // what was attached; nil for a type with which nothing comes
}

func (s *Service) getApplication(w http.ResponseWriter, r *http.Request, c *clerk, id string) error {
	a, err := s.application(r.Context(), c, id)
	if err != nil {
		return err
	}
	data, err := s.applicationPage(r.Context(), c, a)
	if err != nil {
		return err
	}
	if r.Form.Get("done") == "submit" && a.State == submitted && data.Own {
		data.Done = "submit"
	}
	return s.drawApplication(w, r, data, 0)
}

func (s *Service) drawApplication(w http.ResponseWriter, r *http.Request, data *applicationPage, status int) error {
	return s.pages.Render(w, r, web.Page{Template: "application", Title: web.Text{ZH: data.Type.ZH + "申请", EN: "Application: " + data.Type.EN},
		Data: data, Status: status, Wrong: data.Review != nil && data.Review.Wrong()})
}

func (s *Service) applicationPage(ctx context.Context, c *clerk, a *application) (*applicationPage, error) {
	data := &applicationPage{desk: c.desk(), Queue: c.at("/desk/applications"), Type: s.typeName(a.Request.Type), Tag: a.State.tag(), Submitted: a.Created,
		Reviewed: a.Reviewed, Decided: a.Decided, Reason: a.Note.Reason, Second: a.State == reviewed, Own: a.Submitter == c.person, Self: c.at("/desk/applications/" + a.ID)}
	people, err := s.holders(ctx, []*application{a})
	if err != nil {
		return nil, err
	}
	if data.Thread, err = s.thread(ctx, c, a); err != nil {
		return nil, err
	}
	parties, err := s.parties(ctx, c.person, a)
	if err != nil {
		return nil, err
	}
	if data.Papers, err = s.papers(ctx, c, a); err != nil {
		return nil, err
	}
	if data.standing, err = s.standing(ctx, c, a); err != nil {
		return nil, err
	}
	if parties[a.ID] {
		data.recuse()
	}
	data.Lines = s.lines(a, people[holderOf(a.Request.Holder)])
	clerks := s.names()
	if data.Submitter, err = clerks.of(ctx, a.Submitter); err != nil {
		return nil, err
	}
	for to, person := range map[*string]string{&data.Reviewer: a.Reviewer, &data.Returner: a.Returner, &data.Decider: a.Decider} {
		if *to, err = clerks.of(ctx, person); err != nil {
			return nil, err
		}
	}
	switch a.State {
	case submitted, reviewed:
		posts := s.reviews(a.Request.Type)
		data.Onward = a.State == submitted && len(posts) > 1
		if data.Bar = c.bar(a, posts, parties[a.ID]); data.Away {
			data.lookOn()
		} else if data.Bar == nil && !data.Own {
			data.Review = reviewForm(a)
		}
	case issued:
		see, err := s.sees(ctx, c, a.License)
		if err != nil {
			return nil, err
		}
		if see {
			data.License = c.at("/desk/licenses/" + a.License)
		}
	case rejected, failed:
		data.Again = c.at("/desk/" + a.Request.Type + "/new")
		data.Why = s.why(a)
	}
	return data, nil
}

// recuse leaves out what somebody with a part in the application does not do: they ask
// nothing, and add files only to what they typed in themselves.
func (p *applicationPage) recuse() {
	if p.Thread != nil {
		p.Thread.Form = nil
	}
	if p.Papers != nil && (!p.Own || p.Thread != nil) {
		p.Papers.Form = nil
	}
}

// lookOn leaves out everything that changes something.
func (p *applicationPage) lookOn() {
	p.Bar = p.textAwayTo()
	if p.Thread != nil {
		p.Thread.Form = nil
	}
	if p.Papers != nil {
		p.Papers.Form = nil
	}
}

// reviewForm asks for the verdict of a step, and for a reason where it needs one.
func reviewForm(a *application) *web.Form {
	reason := web.Field{Name: inReason, Type: "textarea", Label: web.Text{ZH: "退回理由", EN: "Reason for rejecting"},
		Hint: web.Text{ZH: "退回时必填，最多 500 字", EN: "Needed only to reject. Up to 500 characters"}}
	if a.State == reviewed {
		reason.Label = web.Text{ZH: "退回理由", EN: "Reason for rejecting or sending it back"}
	}
	return &web.Form{Fields: []web.Field{{Name: inStep, Type: "hidden", Value: stepOf(a.State, a.Round)}, reason}}
}

// lines lists what was applied for, as far as the type still knows it.
func (s *Service) lines(a *application, holder string) []line {
	plain := func(v string) web.Text { return web.Text{ZH: v, EN: v} }
	name := plain(holder)
	if holder == "" {
		name = textUnknown
	}
	list := []line{{web.Text{ZH: "持证人", EN: "Holder"}, name}, {web.Text{ZH: "持证人号码", EN: "Holder's number"}, plain(holderNumber(a.Request.Holder))}}
	if f := s.formOf(a.Request.Type); f != nil {
		for _, in := range f.Inputs {
			if v, ok := a.Request.Data[in.Name]; ok {
				list = append(list, line{in.Label, in.Shown(v)})
			}
		}
	}
	from, until := plain(a.Request.NotBefore), plain(a.Request.NotAfter)
	if a.Request.NotBefore == "" {
		from = web.Text{ZH: "签发当日", EN: "The day of issue"}
	}
	if a.Request.NotAfter == "" {
		until = web.Text{ZH: "按证照类型的期限", EN: "As long as the type says"}
	}
	return append(list, line{web.Text{ZH: "生效日期", EN: "Valid from"}, from}, line{web.Text{ZH: "有效期至", EN: "Valid until"}, until})
}

// why tells the problems of an application that failed, with the names of their
// inputs.
func (s *Service) why(a *application) (list []web.Text) {
	f := s.formOf(a.Request.Type)
	for _, p := range a.Note.Problems {
		t := web.Text{ZH: p.ZH, EN: p.EN}
		if f != nil && p.Path != "" {
			if in, ok := f.Find(form.Property(p.Path)); ok {
				t = web.Text{ZH: in.Label.ZH + p.ZH, EN: in.Label.EN + " " + p.EN}
			}
		}
		list = append(list, t)
	}
	return list
}

func (s *Service) postApplication(w http.ResponseWriter, r *http.Request, c *clerk, id string) error {
	a, err := s.application(r.Context(), c, id)
	if err != nil {
		return err
	}
	if r.PostForm.Has(inAsk) {
		return s.postAsk(w, r, c, a)
	}
	d, err := readDecision(r)
	if err != nil {
		return err
	}
	if a.Submitter == c.person {
		return s.again(w, r, c, a, http.StatusForbidden, &web.Text{ZH: "须由本部门另一名工作人员复核，不能复核自己提交的申请。",
			EN: "Another clerk of your agency has to review this. You cannot review what you applied for."})
	}
	if a.State == reviewed && d.step == reviewed && a.Reviewer == c.person {
		return s.again(w, r, c, a, http.StatusForbidden, nil) // the page says why
	}
	if problem, bad := badReason(d.why.Reason); d.verdict != approve && bad && a.State == d.step {
		return s.unreasoned(w, r, c, a, d, problem)
	}
	ok, err := s.decide(r.Context(), c, a, d)
	switch {
	case errors.Is(err, errAway), errors.Is(err, errUnable):
		return s.again(w, r, c, a, http.StatusForbidden, nil) // the page says why
	case isBarred(err):
		s.metrics.decided.WithLabelValues("barred").Inc()
		return s.again(w, r, c, a, http.StatusForbidden, nil)
	case err != nil:
		return err
	case !ok:
		return s.late(w, r, c, a.ID, d)
	}
	s.metrics.decided.WithLabelValues(d.word(a)).Inc()
	return s.decided(w, r, c, a)
}

// unreasoned draws the application with what is wrong with the reason.
func (s *Service) unreasoned(w http.ResponseWriter, r *http.Request, c *clerk, a *application, d decision, problem web.Text) error {
	data, err := s.applicationPage(r.Context(), c, a)
	if err != nil {
		return err
	}
	if data.Review == nil { // the page says why
		return s.drawApplication(w, r, data, http.StatusForbidden)
	}
	data.Review.Field(inReason).Value = strings.Map(form.Visible, d.why.Reason)
	data.Review.Blame(inReason, problem)
	return s.drawApplication(w, r, data, http.StatusBadRequest)
}

// decided issues what was approved and leads to what became of it.
func (s *Service) decided(w http.ResponseWriter, r *http.Request, c *clerk, a *application) error {
	if a.State == approved {
		if err := s.complete(r.Context(), a); err != nil { // the approval stands: the sweeper goes on
			s.log.ErrorContext(r.Context(), "approved application left to the sweeper", slog.Any("error", err))
		}
	}
	to := c.at("/desk/applications/" + a.ID)
	if a.State == issued {
		to = c.at("/desk/licenses/"+a.License, "done", "issue")
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
	return nil
}

// late answers a decision that came after another one: a repetition by the same
// clerk like the first, anybody else's with how it stands.
func (s *Service) late(w http.ResponseWriter, r *http.Request, c *clerk, id string, d decision) error {
	a, err := s.application(r.Context(), c, id)
	if err != nil {
		return err
	}
	if d.done(a, c.person) {
		return s.decided(w, r, c, a)
	}
	s.metrics.decided.WithLabelValues("late").Inc()
	return s.again(w, r, c, a, http.StatusConflict, &web.Text{ZH: "该申请已经处理，您的操作没有生效。以下为最新状态。",
		EN: "This application has been dealt with already: what you did has had no effect. This is how it stands now."})
}

// again draws the application with a notice.
func (s *Service) again(w http.ResponseWriter, r *http.Request, c *clerk, a *application, status int, notice *web.Text) error {
	data, err := s.applicationPage(r.Context(), c, a)
	if err != nil {
		return err
	}
	data.Notice = notice
	return s.drawApplication(w, r, data, status)
}

// reasonOf returns the reason as one line: a textarea sends line ends.
func reasonOf(r *http.Request) string {
	return oneLine(r.PostForm.Get(inReason))
}

func badReason(reason string) (web.Text, bool) {
	switch {
	case reason == "":
		return web.Text{ZH: "请填写理由", EN: "Enter a reason"}, true
	case utf8.RuneCountInString(reason) > maxReason:
		return web.Text{ZH: "理由不得超过 500 个字", EN: "The reason must have at most 500 characters"}, true
	case strings.ContainsFunc(reason, form.Hidden):
		return web.Text{ZH: "理由" + form.TextHidden.ZH, EN: "The reason " + form.TextHidden.EN}, true
	}
	return web.Text{}, false
}
