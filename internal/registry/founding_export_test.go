package registry

// BodyCheck is bodyCheck.
func BodyCheck(body string) byte { return bodyCheck(body) }
