package lint

import "time"

// checkValidity: there is a period, no longer than the profile allows, and it lies
// within the issuer's.
func checkValidity(c candidate) string {
	switch {
	case !c.NotAfter.After(c.NotBefore):
		return "ends before it begins"
	case c.NotAfter.Sub(c.NotBefore)+time.Second > c.rules.Longest:
		return "is valid for longer than its profile allows"
	case c.issuer != nil && (c.NotBefore.Before(c.issuer.NotBefore) || c.NotAfter.After(c.issuer.NotAfter)):
		return "outlives its issuer, or begins before it"
	}
	return ""
}
