package audit

import (
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Scope is what an access token needs to read what events say.
const Scope = "audit"

// exportPatience is how long a client may take for one page of an export.
const exportPatience = 30 * time.Second

// MountExport adds to mux
//
//	GET /log/v1/export?from=SEQ&to=SEQ
//
// which answers with application/x-ndjson as Export.Write makes it: both numbers are
// of events, inclusive, by default the first and the newest. It takes a token with
// Scope whose client belongs to no agency; allow, unless it is nil, may refuse a
// request besides. That the export was made is an event before the first byte is
// sent. A connection that ends before the last line was cut.
func (l *Log) MountExport(mux *http.ServeMux, tokens web.TokenChecker, allow func(r *http.Request, c web.Caller, s ExportSpec) error) {
	mux.Handle("GET /log/v1/export", web.Handler(func(w http.ResponseWriter, r *http.Request) error {
		caller, err := web.Authorize(tokens, r, Scope)
		if err != nil {
			return err
		}
		if caller.Agency != "" {
			return fault.New(fault.Denied, "the log is exported to the city's officers")
		}
		spec, err := parseExport(r.URL.Query())
		if err != nil {
			return err
		}
		spec.Actor = caller.Actor()
		if allow != nil {
			if err := allow(r, caller, spec); err != nil {
				return err
			}
		}
		x, err := l.Export(r.Context(), spec)
		if err != nil {
			return err
		}
		h := w.Header()
		h.Set("Content-Type", "application/x-ndjson")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		return x.Write(r.Context(), patient{w, http.NewResponseController(w)})
	}, l.log))
}

// parseExport reads the query: each parameter at most once, no other. What request
// names is for allow to judge.
func parseExport(q url.Values) (s ExportSpec, err error) {
	s.To = -1
	for name, values := range q {
		i := slices.Index([]string{"from", "to"}, name)
		if i < 0 && name != "request" || len(values) != 1 {
			return s, fault.New(fault.Invalid, "the query takes from, to and request, each once")
		}
		if i < 0 {
			continue
		}
		n, ok := decimal(values[0], 1<<62)
		if !ok {
			return s, fault.New(fault.Invalid, "from and to are sequence numbers of events")
		}
		*[]*int64{&s.From, &s.To}[i] = n
	}
	return s, nil
}

// patient gives a client time for each page, not for the whole.
type patient struct {
	http.ResponseWriter
	control *http.ResponseController
}

// Write implements io.Writer.
func (p patient) Write(b []byte) (int, error) {
	// A server that knows no deadlines has none to miss.
	_ = p.control.SetWriteDeadline(time.Now().Add(exportPatience))
	return p.ResponseWriter.Write(b)
}
