package keys

import "crypto"

// ParseKEK is for the fuzz test.
var ParseKEK = parseKEK

// Unseal opens sealed bytes under a raw key.
func Unseal(key, sealed, aad []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return unseal(aead, sealed, aad)
}

// SealUnder seals under a raw key.
func SealUnder(key, plaintext, aad []byte) ([]byte, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	return seal(aead, plaintext, aad), nil
}

// PrivateHalf returns the private key behind a signer of the ring, nil once it
// is gone.
func PrivateHalf(s crypto.Signer) crypto.Signer { return s.(*signer).half.Load().private }

// Gated returns a signer like those of the ring over a token that is asked for
// at most most signatures at once, and what pauses it.
func Gated(private crypto.Signer, most int) (s crypto.Signer, pause func()) {
	gated := newMetrics(nil).signer(PurposeCA, private.Public(), make(gate, most))
	gated.half.Store(&half{private: private})
	return gated, func() { gated.paused.Store(true) }
}
