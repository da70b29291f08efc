package desk

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// verdict is what a clerk says of an application. Its text is the button's name.
type verdict string

const (
	approve  verdict = "approve"
	reject   verdict = "reject"
	sendBack verdict = "return" // to the first review
)

const (
	eventReview = "license.application.review" // the first of two agrees
	eventReturn = "license.application.return"
)

// inStep says which step, in which round, the page has shown: whoever looked at the
// first review does not take the second one by a form that was overtaken.
const inStep = "step"

const maxRound = 1_000_000 // more than there will be

// decision is a verdict on an application as its page showed it.
type decision struct {
	verdict verdict
	step    state // submitted or reviewed
	round   int
	why     note
}

// errPost says that the step is kept for another post.
var errPost = web.Refuse(fault.Denied, textPost)

var textPost = web.Text{ZH: "此步骤须由有“复审”岗位的工作人员办理。", EN: "This step takes a clerk with the post of reviewer."}

// waits reports whether an application in the state waits for a clerk.
func (s state) waits() bool { return s == submitted || s == reviewed }

// stepOf is what a form says of the step that it shows.
func stepOf(in state, round int) string { return string(in) + "." + strconv.Itoa(round) }

// readDecision reads the buttons, the reason and the step of a form. A form without a
// step is of the first one.
func readDecision(r *http.Request) (d decision, err error) {
	for _, v := range []verdict{approve, reject, sendBack} {
		if r.PostForm.Has(string(v)) {
			if d.verdict != "" {
				return d, fault.New(fault.Invalid, "want one button")
			}
			d.verdict = v
		}
	}
	if d.verdict == "" {
		return d, fault.New(fault.Invalid, "want either approve or reject")
	}
	if d.verdict != approve {
		d.why.Reason = reasonOf(r)
	}
	step, round, _ := strings.Cut(r.PostForm.Get(inStep), ".")
	if d.step = state(step); step == "" {
		d.step, round = submitted, "0"
	}
	d.round, err = strconv.Atoi(round)
	if err != nil || stepOf(d.step, d.round) != step+"."+round && step != "" || d.round < 0 || d.round > maxRound || !d.step.waits() {
		return d, fault.New(fault.Invalid, "the form is not ours")
	}
	if d.verdict == sendBack && d.step != reviewed {
		return d, fault.New(fault.Invalid, "only a second review sends back to the first")
	}
	return d, nil
}

// post is which of the posts of a type's review takes the step. An application that
// was reviewed once needs a second clerk also where the type has come to ask for one.
func (d decision) post(posts []string) string {
	if d.step == submitted {
		return posts[0]
	}
	return posts[len(posts)-1]
}

// apply makes of an application what the decision of a person makes of it, and
// returns the kind of its event.
func (d decision) apply(a *application, person string, posts []string, at time.Time) (event string) {
	a.Note = d.why
	switch {
	case d.verdict == sendBack:
		a.State, a.Reviewer, a.Reviewed, a.Returner = submitted, "", time.Time{}, person
		a.Round++
		return eventReturn
	case d.verdict == approve && d.step == submitted && len(posts) > 1:
		a.State, a.Reviewer, a.Reviewed = reviewed, person, at
		return eventReview
	}
	a.State, a.Decider, a.Decided = approved, person, at
	if d.verdict == reject {
		a.State = rejected
		return eventReject
	}
	return eventApprove
}

// done reports whether the person has taken the decision already: their form came twice.
func (d decision) done(a *application, person string) bool {
	switch {
	case d.verdict == sendBack:
		return a.Returner == person && a.Round == d.round+1
	case a.Round != d.round:
		return false
	case d.verdict == reject:
		return a.State == rejected && a.Decider == person
	case d.step == submitted && a.Reviewer != "":
		return a.Reviewer == person
	}
	return a.Decider == person && (a.State == approved || a.State == issued || a.State == failed)
}

