package approval

import (
	"bytes"
	"encoding/json/jsontext"
	"errors"
	"io"
	"strconv"
)

// MaxResolved bounds a request's parameters and what they resolve to, in bytes of
// canonical JSON.
const MaxResolved = 64 << 10

const (
	maxJSONDepth = 16
	maxInteger   = 1<<53 - 1
)

// errJSON says that JSON is not what a statement may carry.
var errJSON = errors.New("not a JSON object of bounded size and depth with integers to 2^53-1")

// canonical returns a JSON object in the form of RFC 8785. It fails for duplicate
// names, invalid UTF-8, too much depth or length, and for numbers other than
// integers to 2^53-1, which not every reader would hold exactly.
func canonical(v jsontext.Value) (jsontext.Value, error) {
	if len(v) > 2*MaxResolved || !shallow(v) {
		return nil, errJSON
	}
	c := v.Clone()
	if c.Canonicalize() != nil || c.Kind() != '{' || len(c) > MaxResolved || !integers(c) {
		return nil, errJSON
	}
	return c, nil
}

// isCanonical reports whether canonical would return v as it is.
func isCanonical(v jsontext.Value) bool {
	c, err := canonical(v)
	return err == nil && bytes.Equal(c, v)
}

// shallow reports whether v is JSON that nests no deeper than it may.
func shallow(v jsontext.Value) bool {
	return walk(v, func(d *jsontext.Decoder, _ jsontext.Token) bool { return d.StackDepth() <= maxJSONDepth })
}

// integers reports whether all numbers are integers that every reader holds
// exactly, in canonical JSON.
func integers(v jsontext.Value) bool {
	return walk(v, func(_ *jsontext.Decoder, t jsontext.Token) bool {
		if t.Kind() != '0' {
			return true
		}
		n, err := strconv.ParseInt(t.String(), 10, 64)
		return err == nil && n >= -maxInteger && n <= maxInteger
	})
}

func walk(v jsontext.Value, holds func(*jsontext.Decoder, jsontext.Token) bool) bool {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return true
		}
		if err != nil || !holds(d, t) {
			return false
		}
	}
}
