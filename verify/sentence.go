package verify

import "github.com/signet-city/signet/verify/trust"

// sentences has one entry for each reason of docs/spec/verdicts.md.
var sentences = map[string]trust.Names{
	"":                          {ZH: "有效。", EN: "The permit is valid."},
	"past_end":                  {ZH: "已过有效期。", EN: "The permit has ended."},
	"key_past_verify_until":     {ZH: "签发密钥已过验证期限。", EN: "The time in which its key's signatures count has ended."},
	"before_start":              {ZH: "尚未到生效日期。", EN: "The permit has not begun."},
	"issued_after_now":          {ZH: "签发时间晚于当前时间，请核对本机时钟。", EN: "It was issued after now: is the clock right?"},
	"listed_revoked":            {ZH: "已被吊销。", EN: "The permit was revoked."},
	"listed_suspended":          {ZH: "已被暂停使用。", EN: "The permit is suspended."},
	"key_not_in_bundle":         {ZH: "信任清单中没有该签发密钥。", EN: "No agency of the trust bundle has the key that it names."},
	"outside_signing_window":    {ZH: "签发时间不在该密钥的签发期内。", EN: "Its key was not to be used when it was issued."},
	"no_authority":              {ZH: "签发机关无权签发此类证照。", EN: "The agency has no authority for this type."},
	"authority_not_then":        {ZH: "签发时该机关无权签发此类证照。", EN: "The agency had no authority for this type when it was issued."},
	"authority_outside_area":    {ZH: "授权区域超出签发机关的辖区。", EN: "The agency's authority is for an area that is not its own."},
	"signed_after_compromise":   {ZH: "签发密钥在签发前已泄露。", EN: "It was issued after its key had been stolen."},
	"genuine_list_absent":       {ZH: "签发密钥已泄露，且没有真实证照清单可供核对。", EN: "Its key was stolen, and the list of the key's genuine permits is not here."},
	"not_on_genuine_list":       {ZH: "签发密钥已泄露，真实证照清单中没有此证。", EN: "Its key was stolen, and the list of the key's genuine permits does not have it."},
	"signature_does_not_verify": {ZH: "签名不正确。", EN: "The signature is wrong: it was changed or forged."},
	"not_a_permit":              {ZH: "不是有效格式的证照。", EN: "This is not a permit."},
	"over_a_bound":              {ZH: "超过证照允许的大小。", EN: "This is larger than a permit can be."},
	"shown_without_its_phone":   {ZH: "这是手机动态证照的复制件。", EN: "This is a copy of a permit that counts only on its holder's phone."},
	"no_trust":                  {ZH: "没有信任清单。", EN: "There is no trust bundle."},
	"trust_refused":             {ZH: "信任清单未通过验证。", EN: "The trust bundle was refused."},
	"trust_expired":             {ZH: "信任清单已过期，请更新。", EN: "The trust bundle has expired: fetch a new one."},
	"clock_before_trust":        {ZH: "本机时钟早于信任清单的签发时间。", EN: "The clock is before the trust bundle was made."},
	"dictionary_not_in_bundle":  {ZH: "信任清单中没有此证使用的字典，请更新。", EN: "The trust bundle lacks the permit's dictionary: fetch a new one."},
	"type_not_in_bundle":        {ZH: "信任清单中没有此证照类型，请更新。", EN: "The trust bundle lacks the type of licence: fetch a new one."},
	"no_status":                 {ZH: "没有状态清单，无法得知是否被吊销。", EN: "There is no status snapshot: it may have been revoked."},
	"status_refused":            {ZH: "状态清单未通过验证，无法得知是否被吊销。", EN: "The status snapshot was refused: it may have been revoked."},
	"status_too_old":            {ZH: "状态清单过旧，无法得知是否被吊销。", EN: "The status snapshot is too old for this type: it may have been revoked since."},
	"status_too_old_listed":     {ZH: "状态清单过旧，其中此证已被吊销或暂停，请更新。", EN: "The status snapshot is too old, and lists the permit as revoked or suspended: fetch a new one."},
	"clock_before_status":       {ZH: "本机时钟早于状态清单的签发时间。", EN: "The clock is before the status snapshot was made."},
	"list_not_covered":          {ZH: "状态清单不包含此证所在的列表。", EN: "The status snapshot does not cover the permit's list: it may have been revoked."},
}

// Sentence puts the reason in words, in Chinese and in English.
func (r Result) Sentence() trust.Names { return sentences[r.Reason] }
