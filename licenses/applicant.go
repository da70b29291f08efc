package licenses

import (
	"time"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/attachment"
)

// Applicant is who applies for a licence that they, or the firm that they act for,
// will hold.
type Applicant struct {
	Person string // who is signed in: id in the registry
	Kind   string // of the holder: HolderFirm or HolderPerson
	Holder string // USCC of a firm, id of a person
}

// Claim is what a holder applies for.
type Claim struct {
	Type   string
	Agency string // that is asked to issue it
	Key    string // of the form: sent twice, it makes one application
	Data   map[string]any
	Wrong  bool // the form has problems already: the claim is only checked
}

// Applied is an application as its holder sees it.
type Applied struct {
	ID       string
	Type     string
	Agency   string // that was asked
	Office   string // that deals with it, or dealt with it at its end
	State    string // submitted, reviewed, approved, issued, rejected, failed, withdrawn, or a step of the agency's
	Data     map[string]any
	Created  time.Time
	Decided  time.Time  // zero while it waits
	Reason   string     // of a rejection
	Why      []web.Text // it was not issued
	License  string     // id, "" until it is issued
	Asked    bool       // the agency waits for an answer
	Messages []Message  // in order; nil in a list
	Attached []Attached // in order, without their bytes; nil in a list
}

// File is what somebody attaches to an application.
type File struct {
	Slot string // of the type
	Key  string // of the form: sent twice, it is attached once
	Body []byte
}

// MaxAttached is how many files an application may have.
const MaxAttached = 10

// Attached is a file that belongs to an application.
type Attached struct {
	ID         string
	Slot       string
	Kind       attachment.Kind
	Size       int64 // bytes
	FromHolder bool
	At         time.Time
	Body       []byte // nil in a list
}

// Message is one of those that a holder and an agency write to each other.
type Message struct {
	FromHolder bool
	Text       string
	At         time.Time
}
