package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	stepName   = "bench" // of the provisioner, and what certificates are about
	stepModule = "github.com/smallstep/certificates/cmd/step-ca"
)

// buildStep builds step-ca by the tools' own module. Without cgo it needs no library
// for smart cards; the product's build tags would take its database away.
func buildStep(ctx context.Context) (string, error) {
	return build(ctx, "step-ca", []string{"CGO_ENABLED=0", "GOFLAGS=-buildvcs=false"}, "-modfile=tools/go.mod", stepModule)
}

// newStep serves a fresh step-ca with the database that its own init chooses, and a
// provisioner whose one-time tokens are made here and beforehand, so that they cost
// the server nothing.
func newStep(ctx context.Context, dir, program string, w *wanted) (*contestant, error) {
	dir = filepath.Join(dir, "step")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := writeStepChain(dir)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config, err := writeStepConfig(dir, address, key)
	if err != nil {
		return nil, err
	}
	bodies, err := stepBodies(key, w)
	if err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	p, err := start(ctx, log, program, config)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	p.drop()
	base, client := "https://"+address, clientOf(root)
	if err := stepReady(ctx, client, base); err != nil {
		return nil, errors.Join(fmt.Errorf("wait for step-ca: %w", err), p.stop(), log.Close())
	}
	return &contestant{name: "cert.issue.stepca", stop: func() error { return errors.Join(p.stop(), log.Close()) },
		cpu: func() (float64, error) { return cpuOf(p.cmd.Process.Pid) },
		issue: func(n int) (string, error) {
			var answer struct {
				Certificate string `json:"crt"`
			}
			err := post(ctx, client, base+"/1.0/sign", http.Header{}, bodies[n], &answer)
			return answer.Certificate, err
		}}, nil
}

// writeStepChain makes a root and an intermediate CA, and returns the root's
// certificate, PEM.
func writeStepChain(dir string) ([]byte, error) {
	var certs []*x509.Certificate
	var keys []*ecdsa.PrivateKey
	for i, name := range []string{"root", "intermediate"} {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		t := &x509.Certificate{SerialNumber: big.NewInt(int64(i) + 1), Subject: pkix.Name{CommonName: "bench " + name}, NotBefore: time.Now().Add(-time.Hour),
			NotAfter: time.Now().AddDate(1, 0, 0), IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1 - i, MaxPathLenZero: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
		parent, signer := t, key
		if i > 0 {
			parent, signer = certs[0], keys[0]
		}
		der, err := x509.CreateCertificate(rand.Reader, t, parent, key.Public(), signer)
		if err != nil {
			return nil, err
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs, keys = append(certs, cert), append(keys, key)
		if err := os.WriteFile(filepath.Join(dir, name+".crt"), certificatePEM(der), 0o600); err != nil {
			return nil, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		return nil, err
	}
	err = os.WriteFile(filepath.Join(dir, "intermediate.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
	return certificatePEM(certs[0].Raw), err
}

func certificatePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// freeAddress returns an address on loopback that was free a moment ago.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func writeStepConfig(dir, address string, key *ecdsa.PrivateKey) (path string, err error) {
	in := func(name string) string { return filepath.Join(dir, name) }
	b, err := json.Marshal(map[string]any{
		"root": in("root.crt"), "crt": in("intermediate.crt"), "key": in("intermediate.key"), "address": address, "dnsNames": []string{"localhost", "127.0.0.1"},
		"db": map[string]any{"type": "badgerv2", "dataSource": in("db")},
		"authority": map[string]any{"provisioners": []any{map[string]any{"type": "JWK", "name": stepName,
			"key": jose.JSONWebKey{Key: key.Public(), KeyID: stepName, Algorithm: "ES256", Use: "sig"}}}},
	})
	if err != nil {
		return "", err
	}
	return in("ca.json"), os.WriteFile(in("ca.json"), b, 0o600)
}

// stepBodies makes the requests, each with a token of its own.
func stepBodies(key *ecdsa.PrivateKey, w *wanted) ([][]byte, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: stepName}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, issuingWarm+issuingRound*issuingRounds)
	now := time.Now().Unix()
	for i := range bodies {
		token, err := jws(signer, map[string]any{"iss": stepName, "aud": "https://localhost/1.0/sign", "sub": stepName, "sans": []string{stepName},
			"iat": now, "nbf": now - 5, "exp": now + 3600, "jti": rand.Text()})
		if err != nil {
			return nil, err
		}
		if bodies[i], err = json.Marshal(map[string]string{"csr": w.csr, "ott": token}); err != nil {
			return nil, err
		}
	}
	return bodies, nil
}

// stepReady waits until step-ca answers.
func stepReady(ctx context.Context, client *http.Client, base string) error {
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/health", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(r)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Since(begun) > patience || ctx.Err() != nil {
			return errors.Join(errors.New("it does not say that it is well"), err)
		}
	}
}
