package main

import (
	"context"
	"crypto/x509"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// verifier is somebody who holds what was published at one time, and pins the
// first root.
type verifier struct {
	pin      *x509.Certificate
	jwks     jose.JSONWebKeySet
	root     trust.RootStatement
	trust    *verify.Trust
	snapshot *verify.Snapshot
	log      []note.Verifier
}

const maxBody = 32 << 20

func get(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", req.URL.Path, resp.StatusCode)
	}
	return b, err
}

// pinned reads the first root, as it was handed out when the city was made.
func (r *rig) pinned() (*x509.Certificate, error) {
	b, err := os.ReadFile(r.demo.RootPEM)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(b)
	if block == nil {
		return nil, errors.New("root.pem is no PEM")
	}
	return x509.ParseCertificate(block.Bytes)
}

// fetch returns a verifier that has just been on the network, and has believed
// nothing that the pin does not lead to.
func (r *rig) fetch(ctx context.Context, base string) (*verifier, error) {
	v := &verifier{}
	var err error
	if v.pin, err = r.pinned(); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, path := range []string{"/oidc/jwks", "/trust/bundle", "/status/snapshot"} {
		if files[path], err = get(ctx, http.DefaultClient, base+path); err != nil {
			return nil, err
		}
	}
	if err := json.Unmarshal(files["/oidc/jwks"], &v.jwks); err != nil {
		return nil, err
	}
	now := time.Now()
	if _, v.root, err = trust.OpenBundle(files["/trust/bundle"], v.pin.PublicKey, now); err != nil {
		return nil, unverifiable{err}
	}
	if v.trust, err = verify.Load(v.pin.PublicKey, files["/trust/bundle"], now); err != nil {
		return nil, unverifiable{err}
	}
	if v.snapshot, err = v.trust.Snapshot(files["/status/snapshot"]); err != nil {
		return nil, unverifiable{err}
	}
	v.log, err = r.logKeys(v.root)
	return v, err
}

func (r *rig) logKeys(s trust.RootStatement) (list []note.Verifier, err error) {
	_, host, _ := strings.Cut(r.demo.Issuer, "://")
	for _, one := range s.Log {
		public, err := trust.ParsePublic(one.Alg, one.Public)
		if err != nil {
			return nil, err
		}
		text, err := keys.VerifierKey(host+"/log", public)
		if err != nil {
			return nil, err
		}
		v, err := note.NewVerifier(text)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// unverifiable is a signature that could not be checked.
type unverifiable struct{ error }

// token verifies a JWT with the keys at hand.
func (v *verifier) token(text string) error {
	t, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return err
	}
	found := v.jwks.Key(t.Signatures[0].Header.KeyID)
	if len(found) != 1 {
		return fmt.Errorf("kid %s is not among the keys", t.Signatures[0].Header.KeyID)
	}
	_, err = t.Verify(found[0])
	return err
}

// permit checks a permit with what is at hand.
func (v *verifier) permit(text string) error {
	result := verify.Check(text, v.trust, v.snapshot, time.Now(), verify.Options{})
	if result.Verdict != verify.Valid {
		return fmt.Errorf("verdict %s, %s", result.Verdict, result.Reason)
	}
	return nil
}

func (v *verifier) head(file []byte) error {
	_, err := trust.OpenHead(file, v.root, time.Now())
	return err
}

func (v *verifier) checkpoint(text []byte) error {
	_, err := audit.OpenCheckpoint(text, v.log...)
	return err
}

// bundle opens the newest bundle: it leads from the pin by itself.
func (v *verifier) bundle(file []byte) error {
	_, _, err := trust.OpenBundle(file, v.pin.PublicKey, time.Now())
	return err
}
