// Package fault gives errors a kind that the edge can translate and a sentence
// that is safe for the public.
//
// It owns the six kinds that callers may meet. Any other error is Internal: the
// edge answers it with a reference number and nothing else.
package fault

import "errors"

// Kind says what the caller can do about an error.
type Kind uint8

// The kinds. The zero value is Internal, so that an error nobody classified is
// never shown.
const (
	Internal    Kind = iota // our mistake
	Invalid                 // the input is wrong: change it
	NotFound                // there is no such thing
	Conflict                // it is in another state, or was done otherwise before
	Denied                  // the caller may not
	Unavailable             // a part is away: try again later
	TooLarge                // the input exceeds a bound
)

// String returns the kind's name as it stands in answers and metrics.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Denied:
		return "denied"
	case Unavailable:
		return "unavailable"
	case TooLarge:
		return "too_large"
	default:
		return "internal"
	}
}

// Problem is one thing that is wrong with an input.
type Problem struct {
	Path    string `json:"path"` // JSON pointer or flag, "" for the whole
	Message string `json:"message"`
}

// Fault is an error with a kind and a public sentence.
type Fault struct {
	kind     Kind
	public   string
	problems []Problem
	cause    error
}

// New returns a fault without a cause. The public sentence carries no personal
// data and no secret.
func New(kind Kind, public string) error { return &Fault{kind: kind, public: public} }

// Wrap returns a fault that hides cause from the public but keeps it for
// errors.Is and for the log.
func Wrap(kind Kind, public string, cause error) error {
	return &Fault{kind: kind, public: public, cause: cause}
}

// InvalidInput returns a fault of kind Invalid that names every problem found.
func InvalidInput(public string, problems ...Problem) error {
	return &Fault{kind: Invalid, public: public, problems: problems}
}

// Error returns the public sentence followed by the cause: for logs only.
func (f *Fault) Error() string {
	s := f.public
	for _, p := range f.problems {
		s += "; " + p.Path + ": " + p.Message
	}
	if f.cause != nil {
		s += ": " + f.cause.Error()
	}
	return s
}

// Unwrap returns the cause, or nil.
func (f *Fault) Unwrap() error { return f.cause }

// KindOf returns the kind of the outermost fault in err's chain, Internal if
// there is none.
func KindOf(err error) Kind {
	var f *Fault
	if errors.As(err, &f) {
		return f.kind
	}
	return Internal
}

// Public returns the sentence that may be shown. It is "internal error" for
// every error that carries no fault.
func Public(err error) string {
	var f *Fault
	if errors.As(err, &f) && f.kind != Internal {
		return f.public
	}
	return "internal error"
}

// Problems returns what is wrong with the input, nil if the error does not say.
func Problems(err error) []Problem {
	var f *Fault
	if errors.As(err, &f) {
		return f.problems
	}
	return nil
}
