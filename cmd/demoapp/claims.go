package demoapp

import (
	"cmp"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/web"
)

// claims are what the provider tells of a visitor.
type claims struct {
	Subject  string            `json:"sub"`
	Name     string            `json:"name"`
	Firm     string            `json:"firm_uscc"`
	FirmName string            `json:"firm_name"`
	ACR      string            `json:"acr"`
	AMR      []string          `json:"amr"`
	AuthTime int64             `json:"auth_time"` // seconds
	all      map[string]string // everything that was told, as text
}

const (
	maxClaims = 40  // that are shown
	maxValue  = 300 // bytes of one
)

// read fills c by decode, which reads JSON into what it is given.
func (c *claims) read(decode func(v any) error) error {
	var all map[string]jsontext.Value
	if decode(&all) != nil || decode(c) != nil { // the causes could quote what is personal
		return errors.New("read claims: one is of another kind")
	}
	c.all = map[string]string{}
	for name, value := range all {
		text := string(value)
		if value.Kind() == '"' && json.Unmarshal(value, &text) != nil {
			return errors.New("read claims: one is of another kind")
		}
		if len(text) > maxValue {
			text = strings.ToValidUTF8(text[:maxValue], "") + "…"
		}
		if len(c.all) < maxClaims && len(name) <= 64 {
			c.all[name] = text
		}
	}
	return nil
}

// add takes what is not there yet.
func (c *claims) add(more claims) {
	c.Name = cmp.Or(c.Name, more.Name)
	c.Firm = cmp.Or(c.Firm, more.Firm)
	c.FirmName = cmp.Or(c.FirmName, more.FirmName)
	c.ACR = cmp.Or(c.ACR, more.ACR)
	c.AuthTime = cmp.Or(c.AuthTime, more.AuthTime)
	if c.AMR == nil {
		c.AMR = more.AMR
	}
	for name, value := range more.all {
		if _, ok := c.all[name]; !ok {
			c.all[name] = value
		}
	}
}

// check bounds what is kept and shown.
func (c *claims) check() error {
	if c.Subject == "" || len(c.Subject) > 255 || len(c.Name) > 600 || len(c.FirmName) > 600 || len(c.Firm) > 64 || len(c.ACR) > 255 || len(c.AMR) > 16 ||
		len(strings.Join(c.AMR, "")) > 255 || c.AuthTime < 0 || c.AuthTime > 1<<40 {
		return errors.New("read claims: one is beyond measure")
	}
	return nil
}

// identity is the visitor as the page's frame shows one.
func (s session) identity() *web.Identity {
	c := s.claims
	id := &web.Identity{Person: c.Subject, Name: cmp.Or(c.Name, short(c.Subject)), ACR: c.ACR, AMR: c.AMR, Firm: c.Firm, FirmName: cmp.Or(c.FirmName, c.Firm)}
	if c.AuthTime != 0 {
		id.AuthTime = time.Unix(c.AuthTime, 0)
	}
	return id
}

// short returns the beginning of what is not for reading.
func short(s string) string {
	if len(s) <= 12 {
		return s
	}
	return strings.ToValidUTF8(s[:12], "") + "…"
}

// sureness says in words how sure the provider is.
var sureness = map[string]web.Text{
	"urn:signet:acr:phishing-resistant": {ZH: "高（防钓鱼的通行密钥）", EN: "high (a passkey, which cannot be phished)"},
	"urn:signet:acr:verified":           {ZH: "中（密码加动态验证码）", EN: "medium (a password and a one-time code)"},
	"urn:signet:acr:declared":           {ZH: "低（仅本人声明）", EN: "low (declared only)"},
}

// methods says in words by what a person was proved, RFC 8176.
var methods = map[string]web.Text{
	"pwd":  {ZH: "密码", EN: "password"},
	"otp":  {ZH: "动态验证码", EN: "one-time code"},
	"hwk":  {ZH: "设备中的密钥", EN: "key in hardware"},
	"swk":  {ZH: "软件密钥", EN: "key in software"},
	"pop":  {ZH: "持有密钥", EN: "proof of a key"},
	"user": {ZH: "本人在设备上确认", EN: "confirmed on the device"},
	"mfa":  {ZH: "多重验证", EN: "several factors"},
	"fpt":  {ZH: "指纹", EN: "fingerprint"},
	"face": {ZH: "人脸", EN: "face"},
	"pin":  {ZH: "设备口令", EN: "PIN"},
}

// inWords translates, and leaves alone what it does not know.
func inWords(words map[string]web.Text, value string) web.Text {
	if t, ok := words[value]; ok {
		return t
	}
	return web.Text{ZH: value, EN: value}
}

// how joins the words for all methods.
func how(amr []string) web.Text {
	var zh, en []string
	for _, m := range amr {
		t := inWords(methods, m)
		zh, en = append(zh, t.ZH), append(en, t.EN)
	}
	return web.Text{ZH: strings.Join(zh, "、"), EN: strings.Join(en, ", ")}
}
