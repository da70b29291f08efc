package keys

// Held returns the condition that a ring has, or ever had, the key whose
// SubjectPublicKeyInfo in DER is the query's parameter, such as "$1", of whatever
// purpose and state. For NULL it is false.
func Held(parameter string) string {
	return "EXISTS (SELECT 1 FROM keys WHERE public_key = " + parameter + ")"
}
