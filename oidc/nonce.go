package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"
)

// Nonces that clients put into proofs (RFC 9449 section 8) are the minute they were
// given in and a keyed hash of it, so any replica knows them and none keeps them. The
// minute before them counts too, for a replica whose clock is ahead, and so do the
// four after.
const (
	nonceStep  = time.Minute
	nonceSteps = 5 // for which a nonce is good
	nonceLabel = "oidc.dpop.nonce"
)

// nonceLife is the longest that a nonce is accepted for.
const nonceLife = nonceSteps * nonceStep

// nonceCache holds the nonce of the minute.
type nonceCache struct{ current atomic.Pointer[nonceOf] }

type nonceOf struct {
	step int64
	text string
}

func stepOf(now time.Time) int64 { return now.Unix() / int64(nonceStep/time.Second) }

// nonce returns what proofs are to carry now.
func (p *Provider) nonce(ctx context.Context) (string, error) {
	step := stepOf(p.o.Now())
	if n := p.nonces.current.Load(); n != nil && n.step == step {
		return n.text, nil
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(step))
	mac, err := p.o.Keys.Lookup(ctx, nonceLabel, b)
	if err != nil {
		return "", fmt.Errorf("make nonce: %w", err)
	}
	n := &nonceOf{step, base64.RawURLEncoding.EncodeToString(append(b, mac[:16]...))}
	p.nonces.current.Store(n)
	return n.text, nil
}

// isNonce reports whether this service has given a nonce within the last minutes.
func (p *Provider) isNonce(ctx context.Context, text string) (bool, error) {
	if n := p.nonces.current.Load(); n != nil && n.step == stepOf(p.o.Now()) && subtle.ConstantTimeCompare([]byte(n.text), []byte(text)) == 1 {
		return true, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 24 || len(text) != 32 {
		return false, nil
	}
	if age := stepOf(p.o.Now()) - int64(binary.BigEndian.Uint64(b)); age < -1 || age >= nonceSteps {
		return false, nil
	}
	macs, err := p.o.Keys.Lookups(ctx, nonceLabel, b[:8])
	if err != nil {
		return false, fmt.Errorf("check nonce: %w", err)
	}
	for _, mac := range macs {
		if subtle.ConstantTimeCompare(mac[:16], b[8:]) == 1 {
			return true, nil
		}
	}
	return false, nil
}
