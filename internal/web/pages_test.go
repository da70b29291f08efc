package web_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"testing/fstest"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/obs"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// newSite returns a site as a city has one.
func newSite(t testing.TB, identify func() (*web.Identity, error)) *web.Site {
	t.Helper()
	o := web.SiteOptions{Name: web.Text{ZH: "江城市证照服务", EN: "Jiangcheng licences"}, Demo: true, Logger: testkit.Logger(t),
		Places: []web.Place{
			{Path: "/", Label: web.Text{ZH: "首页", EN: "Home"}},
			{Path: "/verify/", Label: web.Text{ZH: "查验证照", EN: "Check a licence"}},
			{Path: "/wallet", Label: web.Text{ZH: "我的证照", EN: "My licences"}, For: func(id *web.Identity) bool { return id != nil }},
		}}
	if identify != nil {
		o.Identify = webIdentify(identify)
	}
	site, err := web.NewSite(o)
	if err != nil {
		t.Fatal(err)
	}
	return site
}

// everything has each class that the style sheet knows, so that none of them goes
// unchecked.
var everything = fstest.MapFS{"templates/everything.html": {Data: []byte(`{{define "content"}}
<a class="back" href="/">{{t "返回" "Back"}}</a>
{{template "problems" .Form}}
<div class="panel"><h1>{{t "已提交" "Sent"}}</h1><p>{{t "受理编号" "Your reference"}} <strong>DH-2026-0001</strong></p></div>
<p class="lead">{{t "导语" "A leading sentence"}}</p>
<nav class="tabs" aria-label="{{t "筛选" "Filter"}}"><a href="/a" aria-current="page">{{t "全部" "All"}}</a><a href="/b">{{t "待审核" "To approve"}}</a></nav>
<div class="notice wait"><p>{{t "此证照将于三十日内到期。" "This licence runs out within thirty days."}}</p></div>
<p><span class="tag good">{{t "有效" "In force"}}</span> <span class="tag bad">{{t "已吊销" "Revoked"}}</span> <span class="tag wait">{{t "暂停" "Suspended"}}</span> <span class="tag">{{t "已过期" "Expired"}}</span></p>
<table class="list"><caption>{{t "证照" "Licences"}}</caption><thead><tr><th scope="col">{{t "编号" "Number"}}</th><th scope="col">{{t "持有人" "Holder"}}</th></tr></thead>
<tbody><tr><td data-label="{{t "编号" "Number"}}"><a href="/l/1">1.2.156.3005.2.11100000MB0123456X.91420100MA4K000000.20260001.001.A</a></td><td data-label="{{t "持有人" "Holder"}}" lang="zh">江城市东湖小面馆有限责任公司</td></tr></tbody></table>
<dl class="summary"><div><dt>{{t "证照类型" "Type"}}</dt><dd>{{t "食品经营许可证" "Food business licence"}}</dd></div><div><dt>{{t "有效期" "In force until"}}</dt><dd>{{date .At}}</dd></div></dl>
<dl class="summary"><dt>{{t "签发时间" "Issued"}}</dt><dd>{{clock .At}}</dd><dt>{{t "校验" "Hash"}}</dt><dd><code>9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08</code></dd></dl>
<ul class="cards"><li class="card"><h2>{{t "办理" "Apply"}}</h2><p>{{t "说明" "Words"}}</p></li><li class="card"><h2>{{t "查验" "Check"}}</h2><p>{{t "说明" "Words"}}</p></li></ul>
<form method="post" action="/x">{{range .Form.Fields}}{{template "field" .}}{{end}}
<div class="actions"><button class="button" name="submit" value="1">{{t "提交" "Send"}}</button><a class="button secondary" href="/">{{t "保存" "Keep"}}</a><button class="button danger" name="revoke" value="1">{{t "吊销" "Revoke"}}</button><button class="link" name="undo" value="1">{{t "取消" "Never mind"}}</button></div></form>
<div class="show"><p class="code"><svg viewBox="0 0 10 10" role="img" aria-label="{{t "二维码" "QR code"}}"><path d="M0 0h3v3h-3z"/></svg></p></div>
<section class="verdict valid"><h2>{{t "有效" "Valid"}}</h2><p>{{t "状态截至" "Status as of"}} {{clock .At}}</p></section>
<section class="verdict bad"><h2>{{t "无效" "Not valid"}}</h2><p>{{t "签名不符" "The signature does not fit"}}</p></section>
<section class="verdict wait"><h2>{{t "无法判定" "Cannot tell"}}</h2></section>
<details><summary>{{t "详情" "Details"}}</summary><pre>{"a": 1}</pre></details>
<nav class="pager" aria-label="{{t "分页" "Pages"}}"><a href="/?p=1">{{t "上一页" "Previous"}}</a><a href="/?p=3">{{t "下一页" "Next"}}</a></nav>
{{end}}`)}}

