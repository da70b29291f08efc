package agency

import (
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// tag is a word with the colour and shape that it is shown in.
type tag struct {
	Word  web.Text
	Class string // good, bad, wait or ""
}

var stateTags = map[ca.PendingState]tag{
	ca.Waiting:   {web.Text{ZH: "待审批", EN: "Waiting"}, "wait"},
	ca.Approved:  {web.Text{ZH: "签发中", EN: "Being issued"}, "wait"},
	ca.Made:      {web.Text{ZH: "已签发", EN: "Issued"}, "good"},
	ca.Rejected:  {web.Text{ZH: "已拒绝", EN: "Rejected"}, "bad"},
	ca.Withdrawn: {web.Text{ZH: "已撤回", EN: "Withdrawn"}, ""},
	ca.Expired:   {web.Text{ZH: "已过期", EN: "Expired"}, ""},
	ca.Failed:    {web.Text{ZH: "未能签发", EN: "Failed"}, "bad"},
}

var statusTags = map[ca.Status]tag{
	ca.Intent:    {web.Text{ZH: "签发中", EN: "Being issued"}, "wait"},
	ca.Issued:    {web.Text{ZH: "有效", EN: "In force"}, "good"},
	ca.Revoked:   {web.Text{ZH: "已吊销", EN: "Revoked"}, "bad"},
	ca.Held:      {web.Text{ZH: "已冻结", EN: "On hold"}, "wait"},
	ca.Abandoned: {web.Text{ZH: "未签发", EN: "Not issued"}, ""},
}

// What a certificate in force is beside its dates.
var (
	tagEnded = tag{web.Text{ZH: "已过期", EN: "Expired"}, ""}
	tagEarly = tag{web.Text{ZH: "尚未生效", EN: "Not valid yet"}, "wait"}
)

// stateTag and statusTag show a state without a word as it is.
func stateTag(s ca.PendingState) tag {
	if t, ok := stateTags[s]; ok {
		return t
	}
	return tag{web.Text{ZH: string(s), EN: string(s)}, ""}
}

// statusTag says how a certificate stands at a time: the register keeps its status beyond
// its end.
func statusTag(c ca.Certificate, now time.Time) tag {
	s := c.Status
	switch {
	case c.Held():
		s = ca.Held
	case s == ca.Issued && now.After(c.NotAfter):
		return tagEnded
	case s == ca.Issued && now.Before(c.NotBefore):
		return tagEarly
	}
	if t, ok := statusTags[s]; ok {
		return t
	}
	return tag{web.Text{ZH: string(s), EN: string(s)}, ""}
}

var profileWords = map[profile.Kind]web.Text{
	profile.PermitSigning:   {ZH: "证照签章", EN: "Signing permits"},
	profile.DocumentSigning: {ZH: "电子文件签章", EN: "Signing documents"},
	profile.SystemServer:    {ZH: "部门系统（服务器）", EN: "Agency's server"},
	profile.SystemClient:    {ZH: "部门系统（客户端）", EN: "Agency's program"},
	profile.Officer:         {ZH: "工作人员", EN: "Officer"},
	profile.Firm:            {ZH: "法人一证通", EN: "Firm's sign-in"},
	profile.Citizen:         {ZH: "个人登录", EN: "Citizen's sign-in"},
}

func profileWord(k profile.Kind) web.Text {
	if w, ok := profileWords[k]; ok {
		return w
	}
	return web.Text{ZH: string(k), EN: string(k)}
}

// says returns the sentences for what the authority refused, false for what is not
// the visitor's to mend. Its own sentence is for programs, and one of the details.
func says(err error) ([]web.Text, bool) {
	var f web.Form
	if err == nil || !f.BlameFault(err) {
		return nil, false
	}
	list := f.Problems
	if public := fault.Public(err); public != list[0].EN {
		list = append(list, web.Text{ZH: "详情：" + public, EN: "In detail: " + public})
	}
	for _, p := range fault.Problems(err) {
		list = append(list, web.Text{ZH: p.Message, EN: p.Message})
	}
	return list, true
}
