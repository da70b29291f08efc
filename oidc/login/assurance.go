package login

import "slices"

// levels are the values of acr, the weakest first.
var levels = [...]string{ACRDeclared, ACRVerified, ACRPhishingResistant}

// Levels returns the values of the claim acr (OpenID Connect Core section 2) that
// sessions can have, the weakest first.
func (*Service) Levels() []string { return slices.Clone(levels[:]) }

// Reaches reports whether a session of level have does where level want is asked for.
// A level that is not one of Levels reaches none and is reached by none.
func (*Service) Reaches(have, want string) bool { return reaches(have, want) }

func reaches(have, want string) bool {
	h, w := slices.Index(levels[:], have), slices.Index(levels[:], want)
	return w >= 0 && h >= w
}

// method is a way to prove oneself, and what may be claimed of whoever did.
type method struct {
	name string
	acr  string
	amr  []string // RFC 8176 section 2
	kind Kind     // in the history
}

// The methods. Both are of two factors. A passkey that its provider synchronizes is
// software to whoever relies on it.
var (
	byPassword      = method{methodPassword, ACRVerified, []string{"pwd", "otp", "mfa"}, SignedInByPassword}
	byDevicePasskey = method{methodPasskey, ACRPhishingResistant, []string{"hwk", "user", "mfa"}, SignedInByPasskey}
	bySyncedPasskey = method{methodPasskey, ACRPhishingResistant, []string{"swk", "user", "mfa"}, SignedInByPasskey}
)

// asked returns a level that a page was asked for, "" for none or for a text that is
// no level: whoever needs one looks at what the session has in the end.
func asked(acr string) string {
	if slices.Contains(levels[:], acr) {
		return acr
	}
	return ""
}
