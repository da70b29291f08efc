package login

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

// Codes are those of RFC 6238 as authenticator apps make them: SHA-1, six digits,
// 30 seconds.
const (
	totpPeriod = 30
	totpDigits = 6
	totpSkew   = 1  // steps that a phone's clock may be early or late
	totpSize   = 20 // bytes of a secret, as RFC 4226 section 4 recommends
)

var totpEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

func newTOTPSecret() []byte {
	b := make([]byte, totpSize)
	_, _ = rand.Read(b) // never fails
	return b
}

// totpStep returns the number of the time step that t lies in.
func totpStep(t time.Time) int64 { return t.Unix() / totpPeriod }

// totpCode returns the code of a time step (RFC 4226 section 5.3).
func totpCode(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	var counter [8]byte
	binary.BigEndian.PutUint64(counter[:], uint64(step))
	_, _ = mac.Write(counter[:])
	sum := mac.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	value := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, value%1e6)
}

// matchTOTP returns the time step near t whose code this is. It looks at all of
// them whatever it finds; of two with the same code the later counts.
func matchTOTP(secret []byte, code string, t time.Time) (step int64, ok bool) {
	now := totpStep(t)
	for s := now - totpSkew; s <= now+totpSkew; s++ {
		if subtle.ConstantTimeCompare([]byte(totpCode(secret, s)), []byte(code)) == 1 {
			step, ok = s, true
		}
	}
	return step, ok
}

// foldCode takes full-width digits for digits and drops the spaces with which
// apps show a code.
func foldCode(s string) string {
	return strings.Join(strings.Fields(norm.NFKC.String(s)), "")
}
