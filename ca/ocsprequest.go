package ca

import (
	"bytes"
	"crypto"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Bounds of what is asked. A request about one certificate is about 120 bytes, a
// signed one with its certificates a few thousand.
const (
	maxOCSPRequest = 8 << 10
	maxOCSPSerial  = 20  // RFC 5280 section 4.1.2.2
	maxNonce       = 128 // RFC 9654 section 2.1
)

// Identifiers in requests, in DER.
var (
	oidSHA1     = asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}
	oidSHA256   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
	oidNonce    = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 2}
	ocspHashes  = []crypto.Hash{crypto.SHA1, crypto.SHA256} // of CertIDs that are answered
	derNull     = []byte{5, 0}
	optional    = [3]cbasn1.Tag{tagged(0), tagged(1), tagged(2)}
	errOCSPForm = errors.New("parse OCSP request: malformed")
)

func tagged(n uint8) cbasn1.Tag { return cbasn1.Tag(n).ContextSpecific().Constructed() }

// ocspRequest is what one client asks about one certificate.
type ocspRequest struct {
	hash      crypto.Hash // of the identifier; 0 for one that is not answered here
	name, key [32]byte    // hashes of the issuer's name and key, zeros behind
	serial    *big.Int
	nonce     []byte // as it stands in the extension; nil for none
}

// parseOCSPRequest reads a request in DER (RFC 6960 section 4.1.1). It takes
// requests about exactly one certificate (RFC 5019 section 2.1.1): an answer about
// the first of several would look like one about all. A signature on the request
// is not looked at, since nobody needs permission to ask.
func parseOCSPRequest(der []byte) (q ocspRequest, err error) {
	var request, tbs, list, one, id, extensions cryptobyte.String
	var extended bool
	outer := cryptobyte.String(der)
	if len(der) > maxOCSPRequest || !outer.ReadASN1(&request, cbasn1.SEQUENCE) || !outer.Empty() ||
		!request.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!request.SkipOptionalASN1(optional[0]) || !request.Empty() || // the signature
		!readVersion(&tbs) || !tbs.SkipOptionalASN1(optional[1]) || // who asks
		!tbs.ReadASN1(&list, cbasn1.SEQUENCE) ||
		!tbs.ReadOptionalASN1(&extensions, &extended, optional[2]) || !tbs.Empty() ||
		!list.ReadASN1(&one, cbasn1.SEQUENCE) || !list.Empty() ||
		!one.ReadASN1(&id, cbasn1.SEQUENCE) {
		return q, errOCSPForm
	}
	if err := q.readID(id); err != nil {
		return q, err
	}
	if err := skipExtensions(one); err != nil {
		return q, err
	}
	if extended {
		q.nonce, err = readExtensions(extensions)
	}
	return q, err
}

// readVersion takes version 1, said or not.
func readVersion(s *cryptobyte.String) bool {
	var version cryptobyte.String
	var present bool
	var n int64
	if !s.ReadOptionalASN1(&version, &present, optional[0]) {
		return false
	}
	return !present || version.ReadASN1Integer(&n) && version.Empty() && n == 0
}

// readID reads a CertID.
func (q *ocspRequest) readID(id cryptobyte.String) error {
	var algorithm, name, key cryptobyte.String
	var oid asn1.ObjectIdentifier
	q.serial = new(big.Int)
	if !id.ReadASN1(&algorithm, cbasn1.SEQUENCE) || !algorithm.ReadASN1ObjectIdentifier(&oid) ||
		!id.ReadASN1(&name, cbasn1.OCTET_STRING) || !id.ReadASN1(&key, cbasn1.OCTET_STRING) ||
		!id.ReadASN1Integer(q.serial) || !id.Empty() || q.serial.BitLen() > 8*maxOCSPSerial {
		return errOCSPForm
	}
	switch {
	case oid.Equal(oidSHA1):
		q.hash = crypto.SHA1
	case oid.Equal(oidSHA256):
		q.hash = crypto.SHA256
	default:
		return nil // well formed, and nothing to answer
	}
	if len(name) != q.hash.Size() || len(key) != q.hash.Size() || len(algorithm) > 0 && !bytes.Equal(algorithm, derNull) {
		return errOCSPForm
	}
	copy(q.name[:], name)
	copy(q.key[:], key)
	return nil
}

// skipExtensions looks at those of one certificate: none is known here.
func skipExtensions(s cryptobyte.String) error {
	var extensions cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&extensions, &present, optional[0]) || !s.Empty() {
		return errOCSPForm
	}
	if !present {
		return nil
	}
	nonce, err := readExtensions(extensions)
	if err == nil && nonce != nil {
		return errOCSPForm // it belongs to the whole request
	}
	return err
}

// readExtensions returns the nonce. What is not known is skipped, unless it is
// critical.
func readExtensions(s cryptobyte.String) (nonce []byte, err error) {
	var list cryptobyte.String
	if !s.ReadASN1(&list, cbasn1.SEQUENCE) || !s.Empty() || list.Empty() {
		return nil, errOCSPForm
	}
	for !list.Empty() {
		var extension, value cryptobyte.String
		var oid asn1.ObjectIdentifier
		var critical bool
		if !list.ReadASN1(&extension, cbasn1.SEQUENCE) || !extension.ReadASN1ObjectIdentifier(&oid) ||
			extension.PeekASN1Tag(cbasn1.BOOLEAN) && !extension.ReadASN1Boolean(&critical) ||
			!extension.ReadASN1(&value, cbasn1.OCTET_STRING) || !extension.Empty() {
			return nil, errOCSPForm
		}
		switch {
		case oid.Equal(oidNonce):
			if nonce != nil || !validNonce(value) {
				return nil, fmt.Errorf("%w: nonce", errOCSPForm)
			}
			nonce = value
		case critical:
			return nil, fmt.Errorf("%w: critical extension", errOCSPForm)
		}
	}
	return nonce, nil
}

// validNonce: an OCTET STRING of 1 to 128 octets (RFC 9654 section 2.1).
func validNonce(value cryptobyte.String) bool {
	var nonce cryptobyte.String
	return value.ReadASN1(&nonce, cbasn1.OCTET_STRING) && value.Empty() && len(nonce) > 0 && len(nonce) <= maxNonce
}
