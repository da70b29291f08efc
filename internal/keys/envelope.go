package keys

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/signet-city/signet/internal/fault"
)

// formatVersion is the first byte of everything sealed here: version, 12 bytes
// of nonce, ciphertext, 16 bytes of tag.
const (
	formatVersion = 1
	nonceSize     = 12
	tagSize       = 16
	overhead      = 1 + nonceSize + tagSize
)

// errSealed says nothing of what was wrong: with AES-GCM there is nothing to say.
var errSealed = errors.New("the sealed bytes were changed, or belong elsewhere")

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts with a random nonce. NIST SP 800-38D §8.3 allows 2^32 of them
// per key.
func seal(aead cipher.AEAD, plaintext, aad []byte) []byte {
	out := make([]byte, 1+nonceSize, overhead+len(plaintext))
	out[0] = formatVersion
	_, _ = rand.Read(out[1:]) // never fails
	return aead.Seal(out, out[1:], plaintext, aad)
}

func unseal(aead cipher.AEAD, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < overhead || sealed[0] != formatVersion {
		return nil, errSealed
	}
	plaintext, err := aead.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], aad)
	if err != nil {
		return nil, errSealed
	}
	return plaintext, nil
}

// kek is the key-encryption key, ready for use.
type kek struct {
	aead  cipher.AEAD
	check []byte // recognizes it and tells nothing of it
}

func newKEK(b []byte) (*kek, error) {
	if len(b) != keySize {
		return nil, fault.New(fault.Invalid, "a key-encryption key has 32 bytes")
	}
	aead, err := newAEAD(b)
	if err != nil {
		return nil, err
	}
	check, err := hkdf.Key(sha256.New, b, nil, "signet key-encryption key check 1", keySize)
	if err != nil {
		return nil, err
	}
	return &kek{aead, check}, nil
}

// matches reports whether check, the empty one of an unused keyring included, is
// this key's.
func (k *kek) matches(check []byte) bool {
	return len(check) == 0 || hmac.Equal(check, k.check)
}

var errWrongKEK = fault.New(fault.Invalid, "this key-encryption key is not the one that this keyring was made with")

// aad binds an envelope to its row. The parts hold no '|' (see isName).
func (k *Key) aad(part string) []byte {
	return []byte("signet key 1|" + part + "|" + k.ID + "|" + k.Purpose + "|" + k.Owner + "|" + k.Alg)
}

func secretAAD(name string) []byte { return []byte("signet secret 1|" + name) }

// openSecret fails for bytes that were sealed otherwise than a secret is.
func (k *kek) openSecret(s sealedSecret) ([]byte, error) {
	value, err := unseal(k.aead, s.sealed, secretAAD(s.name))
	if err == nil && len(value) != keySize {
		err = errSealed
	}
	return value, err
}

// enclose returns the row's two parts of an envelope: the data key under the KEK
// and the private key under the data key.
func (k *kek) enclose(key *Key, private crypto.PrivateKey) (wrapped, sealed []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, errors.New("encode private key")
	}
	defer clear(der)
	data := make([]byte, keySize)
	defer clear(data)
	_, _ = rand.Read(data) // never fails
	aead, err := newAEAD(data)
	if err != nil {
		return nil, nil, err
	}
	return seal(k.aead, data, key.aad("data")), seal(aead, der, key.aad("private")), nil
}

// bind returns what ties the row of a token key to its KEK and public half.
func (k *kek) bind(key *Key) ([]byte, error) {
	hash, err := publicHash(key.Public)
	if err != nil {
		return nil, err
	}
	return seal(k.aead, hash, key.aad("token")), nil
}

// checkBound fails for the row of a token key that bind did not make.
func (k *kek) checkBound(key *Key, wrapped []byte) error {
	bound, err := unseal(k.aead, wrapped, key.aad("token"))
	if err != nil {
		return fmt.Errorf("open token key: %w", err)
	}
	hash, err := publicHash(key.Public)
	if err != nil {
		return err
	}
	if !bytes.Equal(bound, hash) {
		return errors.New("open token key: the stored public key is another")
	}
	return nil
}

func publicHash(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(der)
	return hash[:], nil
}

// disclose opens an envelope. It fails if the private key is not that of the
// row's public one.
func (k *kek) disclose(key *Key, wrapped, sealed []byte) (crypto.Signer, error) {
	data, err := unseal(k.aead, wrapped, key.aad("data"))
	if err != nil {
		return nil, fmt.Errorf("open data key: %w", err)
	}
	defer clear(data)
	aead, err := newAEAD(data)
	if err != nil {
		return nil, errors.New("open data key: wrong size")
	}
	der, err := unseal(aead, sealed, key.aad("private"))
	if err != nil {
		return nil, fmt.Errorf("open private key: %w", err)
	}
	defer clear(der)
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("open private key: not PKCS#8") // the cause may quote it
	}
	signer, ok := private.(crypto.Signer)
	if !ok || !samePublic(signer.Public(), key.Public) {
		return nil, errors.New("open private key: it is not that of the public key")
	}
	return signer, nil
}
