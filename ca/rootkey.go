package ca

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.step.sm/crypto/pemutil"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/fault"
)

// Bounds of the root key's file and passphrase.
const (
	maxRootKey    = 16 << 10
	MinPassphrase = 12 // characters
	maxPassphrase = 1024
	maxRounds     = 2_000_000 // of PBKDF2, a second or so
)

// encryptRootKey returns the key as "ENCRYPTED PRIVATE KEY": PKCS #8 (RFC 5958)
// under PBES2 with PBKDF2 and AES-256.
func encryptRootKey(key crypto.Signer, passphrase []byte) ([]byte, error) {
	block, err := pemutil.Serialize(key, pemutil.WithPKCS8(true), pemutil.WithPassword(passphrase))
	if err != nil {
		return nil, fmt.Errorf("encrypt root key: %w", err)
	}
	if block.Type != "ENCRYPTED PRIVATE KEY" {
		return nil, fmt.Errorf("encrypt root key: it became a %s", block.Type)
	}
	return pem.EncodeToMemory(block), nil
}

func checkPassphrase(p []byte) error {
	if n := utf8.RuneCount(p); n < MinPassphrase || len(p) > maxPassphrase {
		return fault.New(fault.Invalid, fmt.Sprintf("the root key's passphrase must have at least %d characters", MinPassphrase))
	}
	return nil
}

// LoadRootKey decrypts the root's key from the file that the ceremony made, for
// SignRootRequest. It fails with kind Invalid for anything else, a wrong
// passphrase included, and never repeats either. Whether the key is this city's
// root, its user compares: the file's encryption does not authenticate.
func LoadRootKey(b, passphrase []byte) (crypto.Signer, error) {
	if len(b) > maxRootKey {
		return nil, fault.New(fault.TooLarge, "the root key's file is too large")
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != "ENCRYPTED PRIVATE KEY" || len(bytes.TrimSpace(rest)) > 0 {
		return nil, fault.New(fault.Invalid, "this is no encrypted private key in PEM")
	}
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	if err := checkEnvelope(block.Bytes); err != nil {
		return nil, fault.Wrap(fault.Invalid, "this is no key that a ceremony encrypted", err)
	}
	der, err := pemutil.DecryptPKCS8PrivateKey(block.Bytes, passphrase)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the root key does not open: wrong passphrase, or another kind of file")
	}
	parsed, err := pemutil.ParseDER(der)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the root key does not open: wrong passphrase, or another kind of file")
	}
	key, ok := parsed.(crypto.Signer)
	if !ok || profile.CheckKey(profile.Root, key.Public()) != nil {
		return nil, fault.New(fault.Invalid, "this key is of a kind that no root has")
	}
	return key, nil
}

// oidAES256CBC is the only cipher that a ceremony encrypts with.
var oidAES256CBC = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}

// checkEnvelope bounds what the decryption would trust: it panics on an IV or a
// ciphertext of another length than whole blocks, and derives the key in as many
// rounds as the file says.
func checkEnvelope(der []byte) error {
	var e struct {
		Algorithm struct {
			OID    asn1.ObjectIdentifier
			Params struct {
				KDF struct {
					OID    asn1.ObjectIdentifier
					Params struct {
						Salt   []byte
						Rounds int
						PRF    pkix.AlgorithmIdentifier `asn1:"optional"`
					}
				}
				Cipher struct {
					OID asn1.ObjectIdentifier
					IV  []byte
				}
			}
		}
		Data []byte
	}
	rest, err := asn1.Unmarshal(der, &e)
	switch p := e.Algorithm.Params; {
	case err != nil || len(rest) > 0:
		return errors.New("no encrypted PKCS #8")
	case !p.Cipher.OID.Equal(oidAES256CBC) || len(p.Cipher.IV) != aes.BlockSize:
		return errors.New("not AES-256 in CBC")
	case len(e.Data) == 0 || len(e.Data)%aes.BlockSize != 0:
		return errors.New("ciphertext is not of whole blocks")
	case p.KDF.Params.Rounds < 1 || p.KDF.Params.Rounds > maxRounds:
		return errors.New("rounds out of bounds")
	}
	return nil
}