// filled is a form with a field of each type, each wrong if asked for.
func filled(wrong bool) *web.Form {
	say := web.Text{ZH: "请填写", EN: "Fill this in"}
	options := []web.Option{{Value: "a", Label: web.Text{ZH: "甲类", EN: "Class A"}, Hint: web.Text{ZH: "面积不超过五十平方米", EN: "Up to fifty square metres"}},
		{Value: "b", Label: web.Text{ZH: "乙类", EN: "Class B"}}}
	f := &web.Form{Fields: []web.Field{
		{Name: "key", Type: "hidden", Value: "k1"},
		{Name: "name", Label: web.Text{ZH: "企业名称", EN: "Name of the firm"}, Hint: web.Text{ZH: "与营业执照一致", EN: "As on the business licence"}, Required: true, Value: "东湖<小面>", MaxLength: 80},
		{Name: "secret", Label: web.Text{ZH: "密码", EN: "Password"}, Type: "password", Autocomplete: "current-password"},
		{Name: "seats", Label: web.Text{ZH: "座位数", EN: "Seats"}, Type: "number", InputMode: "numeric"},
		{Name: "until", Label: web.Text{ZH: "有效期至", EN: "Until"}, Type: "date"},
		{Name: "scope", Label: web.Text{ZH: "经营范围", EN: "Scope"}, Type: "textarea"},
		{Name: "agency", Label: web.Text{ZH: "发证机关", EN: "Agency"}, Type: "select", Options: options, Value: "b"},
		{Name: "class", Label: web.Text{ZH: "类别", EN: "Class"}, Type: "radio", Options: options, Value: "a", Required: true},
		{Name: "picture", Label: web.Text{ZH: "照片", EN: "Picture"}, Type: "file"},
	}}
	if wrong {
		for _, x := range f.Fields[1:] {
			f.Blame(x.Name, say)
		}
		f.Blame("", web.Text{ZH: "内容已变化", EN: "This has changed"})
	}
	return f
}

type shown struct {
	Form *web.Form
	At   time.Time
}

func TestPages(t *testing.T) {
	site := newSite(t, nil)
	wang := &web.Identity{Person: "p1", Name: "王小明", Firm: "91420100MA4K000000", FirmName: "江城市东湖小面馆有限责任公司"}
	ours := fstest.MapFS{}
	for name, f := range everything {
		ours[name] = f
	}
	pages, err := site.Pages(ours)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/desk/1", nil)
	r = r.WithContext(obs.WithRequestID(r.Context(), "9f86d081884c7d65"))
	var failures []testkit.Fixture
	for _, one := range []struct {
		name string
		err  error
	}{
		{"invalid", fault.New(fault.Invalid, "x")}, {"not-found", fault.New(fault.NotFound, "x")}, {"conflict", fault.New(fault.Conflict, "x")},
		{"denied", fault.New(fault.Denied, "x")}, {"unavailable", fault.New(fault.Unavailable, "x")}, {"too-large", fault.New(fault.TooLarge, "x")},
		{"internal", errors.New("x")}, {"explained", web.Refuse(fault.Denied, web.Text{ZH: "您不是该机关的工作人员。", EN: "You do not work for that agency."})},
	} {
		failures = append(failures, testkit.Fixture{Name: "error-" + one.name, Page: site.Failure(r, one.err)})
	}
	failures = append(failures, testkit.Fixture{Name: "error-signed-in", Identity: wang, Page: site.Failure(r, fault.New(fault.NotFound, "x"))})
	t.Run("failures", func(t *testing.T) { testkit.CheckPages(t, site, site.Own(), failures) })
	at := time.Date(2026, 11, 24, 4, 5, 0, 0, time.UTC)
	t.Run("everything", func(t *testing.T) {
		testkit.CheckPages(t, site, pages, []testkit.Fixture{
			{Name: "everything", Identity: wang, Page: web.Page{Template: "everything", Title: web.Text{ZH: "式样", EN: "Every style"}, Data: shown{filled(false), at}}},
			{Name: "everything-wrong", Page: web.Page{Template: "everything", Title: web.Text{ZH: "式样", EN: "Every style"}, Wrong: true, Wide: true, Status: 400, Data: shown{filled(true), at}}},
		})
	})
}
