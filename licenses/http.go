package licenses

import (
	"bufio"
	_ "embed" // the document
	"encoding/json/v2"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Scope is what an access token needs for the licence API.
const Scope = "licenses"

const (
	maxBody  = 256 << 10 // bytes of one request
	maxLine  = 64 << 10  // bytes of one line of a batch
	maxQuery = 256       // bytes of what is looked for
)

//go:embed openapi.json
var openAPI []byte // the document of what routes returns; a test compares the two

// route is one address of the licence API.
type route struct {
	pattern string
	serve   func(w http.ResponseWriter, r *http.Request, c web.Caller) error
	scopes  []string // of which a token needs one; nil: Scope
}

// routes returns every address that an access token opens. What is added here has
// to be added to openapi.json.
func (s *Service) routes() []route {
	return []route{
		{"POST /licenses/v1/licenses", s.postLicense, nil},
		{"GET /licenses/v1/licenses", s.listLicenses, nil},
		{"GET /licenses/v1/licenses/{id}", s.getLicense, nil},
		{"GET /licenses/v1/licenses/{id}/qr.png", s.getPNG, nil},
		{"GET /licenses/v1/licenses/{id}/qr.svg", s.getSVG, nil},
		{"POST /licenses/v1/licenses/{id}/suspend", s.postAct(Suspend), nil},
		{"POST /licenses/v1/licenses/{id}/resume", s.postAct(Resume), nil},
		{"POST /licenses/v1/licenses/{id}/revoke", s.postAct(Revoke), nil},
		{"POST /licenses/v1/licenses/{id}/renew", s.postReplace(Renewed), nil},
		{"POST /licenses/v1/licenses/{id}/change", s.postReplace(Changed), nil},
		{"POST /licenses/v1/licenses/{id}/reprint", s.postReplace(Reprinted), nil},
		{"POST /licenses/v1/batch", s.postBatch, nil},
		{"POST /licenses/v1/foundings", s.postFounding, nil},
		{"GET /licenses/v1/foundings/{id}", s.getFounding, nil},
		{"GET /licenses/v1/types", s.listTypes, []string{TypesScope, Scope}},
		{"GET /licenses/v1/types/{id}", s.getType, []string{TypesScope, Scope}},
		{"POST /licenses/v1/types", s.postType, []string{TypesScope}},
		{"POST /licenses/v1/types/check", s.postTypeCheck, []string{TypesScope}},
	}
}

const documentPattern = "GET /licenses/v1/openapi.json"

// Mount adds the licence API to mux, and its OpenAPI document, which needs no token.
func (s *Service) Mount(mux *http.ServeMux) {
	for _, route := range s.routes() {
		mux.Handle(route.pattern, web.Handler(func(w http.ResponseWriter, r *http.Request) error {
			caller, err := s.authorize(r, route.scopes)
			if err != nil {
				return err
			}
			return route.serve(w, r, caller)
		}, s.log))
	}
	mux.Handle(documentPattern, web.Handler(getDocument, s.log))
}

// authorize returns the caller if the token has one of the scopes.
func (s *Service) authorize(r *http.Request, scopes []string) (caller web.Caller, err error) {
	if scopes == nil {
		scopes = []string{Scope}
	}
	for _, scope := range scopes {
		if caller, err = web.Authorize(s.tokens, r, scope); err == nil {
			return caller, nil
		}
	}
	return caller, err
}

func getDocument(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, no-cache")
	_, err := w.Write(openAPI)
	return err
}

func (s *Service) postLicense(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return fault.New(fault.Invalid, "the header Idempotency-Key is required")
	}
	var req Request
	if err := web.DecodeJSON(w, r, maxBody, &req); err != nil {
		return err
	}
	results, err := s.Issue(r.Context(), c, []Keyed{{Key: key, Request: req}})
	if err != nil {
		return err
	}
	if results[0].Err != nil {
		return results[0].Err
	}
	w.Header().Set("Location", "/licenses/v1/licenses/"+results[0].License.ID)
	return web.WriteJSON(w, http.StatusCreated, results[0].License)
}

func (s *Service) getLicense(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	l, err := s.Find(r.Context(), c.Agency, r.PathValue("id"))
	if err != nil {
		return err
	}
	if l.Versions, err = s.History(r.Context(), l.Number); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, l)
}

// listLicenses pages through the agency's licences in the order of their ids:
// ?after=ID&limit=N, and ?number=, ?holder=, ?type= or ?status= to find some.
func (s *Service) listLicenses(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	q := r.URL.Query()
	f := Filter{Agency: c.Agency, Type: q.Get("type"), Status: Status(q.Get("status")), Number: q.Get("number"), Holder: q.Get("holder"),
		After: q.Get("after"), Limit: 50, Oldest: true}
	var problems []fault.Problem
	if v := q.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 || n > listMost {
			problems = append(problems, fault.Problem{Path: "limit", Message: "want 1 to " + strconv.Itoa(listMost)})
		}
		f.Limit = n
	}
	if f.Status != "" && !slices.Contains(statuses, f.Status) {
		problems = append(problems, fault.Problem{Path: "status", Message: "want signing, issued, suspended, revoked, expired or replaced"})
	}
	for _, name := range []string{"after", "number", "holder", "type"} {
		if v := q.Get(name); len(v) > maxQuery || !utf8.ValidString(v) || strings.ContainsRune(v, 0) { // PostgreSQL has no such text
			problems = append(problems, fault.Problem{Path: name, Message: "want at most " + strconv.Itoa(maxQuery) + " bytes of text"})
		}
	}
	if len(problems) > 0 {
		return fault.InvalidInput("the query has a problem", problems...)
	}
	var page struct {
		Licenses []*License `json:"licenses"`
		Next     string     `json:"next,omitempty"`
	}
	var err error
	if page.Licenses, page.Next, err = s.List(r.Context(), f); err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, page)
}

