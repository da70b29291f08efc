package permit

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// deflater is a pooled zlib writer, which costs 800 kB to make.
type deflater struct {
	out bytes.Buffer
	z   *zlib.Writer
}

// deflaters holds a pool for each preset dictionary, because a writer keeps its
// own. It is a cache and never a source of truth: with more dictionaries than a
// city has licence types it starts again.
var deflaters = struct {
	sync.RWMutex
	pools map[string]*sync.Pool
}{pools: map[string]*sync.Pool{}}

const maxPools = 256

func deflaterPool(dictionary []byte) *sync.Pool {
	deflaters.RLock()
	pool := deflaters.pools[string(dictionary)]
	deflaters.RUnlock()
	if pool != nil {
		return pool
	}
	deflaters.Lock()
	defer deflaters.Unlock()
	if len(deflaters.pools) >= maxPools {
		clear(deflaters.pools)
	}
	pool = new(sync.Pool)
	deflaters.pools[string(dictionary)] = pool
	return pool
}

// armor compresses a COSE_Sign1 in the zlib format (RFC 1950), with the
// dictionary unless it is empty, and returns the permit's text.
func armor(cose, dictionary []byte) (string, error) {
	pool := deflaterPool(dictionary)
	d, ok := pool.Get().(*deflater)
	if !ok {
		d = new(deflater)
		var err error
		if d.z, err = newWriter(&d.out, dictionary); err != nil {
			return "", err
		}
	}
	defer pool.Put(d)
	d.out.Reset()
	d.z.Reset(&d.out)
	_, err := d.z.Write(cose)
	if err = errors.Join(err, d.z.Close()); err != nil {
		return "", err
	}
	text := make([]byte, 0, len(Prefix)+d.out.Len()/2*3+2)
	return string(appendBase45(append(text, Prefix...), d.out.Bytes())), nil
}

// newWriter returns a writer without a DICTID for an empty dictionary.
func newWriter(w io.Writer, dictionary []byte) (*zlib.Writer, error) {
	if len(dictionary) == 0 {
		return zlib.NewWriterLevel(w, zlib.DefaultCompression)
	}
	return zlib.NewWriterLevelDict(w, zlib.DefaultCompression, bytes.Clone(dictionary))
}

// inflater is a pooled zlib reader with its source and its bounded output.
type inflater struct {
	src bytes.Reader
	z   io.ReadCloser
	out [MaxInflated + 1]byte
}

var inflaters = sync.Pool{New: func() any { return new(inflater) }}

// inflate refuses more than MaxInflated bytes and anything after the end.
func inflate(packed []byte, dictionary func(uint32) []byte) ([]byte, error) {
	dict, err := findDictionary(packed, dictionary)
	if err != nil {
		return nil, err
	}
	i := inflaters.Get().(*inflater)
	defer inflaters.Put(i)
	n, err := i.read(packed, dict)
	switch {
	case errors.Is(err, zlib.ErrDictionary):
		return nil, ErrDictionary
	case err != nil:
		return nil, malformed("not zlib")
	case n > MaxInflated:
		return nil, fmt.Errorf("%w: over %d bytes inflated", ErrTooLarge, MaxInflated)
	case i.src.Len() > 0:
		return nil, malformed("bytes after the zlib stream")
	}
	return bytes.Clone(i.out[:n]), nil
}

// findDictionary checks the zlib header and returns the dictionary that it
// names, or nil when it names none.
func findDictionary(packed []byte, dictionary func(uint32) []byte) ([]byte, error) {
	const deflateMethod, fdict = 8, 0x20
	if len(packed) < 6 || packed[0]&0x0F != deflateMethod || binary.BigEndian.Uint16(packed)%31 != 0 {
		return nil, malformed("not zlib")
	}
	if packed[1]&fdict == 0 {
		return nil, nil
	}
	if dictionary != nil {
		if d := dictionary(binary.BigEndian.Uint32(packed[2:])); len(d) > 0 {
			return d, nil
		}
	}
	return nil, ErrDictionary
}

// read inflates until the end, which the checksum proves, or until the output
// is full. The dictionary must be nil where the header names none: a reader that
// is used again would take it all the same.
func (i *inflater) read(packed, dict []byte) (int, error) {
	i.src.Reset(packed)
	var err error
	if i.z == nil {
		i.z, err = zlib.NewReaderDict(&i.src, dict)
	} else {
		err = i.z.(zlib.Resetter).Reset(&i.src, dict)
	}
	if err != nil {
		return 0, err
	}
	n := 0
	for n < len(i.out) && err == nil {
		var m int
		m, err = i.z.Read(i.out[n:])
		n += m
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}
