package trust

// CheckTypes says what a bundle with these types would be refused for, nil for
// nothing: so that a type is refused when it is added and not when it is published.
func CheckTypes(types []Type) error {
	b := Bundle{Types: types}
	b.sort() // copies
	_, err := b.checkTypes()
	return err
}
