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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/certs-test/cputime"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/db"
)

// How many certificates are issued over HTTP: some before it counts, and then in
// rounds that take turns with the others', so that what else the machine does
// befalls all alike.
const (
	issuingWarm   = 50
	issuingRound  = 200
	issuingRounds = 10
	issuingAtOnce = 4
	// settle is how long after a round a server's work still counts: sealing the log,
	// for one.
	settle = 1500 * time.Millisecond
	// issuingIdle is how long a server is watched while nobody asks it for anything.
	issuingIdle = 4 * time.Second
)

// wanted is the one request that all servers certify, again and again.
type wanted struct {
	key *ecdsa.PrivateKey
	csr string // PEM
}

// contestant is a server that issues certificates over HTTPS.
type contestant struct {
	name  string
	cpu   func() (float64, error)
	issue func(n int) (certificate string, err error) // the n-th, PEM
	stop  func() error

	next  atomic.Int64
	done  int
	spent float64
}

// issuing measures certificates that are issued over HTTPS from one CSR, by Signet
// with all that it does for one, and by step-ca. Only the servers' CPU time counts.
func issuing(b *bench) error {
	if !b.pick.MatchString("cert.issue.http") {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: stepName}}, key)
	if err != nil {
		return err
	}
	w := &wanted{key: key, csr: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))}
	signet, err := build(b.ctx, "signet", nil, "./cmd/signet")
	if err != nil {
		return err
	}
	step, err := buildStep(b.ctx)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: cert.issue.stepca is left out: %v\n", err)
	}
	return b.onEach(func(e engine, dir string) error {
		if !b.pick.MatchString("cert.issue.http" + e.suffix) {
			return nil
		}
		ours, err := newSignet(b.ctx, e, dir, signet, w)
		if err != nil {
			return fmt.Errorf("cert.issue.http%s: %w", e.suffix, err)
		}
		field := []*contestant{ours}
		if step != "" && e.postmaster == 0 {
			theirs, err := newStep(b.ctx, dir, step, w)
			if err != nil {
				return errors.Join(fmt.Errorf("cert.issue.stepca: %w", err), ours.stop())
			}
			field = append(field, theirs)
		}
		err = contest(b.ctx, field, w)
		for _, c := range field {
			err = errors.Join(err, c.stop())
		}
		if err != nil {
			return err
		}
		for _, c := range field {
			b.rank(c)
		}
		return nil
	})
}

// rank reports what a certificate cost a server.
func (b *bench) rank(c *contestant) {
	r := result{Name: c.name, Value: float64(c.done) / c.spent, Unit: "ops/cpu-s", Of: "x509.create"}
	r.Ratio = r.Value / b.value(r.Of)
	b.add(r)
	fmt.Fprintf(os.Stderr, "bench: %s %.2f ms of CPU for a certificate\n", c.name, 1e3*c.spent/float64(c.done))
}

// contest lets all issue by turns. What a server spends while nobody asks is measured
// first, and taken off.
func contest(ctx context.Context, field []*contestant, w *wanted) error {
	for _, c := range field {
		if err := c.round(ctx, issuingWarm, w); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	time.Sleep(settle)
	idle := make([]float64, len(field)) // CPU seconds in a second
	for i, c := range field {
		spent, took, err := c.spend(func() error { time.Sleep(issuingIdle); return nil })
		if err != nil {
			return err
		}
		idle[i] = spent / took
	}
	for range issuingRounds {
		for i, c := range field {
			spent, took, err := c.spend(func() error {
				err := c.round(ctx, issuingRound, w)
				time.Sleep(settle)
				return err
			})
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			c.done, c.spent = c.done+issuingRound, c.spent+spent-idle[i]*took
		}
	}
	return nil
}

// spend returns the seconds of CPU that the server spent while f ran, and how many
// seconds that took.
func (c *contestant) spend(f func() error) (spent, took float64, err error) {
	before, err := c.cpu()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began).Seconds()
	after, err := c.cpu()
	return after - before, took, err
}

