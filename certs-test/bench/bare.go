package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"time"
)

// bare measures what the ratios are ratios to.
func bare(b *bench) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	digest := sha256.Sum256([]byte("signet"))
	err = b.perCore("p256.sign", "", 0, func(n int) error {
		for range n {
			if _, err := ecdsa.SignASN1(rand.Reader, key, digest[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		return err
	}
	err = b.perCore("p256.verify", "", 0, func(n int) error {
		for range n {
			if !ecdsa.VerifyASN1(&key.PublicKey, digest[:], signature) {
				return errors.New("signature refused")
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Unix(0, 0),
		NotAfter: time.Unix(1<<32, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	return b.perCore("x509.create", "", 0, func(n int) error {
		for range n {
			if _, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key); err != nil {
				return err
			}
		}
		return nil
	})
}
