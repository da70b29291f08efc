package trust

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// Bounds of every array and map that is read.
const (
	maxElements = 1 << 16
	maxPairs    = 16
	maxDepth    = 10 // bundle, types, type, lists, list, codes, code, names
)

var encMode, decMode, peekMode = modes()

// modes returns how CBOR is written (RFC 8949 section 4.2), how it is read, and
// how one member of a map is read while the others are passed over. Reading alone
// lets through what is not deterministic; decode compares.
func modes() (cbor.EncMode, cbor.DecMode, cbor.DecMode) {
	tags := cbor.NewTagSet()
	must(tags.Add(cbor.TagOptions{EncTag: cbor.EncTagRequired, DecTag: cbor.DecTagRequired},
		reflect.TypeFor[wireSign1](), cose.CBORTagSign1Message))
	e := cbor.CoreDetEncOptions()
	e.NilContainers = cbor.NilContainerAsEmpty // or null would be read as empty and written as null again
	enc, err := e.EncModeWithTags(tags)
	must(err)
	d := cbor.DecOptions{
		DupMapKey:        cbor.DupMapKeyEnforcedAPF,
		IndefLength:      cbor.IndefLengthForbidden,
		MaxNestedLevels:  maxDepth,
		MaxArrayElements: maxElements,
		MaxMapPairs:      maxPairs,
	}
	peek, err := d.DecModeWithTags(tags)
	must(err)
	d.ExtraReturnErrors = cbor.ExtraDecErrorUnknownField
	dec, err := d.DecModeWithTags(tags)
	must(err)
	return enc, dec, peek
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// decode reads b into v and accepts only what encoding v gives back.
func decode(b []byte, v any) error {
	if decMode.Unmarshal(b, v) != nil {
		return malformed("not the CBOR of this object")
	}
	again, err := encMode.Marshal(v)
	if err != nil || !bytes.Equal(again, b) {
		return malformed("not deterministic CBOR")
	}
	return nil
}

// encode writes v.
func encode(v any) ([]byte, error) { return encMode.Marshal(v) }

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
