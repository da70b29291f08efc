package lint

// checkBasic: basic constraints are always there, and only the profiles of CAs
// make one, with exactly their depth.
func checkBasic(c candidate) string {
	switch {
	case !c.BasicConstraintsValid:
		return "has no basic constraints"
	case c.IsCA != c.rules.CA:
		return "is a CA against its profile, or not one"
	case c.IsCA && (c.MaxPathLen != c.rules.PathLen || c.MaxPathLenZero != (c.rules.PathLen == 0)):
		return "has another depth than its profile"
	}
	return ""
}
