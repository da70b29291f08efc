package db

import (
	"crypto/rand"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"iter"
	"math/bits"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/signet-city/signet/internal/fault"
)

// MaxArgs is the most arguments that one statement may have on both engines.
const MaxArgs = 32000

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// lastTick is the time in the newest identifier of this process.
var lastTick atomic.Uint64

// NewID returns a fresh identifier: 26 characters, 60 bits of time before 68
// random bits, so that new rows stand together in an index. In one process
// identifiers rise strictly, so that an intent never stands behind its outcome.
func NewID() string {
	now := time.Now()
	ms := uint64(now.UnixMilli())
	tick := ms<<12 | uint64(now.UnixMicro()-int64(ms)*1000)<<2 // 4096 ticks in a millisecond
	for {
		last := lastTick.Load()
		next := max(tick, last+1)
		if lastTick.CompareAndSwap(last, next) {
			tick = next
			break
		}
	}
	var b [16]byte
	_, _ = rand.Read(b[7:])
	binary.BigEndian.PutUint64(b[:8], tick<<4|uint64(b[7]&0x0F))
	return idEncoding.EncodeToString(b[:])
}

// Affected returns how many rows a statement changed.
func Affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Changed reports whether a statement changed a row.
func Changed(result sql.Result, err error) (bool, error) {
	n, err := Affected(result, err)
	return n > 0, err
}

// Micros returns t as the microseconds since 1970 that columns hold, 0 for the
// zero time.
func Micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Time is the inverse of Micros, in UTC.
func Time(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros).UTC()
}

// IsUnique reports whether err is a violated unique constraint. The transaction
// it happened in must end.
func IsUnique(err error) bool { return isUniqueSQLite(err) || isUniquePostgres(err) }

// Values returns the placeholders of a multi-row insert: "($1,$2),($3,$4)" for
// two rows of two columns.
func Values(rows, cols int) string {
	var b strings.Builder
	b.Grow(rows * (cols*7 + 3))
	n := 0
	for r := range rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		for c := range cols {
			if c > 0 {
				b.WriteByte(',')
			}
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
		}
		b.WriteByte(')')
	}
	return b.String()
}

// mostRows is how many rows one statement of Inserts has at most, a power of two.
const mostRows = 64

// Inserts splits the arguments of a multi-row insert into statements of 64, 32,
// … 1 rows and yields what follows VALUES in each, so that both engines have few
// texts to keep prepared.
func Inserts(cols int, args []any) iter.Seq2[string, []any] {
	return func(yield func(string, []any) bool) {
		for len(args) > 0 {
			rows := 1 << (bits.Len(uint(min(len(args)/cols, mostRows))) - 1)
			if !yield(Values(rows, cols), args[:rows*cols]) {
				return
			}
			args = args[rows*cols:]
		}
	}
}

// IDBytes returns the 16 bytes that an identifier of NewID stands for.
func IDBytes(id string) (b [16]byte, err error) {
	raw, err := idEncoding.DecodeString(id)
	if err != nil || len(raw) != len(b) {
		return b, fault.New(fault.Invalid, "this is no identifier")
	}
	return [16]byte(raw), nil
}
