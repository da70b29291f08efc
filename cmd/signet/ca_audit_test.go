package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os/exec"
	"testing"
	"time"
)

// TestParseBundle: what openssl writes with -trustout has something behind the certificate.
func TestParseBundle(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	plain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	cmd := exec.Command("openssl", "x509", "-trustout", "-addtrust", "serverAuth", "-setalias", "x")
	cmd.Stdin = bytes.NewReader(plain)
	trusted, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(trusted)
	if block == nil || block.Type != "TRUSTED CERTIFICATE" || bytes.Equal(block.Bytes, der) {
		t.Fatalf("openssl wrote %s", trusted)
	}
	behind := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: block.Bytes})
	cut := pem.EncodeToMemory(&pem.Block{Type: "TRUSTED CERTIFICATE", Bytes: der[:len(der)-1]})
	for name, tt := range map[string]struct {
		file []byte
		want int // -1: refused
	}{
		"DER": {der, 1}, "PEM": {plain, 1}, "with trust settings": {trusted, 1}, "both": {append(bytes.Clone(plain), trusted...), 2},
		"something behind it": {behind, -1}, "cut": {cut, -1}, "no certificate": {[]byte("x"), -1}, "nothing": {nil, -1},
	} {
		certs, err := parseBundle(tt.file)
		if (err != nil) != (tt.want < 0) || err == nil && len(certs) != tt.want {
			t.Errorf("%s: %d certificates, %v", name, len(certs), err)
		}
		for _, cert := range certs {
			if !bytes.Equal(cert.Raw, der) {
				t.Errorf("%s: another certificate", name)
			}
		}
	}
}
