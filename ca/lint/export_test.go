package lint

// OwnRules returns the names of the city's own rules.
func OwnRules() []string {
	var names []string
	for _, r := range ownRules {
		names = append(names, r.name)
	}
	return names
}
