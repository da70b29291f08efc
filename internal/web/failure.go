package web

import (
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
)

// failed is what error.html sees.
type failed struct {
	Title     Text
	Body      Text
	Reference string
	SignIn    string // address, where signing in may help
}

// sentences are what a page says by the kind of its failure.
var sentences = map[fault.Kind]struct{ title, body Text }{
	fault.Invalid:     {Text{"内容有误", "Something is not right"}, Text{"提交的内容不完整或不正确。请返回检查后重试。", "What was sent is incomplete or incorrect. Go back, check it and try again."}},
	fault.NotFound:    {Text{"找不到页面", "Page not found"}, Text{"地址可能有误，或内容已不存在。", "The address may be wrong, or what it named is no longer there."}},
	fault.Conflict:    {Text{"无法重复办理", "This has already changed"}, Text{"该事项已被处理或已发生变化。请刷新后查看最新状态。", "Somebody has dealt with this, or it has changed. Reload to see how it stands now."}},
	fault.Denied:      {Text{"没有权限", "You cannot do this"}, Text{"您没有办理此事项的权限。", "You do not have permission for this."}},
	fault.Unavailable: {Text{"服务暂时不可用", "The service is not available"}, Text{"请稍后再试。已提交成功的内容不会丢失。", "Try again in a moment. Nothing that was confirmed is lost."}},
	fault.TooLarge:    {Text{"内容过大", "Too large"}, Text{"提交的内容超过允许的大小。", "What was sent is larger than allowed."}},
	fault.Internal:    {Text{"系统出现问题", "Something went wrong on our side"}, Text{"我们已记录此问题。如需帮助，请提供以下编号。", "We have recorded the problem. If you ask for help, give the number below."}},
}

// fail answers err with a page.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, err error) {
	kind := kindOf(err)
	page := s.failure(r, err)
	h := w.Header()
	for _, name := range []string{"Content-Encoding", "Content-Length", "Content-Disposition", "Etag", "Last-Modified", "Location"} {
		h.Del(name)
	}
	if kind == fault.Unavailable {
		h.Set("Retry-After", "1")
	}
	if err := s.pages.Render(w, r, page); err != nil {
		s.log.ErrorContext(r.Context(), "draw failure", slog.Any("cause", err))
		http.Error(w, "internal error", http.StatusInternalServerError)
	}
}

// failure returns the page for err.
func (s *Site) failure(r *http.Request, err error) Page {
	kind := kindOf(err)
	says := sentences[kind]
	data := failed{Title: says.title, Body: says.body}
	if text, ok := explanation(err); ok && kind != fault.Internal {
		data.Body = text
	}
	if kind == fault.Internal || kind == fault.Unavailable {
		data.Reference = obs.RequestID(r.Context())
	}
	if kind == fault.Denied && IdentityOf(r.Context()) == nil {
		data.SignIn = s.signIn(address(r))
	}
	return Page{Template: "error", Title: says.title, Status: Status(err), Data: data}
}

// Fail answers with err: with a page for a browser, as Handler does for a program.
// It is for what happens before any page's handler, such as a form that another
// site sent.
func (s *Site) Fail(err error) http.Handler {
	f := func(http.ResponseWriter, *http.Request) error { return err }
	page, program := s.pages.Handler(f), Handler(f, s.log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if wantsPage(r) {
			page.ServeHTTP(w, r)
			return
		}
		program.ServeHTTP(w, r)
	})
}

// Stranger answers what Protect refuses: a form or a call that a browser sends
// from another site.
func (s *Site) Stranger() http.Handler { return s.Fail(errStranger) }

var errStranger = Explain(fault.New(fault.Denied, "a page of another site sent this"),
	Text{"此请求来自其他网站，已被拒绝。请在本站页面重新操作。", "This was sent by a page of another site and has been refused. Do it again from a page of this site."})

// Cover serves mux, and answers in the visitor's language where mux has no
// handler: net/http's own answers are English and plain text. Programs, which do not
// ask for text/html, get a fault as Handler answers it. A method that an address
// does not take stays status 405 with its Allow.
func (s *Site) Cover(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		var probe probe
		h.ServeHTTP(&probe, r)
		switch probe.status {
		case http.StatusNotFound:
			s.Fail(errNowhere).ServeHTTP(w, r)
		case http.StatusMethodNotAllowed:
			w.Header().Set("Allow", probe.Header().Get("Allow"))
			s.Fail(errMethod).ServeHTTP(w, r)
		default: // a redirect to the address as it should be written
			mux.ServeHTTP(w, r)
		}
	})
}

var (
	errNowhere = fault.New(fault.NotFound, "there is nothing at this address")
	errMethod  = &challenge{status: http.StatusMethodNotAllowed, err: Explain(fault.New(fault.Invalid, "this address does not take that method"),
		Text{"不能以这种方式打开此地址。请返回上一页重新操作。", "This address cannot be opened in that way. Go back and try again from the page before."})}
)

// probe takes an answer of net/http's own and keeps its status.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *probe) WriteHeader(status int) {
	if p.status == 0 {
		p.status = status
	}
}

func (p *probe) Write(b []byte) (int, error) {
	p.WriteHeader(http.StatusOK)
	return len(b), nil
}

// wantsPage reports whether r names text/html among what it accepts, as every
// browser does for what it shows. Programs that accept anything do not name it.
func wantsPage(r *http.Request) bool {
	for _, one := range strings.Split(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, params, _ := strings.Cut(one, ";")
		if !strings.EqualFold(strings.TrimSpace(kind), "text/html") {
			continue
		}
		_, q, weighed := strings.Cut(strings.ReplaceAll(params, " ", ""), "q=")
		if weight, err := strconv.ParseFloat(q, 64); !weighed || err != nil || weight > 0 {
			return true
		}
	}
	return false
}
