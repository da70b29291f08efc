package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Secrets of subscriptions, Standard Webhooks "Symmetric": 32 random bytes, shown as
// whsec_ and base64. They are sealed under the city's data key and not derived from the
// key of lookups: that one is replaced every few years, and its successor would sign
// what no receiver can check.
const (
	secretSize   = 32
	secretPrefix = "whsec_"
	overlap      = 24 * time.Hour // after a rotation both secrets sign
)

func secretAAD(id string, generation int64) []byte {
	return []byte("webhook secret " + id + " " + strconv.FormatInt(generation, 10))
}

// newSecret returns a secret and how it is stored.
func (s *Service) newSecret(ctx context.Context, id string, generation int64) (secret, sealed []byte, err error) {
	secret = make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	sealed, err = s.o.Sealer.Seal(ctx, secret, secretAAD(id, generation))
	if err != nil {
		return nil, nil, fmt.Errorf("seal secret: %w", err)
	}
	return secret, sealed, nil
}

// secrets returns what signs now, the current one first.
func (s *Service) secrets(ctx context.Context, u *subscription, now time.Time) (list [][]byte, err error) {
	current, err := s.o.Sealer.Open(ctx, u.secret, secretAAD(u.id, u.generation))
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	if list = [][]byte{current}; u.previousUntil(now).IsZero() {
		return list, nil
	}
	previous, err := s.o.Sealer.Open(ctx, u.previous, secretAAD(u.id, u.generation-1))
	if err != nil {
		return nil, fmt.Errorf("open secret: %w", err)
	}
	return append(list, previous), nil
}

// shown returns a secret as its receiver keeps it.
func shown(secret []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(secret) }

// Sign returns the value of webhook-signature: for each secret "v1," and the base64 of
// the HMAC-SHA-256 of "ID.TIMESTAMP.BODY", with spaces between them. The timestamp
// is in seconds since 1970.
func Sign(id string, timestamp int64, body []byte, secrets ...[]byte) string {
	list := make([]string, len(secrets))
	for i, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%d.", id, timestamp)
		mac.Write(body)
		list[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(list, " ")
}
