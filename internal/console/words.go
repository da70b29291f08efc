package console

import (
	"strings"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// tag is a word with the colour and shape that it is shown in.
type tag struct {
	Word  web.Text
	Class string // good, bad, wait or ""
}

var (
	titleWeak  = web.Text{ZH: "请使用通行密钥登录", EN: "Sign in with a passkey"}
	textSystem = web.Text{ZH: "系统", EN: "The system"}
)

// requestTags are the states of a request.
var requestTags = map[approval.State]tag{
	approval.Open:      {web.Text{ZH: "待批准", EN: "Waiting"}, "wait"},
	approval.Approved:  {web.Text{ZH: "执行中", EN: "Being done"}, "wait"},
	approval.Done:      {web.Text{ZH: "已执行", EN: "Done"}, "good"},
	approval.Failed:    {web.Text{ZH: "未能执行", EN: "Failed"}, "bad"},
	approval.Rejected:  {web.Text{ZH: "已拒绝", EN: "Rejected"}, "bad"},
	approval.Withdrawn: {web.Text{ZH: "已撤回", EN: "Withdrawn"}, ""},
	approval.Expired:   {web.Text{ZH: "已过期", EN: "Expired"}, ""},
}

// keyTags are the states of a key.
var keyTags = map[keys.State]tag{
	keys.Staged:      {web.Text{ZH: "已生成", EN: "Made"}, ""},
	keys.Published:   {web.Text{ZH: "已公布", EN: "Published"}, "wait"},
	keys.Active:      {web.Text{ZH: "使用中", EN: "In use"}, "good"},
	keys.Retiring:    {web.Text{ZH: "停用中", EN: "Retiring"}, ""},
	keys.Retired:     {web.Text{ZH: "已销毁", EN: "Retired"}, ""},
	keys.Compromised: {web.Text{ZH: "已泄露", EN: "Compromised"}, "bad"},
}

var (
	tagPaused = tag{web.Text{ZH: "已暂停", EN: "Paused"}, "bad"}
	tagNone   = tag{web.Text{ZH: "尚未生成", EN: "Not made yet"}, ""}
)

func tagsOf(k keys.Key) []tag {
	list := []tag{keyTags[k.State]}
	if !k.Paused.IsZero() && k.State != keys.Retired && k.State != keys.Compromised {
		list = append(list, tagPaused)
	}
	return list
}

var purposeWords = map[string]web.Text{
	keys.PurposeCA:     {ZH: "签发证书", EN: "Issuing CA"},
	keys.PurposeTrust:  {ZH: "信任列表", EN: "Trust list"},
	keys.PurposeStatus: {ZH: "证照状态", EN: "Permit status"},
	keys.PurposeOCSP:   {ZH: "证书状态（OCSP）", EN: "Certificate status (OCSP)"},
	keys.PurposeTLS:    {ZH: "网站（TLS）", EN: "Servers (TLS)"},
	keys.PurposeToken:  {ZH: "登录令牌", EN: "Sign-in tokens"},
	keys.PurposeLog:    {ZH: "日志检查点", EN: "Log checkpoints"},
	keys.PurposePermit: {ZH: "电子证照", EN: "Permits"},
}

func purposeOf(purpose string) web.Text { return wordOf(purposeWords, purpose) }

var stepWords = map[string]web.Text{
	keys.DoStage:   {ZH: "生成新密钥", EN: "Make a new key"},
	keys.DoPublish: {ZH: "公布", EN: "Publish"},
	keys.DoPromote: {ZH: "启用", EN: "Put into use"},
	keys.DoRetire:  {ZH: "销毁私钥", EN: "Destroy the private half"},
	"renew":        {ZH: "更换密钥和证书", EN: "Renew with its certificate"},
}

// wordOf returns the words for a name, the name itself if it has none.
func wordOf(words map[string]web.Text, name string) web.Text {
	if t, ok := words[name]; ok {
		return t
	}
	return plain(name)
}

var credentialWords = map[string]web.Text{
	approval.MethodPasskey: {ZH: "通行密钥", EN: "Passkey"},
	approval.MethodKey:     {ZH: "命令行密钥", EN: "Command-line key"},
	approval.MethodQuorum:  {ZH: "离线法定人数", EN: "Offline quorum"},
}

// eventWords are what the log's kinds are called. What has an intent and an outcome
// stands here without either.
var eventWords = map[string]web.Text{
	"approval.approve":            {ZH: "批准申请", EN: "Request approved"},
	"approval.expire":             {ZH: "申请过期", EN: "Request expired"},
	"approval.reject":             {ZH: "拒绝申请", EN: "Request rejected"},
	"approval.request":            {ZH: "提出申请", EN: "Request made"},
	"approval.run":                {ZH: "执行申请", EN: "Request carried out"},
	"approval.withdraw":           {ZH: "撤回申请", EN: "Request withdrawn"},
	"audit.erase":                 {ZH: "清除事件内容", EN: "Content of an event erased"},
	"audit.export":                {ZH: "导出日志", EN: "Log exported"},
	"ceremony.hold":               {ZH: "建城仪式", EN: "Ceremony held"},
	"certificate":                 {ZH: "证书", EN: "Certificate"},
	"certificate.block":           {ZH: "禁用公钥", EN: "Public key blocked"},
	"certificate.hold":            {ZH: "市级接管证书暂停", EN: "Hold of a certificate taken over by the city"},
	"certificate.issue":           {ZH: "签发证书", EN: "Certificate issued"},
	"certificate.name.add":        {ZH: "分配主机名", EN: "Name given to an agency"},
	"certificate.name.remove":     {ZH: "收回主机名", EN: "Name taken from an agency"},
	"certificate.refused":         {ZH: "拒绝签发证书", EN: "Certificate refused"},
	"certificate.revoke":          {ZH: "吊销证书", EN: "Certificate revoked"},
	"certificate.release":         {ZH: "恢复证书", EN: "Certificate released from hold"},
	"crl.publish":                 {ZH: "公布证书吊销列表", EN: "Revocation list published"},
	"keys.certify":                {ZH: "密钥取得证书", EN: "Key certified"},
	"keys.create":                 {ZH: "生成密钥", EN: "Key made"},
	"keys.move":                   {ZH: "密钥状态变更", EN: "Key moved on"},
	"keys.pause":                  {ZH: "暂停密钥", EN: "Key paused"},
	"keys.resume":                 {ZH: "恢复密钥", EN: "Key resumed"},
	"keys.rewrap":                 {ZH: "更换密钥加密密钥", EN: "Key-encryption key replaced"},
	"keys.secret":                 {ZH: "生成系统密钥", EN: "Secret made"},
	"keys.secret.drop":            {ZH: "销毁旧系统密钥", EN: "Old secret destroyed"},
	"keys.secret.stage":           {ZH: "准备新系统密钥", EN: "Next secret made"},
	"keys.secret.switch":          {ZH: "启用新系统密钥", EN: "Next secret put into use"},
	"license.act.resume":          {ZH: "恢复证照", EN: "Licence resumed"},
	"license.act.revoke":          {ZH: "吊销证照", EN: "Licence revoked"},
	"license.act.suspend":         {ZH: "暂停证照", EN: "Licence suspended"},
	"license.application.approve": {ZH: "证照申请通过", EN: "Application approved"},
	"license.application.fail":    {ZH: "证照未能签发", EN: "Application could not be issued"},
	"license.application.issue":   {ZH: "证照申请办结", EN: "Application completed"},
	"license.application.reject":  {ZH: "证照申请退回", EN: "Application rejected"},
	"license.application.return":  {ZH: "证照申请退回初审", EN: "Application sent back to the first review"},
	"license.application.review":  {ZH: "证照申请通过初审", EN: "Application passed its first review"},
	"license.application.submit":  {ZH: "证照申请提交", EN: "Application submitted"},
	"license.issue":               {ZH: "签发证照", EN: "Licence issued"},
	"login.account.add":           {ZH: "开通账户", EN: "Account added"},
	"login.acting":                {ZH: "选择办理身份", EN: "Chose whom to act for"},
	"login.passkey.add":           {ZH: "添加登录通行密钥", EN: "Sign-in passkey added"},
	"login.passkey.copied":        {ZH: "登录通行密钥可能被复制", EN: "Sign-in passkey may have been copied"},
	"login.passkey.remove":        {ZH: "移除登录通行密钥", EN: "Sign-in passkey removed"},
	"login.sign_in":               {ZH: "登录", EN: "Sign-in"},
	"login.sign_out":              {ZH: "退出登录", EN: "Sign-out"},
	"officer.add":                 {ZH: "增设安全官", EN: "Officer added"},
	"officer.code":                {ZH: "领取登记码", EN: "Enrolment code drawn"},
	"officer.credential.add":      {ZH: "登记批准凭据", EN: "Approval credential enrolled"},
	"officer.credential.copied":   {ZH: "批准凭据可能被复制", EN: "Approval credential may have been copied"},
	"officer.credential.remove":   {ZH: "移除批准凭据", EN: "Approval credential removed"},
	"officer.replace":             {ZH: "离线法定人数更换安全官", EN: "Officers replaced by the offline quorum"},
	"officer.remove":              {ZH: "撤销安全官", EN: "Officer removed"},
	"oidc.client.add":             {ZH: "登记应用", EN: "Client added"},
	"oidc.client.disable":         {ZH: "停用应用", EN: "Client disabled"},
	"oidc.consent.give":           {ZH: "用户同意授权", EN: "Consent given"},
	"oidc.consent.withdraw":       {ZH: "用户撤回授权", EN: "Consent withdrawn"},
	"oidc.grant":                  {ZH: "发放令牌", EN: "Tokens granted"},
	"oidc.grant.end":              {ZH: "终止令牌", EN: "Tokens ended"},
	"registry.agency.add":         {ZH: "登记部门", EN: "Agency added"},
	"registry.agency.authorize":   {ZH: "部门授权", EN: "Agency authorized"},
	"registry.agency.succeed":     {ZH: "部门职责承继", EN: "Agency succeeded"},
	"registry.delegate":           {ZH: "企业委托", EN: "Delegation given"},
	"registry.dismiss":            {ZH: "撤销岗位", EN: "Post ended"},
	"registry.employ":             {ZH: "设置岗位", EN: "Post given"},
	"registry.firm.add":           {ZH: "登记企业", EN: "Firm added"},
	"registry.operator.add":       {ZH: "登记操作员", EN: "Operator added"},
	"registry.person.add":         {ZH: "登记人员", EN: "Person added"},
	"registry.withdraw":           {ZH: "撤回企业委托", EN: "Delegation withdrawn"},
	"trust.bundle":                {ZH: "公布信任列表", EN: "Trust bundle published"},
	"trust.genuine":               {ZH: "公布泄露前签发的证照", EN: "Permits from before a theft published"},
	"trust.head":                  {ZH: "公布最新版本信息", EN: "Head published"},
	"trust.root":                  {ZH: "根密钥签署", EN: "Act of the root"},
	"trust.root.withdrawn":        {ZH: "放弃根密钥签署", EN: "Act of the root given up"},
	"trust.snapshot":              {ZH: "公布证照状态", EN: "Status snapshot published"},

	"certificate.request.approve":  {ZH: "批准证书申请", EN: "Certificate request approved"},
	"certificate.request.expire":   {ZH: "证书申请过期", EN: "Certificate request expired"},
	"certificate.request.fail":     {ZH: "证书未能签发", EN: "Requested certificate could not be issued"},
	"certificate.request.issue":    {ZH: "证书申请办结", EN: "Requested certificate issued"},
	"certificate.request.reject":   {ZH: "拒绝证书申请", EN: "Certificate request rejected"},
	"certificate.request.submit":   {ZH: "提交证书申请", EN: "Certificate requested"},
	"certificate.request.withdraw": {ZH: "撤回证书申请", EN: "Certificate request withdrawn"},

	"license.application.answer":   {ZH: "申请人答复", EN: "Applicant answered"},
	"license.application.ask":      {ZH: "向申请人提问", EN: "Applicant asked"},
	"license.application.withdraw": {ZH: "证照申请撤回", EN: "Application withdrawn"},
}

// eventWord returns what an event of that kind is called.
func eventWord(kind string) web.Text {
	if t, ok := eventWords[kind]; ok {
		return t
	}
	for _, end := range []struct {
		suffix string
		zh, en string
	}{{".intent", "（开始）", " (announced)"}, {".outcome", "（完成）", " (completed)"}} {
		base, ok := strings.CutSuffix(kind, end.suffix)
		if t, known := eventWords[base]; ok && known {
			return web.Text{ZH: t.ZH + end.zh, EN: t.EN + end.en}
		}
	}
	return plain(kind)
}
