package permit

import "encoding/binary"

// Major types of CBOR (RFC 8949 section 3.1).
const (
	majorUint  = 0
	majorNint  = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

// appendHead appends the shortest head of a major type and argument.
func appendHead(b []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n < 1<<8:
		return append(b, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNint, uint64(-1-n))
	}
	return appendHead(b, majorUint, uint64(n))
}

func appendBytes(b, v []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(v))), v...)
}

func appendText(b []byte, v string) []byte {
	return append(appendHead(b, majorText, uint64(len(v))), v...)
}

// reader reads deterministic CBOR of a known shape. What is not as asked sets
// bad, and from then on every call returns zero; the caller checks bad once, at
// the latest before it believes a value.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

// literal reads exactly these bytes.
func (r *reader) literal(want ...byte) {
	if len(r.b) < len(want) || string(r.b[:len(want)]) != string(want) {
		r.fail()
		return
	}
	r.b = r.b[len(want):]
}

// major returns the major type of the next item.
func (r *reader) major() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	return r.b[0] >> 5
}

// head reads a head of the major type, refusing an argument over limit, one not
// in its shortest form, and indefinite lengths.
func (r *reader) head(major byte, limit uint64) uint64 {
	if r.major() != major || r.bad {
		r.fail()
		return 0
	}
	n, size := uint64(r.b[0]&31), 0
	if n >= 24 {
		if n > 27 {
			r.fail()
			return 0
		}
		size = 1 << (n - 24)
	}
	if len(r.b) < 1+size {
		r.fail()
		return 0
	}
	if size > 0 {
		n = 0
		for _, c := range r.b[1 : 1+size] {
			n = n<<8 | uint64(c)
		}
		if !isShortest(n, size) {
			r.fail()
			return 0
		}
	}
	if n > limit {
		r.fail()
		return 0
	}
	r.b = r.b[1+size:]
	return n
}

// isShortest says whether n needs an argument of size bytes.
func isShortest(n uint64, size int) bool {
	if size == 1 {
		return n >= 24
	}
	return n>>(4*size) != 0
}

func (r *reader) uint(limit uint64) uint64 { return r.head(majorUint, limit) }

// int reads an integer from -limit to limit.
func (r *reader) int(limit uint64) int64 {
	if r.major() == majorNint {
		n := r.head(majorNint, limit-1)
		if r.bad {
			return 0
		}
		return -1 - int64(n)
	}
	return int64(r.uint(limit))
}

// string reads a byte or text string of at most limit bytes. The result shares
// the reader's memory.
func (r *reader) string(major byte, limit uint64) []byte {
	return r.take(r.head(major, limit))
}

// take reads n bytes as they are.
func (r *reader) take(n uint64) []byte {
	if r.bad || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// text reads text that isText accepts.
func (r *reader) text(limit int) string {
	s := string(r.string(majorText, uint64(limit)))
	if !isText(s, limit) {
		r.fail()
		return ""
	}
	return s
}

// done says whether everything was read and nothing was bad.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }
