package egress

// IsPublic is for tests.
var IsPublic = isPublic
