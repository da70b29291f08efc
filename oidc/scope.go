package oidc

import (
	"slices"

	"github.com/signet-city/signet/internal/web"
)

// The scopes that a person can let a client have.
const (
	scopeOpenID  = "openid"         // sub
	scopeProfile = "profile"        // name
	scopeFirm    = "firm"           // firm_uscc, firm_name
	scopeNumber  = "resident"       // document_kind, document_number, in userinfo alone
	scopeOffline = "offline_access" // refresh tokens
)

var peopleScopes = []string{scopeOpenID, scopeProfile, scopeFirm, scopeNumber, scopeOffline}

func isNotForPeople(scope string) bool { return !slices.Contains(peopleScopes, scope) }

// learns says on the consent page what a client learns by a scope.
var learns = map[string]web.Text{
	scopeOpenID:  {ZH: "识别您是同一位用户（使用该机构专用的编号，其他机构无法据此关联您）", EN: "That you are the same person each time, by a number that no other agency knows you by"},
	scopeProfile: {ZH: "您的姓名", EN: "Your name"},
	scopeFirm:    {ZH: "您代表的企业：名称和统一社会信用代码", EN: "The firm you act for: its name and unified social credit code"},
	scopeNumber:  {ZH: "您的证件类型和证件号码", EN: "The kind and number of your identity document"},
	scopeOffline: {ZH: "在您保持登录期间，继续获取以上信息", EN: "To keep getting this while you stay signed in"},
}