// round has n certificates issued, some at once, and looks at each.
func (c *contestant) round(ctx context.Context, n int, w *wanted) error {
	errs := make([]error, issuingAtOnce)
	last := c.next.Load() + int64(n)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for errs[i] == nil && ctx.Err() == nil {
				at := c.next.Add(1) - 1
				if at >= last {
					return
				}
				var text string
				if text, errs[i] = c.issue(int(at)); errs[i] == nil {
					errs[i] = w.check(text)
				}
			}
		})
	}
	wg.Wait()
	c.next.Store(last)
	return errors.Join(append(errs, ctx.Err())...)
}

// check makes sure that a certificate is for the key that was asked for.
func (w *wanted) check(text string) error {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return errors.New("the answer holds no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	if !w.key.PublicKey.Equal(cert.PublicKey) {
		return errors.New("the certificate is for another key")
	}
	return nil
}

// newSignet serves a fresh demo city.
func newSignet(ctx context.Context, e engine, dir, program string, w *wanted) (*contestant, error) {
	url, err := e.url(dir, "issuing")
	if err != nil {
		return nil, err
	}
	const free = "127.0.0.1:0"
	p, err := start(ctx, os.Stderr, program, "demo", "--data", filepath.Join(dir, "issuing"), "--database", url, "--listen", free, "--listen-http", free,
		"--listen-mtls", free, "--listen-debug", free)
	if err != nil {
		return nil, err
	}
	c, err := signetContestant(ctx, e, p, w)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return c, nil
}

func signetContestant(ctx context.Context, e engine, p *child, w *wanted) (*contestant, error) {
	line, err := p.line()
	if err != nil {
		return nil, err
	}
	ready := strings.Fields(line)
	if len(ready) != 3 {
		return nil, fmt.Errorf("the demo said %q", line)
	}
	var demo city.Demo
	b, err := os.ReadFile(ready[2])
	if err == nil {
		err = json.Unmarshal(b, &demo)
	}
	if err != nil {
		return nil, err
	}
	root, err := os.ReadFile(demo.RootPEM)
	if err != nil {
		return nil, err
	}
	client := clientOf(root)
	token, err := operatorToken(ctx, client, demo)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{"agency": "donghu-amr", "csr": w.csr})
	if err != nil {
		return nil, err
	}
	return &contestant{name: "cert.issue.http" + e.suffix, stop: p.stop,
		cpu: func() (float64, error) { return cpuOf(p.cmd.Process.Pid, e.postmaster) },
		issue: func(int) (string, error) {
			var answer struct {
				Certificate string `json:"certificate"`
			}
			header := http.Header{"Authorization": {"Bearer " + token}, "Idempotency-Key": {db.NewID()}}
			err := post(ctx, client, demo.HTTPSBase+"/ca/v1/certificates", header, body, &answer)
			return answer.Certificate, err
		}}, nil
}

// cpuOf returns the CPU seconds of processes and their children; 0 is none.
func cpuOf(processes ...int) (sum float64, err error) {
	for _, pid := range processes {
		if pid == 0 {
			continue
		}
		one, err := cputime.Server(pid)
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

// clientOf returns a client that knows one root.
func clientOf(root []byte) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool},
		ForceAttemptHTTP2: true, MaxIdleConnsPerHost: issuingAtOnce}}
}

func operatorToken(ctx context.Context, client *http.Client, demo city.Demo) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {ca.Scope}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, demo.HTTPSBase+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(demo.Operator.ID, demo.Operator.Secret)
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	err = send(client, r, &answer)
	return answer.AccessToken, err
}

func post(ctx context.Context, client *http.Client, address string, header http.Header, body []byte, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Content-Type", "application/json")
	return send(client, r, into)
}

func send(client *http.Client, r *http.Request, into any) error {
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return err
	}
	if resp.StatusCode > 299 {
		return fmt.Errorf("%s: status %d: %.200s", r.URL.Path, resp.StatusCode, b)
	}
	return json.Unmarshal(b, into)
}
