package oidc

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"slices"
	"strings"
)

// maxClaims bounds the parameter claims, and how many values an acr may have.
const (
	maxClaims = 4 << 10
	maxACRs   = 16
)

// claimsRequest is the parameter claims (OpenID Connect Core section 5.5). Members that
// are not known are ignored, as section 5.5 asks.
type claimsRequest struct {
	Userinfo map[string]*claimWish `json:"userinfo"`
	IDToken  map[string]*claimWish `json:"id_token"`
}

// claimWish says how a claim is wanted (section 5.5.1), nil for as it is.
type claimWish struct {
	Essential bool             `json:"essential"`
	Value     jsontext.Value   `json:"value"`
	Values    []jsontext.Value `json:"values"`
}

// texts returns the values that are wanted, nil for any. It reports false for values
// that are no texts.
func (w *claimWish) texts() (list []string, ok bool) {
	if w == nil {
		return nil, true
	}
	values := w.Values
	if len(w.Value) > 0 {
		values = append([]jsontext.Value{w.Value}, values...)
	}
	for _, v := range values {
		var s string
		if json.Unmarshal(v, &s) != nil {
			return nil, false
		}
		list = append(list, s)
	}
	return list, len(list) <= maxACRs
}

// scopeOf says by which scope a person lets a client have a claim. Claims that are not
// here come with every ID token, or there are none such.
var scopeOf = map[string]string{"name": scopeProfile, "firm_uscc": scopeFirm, "firm_name": scopeFirm, "document_kind": scopeNumber, "document_number": scopeNumber}

// inIDToken are those of them that an ID token may hold: it passes through more hands
// than userinfo does, so the number of somebody's document is none.
var inIDToken = []string{"name", "firm_uscc", "firm_name"}

// readClaims reads the parameter claims. What the client may not know is left out: no
// claim is promised (section 5.5.1).
func (a *authorization) readClaims() error {
	text := a.form.Get("claims")
	if text == "" {
		return nil
	}
	var c claimsRequest
	if len(text) > maxClaims || json.Unmarshal([]byte(text), &c) != nil {
		return reject("invalid_request", "claims is not as OpenID Connect Core section 5.5 says, or too long")
	}
	pick := func(wishes map[string]*claimWish, among []string) (names []string) {
		for name := range wishes {
			if scope := scopeOf[name]; scope != "" && slices.Contains(a.client.Scopes, scope) && (among == nil || slices.Contains(among, name)) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	a.infoClaims, a.idClaims = pick(c.Userinfo, nil), pick(c.IDToken, inIDToken)
	for _, wishes := range []map[string]*claimWish{c.IDToken, c.Userinfo} {
		subs, ok := wishes["sub"].texts()
		if !ok || len(subs) > 1 {
			return reject("invalid_request", "sub in claims must have one value")
		}
		if len(subs) == 1 {
			a.subs = append(a.subs, subs[0])
		}
	}
	wish := c.IDToken["acr"]
	acrs, ok := wish.texts()
	if !ok {
		return reject("invalid_request", "acr in claims must have values that are texts, 16 at most")
	}
	a.acrs, a.essential = acrs, wish != nil && wish.Essential && acrs != nil
	return nil
}

// readLevels reads which levels are asked for: in claims, or else in acr_values, or
// else by default.
func (a *authorization) readLevels() {
	if a.acrs == nil {
		a.acrs = strings.Fields(a.form.Get("acr_values"))
	}
	if len(a.acrs) == 0 && a.client.DefaultACR != "" {
		a.acrs = []string{a.client.DefaultACR}
	}
}

// wants reports whether the request asks for something that a scope stands for, by the
// scope or by one of its claims.
func (a *authorization) wants(scope string) bool { return slices.Contains(a.learns(), scope) }

// learns returns the scopes that the person must agree to: those asked for, and those
// of single claims.
func (a *authorization) learns() []string {
	list := slices.Clone(a.scopes)
	for _, name := range slices.Concat(a.infoClaims, a.idClaims) {
		if s := scopeOf[name]; !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
