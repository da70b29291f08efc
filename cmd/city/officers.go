package city

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/console"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/oidc/login"
)

// openOfficers opens the two-person rule and the officers' pages.
func (c *City) openOfficers(o Options) (err error) {
	c.Approvals, err = approval.New(approval.Options{DB: c.DB, People: c.Registry, Issuer: c.Issuer, Operations: c.operations(),
		Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	if err != nil {
		return err
	}
	c.Console, err = console.New(console.Options{Site: c.Site, Approvals: c.Approvals, People: c.Registry, Root: c.CA,
		Keys:     func(ctx context.Context) ([]keys.Key, error) { return c.Ring.List(ctx, keys.Filter{}) },
		Calendar: c.Calendar, ByRoot: func(s keys.Step) bool { return byRoot(s.Purpose) && s.Do != keys.DoPromote && s.Do != keys.DoRetire },
		Pause: c.Ring.Pause, Resume: c.Ring.Resume,
		Events: func(ctx context.Context, before string, limit int) ([]audit.Record, error) {
			return c.records(ctx, audit.EventFilter{Before: before, Newest: true, Limit: limit})
		},
		History: func(ctx context.Context, object string) ([]audit.Record, error) {
			return c.records(ctx, audit.EventFilter{Object: object})
		},
		Forms: c.forms(), ACR: login.ACRPhishingResistant, Caller: c.Approvals.Caller,
		Now: o.Now, Logger: o.Logger, Registerer: o.Metrics})
	return err
}

func (c *City) records(ctx context.Context, f audit.EventFilter) (list []audit.Record, err error) {
	err = c.DB.Read(ctx, func(tx db.Tx) (err error) {
		list, err = audit.Find(ctx, tx, f)
		return err
	})
	return list, err
}

// forms are how the pages ask for what takes two officers.
func (c *City) forms() []console.Form {
	text := func(zh, en string) web.Text { return web.Text{ZH: zh, EN: en} }
	inUse := func(k keys.Key) (map[string]string, bool) {
		return map[string]string{"purpose": k.Purpose, "owner": k.Owner}, k.State == keys.Active
	}
	return []console.Form{
		{Kind: OpRotate, ForKey: inUse, Fields: []console.Field{
			{Name: "purpose", Label: text("用途", "Purpose"), Required: true}, {Name: "owner", Label: text("所属", "Owner"), Required: true}}},
		{Kind: OpCompromise, Hint: text("此密钥将永久停用。自该时间起由它签署的一切不再可信。", "The key never signs again. What it signed from that time on is not believed."),
			ForKey: func(k keys.Key) (map[string]string, bool) {
				return map[string]string{"key": k.ID}, k.State != keys.Retired && k.State != keys.Compromised
			},
			Fields: []console.Field{{Name: "key", Label: text("密钥编号", "Key"), Required: true},
				{Name: "since", Type: console.Time, Label: text("最迟的泄露时间", "Time of the theft at the latest"), Required: true}}},
		{Kind: OpRoot, Fields: []console.Field{{Name: "response", Type: console.File, Label: text("根的签署结果文件", "The root's response"), Required: true, Max: 40 << 10}}},
		{Kind: OpRewrap, Hint: text("须先将下一个密钥加密密钥放到每个副本上。", "The next key-encryption key must be on every replica beforehand.")},
		{Kind: OpLookup},
		{Kind: OpExport, Fields: []console.Field{{Name: "from", Type: console.Whole, Label: text("起始序号", "First event"), Required: true},
			{Name: "to", Type: console.Whole, Label: text("末尾序号（-1 为最新）", "Last event (-1 is the newest)"), Required: true}}},
	}
}

// needTwo refuses what one client alone asks for although there are officers.
func (c *City) needTwo(ctx context.Context, kind string) error {
	officers, err := c.Approvals.Officers(ctx)
	if err != nil || len(officers) == 0 {
		return err
	}
	return fault.New(fault.Denied, "this takes two officers: one asks (signet approval request "+kind+"), another approves")
}

// needTwoFor is needTwo for the keys of a purpose whose steps need approval.
func (c *City) needTwoFor(ctx context.Context, purpose string) error {
	if p, ok := c.policies[purpose]; !ok || p.Automatic {
		return nil
	}
	return c.needTwo(ctx, OpRotate)
}

// mountOfficers adds what comes before there are officers, or before one of them
// has a credential.
func (c *City) mountOfficers(mux *http.ServeMux, route func(string, func(http.ResponseWriter, *http.Request, string) error)) {
	route("POST /security/v1/officers/found", c.postFound)
	mux.Handle("POST /security/v1/officers/enroll", web.Handler(c.postEnrollOfficer, c.log))
	mux.Handle("POST /security/v1/officers/glass/statement", web.Handler(c.postGlass, c.log))
	mux.Handle("POST /security/v1/officers/glass/apply", web.Handler(c.postGlassApply, c.log))
}

// postGlass returns the statement with which the offline quorum would replace the
// officers. Nobody needs to be anybody to ask: without the quorum's signatures it
// is nothing.
func (c *City) postGlass(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Officers []string `json:"officers"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	statement, err := c.Approvals.BreakGlass(r.Context(), body.Officers)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"statement": statement})
}

// postGlassApply replaces the officers by what the quorum signed. Whoever brings
// the signatures is given the new officers' codes.
func (c *City) postGlassApply(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Statement  []byte   `json:"statement"`
		Signatures [][]byte `json:"signatures"`
	}
	if err := web.DecodeJSON(w, r, maxGlassBody, &body); err != nil {
		return err
	}
	codes, err := c.Approvals.ApplyQuorum(r.Context(), body.Statement, body.Signatures...)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"codes": viewCodes(codes)})
}

// maxGlassBody is the longest statement with all its signatures.
const maxGlassBody = 128 << 10

// codeView is an enrolment code as the API hands it out, once.
type codeView struct {
	Person  string    `json:"person"`
	Code    string    `json:"code"`
	Expires time.Time `json:"expires"`
}

func viewCodes(codes []approval.Code) []codeView {
	views := make([]codeView, len(codes))
	for i, one := range codes {
		views[i] = codeView{one.Person, one.Code, one.Expires}
	}
	return views
}

// postFound makes the first officers. Their codes are in the answer and nowhere
// else.
func (c *City) postFound(w http.ResponseWriter, r *http.Request, actor string) error {
	var body struct {
		Officers []string        `json:"officers"`
		Quorum   approval.Quorum `json:"quorum"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	codes, err := c.Approvals.Found(r.Context(), approval.Founding{Officers: body.Officers, Quorum: body.Quorum, Actor: actor})
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, map[string]any{"codes": viewCodes(codes)})
}

// postEnrollOfficer enrols an officer's key. The one-time code, of 256 random bits,
// proves who calls.
func (c *City) postEnrollOfficer(w http.ResponseWriter, r *http.Request) error {
	var body struct {
		Person string `json:"person"`
		Code   string `json:"code"`
		Key    []byte `json:"key"` // SubjectPublicKeyInfo or certificate, DER
		Name   string `json:"name"`
	}
	if err := web.DecodeJSON(w, r, maxKeyBody, &body); err != nil {
		return err
	}
	credential, err := c.Approvals.AddKey(r.Context(), body.Person, body.Code, body.Key, body.Name)
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, map[string]any{"id": credential.ID, "key": credential.Key})
}

// allowExport lets a client export what officers approved, named by the parameter
// request, for as long as a day after it was done.
func (c *City) allowExport(r *http.Request, _ web.Caller, spec audit.ExportSpec) error {
	officers, err := c.Approvals.Officers(r.Context())
	if err != nil || len(officers) == 0 {
		return err
	}
	refused := fault.New(fault.Denied, "an export takes two officers: name the approved request with ?request=ID (signet approval request "+OpExport+")")
	id := r.URL.Query().Get("request")
	if id == "" {
		return refused
	}
	q, err := c.Approvals.Find(r.Context(), id)
	if fault.KindOf(err) == fault.NotFound {
		return refused
	}
	if err != nil {
		return err
	}
	var approved exportRange
	if err := json.Unmarshal(q.Resolved, &approved); err != nil {
		return fmt.Errorf("read approved export: %w", err)
	}
	if q.Kind != OpExport || q.State != approval.Done || c.now().Sub(q.Finished) > day || approved.From != spec.From || approved.To != spec.To {
		return refused
	}
	return nil
}
