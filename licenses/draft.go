package licenses

import "time"

// Draft is an application's form that somebody has begun and will go on with.
type Draft struct {
	ID     string // the form's key, under which it is sent in
	Type   string
	Agency string // at whose desk it is; of an applicant's the one that they chose, "" for none and in a list
	// Values are the inputs by name, as they were typed: half, wrong or missing. Nil in
	// a list.
	Values      map[string]string
	Changed     time.Time
	Application string // that it has become, "" while it is a draft
}
