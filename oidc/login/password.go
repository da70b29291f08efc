package login

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/signet-city/signet/internal/fault"
)

const (
	minPassword = 8   // characters
	maxPassword = 128 // characters
	maxWaiting  = 64  // sign-ins that wait for a core
	maxMemory   = 1e6 // KiB, of a stored hash
	maxTime     = 100 // passes, of a stored hash
	maxLanes    = 64  // of a stored hash
)

// phc is an Argon2id hash in PHC string format:
// $argon2id$v=19$m=MEMORY,t=TIME,p=LANES$SALT$HASH.
type phc struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
	salt   []byte
	hash   []byte
}

// current holds the parameters of new hashes: those that OWASP's Password Storage
// Cheat Sheet asks for at least.
var current = phc{memory: 19 << 10, time: 2, lanes: 1}

// parsePHC reads a PHC string. It bounds what the parameters can cost.
func parsePHC(s string) (p phc, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != "v=19" {
		return phc{}, errors.New("not an argon2id string of version 19")
	}
	costs := strings.Split(parts[3], ",")
	if len(costs) != 3 {
		return phc{}, errors.New("want three parameters")
	}
	var values [3]uint32
	for i, c := range []struct {
		name string
		max  uint64
	}{{"m=", maxMemory}, {"t=", maxTime}, {"p=", maxLanes}} {
		n, err := strconv.ParseUint(strings.TrimPrefix(costs[i], c.name), 10, 32)
		if err != nil || costs[i] != c.name+strconv.FormatUint(n, 10) || n < 1 || n > c.max {
			return phc{}, fmt.Errorf("parameter %d is not as expected", i)
		}
		values[i] = uint32(n)
	}
	p = phc{memory: values[0], time: values[1], lanes: uint8(values[2])}
	if p.salt, err = unbase64(parts[4], 8, 64); err != nil {
		return phc{}, err
	}
	p.hash, err = unbase64(parts[5], 16, 64)
	return p, err
}

func unbase64(s string, min, max int) ([]byte, error) {
	b, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < min || len(b) > max || strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("salt or hash is not as expected")
	}
	return b, nil
}

// String returns the PHC string.
func (p phc) String() string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.memory, p.time, p.lanes,
		base64.RawStdEncoding.EncodeToString(p.salt), base64.RawStdEncoding.EncodeToString(p.hash))
}

// stale reports whether the hash was made with other parameters than new ones.
func (p phc) stale() bool {
	return p.memory != current.memory || p.time != current.time || p.lanes != current.lanes || len(p.salt) != 16 || len(p.hash) != 32
}

func (p phc) key(password string, length int) []byte {
	return argon2.IDKey([]byte(password), p.salt, p.time, p.memory, p.lanes, uint32(length))
}

// hasher computes hashes, as many at a time as there are cores: each takes 19 MiB
// for some 20 milliseconds.
type hasher struct {
	turns   chan struct{}
	waiting atomic.Int64
	nobody  string // the hash that an unknown username is compared with
}

func newHasher() *hasher {
	h := &hasher{turns: make(chan struct{}, runtime.GOMAXPROCS(0))}
	nobody := current
	nobody.salt, nobody.hash = make([]byte, 16), make([]byte, 32)
	_, _ = rand.Read(nobody.hash) // the hash of no password
	h.nobody = nobody.String()
	return h
}

// turn waits for a core. It fails with kind Unavailable if too many wait already,
// and with ctx.
func (h *hasher) turn(ctx context.Context) (done func(), err error) {
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return nil, fault.New(fault.Unavailable, "too many people are signing in, try again")
	}
	defer h.waiting.Add(-1)
	select {
	case h.turns <- struct{}{}:
		return func() { <-h.turns }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash returns a new PHC string.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	done, err := h.turn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	p := current
	p.salt = make([]byte, 16)
	_, _ = rand.Read(p.salt) // never fails
	p.hash = p.key(password, 32)
	return p.String(), nil
}

// verify reports whether the password is the one of a stored PHC string, and
// whether that should be made anew. It fails for a string that is none.
func (h *hasher) verify(ctx context.Context, stored, password string) (ok, stale bool, err error) {
	p, err := parsePHC(stored)
	if err != nil {
		return false, false, fmt.Errorf("parse stored password: %w", err)
	}
	done, err := h.turn(ctx)
	if err != nil {
		return false, false, err
	}
	defer done()
	return subtle.ConstantTimeCompare(p.key(password, len(p.hash)), p.hash) == 1, p.stale(), nil
}

// foldPassword makes one of the ways in which keyboards and input methods write a
// password (NFKC, as NIST SP 800-63B section 3.1.1.2 suggests).
func foldPassword(s string) string { return norm.NFKC.String(s) }

// checkPassword bounds the password of a new account.
func checkPassword(s string) error {
	n := utf8.RuneCountInString(s)
	if !utf8.ValidString(s) || n < minPassword || n > maxPassword {
		return fault.New(fault.Invalid, fmt.Sprintf("a password has %d to %d characters", minPassword, maxPassword))
	}
	return nil
}
