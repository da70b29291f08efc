package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/signet-city/signet/internal/fault"
)

// Bounds of what is appended.
const (
	MaxContent     = 16 << 10 // bytes of an event's CBOR
	MaxCertificate = 64 << 10 // bytes of a certificate's DER

	maxKind   = 64
	maxActor  = 200
	maxObject = 200
	maxData   = 64 // members
	maxKey    = 64
	saltSize  = 16
	idSize    = 26
)

// KindCertificate is the kind of the records that AppendCertificate makes.
const KindCertificate = "certificate"

// Event is something that happened: Actor did Kind to Object.
type Event struct {
	Kind   string         // dotted lowercase words, as "license.issue.intent"
	Actor  string         // "client:ID", "operator:ID", "system", "ceremony"
	Object string         // "license:ID"; may be empty
	Data   map[string]any // values are string, int64, bool or []byte
}

// content is an event as it is hashed and stored.
type content struct {
	ID     string         `cbor:"id"`
	At     int64          `cbor:"at"` // microseconds since 1970
	Kind   string         `cbor:"kind"`
	Actor  string         `cbor:"actor"`
	Object string         `cbor:"object"`
	Data   map[string]any `cbor:"data"`
}

var (
	encoding = must(cbor.EncOptions{
		Sort:          cbor.SortBytewiseLexical,
		IndefLength:   cbor.IndefLengthForbidden,
		NilContainers: cbor.NilContainerAsEmpty,
		TagsMd:        cbor.TagsForbidden,
	}.EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		MaxNestedLevels:   4,
		MaxMapPairs:       maxData,
		MaxArrayElements:  16,
		IntDec:            cbor.IntDecConvertSignedOrFail,
		UTF8:              cbor.UTF8RejectInvalid,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode())
)

func must[M any](mode M, err error) M {
	if err != nil {
		panic(err) // impossible: the options are constants
	}
	return mode
}

// check fails for an event that nobody could search, or that has no one encoding.
func (e *Event) check() error {
	switch {
	case !isKind(e.Kind) || e.Kind == KindCertificate:
		return errors.New("kind is not dotted lowercase words")
	case e.Actor == "" || !isText(e.Actor, maxActor):
		return errors.New("actor is empty or too long or not text")
	case !isText(e.Object, maxObject):
		return errors.New("object is too long or not text")
	case len(e.Data) > maxData:
		return fault.New(fault.TooLarge, "the event has too many particulars")
	}
	for key, value := range e.Data {
		if key == "" || !isText(key, maxKey) {
			return errors.New("data has a key that is empty or too long or not text")
		}
		switch v := value.(type) {
		case string:
			if !utf8.ValidString(v) {
				return fmt.Errorf("data %q is not UTF-8", key)
			}
		case int64, bool, []byte:
		default:
			return fmt.Errorf("data %q has type %T: want string, int64, bool or []byte", key, value)
		}
	}
	return nil
}

func isKind(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return s != "" && len(s) <= maxKind
}

func isText(s string, most int) bool {
	return len(s) <= most && utf8.ValidString(s) && !strings.ContainsRune(s, 0)
}

// encode returns the event's deterministic CBOR.
func (e *Event) encode(id string, at int64) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	b, err := encoding.Marshal(content{id, at, e.Kind, e.Actor, e.Object, e.Data})
	if err != nil {
		return nil, err
	}
	if len(b) > MaxContent {
		return nil, fault.New(fault.TooLarge, "the event is too large to be recorded")
	}
	return b, nil
}

// decode is the inverse of encode. It fails for bytes that encode would not make.
func decode(b []byte) (c content, err error) {
	if len(b) > MaxContent {
		return c, errors.New("event content is too large")
	}
	errContent := errors.New("event content is not the CBOR of an event")
	if err := decoding.Unmarshal(b, &c); err != nil {
		return c, errContent
	}
	e := Event{Kind: c.Kind, Actor: c.Actor, Object: c.Object, Data: c.Data}
	if again, err := e.encode(c.ID, c.At); err != nil || !bytes.Equal(b, again) {
		return c, errContent
	}
	return c, nil
}

// eventEntry returns what stands in the log for an event.
func eventEntry(salt, content []byte) []byte {
	mac := hmac.New(sha256.New, salt)
	mac.Write(content)
	return mac.Sum(nil)
}

// certificateEntry returns what stands in the log for a certificate.
func certificateEntry(der []byte) []byte {
	sum := sha256.Sum256(der)
	return sum[:]
}

// Record is an event or a certificate as it is stored.
type Record struct {
	ID          string
	At          time.Time
	Kind        string
	Actor       string // empty for a certificate
	Object      string
	Data        map[string]any
	Certificate []byte // the DER, for kind KindCertificate
	Seq         int64  // place in the log, -1 while it is pending
	Erased      bool   // what it said is gone: there is no actor, object or data
}
