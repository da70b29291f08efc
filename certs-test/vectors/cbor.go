package main

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
)

// item is a piece of CBOR that need not be right. Decoding and encoding again gives
// the same bytes for what was deterministic.
type item struct {
	major byte
	arg   uint64
	wider int    // how many steps longer than need be the head is
	text  []byte // of strings
	raw   []byte // instead of all else
	kids  []*item
}

// parse reads one item and what follows it; nil where it is no CBOR that we make.
func parse(b []byte) (*item, []byte) {
	if len(b) == 0 || b[0]&31 > 27 {
		return nil, nil
	}
	i := &item{major: b[0] >> 5, arg: uint64(b[0] & 31)}
	b = b[1:]
	if i.arg >= 24 {
		size := 1 << (i.arg - 24)
		if len(b) < size {
			return nil, nil
		}
		var whole [8]byte
		copy(whole[8-size:], b)
		i.arg, b = binary.BigEndian.Uint64(whole[:]), b[size:]
	}
	n := uint64(0)
	switch i.major {
	case 2, 3:
		if i.arg > uint64(len(b)) {
			return nil, nil
		}
		i.text, b = slices.Clone(b[:i.arg]), b[i.arg:]
		return i, b
	case 4:
		n = i.arg
	case 5:
		n = 2 * i.arg
	case 6:
		n = 1
	}
	if n > uint64(len(b)) {
		return nil, nil
	}
	for ; n > 0; n-- {
		var kid *item
		if kid, b = parse(b); kid == nil {
			return nil, nil
		}
		i.kids = append(i.kids, kid)
	}
	return i, b
}

// tree parses all of b, or returns nil.
func tree(b []byte) *item {
	i, rest := parse(b)
	if len(rest) > 0 {
		return nil
	}
	return i
}

func appendHead(b []byte, major byte, n uint64, wider int) []byte {
	size := 0
	switch {
	case n >= 1<<32:
		size = 4
	case n >= 1<<16:
		size = 3
	case n >= 1<<8:
		size = 2
	case n >= 24:
		size = 1
	}
	size = min(size+wider, 4)
	if size == 0 {
		return append(b, major<<5|byte(n))
	}
	var whole [8]byte
	binary.BigEndian.PutUint64(whole[:], n)
	return append(append(b, major<<5|byte(23+size)), whole[8-1<<(size-1):]...)
}

// append encodes. Strings, arrays and maps get the heads that fit them.
func (i *item) append(b []byte) []byte {
	if i.raw != nil {
		return append(b, i.raw...)
	}
	n := i.arg
	switch i.major {
	case 2, 3:
		n = uint64(len(i.text))
	case 4:
		n = uint64(len(i.kids))
	case 5:
		n = uint64(len(i.kids) / 2)
	}
	b = append(appendHead(b, i.major, n, i.wider), i.text...)
	for _, kid := range i.kids {
		b = kid.append(b)
	}
	return b
}

func (i *item) all(to []*item) []*item {
	to = append(to, i)
	for _, kid := range i.kids {
		to = kid.all(to)
	}
	return to
}