// decide takes a step of an application that waits for it, by the newest version of
// its type's rule, changes a to what becomes of it, and reports whether it did: false
// means that the application does not stand where the page showed it, or that the
// clerk submitted it or was the first to review it. It fails with errParty if the
// application is the clerk's own, with errPost if the step is kept for another
// post, and as deals does; then nothing is changed.
func (s *Service) decide(ctx context.Context, c *clerk, a *application, d decision) (ok bool, err error) {
	if !d.step.waits() || a.State != d.step || a.Round != d.round {
		return false, nil
	}
	if err := s.deals(ctx, c, a, d.verdict); err != nil {
		return false, err
	}
	if d.verdict == approve {
		if err := s.errMissing(ctx, a); err != nil {
			return false, err
		}
	}
	var sealed []byte
	if d.why.Reason != "" {
		if sealed, err = s.sealNote(ctx, a.ID, d.why); err != nil {
			return false, err
		}
	}
	var holder string
	err = s.db.Read(ctx, func(tx db.Tx) error {
		holder, err = s.holderID(ctx, tx, a)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("decide application: %w", err)
	}
	now := s.now()
	var next application
	err = s.licenses.Decide(ctx, a.Request.Type, func(tx db.Tx, posts []string) error {
		next = *a
		event := d.apply(&next, c.person, posts, now)
		next.Office = c.office(a)
		if ok, err = step(ctx, tx, c.person, a, &next, sealed, now); err != nil || !ok {
			return err
		}
		switch party, err := s.party(ctx, tx, c.person, a, holder, now); {
		case err != nil:
			return err
		case party:
			return errParty
		case !c.holds(d.post(posts)):
			return errPost
		}
		data := where(a, next.Office)
		data["type"] = a.Request.Type
		return record(ctx, tx, event, "person:"+c.person, a.ID, data)
	})
	if err != nil {
		return false, fmt.Errorf("decide application: %w", err)
	}
	if ok {
		*a = next
	}
	return ok, nil
}

// step moves the row from a to next by compare-and-swap: an application is once in a
// state in each round, so that the two name everything else that a says.
func step(ctx context.Context, tx db.Tx, person string, a, next *application, sealed []byte, now time.Time) (bool, error) {
	return moved(ctx, tx, `UPDATE license_applications SET state = $1, reviewer = $2, reviewed_at = $3, returner = $4, round = $5, decider = $6,
		decided_at = $7, note = $8, changed_at = $9, office = $10 WHERE id = $11 AND agency = $12 AND state = $13 AND round = $14 AND submitter <> $15 AND reviewer <> $16`,
		string(next.State), next.Reviewer, microsOrZero(next.Reviewed), next.Returner, next.Round, next.Decider, microsOrZero(next.Decided), sealed,
		db.Micros(now), next.Office, a.ID, a.Agency, string(a.State), a.Round, person, person)
}

// microsOrZero writes a time that may be absent.
func microsOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return db.Micros(t)
}

// timeOrZero reads one.
func timeOrZero(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return db.Time(micros)
}

// word is what the metric calls a decision that was taken.
func (d decision) word(a *application) string {
	switch {
	case d.verdict == sendBack:
		return "returned"
	case a.State == reviewed:
		return "reviewed"
	case d.verdict == reject:
		return "rejected"
	}
	return "approved"
}

// isBarred reports whether a decision failed because of who the clerk is.
func isBarred(err error) bool { return errors.Is(err, errParty) || errors.Is(err, errPost) }

// bar says why the clerk cannot take the step that an application waits for, nil if
// they can, or submitted it, which the page says in its own words. posts are those of
// the type's review.
func (c *clerk) bar(a *application, posts []string, party bool) *web.Text {
	switch {
	case !a.State.waits() || a.Submitter == c.person:
		return nil
	case party:
		return &textParty
	case a.Reviewer == c.person:
		return &textFirst
	case !c.holds(decision{step: a.State}.post(posts)):
		return &textPost
	}
	return nil
}

var textFirst = web.Text{ZH: "您已通过初审，须由另一名工作人员复审。", EN: "You have reviewed it first. Another clerk has to take the second review."}
