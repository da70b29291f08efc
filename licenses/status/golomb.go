package status

import (
	"encoding/binary"
	"math/bits"
)

// ln2 is the natural logarithm of 2 times ListSize.
const ln2 = 726817

// parameter returns the Golomb parameter for count indices in a list. Indices
// come from a secret permutation, so their gaps are geometric, and the smallest
// code is the one of Gallager and van Voorhis (1975), ln 2 times the mean
// distance and a little. Being a function of the count it takes no room in the
// file, leaves one encoding of each list, and bounds the zeros of all the unary
// parts together to about 1.5 bits an index.
func parameter(count uint32) uint32 { return parameterOf(1, count) }

// parameterOf is parameter for count indices among those of so many lists.
func parameterOf(lists, count uint32) uint32 {
	n := uint64(max(1, count))
	return uint32(max(1, (ln2*uint64(lists)+n*5/32)/n))
}

// code is a Golomb code: a gap is divided by m; the quotient is written as that
// many zeros and a one, the remainder in truncated binary, where the first short
// values take one bit less than the rest.
type code struct {
	m, short uint32
	width    uint // bits of a remainder that is not short
}

func newCode(m uint32) code {
	width := uint(bits.Len32(m - 1))
	return code{m: m, short: 1<<width - m, width: width}
}

// floor returns the fewest bits that count indices can take.
func (c code) floor(count uint32) uint64 {
	width := uint64(c.width)
	if c.short > 0 {
		width--
	}
	return uint64(count) * (1 + width)
}

// appendIndices appends the code of rising indices, filled up with zeros to a
// whole byte.
func appendIndices(b []byte, indices []uint32) []byte {
	return appendRun(b, indices, 1)
}

// appendRun is appendIndices for numbers below lists times ListSize.
func appendRun(b []byte, indices []uint32, lists uint32) []byte {
	c := newCode(parameterOf(lists, uint32(len(indices))))
	w := bitWriter{b: b}
	next := uint32(0)
	for _, index := range indices {
		gap := index - next
		next = index + 1
		quotient, rest := gap/c.m, gap%c.m
		width := c.width
		if rest < c.short {
			width--
		} else {
			rest += c.short
		}
		for ; quotient > 8; quotient -= 8 {
			w.write(0, 8)
		}
		if width > maxWidth {
			w.write(0, uint(quotient))
			quotient = 0
		}
		w.write(1<<width|uint64(rest), uint(quotient)+1+width)
	}
	return w.close()
}

// maxWidth is the longest remainder that is written together with the end of its
// quotient, at most 9 bits: those of a list have 20 at most.
const maxWidth = 23

// bitWriter appends bits, the highest first.
type bitWriter struct {
	b   []byte
	acc uint64 // its lowest n bits are not yet in b
	n   uint   // below 32 between calls
}

// write appends the lowest n bits of v, n at most 32.
func (w *bitWriter) write(v uint64, n uint) {
	w.acc = w.acc<<n | v
	w.n += n
	if w.n >= 32 {
		w.n -= 32
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(w.acc>>w.n))
	}
}

// close fills the last byte with zeros and returns everything.
func (w *bitWriter) close() []byte {
	for w.n%8 != 0 {
		w.write(0, 1)
	}
	for ; w.n > 0; w.n -= 8 {
		w.b = append(w.b, byte(w.acc>>(w.n-8)))
	}
	return w.b
}

// bitReader reads bits, the highest first. What is not there sets bad, and from
// then on every call returns zero.
type bitReader struct {
	b   []byte // not yet in acc
	acc uint64 // its highest n bits come next
	n   uint
	bad bool
}

// fill makes at least 56 bits ready, or all that are left.
func (r *bitReader) fill() {
	if len(r.b) >= 8 {
		r.acc |= binary.BigEndian.Uint64(r.b) >> r.n
		whole := (64 - r.n) / 8
		r.b = r.b[whole:]
		r.n += whole * 8
		r.acc &= ^uint64(0) << (64 - r.n)
		return
	}
	for r.n <= 56 && len(r.b) > 0 {
		r.acc |= uint64(r.b[0]) << (56 - r.n)
		r.b = r.b[1:]
		r.n += 8
	}
}

// indices reads len(to) rising indices and the zeros up to a whole byte.
func (r *bitReader) indices(to []uint32) { r.run(to, 1) }

// run reads what appendRun appended.
func (r *bitReader) run(to []uint32, lists uint32) {
	c := newCode(parameterOf(lists, uint32(len(to))))
	next, end := uint64(0), uint64(lists)*ListSize
	for i := range to {
		next += r.gap(c, end)
		if r.bad || next >= end {
			r.bad = true
			return
		}
		to[i] = uint32(next)
		next++
	}
	r.align()
}

// gap reads one gap. It gives up when the zeros alone say that the number is not
// below end.
func (r *bitReader) gap(c code, end uint64) uint64 {
	r.fill()
	quotient := uint64(0)
	for r.acc == 0 {
		quotient += uint64(r.n)
		r.n = 0
		r.fill()
		if r.n == 0 || quotient > end {
			r.bad = true
			return 0
		}
	}
	zeros := uint(bits.LeadingZeros64(r.acc))
	r.drop(zeros + 1)
	quotient += uint64(zeros)
	if r.n < c.width {
		r.fill()
	}
	return quotient*uint64(c.m) + r.remainder(c)
}

// remainder reads a number below c.m in truncated binary.
func (r *bitReader) remainder(c code) uint64 {
	if c.width == 0 {
		return 0
	}
	if c.short > 0 {
		if rest := r.acc >> (65 - c.width); rest < uint64(c.short) {
			r.drop(c.width - 1)
			return rest
		}
	}
	rest := r.acc >> (64 - c.width)
	r.drop(c.width)
	return rest - uint64(c.short)
}

// drop takes n bits that were looked at; there must have been as many.
func (r *bitReader) drop(n uint) {
	if n > r.n {
		r.bad = true
		return
	}
	r.acc <<= n
	r.n -= n
}

// align takes the bits up to a whole byte, which must be zero.
func (r *bitReader) align() {
	pad := r.n % 8
	if pad > 0 && r.acc>>(64-pad) != 0 {
		r.bad = true
		return
	}
	r.drop(pad)
}

// done says whether everything was read and nothing was bad.
func (r *bitReader) done() bool { return !r.bad && r.n == 0 && len(r.b) == 0 }
