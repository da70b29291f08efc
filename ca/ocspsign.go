package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/internal/fault"
)

// sign makes an answer that ends before the certificate of who signs it.
func (r *responder) sign(ctx context.Context, k *ocspKey, q ocspRequest, f finding, nonce []byte, why string) (*answer, error) {
	t, err := r.current(ctx)
	if err != nil {
		return nil, err
	}
	if newest := t.byKey[k.id]; newest != nil {
		k = newest
	}
	s, err := r.signerOf(ctx, k)
	if err != nil {
		r.metrics.signed.WithLabelValues("failed").Inc()
		return nil, err
	}
	from, until, err := r.window(&f, s)
	if err != nil {
		return nil, err
	}
	der, err := signOCSP(s, q.hash, q.serial, f, from, until, nonce)
	if err != nil {
		r.metrics.signed.WithLabelValues("failed").Inc()
		return nil, fmt.Errorf("sign OCSP answer: %w", err)
	}
	r.metrics.signed.WithLabelValues(why).Inc()
	a := &answer{der: der, found: f, from: from, until: until}
	a.seen.Store(f.changes)
	sum := sha256.Sum256(der)
	a.etag = []string{`"` + hex.EncodeToString(sum[:16]) + `"`}
	a.modified, a.expires = []string{from.Format(http.TimeFormat)}, []string{until.Format(http.TimeFormat)}
	return a, nil
}

// window returns from when until when an answer holds. CreateResponse names the
// whole minute as the time of signing: the answer begins there, too, or where the
// certificate was revoked since.
func (r *responder) window(f *finding, s ocspSigner) (from, until time.Time, err error) {
	now, life := r.ca.now().UTC(), r.life
	from = now.Truncate(time.Minute)
	if f.status == ocsp.Unknown {
		life = ocspUnsure
	}
	if f.status == ocsp.Revoked && f.at.After(from) {
		from = f.at
		if from.After(now) { // by a replica whose clock is ahead
			from = now.Truncate(time.Second)
			f.at = from
		}
	}
	until = from.Add(life)
	by := s.ca
	if s.delegate != nil {
		by = s.delegate
	}
	if by.NotBefore.After(from) {
		from = by.NotBefore
	}
	if until.After(by.NotAfter) {
		until = by.NotAfter
	}
	if !until.After(now) {
		return from, until, fault.New(fault.Conflict, "the certificate of the CA has expired")
	}
	return from, until, nil
}

// signOCSP makes an answer that holds from one time until another. With a nonce
// the answer carries it.
func signOCSP(s ocspSigner, hash crypto.Hash, serial *big.Int, f finding, from, until time.Time, nonce []byte) ([]byte, error) {
	t := ocsp.Response{Status: f.status, SerialNumber: serial, ThisUpdate: from, NextUpdate: until, IssuerHash: hash, Certificate: s.delegate}
	if f.status == ocsp.Revoked {
		t.RevokedAt, t.RevocationReason = f.at, f.reason
		from, err := invalidityDate(f.from) // RFC 6960 section 4.4
		if err != nil {
			return nil, err
		}
		t.ExtraExtensions = from
	}
	by := s.delegate
	if by == nil {
		by = s.ca
	}
	if nonce == nil {
		return ocsp.CreateResponse(s.ca, by, t, s.key)
	}
	der, err := ocsp.CreateResponse(s.ca, by, t, unsigned{s.key})
	if err != nil {
		return nil, err
	}
	return addNonce(der, nonce, s.key)
}

// ocspSigner is who answers for a CA key.
type ocspSigner struct {
	ca       *x509.Certificate
	delegate *x509.Certificate // nil: the CA itself
	key      crypto.Signer
}

// unsigned leaves room for a signature: CreateResponse has no place for what must
// stand in the answer before it is signed.
type unsigned struct{ crypto.Signer }

// Sign implements crypto.Signer.
func (unsigned) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return []byte{0}, nil }

// errOCSPAnswer means that CreateResponse made something else than it did when
// this was written.
var errOCSPAnswer = errors.New("add nonce: the answer has another form than expected")

// addNonce puts the nonce into an answer that is not signed yet, and signs it.
func addNonce(der, nonce []byte, key crypto.Signer) ([]byte, error) {
	var answer, body, octets, basic, tbs, algorithm, certificates cryptobyte.String
	var kind asn1.ObjectIdentifier
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&answer, cbasn1.SEQUENCE) || !answer.SkipASN1(cbasn1.ENUM) || !answer.ReadASN1(&body, optional[0]) ||
		!body.ReadASN1(&body, cbasn1.SEQUENCE) || !body.ReadASN1ObjectIdentifier(&kind) || !body.ReadASN1(&octets, cbasn1.OCTET_STRING) ||
		!octets.ReadASN1(&basic, cbasn1.SEQUENCE) || !basic.ReadASN1(&tbs, cbasn1.SEQUENCE) ||
		!basic.ReadASN1Element(&algorithm, cbasn1.SEQUENCE) || !basic.SkipASN1(cbasn1.BIT_STRING) {
		return nil, errOCSPAnswer
	}
	certificates = basic // as they are, or nothing
	data, err := withNonce(tbs, nonce)
	if err != nil {
		return nil, err
	}
	hash, err := hashOfECDSA(algorithm)
	if err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(data)
	signature, err := key.Sign(rand.Reader, h.Sum(nil), hash)
	if err != nil {
		return nil, fmt.Errorf("sign OCSP answer: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Enum(int64(ocsp.Success))
		b.AddASN1(optional[0], func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(kind)
				b.AddASN1(cbasn1.OCTET_STRING, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddBytes(data)
						b.AddBytes(algorithm)
						b.AddASN1BitString(signature)
						b.AddBytes(certificates)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// withNonce returns ResponseData with the nonce behind its content.
func withNonce(content cryptobyte.String, nonce []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(content)
		b.AddASN1(optional[1], func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1ObjectIdentifier(oidNonce)
					b.AddASN1OctetString(nonce)
				})
			})
		})
	})
	return b.Bytes()
}

// hashOfECDSA returns the hash of a signature algorithm: CAs and OCSP signers have
// keys on P-256 and P-384 alone.
func hashOfECDSA(algorithm cryptobyte.String) (crypto.Hash, error) {
	var content cryptobyte.String
	var oid asn1.ObjectIdentifier
	if !algorithm.ReadASN1(&content, cbasn1.SEQUENCE) || !content.ReadASN1ObjectIdentifier(&oid) {
		return 0, errOCSPAnswer
	}
	switch oid.String() {
	case "1.2.840.10045.4.3.2":
		return crypto.SHA256, nil
	case "1.2.840.10045.4.3.3":
		return crypto.SHA384, nil
	default:
		return 0, errOCSPAnswer
	}
}