func (s *Service) postAct(act Act) func(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	return func(w http.ResponseWriter, r *http.Request, c web.Caller) error {
		var body struct {
			Reason string `json:"reason"`
		}
		if err := web.DecodeJSON(w, r, maxBody, &body); err != nil {
			return err
		}
		l, err := s.Act(r.Context(), c, r.PathValue("id"), act, body.Reason, r.Header.Get("Idempotency-Key"))
		if err != nil {
			return err
		}
		return web.WriteJSON(w, http.StatusOK, l)
	}
}

// line is one request of a batch.
type line struct {
	Key string `json:"key"`
	Request
}

// outcome is one line of a batch's answer.
type outcome struct {
	Line     int             `json:"line"`
	Key      string          `json:"key,omitempty"`
	ID       string          `json:"id,omitempty"`
	Number   string          `json:"number,omitempty"`
	Status   Status          `json:"status,omitempty"`
	Permit   string          `json:"permit,omitempty"`
	Error    string          `json:"error,omitempty"`
	Message  string          `json:"message,omitempty"`
	Problems []fault.Problem `json:"problems,omitempty"`
}

// postBatch reads one request per line and answers one result per line, in
// order, while it still reads. A line that is answered is durable. A batch that
// breaks off can be sent again whole.
func (s *Service) postBatch(w http.ResponseWriter, r *http.Request, c web.Caller) error {
	rc := http.NewResponseController(w)
	if err := rc.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	b := &batch{s: s, r: r, c: c, out: w, flush: rc.Flush}
	in := bufio.NewScanner(r.Body)
	in.Buffer(make([]byte, 0, 16<<10), maxLine)
	for in.Scan() {
		if len(in.Bytes()) == 0 {
			continue
		}
		if b.n >= s.maxLines {
			return b.stop(fault.New(fault.TooLarge, "a batch has at most "+strconv.Itoa(s.maxLines)+" lines: send the rest in another"))
		}
		if err := b.add(in.Bytes()); err != nil {
			return err
		}
	}
	if err := b.send(); err != nil {
		return err
	}
	if err := in.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fault.New(fault.TooLarge, "a line has at most "+strconv.Itoa(maxLine)+" bytes")
		}
		return b.stop(err)
	}
	return nil
}

type batch struct {
	s     *Service
	r     *http.Request
	c     web.Caller
	out   io.Writer
	flush func() error
	n     int // lines read
	wait  []outcome
	keyed []Keyed
	at    []int // where in wait each of keyed belongs
}

func (b *batch) add(raw []byte) error {
	b.n++
	var l line
	o := outcome{Line: b.n}
	if err := web.UnmarshalJSON(raw, &l); err != nil {
		o.fail(err)
	} else {
		o.Key = l.Key
		b.keyed, b.at = append(b.keyed, Keyed{Key: l.Key, Request: l.Request}), append(b.at, len(b.wait))
	}
	b.wait = append(b.wait, o)
	if len(b.wait) == Batch {
		return b.send()
	}
	return nil
}

// send issues what waits and writes the answers.
func (b *batch) send() error {
	if len(b.wait) == 0 {
		return nil
	}
	if len(b.keyed) > 0 {
		results, err := b.s.Issue(b.r.Context(), b.c, b.keyed)
		if err != nil && b.n <= len(b.wait) {
			return err // nothing has been answered yet: the whole request fails
		}
		for i, at := range b.at {
			if o := &b.wait[at]; err != nil {
				o.fail(err)
			} else if r := results[i]; r.Err != nil {
				o.fail(r.Err)
			} else {
				o.ID, o.Number, o.Status, o.Permit = r.License.ID, r.License.Number, r.License.Status, r.License.Permit
			}
		}
	}
	for i := range b.wait {
		if err := b.write(b.wait[i]); err != nil {
			return err
		}
	}
	b.wait, b.keyed, b.at = b.wait[:0], b.keyed[:0], b.at[:0]
	return b.flush()
}

func (b *batch) write(o outcome) error {
	if err := json.MarshalWrite(b.out, o); err != nil {
		return err
	}
	_, err := io.WriteString(b.out, "\n")
	return err
}

// stop answers why no further line was read, with the number of the first line
// that was not.
func (b *batch) stop(err error) error {
	o := outcome{Line: b.n + 1}
	o.fail(err)
	return b.write(o)
}

func (o *outcome) fail(err error) {
	o.Error, o.Message, o.Problems = fault.KindOf(err).String(), fault.Public(err), fault.Problems(err)
}
