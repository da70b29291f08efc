package permit

import (
	"crypto"
	"errors"
	"fmt"
)

// Signer is a permit key: its name, its COSE algorithm and its private half.
type Signer struct {
	KID [8]byte
	Alg int64
	Key crypto.Signer
}

// Encode signs the claims and returns the permit's text, and the hash of its
// Sig_structure as SigStructureHash gives it. dictionary is the type's preset
// dictionary, or empty for none. It refuses what Claims.Validate refuses, an
// algorithm that is not in the table, and a key of another kind.
func Encode(c Claims, s Signer, dictionary []byte) (text string, hash [16]byte, err error) {
	protected, payload, err := prepare(c, s, dictionary)
	if err != nil {
		return "", hash, fmt.Errorf("encode permit: %w", err)
	}
	message := sigStructure(protected, payload)
	a, _ := findAlgorithm(s.Alg)
	signature, err := a.sign(s.Key, message)
	if err != nil {
		return "", hash, fmt.Errorf("sign permit: %w", err)
	}
	cose := appendCOSE(make([]byte, 0, len(payload)+128), protected, payload, signature)
	if text, err = armor(cose, dictionary); err != nil {
		return "", hash, fmt.Errorf("compress permit: %w", err)
	}
	return text, hashOf(message), nil
}

// prepare checks everything that can be checked before there is a signature.
func prepare(c Claims, s Signer, dictionary []byte) (protected, payload []byte, err error) {
	if err := c.validate(); err != nil {
		return nil, nil, err
	}
	if len(dictionary) > MaxDictionary {
		return nil, nil, fmt.Errorf("dictionary over %d bytes", MaxDictionary)
	}
	a, ok := findAlgorithm(s.Alg)
	if !ok {
		return nil, nil, fmt.Errorf("algorithm %d not supported", s.Alg)
	}
	if s.Key == nil || !a.fits(s.Key.Public()) {
		return nil, nil, errors.New("key of another kind than the algorithm")
	}
	payload = appendPayload(make([]byte, 0, 512), c)
	if len(payload) > MaxPayload {
		return nil, nil, fmt.Errorf("%w: payload over %d bytes", ErrTooLarge, MaxPayload)
	}
	return appendProtected(nil, s.Alg, s.KID), payload, nil
}
