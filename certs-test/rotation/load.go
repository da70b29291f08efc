package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/v2"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/verify/trust"
)

// agency is whose permits and certificates are asked for.
const agency = "donghu-amr"

// work is one kind of load: it makes requests of one replica and verifies what it
// is given. An unverifiable one says so; every other error is the service's.
type work struct {
	name string
	do   func(ctx context.Context, base string) error
}

// loop repeats one work, at a replica in turn, until ctx ends.
func (r *rig) loop(ctx context.Context, w work) {
	for n := 0; ctx.Err() == nil; n++ {
		err := w.do(ctx, r.bases[n%len(r.bases)])
		if ctx.Err() != nil {
			return // cut off by us
		}
		r.requests.Add(1)
		var bad unverifiable
		switch {
		case errors.As(err, &bad):
			r.unverified(w.name, err)
		case err != nil:
			r.failed(w.name, err)
		}
	}
}

func (r *rig) workers() []work {
	signIn := &signIns{rig: r}
	return []work{
		{"token", r.token}, {"permit", r.permit}, {"certificate", r.certificate}, {"sign-in", signIn.once},
		{"trust", r.published}, {"tls", r.handshake},
	}
}

// both verifies as somebody who has not been on the network since the first
// rotation, and as somebody who has just been.
func (r *rig) both(ctx context.Context, base string, check func(*verifier) error) error {
	if err := check(r.before); err != nil {
		return unverifiable{fmt.Errorf("by who was there before: %w", err)}
	}
	now, err := r.fetch(ctx, base)
	if err != nil {
		return err
	}
	if err := check(now); err != nil {
		return unverifiable{fmt.Errorf("by who came just now: %w", err)}
	}
	return nil
}

// bearer asks for an access token.
func (r *rig) bearer(ctx context.Context, base, id, secret, scope string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(id, secret)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	return answer.AccessToken, r.send(req, http.StatusOK, &answer, func() string { return answer.AccessToken })
}

// send makes a request and decodes its answer. want is what must not be empty.
func (r *rig) send(req *http.Request, status int, v any, want func() string) error {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return err
	}
	if resp.StatusCode != status {
		return fmt.Errorf("%s %s: status %d: %.200s", req.Method, req.URL.Path, resp.StatusCode, b)
	}
	if err := json.Unmarshal(b, v); err != nil {
		return err
	}
	if want() == "" {
		return fmt.Errorf("%s %s: the answer lacks what it is for", req.Method, req.URL.Path)
	}
	return nil
}

func (r *rig) agency() city.DemoAgency {
	for _, a := range r.demo.Agencies {
		if a.ID == agency {
			return a
		}
	}
	return city.DemoAgency{}
}

func (r *rig) token(ctx context.Context, base string) error {
	a := r.agency()
	text, err := r.bearer(ctx, base, a.Client, a.Secret, "licenses")
	if err != nil {
		return err
	}
	return r.both(ctx, base, func(v *verifier) error { return v.token(text) })
}

