package desk

import (
	"time"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// tag is a word with the colour and shape that it is shown in.
type tag struct {
	Word  web.Text
	Class string // good, bad, wait or ""
}

// stateTags are the states of an application, in the order of the tabs.
var stateTags = []struct {
	state state
	tag   tag
}{
	{submitted, tag{web.Text{ZH: "待复核", EN: "Waiting for review"}, "wait"}},
	{reviewed, tag{web.Text{ZH: "待复审", EN: "In second review"}, "wait"}},
	{approved, tag{web.Text{ZH: "签发中", EN: "Being issued"}, "wait"}},
	{issued, tag{web.Text{ZH: "已签发", EN: "Issued"}, "good"}},
	{rejected, tag{web.Text{ZH: "已退回", EN: "Rejected"}, "bad"}},
	{failed, tag{web.Text{ZH: "未能签发", EN: "Not issued"}, "bad"}},
	{withdrawn, tag{web.Text{ZH: "已撤回", EN: "Withdrawn"}, ""}},
}

func (s state) tag() tag {
	for _, t := range stateTags {
		if t.state == s {
			return t.tag
		}
	}
	return tag{}
}

func (s state) known() bool { return s.tag() != tag{} }

// statusTags are the states of a licence's record, in the order of the filter.
var statusTags = []struct {
	status licenses.Status
	tag    tag
}{
	{licenses.Issued, tag{web.Text{ZH: "有效", EN: "In force"}, "good"}},
	{licenses.Suspended, tag{web.Text{ZH: "已暂停", EN: "Suspended"}, "wait"}},
	{licenses.Revoked, tag{web.Text{ZH: "已吊销", EN: "Revoked"}, "bad"}},
	{licenses.Expired, tag{web.Text{ZH: "已过期", EN: "Expired"}, "bad"}},
	{licenses.Replaced, tag{web.Text{ZH: "已换发", EN: "Replaced"}, "bad"}},
	{licenses.Signing, tag{web.Text{ZH: "签发中", EN: "Being issued"}, "wait"}},
}

// licenseTag says how a licence stands at a time: one that is issued may not have begun.
func licenseTag(l *licenses.License, at time.Time) tag {
	if l.Status == licenses.Issued && at.Before(l.NotBefore) {
		return tag{web.Text{ZH: "尚未生效", EN: "Not yet in force"}, "wait"}
	}
	for _, t := range statusTags {
		if t.status == l.Status {
			return t.tag
		}
	}
	return tag{}
}

func knownStatus(status licenses.Status) bool {
	for _, t := range statusTags {
		if t.status == status {
			return true
		}
	}
	return false
}

// eventWords are what a licence's history calls the events of the register.
var eventWords = map[string]web.Text{
	licenses.EventIntent:                               {ZH: "登记", EN: "Recorded"},
	licenses.EventOutcome:                              {ZH: "签发", EN: "Signed and issued"},
	licenses.EventAct + "." + string(licenses.Suspend): {ZH: "暂停", EN: "Suspended"},
	licenses.EventAct + "." + string(licenses.Resume):  {ZH: "恢复", EN: "Resumed"},
	licenses.EventAct + "." + string(licenses.Revoke):  {ZH: "吊销", EN: "Revoked"},
	licenses.EventAct + ".replace":                     {ZH: "换发新版本", EN: "Replaced by a new version"},
	licenses.EventExpire:                               {ZH: "到期", EN: "Came to its end"},
}

var (
	textSystem  = web.Text{ZH: "系统", EN: "The system"}
	textProgram = web.Text{ZH: "业务系统接口", EN: "A program of the agency"}
	textUnknown = web.Text{ZH: "（未登记）", EN: "(not registered)"}
)
