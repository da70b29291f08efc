package demoapp

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/web"
)

// Whom the visitor signs in for, as the form says it.
const (
	forSelf = "self"
	forFirm = "firm"
)

// signInField asks whom the visitor signs in for.
func signInField(firm bool) web.Field {
	f := web.Field{Name: "for", Type: "radio", Value: forSelf, Label: web.Text{ZH: "为谁办理", EN: "Who is it for"}, Options: []web.Option{
		{Value: forSelf, Label: web.Text{ZH: "为本人办理", EN: "For myself"}},
		{Value: forFirm, Label: web.Text{ZH: "为企业办理", EN: "For a firm"}, Hint: web.Text{ZH: "需为法定代表人，或已获企业授权", EN: "You must be its legal representative or hold its delegation"}},
	}}
	if firm {
		f.Value = forFirm
	}
	return f
}

// front is what front.html sees.
type front struct {
	Name  web.Text
	For   web.Field
	Other []Link
}

func (a *app) frontPage() web.Page {
	return web.Page{Template: "front", Title: web.Text{ZH: "登录", EN: "Sign in"}, FormTo: a.issuer, Data: front{a.o.Name, signInField(false), a.o.Other}}
}

// row is one claim as the page lists it.
type row struct {
	Claim string // its name in the protocol
	Label web.Text
	Value web.Text
	Raw   string // the value in the protocol, where Value is its translation
}

// signedIn is what signedin.html sees.
type signedIn struct {
	Agency   web.Text
	Name     string
	Firm     string
	FirmName string
	Sure     web.Text
	How      web.Text
	At       time.Time // zero: not told
	Rows     []row
	More     []row // what the protocol needs for itself
	Subject  string
	Other    []Link
	Issuer   string
}

func (a *app) signedInPage(s session) web.Page {
	c, id := s.claims, s.identity()
	data := signedIn{Agency: a.o.Name, Name: id.Name, Firm: c.Firm, FirmName: id.FirmName, Sure: inWords(sureness, c.ACR), How: how(c.AMR), At: id.AuthTime,
		Subject: c.Subject, Other: a.o.Other, Issuer: a.o.Issuer}
	add := func(claim string, label web.Text, value web.Text, raw string) {
		if raw != "" {
			if value.ZH == raw {
				raw = ""
			}
			data.Rows = append(data.Rows, row{claim, label, value, raw})
		}
	}
	same := func(v string) web.Text { return web.Text{ZH: v, EN: v} }
	add("name", web.Text{ZH: "姓名", EN: "Name"}, same(c.Name), c.Name)
	add("sub", web.Text{ZH: "您在本部门的编号", EN: "Your number at this agency"}, same(c.Subject), c.Subject)
	add("firm_name", web.Text{ZH: "所代表的企业", EN: "Firm acted for"}, same(c.FirmName), c.FirmName)
	add("firm_uscc", web.Text{ZH: "统一社会信用代码", EN: "Unified social credit code"}, same(c.Firm), c.Firm)
	add("acr", web.Text{ZH: "可信程度", EN: "How sure"}, data.Sure, c.ACR)
	add("amr", web.Text{ZH: "验证方式", EN: "Proved by"}, data.How, strings.Join(c.AMR, " "))
	if c.AuthTime != 0 {
		zone := time.FixedZone("UTC+8", 8*3600)
		at := id.AuthTime.In(zone)
		add("auth_time", web.Text{ZH: "验证时间", EN: "Proved at"}, web.Text{ZH: at.Format("2006年1月2日 15:04"), EN: at.Format("2 January 2006, 15:04")},
			strconv.FormatInt(c.AuthTime, 10))
	}
	for _, name := range slices.Sorted(maps.Keys(c.all)) {
		if !slices.ContainsFunc(data.Rows, func(r row) bool { return r.Claim == name }) {
			data.More = append(data.More, row{Claim: name, Raw: c.all[name]})
		}
	}
	return web.Page{Template: "signedin", Title: web.Text{ZH: "已登录", EN: "Signed in"}, Data: data}
}

// problem is what problem.html sees.
type problem struct {
	Title web.Text
	Body  web.Text
	For   web.Field // what the button sends again
}

// Sentences for what can go wrong.
var (
	saysDenied = problem{Title: web.Text{ZH: "您没有同意登录", EN: "You did not agree"},
		Body: web.Text{ZH: "您在城市统一账号页面选择了不同意，本部门没有收到您的任何信息。", EN: "You chose not to share anything on the city account's page. This agency has learned nothing about you."}}
	saysStale = problem{Title: web.Text{ZH: "登录请求已失效", EN: "This sign-in is no longer good"},
		Body: web.Text{ZH: "登录请求已使用过、已超时，或不是由本浏览器发起。为保障安全，请重新登录。", EN: "It was used before, took too long, or was not begun in this browser. To be safe, sign in again."}}
	saysUnproved = problem{Title: web.Text{ZH: "无法确认登录结果", EN: "The answer could not be confirmed"},
		Body: web.Text{ZH: "收到的登录结果未通过安全核验，已丢弃。请重新登录；如多次出现，请联系本部门。", EN: "What came back did not pass our checks and was thrown away. Sign in again. If it goes on, tell this agency."}}
	saysAway = problem{Title: web.Text{ZH: "暂时无法连接城市统一账号", EN: "The city account cannot be reached"},
		Body: web.Text{ZH: "城市统一账号服务暂时没有响应，请稍后重试。", EN: "The city account service does not answer at the moment. Try again shortly."}}
	saysOther = problem{Title: web.Text{ZH: "登录没有完成", EN: "Signing in did not work"},
		Body: web.Text{ZH: "城市统一账号未能完成本次登录。请重试；如多次出现，请联系本部门。", EN: "The city account could not complete it. Try again. If it goes on, tell this agency."}}
)

// problemPage says what went wrong, and offers to try again.
func (a *app) problemPage(err error, firm bool) web.Page {
	says, status := explain(err)
	says.For = signInField(firm)
	return web.Page{Template: "problem", Title: says.Title, Status: status, FormTo: a.issuer, Data: says}
}

func explain(err error) (problem, int) {
	if no, ok := errors.AsType[*refused](err); ok {
		switch no.code {
		case "access_denied":
			return saysDenied, http.StatusForbidden
		case "temporarily_unavailable", "server_error":
			return saysAway, http.StatusBadGateway
		case "login_required", "consent_required", "interaction_required", "account_selection_required":
			return saysOther, http.StatusForbidden
		case "invalid_grant":
			return saysStale, http.StatusBadRequest
		default:
			return saysOther, http.StatusBadGateway
		}
	}
	var network interface{ Timeout() bool } // net.Error and *url.Error
	switch {
	case errors.Is(err, errAnswer):
		return saysStale, http.StatusBadRequest
	case errors.As(err, &network), errors.Is(err, context.DeadlineExceeded), strings.HasPrefix(err.Error(), "discover provider"):
		return saysAway, http.StatusBadGateway
	default:
		return saysUnproved, http.StatusBadRequest
	}
}