func (r *rig) permit(ctx context.Context, base string) error {
	a := r.agency()
	token, err := r.bearer(ctx, base, a.Client, a.Secret, "licenses")
	if err != nil {
		return err
	}
	body := `{"type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{"trade_name":"老灶火锅","premises":"江城市东湖区湖滨路18号2幢101室",
		"legal_representative":"林若川","category":"餐饮服务经营者","scope":"热食类食品制售"}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/licenses/v1/licenses", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", db.NewID())
	var answer struct {
		Permit string `json:"permit"`
	}
	err = r.send(req, http.StatusCreated, &answer, func() string { return answer.Permit })
	if err != nil {
		return err
	}
	return r.both(ctx, base, func(v *verifier) error { return v.permit(answer.Permit) })
}

// certificate asks for a certificate and verifies it as a stranger does: the
// issuer's is where the certificate says.
func (r *rig) certificate(ctx context.Context, base string) error {
	csr, err := newCSR()
	if err != nil {
		return err
	}
	token, err := r.bearer(ctx, base, r.demo.Operator.ID, r.demo.Operator.Secret, "ca")
	if err != nil {
		return err
	}
	body, err := json.Marshal(map[string]string{"agency": agency, "csr": string(csr)})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/ca/v1/certificates", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Idempotency-Key", db.NewID())
	var answer struct {
		Certificate string `json:"certificate"`
	}
	if err := r.send(req, http.StatusCreated, &answer, func() string { return answer.Certificate }); err != nil {
		return err
	}
	return r.chain(ctx, base, answer.Certificate)
}

func newCSR() ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "rotation"}}, key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), nil
}

// chain follows a certificate to one of the roots: the pinned one, or the one that
// its statement named as the next.
func (r *rig) chain(ctx context.Context, base, text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("the certificate is no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return unverifiable{err}
	}
	issuer, err := r.certificateAt(ctx, base, leaf.IssuingCertificateURL)
	if err != nil {
		return err
	}
	root, err := r.certificateAt(ctx, base, issuer.IssuingCertificateURL)
	if err != nil {
		return err
	}
	pin, err := r.pinned()
	if err != nil {
		return err
	}
	if !root.Equal(pin) { // then the statement in force has the signatures of both
		file, err := get(ctx, http.DefaultClient, base+"/trust/root")
		if err != nil {
			return err
		}
		for _, one := range []*x509.Certificate{pin, root} {
			if _, err := trust.OpenRoot(file, one.PublicKey, time.Now()); err != nil {
				return unverifiable{err}
			}
		}
	}
	roots, middle := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(root)
	middle.AddCert(issuer)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: middle, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return unverifiable{err}
	}
	return nil
}

// certificateAt fetches what a certificate points to, from the replica that is
// being asked.
func (r *rig) certificateAt(ctx context.Context, base string, urls []string) (*x509.Certificate, error) {
	if len(urls) != 1 {
		return nil, unverifiable{errors.New("the certificate does not say where its issuer's is")}
	}
	u, err := url.Parse(urls[0])
	if err != nil {
		return nil, unverifiable{err}
	}
	der, err := get(ctx, http.DefaultClient, base+u.Path)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// published fetches what offline verifiers and auditors fetch.
func (r *rig) published(ctx context.Context, base string) error {
	for path, check := range map[string]func(*verifier, []byte) error{
		"/trust/bundle": (*verifier).bundle, "/trust/head": (*verifier).head, "/log/checkpoint": (*verifier).checkpoint,
	} {
		file, err := get(ctx, http.DefaultClient, base+path)
		if err != nil {
			return err
		}
		if err := r.both(ctx, base, func(v *verifier) error { return check(v, file) }); err != nil {
			return err
		}
	}
	return nil
}

// handshake opens a new TLS connection under the first root.
func (r *rig) handshake(ctx context.Context, _ string) error {
	pin, err := r.pinned()
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(pin)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true}
	_, err = get(ctx, &http.Client{Transport: t, Timeout: 20 * time.Second}, r.secure+"/healthz")
	var bad *tls.CertificateVerificationError
	if errors.As(err, &bad) {
		return unverifiable{err}
	}
	return err
}

// signIns are those of one citizen, signed in before the first rotation.
type signIns struct {
	*rig
	visitor *visitor
}

// once is one sign-in at a relying party with the session present and consent
// remembered. The session is the same at every replica.
func (s *signIns) once(ctx context.Context, base string) error {
	if s.visitor == nil {
		v, err := newVisitor(ctx, s.rig)
		if err != nil {
			return err
		}
		s.visitor = v
	}
	idToken, err := s.visitor.signIn(ctx, base)
	if err != nil {
		return err
	}
	return s.both(ctx, base, func(v *verifier) error { return v.token(idToken) })
}
