package wallet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// errNotHeld says no more than that there is nothing here for whoever is shown.
var errNotHeld = web.Explain(licenses.ErrNotFound, web.Text{
	ZH: "当前身份名下没有此证照。如证照属于您本人或其他企业，请在“我的证照”切换后查看。",
	EN: "Whom you act for holds no such permit. If it is your own or another firm's, switch on “My permits” first.",
})

// permit is a licence as its holder sees it.
type permit struct {
	ID         string
	Type       web.Text
	Number     string
	Identifier string // GB/T 36904
	Holder     string
	HolderNo   string // USCC, or a person's number, masked
	Agency     web.Text
	Status     state
	Reason     string // of a suspension or revocation
	Changed    time.Time
	From       time.Time
	Last       time.Time // the last moment at which it is in force
	Fields     []field
	code       string // EL1 text, "" while being signed
}

// field is one of the permit's data.
type field struct{ Name, Value web.Text }

// state is what a permit is worth now, told by word and colour.
type state struct {
	Word   web.Text
	Tag    string   // class of the tag: good, bad, wait
	Counts bool     // in force now
	Says   web.Text // what follows for the holder; "" for a permit that counts
	Began  bool     // Changed is when this state began
	rank   int      // order in the list
}

var (
	inForce = state{Word: web.Text{ZH: "有效", EN: "Valid"}, Tag: "good", Counts: true}
	signing = state{Word: web.Text{ZH: "签发中", EN: "Being signed"}, Tag: "wait", rank: 1,
		Says: web.Text{ZH: "二维码正在生成，请稍候刷新本页。", EN: "The code is being made. Reload this page in a moment."}}
	notYet = state{Word: web.Text{ZH: "尚未生效", EN: "Not yet valid"}, Tag: "wait", rank: 1,
		Says: web.Text{ZH: "有效期尚未开始，现在出示不会通过查验。", EN: "Its period has not begun. Shown now, it will not pass a check."}}
	suspended = state{Word: web.Text{ZH: "已暂停", EN: "Suspended"}, Tag: "wait", Began: true, rank: 1,
		Says: web.Text{ZH: "证照已被发证机关暂停，现在不得使用。如有疑问，请联系发证机关。", EN: "The agency has suspended it. It must not be used now. If you have questions, ask the agency."}}
	expired = state{Word: web.Text{ZH: "已过期", EN: "Expired"}, Tag: "bad", rank: 2,
		Says: web.Text{ZH: "有效期已过，不能再使用。需要继续使用的，请向发证机关申请换证。", EN: "Its period is over and it can no longer be used. To go on, apply to the agency for a new one."}}
	replaced = state{Word: web.Text{ZH: "已换发", EN: "Replaced"}, Tag: "bad", Began: true, rank: 3,
		Says: web.Text{ZH: "已换发同一编号的新证照，本版本不再有效。请出示新证照。", EN: "A new version with the same number has taken its place. Show that one: this one is no longer valid."}}
	revoked = state{Word: web.Text{ZH: "已吊销", EN: "Revoked"}, Tag: "bad", Began: true, rank: 2,
		Says: web.Text{ZH: "证照已被发证机关吊销，不再有效。如有异议，请联系发证机关。", EN: "The agency has revoked it. It is no longer valid. If you disagree, ask the agency."}}
)

// stateOf returns what a licence is worth at a moment. What the agency decided
// goes before what time did.
func stateOf(l *licenses.License, at time.Time) state {
	switch {
	case l.Status == licenses.Revoked:
		return revoked
	case l.Status == licenses.Replaced:
		return replaced
	case l.Status == licenses.Suspended && at.Before(l.NotAfter):
		return suspended
	case !at.Before(l.NotAfter):
		return expired
	case l.Permit == "" || l.Status == licenses.Signing:
		return signing
	case l.Status != licenses.Issued: // a state to come must not look valid here
		return suspended
	case at.Before(l.NotBefore):
		return notYet
	default:
		return inForce
	}
}

// permit gathers what a page says of a licence.
func (s *Service) permit(ctx context.Context, l *licenses.License) (permit, error) {
	p := permit{ID: l.ID, Type: web.Text{ZH: l.Type, EN: l.Type}, Number: l.Number, Identifier: l.Identifier, Holder: l.Holds(), HolderNo: l.Holder,
		Status: stateOf(l, s.o.Now()), Reason: l.Reason, Changed: l.Changed,
		From: l.NotBefore, Last: l.NotAfter.Add(-time.Second), code: l.Permit}
	var err error
	if p.Agency, err = s.agencyName(ctx, l.Agency); err != nil {
		return p, fmt.Errorf("show permit: %w", err)
	}
	if t := typeOf(s.o.Licenses.Types(), l.Type); t != nil {
		p.Type, p.Fields = web.Text(t.Names), fields(t, l.Data)
	}
	return p, nil
}

// agencyName returns an agency's name, and its id for one that is in the register no more.
func (s *Service) agencyName(ctx context.Context, id string) (web.Text, error) {
	agency, err := s.o.Registry.FindAgency(ctx, id)
	if errors.Is(err, registry.ErrAgency) {
		return web.Text{ZH: id, EN: id}, nil
	}
	return web.Text{ZH: agency.NameZH, EN: agency.NameEN}, err
}

// typeOf returns the newest version of a type, which names whatever older ones did.
func typeOf(types []*licenses.Type, id string) *licenses.Type {
	if i := slices.IndexFunc(types, func(t *licenses.Type) bool { return t.ID == id }); i >= 0 {
		return types[i]
	}
	return nil
}

// fields returns the data that the type names, in the type's order.
func fields(t *licenses.Type, data map[string]any) (list []field) {
	for _, f := range t.Fields {
		if v, ok := data[f.Property]; ok {
			list = append(list, field{web.Text(f.Names), value(t, f, v)})
		}
	}
	return list
}

// value tells one of the data in both languages: a code list's value by its names,
// a date as dates are told, all else as it is.
func value(t *licenses.Type, f licenses.Field, v any) web.Text {
	var s string
	switch v := v.(type) {
	case string:
		s = v
	case float64:
		s = strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		if v {
			return web.Text{ZH: "是", EN: "yes"}
		}
		return web.Text{ZH: "否", EN: "no"}
	default:
		s = fmt.Sprint(v)
	}
	for _, list := range t.Lists {
		for _, c := range list.Codes {
			if list.ID == f.List && c.Value == s {
				return web.Text(c.Names)
			}
		}
	}
	if d, err := time.Parse(time.DateOnly, s); err == nil {
		return web.Text{ZH: d.Format("2006年1月2日"), EN: d.Format("2 January 2006")}
	}
	return web.Text{ZH: s, EN: s}
}

// picture draws the code. It fails with kind Unavailable while the permit is being
// signed.
func (p permit) picture(draw func(text string) ([]byte, error)) ([]byte, error) {
	if p.code == "" {
		return nil, web.Refuse(fault.Unavailable, web.Text{ZH: "二维码正在生成，请稍候再试。", EN: "The code is being made. Try again in a moment."})
	}
	return draw(p.code)
}