// What stands in for numbers and for whole items.
var (
	numbers = []uint64{0, 1, 3, 4, 23, 24, 61, 65, 255, 256, 65535, 65536, 1<<20 - 1, 1 << 20, 1<<32 - 1, 1 << 32, 1<<53 - 1, 1 << 53, 1<<53 + 1, 253402300799, 253402300800, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	strange = [][]byte{{0xf6}, {0xf7}, {0xf4}, {0xf9, 0x3c, 0}, {0xfb, 0x41, 0xd9, 0, 0, 0, 0, 0, 0}, {0x40}, {0x60}, {0x80}, {0xa0}, {0xc1, 0x01}, {0xc2, 0x41, 1}, {0x5f, 0x41, 1, 0xff}, {0x7f, 0x61, 'a', 0xff},
		{0x9f, 0xff}, {0xbf, 0xff}, {0x1c}, {0xff}, {0xf8, 0x10}, {0x20}, {0x61, 'x'}, {0x41, 'x'}, {0xd2, 0x84, 0x40, 0xa0, 0xf6, 0x40}}
	insertions = []string{"\x00", "\n", "\u007f", "\u0085", "\u061c", "\u200e", "\u2028", "\u202e", "\u2066", "\u2069", "\ufeff", "\ufffd", "\U0001f600", "é", " ", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\u2027", "\u206a", "\u00a0", "A"}
)

// change makes one change that a structure knows of.
func change(root *item, r *rand.Rand) {
	all := root.all(nil)
	i := all[r.IntN(len(all))]
	switch r.IntN(11) {
	case 0:
		i.wider = 1 + r.IntN(3)
	case 1, 2:
		i.numbers(r)
	case 3:
		i.raw = strange[r.IntN(len(strange))]
	case 4:
		i.swap(r)
	case 5:
		i.twice(r)
	case 6:
		i.without(r)
	case 7, 8:
		i.letters(r)
	case 9:
		j := all[r.IntN(len(all))]
		*i, *j = *j, *i
	case 10:
		if len(i.kids) > 0 || len(i.text) > 0 { // an indefinite length
			i.raw = append(append([]byte{i.major<<5 | 31}, i.append(nil)...), 0xff)
		} else {
			i.numbers(r)
		}
	}
}

func (i *item) numbers(r *rand.Rand) {
	switch i.major {
	case 0, 1:
		if r.IntN(2) == 0 {
			i.arg = numbers[r.IntN(len(numbers))]
		} else {
			i.arg += uint64(r.IntN(5)) - 2
		}
		if r.IntN(6) == 0 {
			i.major ^= 1
		}
	default:
		i.letters(r)
	}
}

// letters changes a string, or swaps the parts of what is none.
func (i *item) letters(r *rand.Rand) {
	if i.major != 2 && i.major != 3 {
		i.swap(r)
		return
	}
	at := r.IntN(len(i.text) + 1)
	switch r.IntN(5) {
	case 0:
		i.text = slices.Insert(i.text, at, []byte(insertions[r.IntN(len(insertions))])...)
	case 1:
		i.text = i.text[:at]
	case 2:
		if at < len(i.text) {
			i.text[at] ^= 1 << r.IntN(8)
		}
	case 3:
		for range r.IntN(300) {
			i.text = append(i.text, 'a')
		}
	case 4:
		i.major ^= 1
	}
}

// width is how many kids belong together.
func (i *item) width() int {
	if i.major == 5 {
		return 2
	}
	return 1
}

func (i *item) swap(r *rand.Rand) {
	w := i.width()
	n := len(i.kids) / w
	if n < 2 {
		i.wider++
		return
	}
	a := r.IntN(n - 1)
	for k := range w {
		i.kids[a*w+k], i.kids[a*w+w+k] = i.kids[a*w+w+k], i.kids[a*w+k]
	}
}

func (i *item) twice(r *rand.Rand) {
	w := i.width()
	if len(i.kids) < w {
		i.letters(r)
		return
	}
	a := r.IntN(len(i.kids)/w) * w
	i.kids = slices.Insert(i.kids, a+w, slices.Clone(i.kids[a:a+w])...)
}

func (i *item) without(r *rand.Rand) {
	w := i.width()
	if len(i.kids) < w {
		i.letters(r)
		return
	}
	a := r.IntN(len(i.kids)/w) * w
	i.kids = slices.Delete(i.kids, a, a+w)
}

// mutate returns b with one change, of its structure where it is CBOR.
func mutate(b []byte, r *rand.Rand) []byte {
	if t := tree(b); t != nil && r.IntN(10) < 7 {
		change(t, r)
		if r.IntN(5) == 0 {
			change(t, r)
		}
		return t.append(nil)
	}
	return scratch(b, r)
}

// scratch changes bytes without knowing what they are.
func scratch(b []byte, r *rand.Rand) []byte {
	b = slices.Clone(b)
	if len(b) == 0 {
		return []byte{byte(r.IntN(256))}
	}
	at := r.IntN(len(b))
	switch r.IntN(7) {
	case 0:
		return b[:at]
	case 1:
		return slices.Insert(b, at, byte(r.IntN(256)))
	case 2:
		return slices.Delete(b, at, at+1)
	case 3:
		return append(b, byte(r.IntN(256)))
	case 4:
		b[at] = byte(r.IntN(256))
	default:
		b[at] ^= 1 << r.IntN(8)
	}
	return b
}
