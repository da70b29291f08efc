package registry

import (
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// whom names a person in a request: by id, or by document as operators know them.
type whom struct {
	Person string `json:"person,omitzero"`
	Kind   Kind   `json:"kind,omitzero"`
	Number string `json:"number,omitzero"`
}

// find returns the person's id. Whether an id is anybody's shows later.
func (a *api) find(r *http.Request, w whom) (string, error) {
	if (w.Person == "") == (w.Number == "") || w.Person != "" && w.Kind != "" {
		return "", fault.New(fault.Invalid, "a person is named by person, or by kind and number")
	}
	if w.Person != "" {
		return w.Person, nil
	}
	p, err := a.FindPerson(r.Context(), w.Kind, w.Number)
	return p.ID, err
}

// delegationBody is a delegation as operators send and see it.
type delegationBody struct {
	Firm string `json:"firm"`
	whom
	From      time.Time `json:"from,omitzero"`
	Until     time.Time `json:"until,omitzero"`
	Withdrawn time.Time `json:"withdrawn,omitzero"`
	Created   time.Time `json:"created,omitzero"`
}

func showDelegation(d Delegation) delegationBody {
	return delegationBody{d.Firm, whom{Person: d.Person}, d.From, d.Until, d.Withdrawn, d.Created}
}

func (a *api) listDelegations(w http.ResponseWriter, r *http.Request, _ web.Caller) error {
	all, err := a.ListDelegations(r.Context(), r.PathValue("uscc"))
	if err != nil {
		return err
	}
	list := make([]delegationBody, len(all))
	for i, d := range all {
		list[i] = showDelegation(d)
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"delegations": list})
}

func (a *api) delegate(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var body delegationBody
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	person, err := a.find(r, body.whom)
	if err != nil {
		return err
	}
	d := Delegation{Firm: body.Firm, Person: person, From: utc(body.From), Until: utc(body.Until), Withdrawn: body.Withdrawn, Created: body.Created}
	created, err := a.Delegate(r.Context(), actor(c), d)
	if err != nil {
		return err
	}
	all, err := a.ListDelegations(r.Context(), d.Firm)
	if err != nil {
		return err
	}
	for _, old := range all {
		if old.Person == person && old.Withdrawn.IsZero() && old.Until.Equal(d.Until) && (d.From.IsZero() || old.From.Equal(d.From)) {
			d = old
		}
	}
	return web.WriteJSON(w, added(created), showDelegation(d))
}

// utc leaves the zero time zero.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

func (a *api) withdraw(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	var body struct {
		Firm string `json:"firm"`
		whom
	}
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return err
	}
	person, err := a.find(r, body.whom)
	if err != nil {
		return err
	}
	if err := a.Withdraw(r.Context(), actor(c), body.Firm, person); err != nil {
		return err
	}
	may, err := a.MayActFor(r.Context(), person, body.Firm, a.now())
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, struct {
		Firm   string `json:"firm"`
		Person string `json:"person"`
		MayAct bool   `json:"may_act"` // a legal representative still may
	}{body.Firm, person, may})
}

// postBody is a post as operators send and see it.
type postBody struct {
	whom
	Agency  string    `json:"agency"`
	Role    string    `json:"role"`
	Created time.Time `json:"created,omitzero"`
}

// post reads a post from the request.
func (a *api) post(w http.ResponseWriter, r *http.Request) (Post, error) {
	var body postBody
	if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
		return Post{}, err
	}
	person, err := a.find(r, body.whom)
	return Post{Person: person, Agency: body.Agency, Role: body.Role, Created: body.Created}, err
}

// showPosts answers with what the person holds now.
func (a *api) showPosts(w http.ResponseWriter, r *http.Request, person string, status int) error {
	held, err := a.PostsOf(r.Context(), person)
	if err != nil {
		return err
	}
	list := make([]postBody, len(held))
	for i, p := range held {
		list[i] = postBody{Agency: p.Agency, Role: p.Role, Created: p.Created}
	}
	return web.WriteJSON(w, status, map[string]any{"person": person, "posts": list})
}

func (a *api) employ(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	p, err := a.post(w, r)
	if err != nil {
		return err
	}
	created, err := a.Employ(r.Context(), actor(c), p)
	if err != nil {
		return err
	}
	return a.showPosts(w, r, p.Person, added(created))
}

func (a *api) dismiss(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	p, err := a.post(w, r)
	if err != nil {
		return err
	}
	if !p.Created.IsZero() {
		return fault.New(fault.Invalid, "a post is ended by person, agency and role")
	}
	if err := a.Dismiss(r.Context(), actor(c), p.Person, p.Agency, p.Role); err != nil {
		return err
	}
	return a.showPosts(w, r, p.Person, http.StatusOK)
}
