package web

import (
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/signet-city/signet/internal/fault"
)

// maxPointer bounds the JSON pointer that a problem repeats to its sender.
const maxPointer = 200

// DecodeJSON reads one JSON value of at most max bytes from the body into v.
//
// The content type must be application/json in UTF-8. Unknown and duplicate
// members, names in another case, invalid UTF-8 and anything after the value are
// refused. The error is a fault of kind TooLarge beyond max and Invalid, naming
// the place, for everything else that the sender can mend.
func DecodeJSON(w http.ResponseWriter, r *http.Request, max int64, v any) error {
	if err := checkJSONHeaders(r); err != nil {
		return err
	}
	tooLarge := func(cause error) error {
		return fault.Wrap(fault.TooLarge, fmt.Sprintf("the body is larger than %d bytes", max), cause)
	}
	if r.ContentLength > max {
		return tooLarge(errors.New("content length"))
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, max))
	if err != nil {
		var limit *http.MaxBytesError
		if errors.As(err, &limit) {
			return tooLarge(err)
		}
		return fault.Wrap(fault.Invalid, "the body could not be read", err)
	}
	return UnmarshalJSON(body, v)
}

// UnmarshalJSON decodes one JSON value as strictly as DecodeJSON does, for bodies
// that hold many, such as the lines of a batch. The caller bounds b.
func UnmarshalJSON(b []byte, v any) error {
	if len(b) == 0 {
		return fault.New(fault.Invalid, "the body is empty")
	}
	err := json.Unmarshal(b, v, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	return fault.InvalidInput("the JSON is not as expected", jsonProblem(err))
}

// checkJSONHeaders refuses bodies that say they are something else.
func checkJSONHeaders(r *http.Request) error {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return unsupported("the content type must be application/json")
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return unsupported("the character set must be UTF-8")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return unsupported("compressed bodies are not accepted")
	}
	return nil
}

// unsupported returns an Invalid fault with status 415.
func unsupported(public string) error {
	return &challenge{status: http.StatusUnsupportedMediaType, err: fault.New(fault.Invalid, public)}
}

// jsonProblem says where and why decoding stopped. It never repeats a value:
// what was sent may be personal, and faults may be logged.
func jsonProblem(err error) fault.Problem {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		p := fault.Problem{Path: cut(semantic.JSONPointer), Message: "has a value that does not fit"}
		if errors.Is(err, json.ErrUnknownName) {
			p.Message = "is not a known member"
		} else if semantic.JSONKind != 0 && semantic.Err == nil {
			p.Message = fmt.Sprintf("cannot be a JSON %s here", kindName(semantic.JSONKind))
		}
		return p
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		p := fault.Problem{Path: cut(syntactic.JSONPointer), Message: fmt.Sprintf("is not valid JSON at byte %d", syntactic.ByteOffset)}
		if errors.Is(err, jsontext.ErrDuplicateName) {
			p.Message = "appears twice"
		}
		return p
	}
	return fault.Problem{Message: "does not decode"}
}

// cut bounds a pointer, on a character boundary.
func cut(p jsontext.Pointer) string {
	s := string(p)
	if len(s) <= maxPointer {
		return s
	}
	return strings.ToValidUTF8(s[:maxPointer], "") + "…"
}

// kindName returns the name of a JSON kind.
func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "boolean"
	default:
		return k.String()
	}
}

// WriteJSON writes v with the given status. Unless the handler has set another
// Cache-Control, the answer is not to be stored. The error, returned before
// anything is written, says that v cannot be encoded; a client that went away is
// not an error.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
	return nil
}

// IdempotencyKey returns the header of that name, which every call that changes
// something needs: one value of 1 to 100 printable ASCII characters without spaces.
func IdempotencyKey(r *http.Request) (string, error) {
	v := r.Header.Values("Idempotency-Key")
	if len(v) != 1 || len(v[0]) < 1 || len(v[0]) > 100 {
		return "", fault.New(fault.Invalid, "one Idempotency-Key header of 1 to 100 characters is required")
	}
	for _, c := range []byte(v[0]) {
		if c < 0x21 || c > 0x7e {
			return "", fault.New(fault.Invalid, "an Idempotency-Key has printable ASCII characters without spaces")
		}
	}
	return v[0], nil
}
