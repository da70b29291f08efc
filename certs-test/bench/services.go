package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/v2"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// engine is a database that measurements run on.
type engine struct {
	suffix     string
	postmaster int
	url        func(dir, name string) (string, error)
}

// engines starts PostgreSQL, durable as in production, and returns both engines.
func engines() (list []engine, stop func(), err error) {
	server, err := testkit.StartPostgres()
	if err != nil {
		return nil, nil, err
	}
	return []engine{
		{"", 0, func(dir, name string) (string, error) { return "sqlite:" + filepath.Join(dir, name+".db"), nil }},
		{".pg", server.PID, func(_, name string) (string, error) { return server.URL(name), server.NewDatabase(name) }},
	}, server.Stop, nil
}

// commits measures one small durable write per call, at several numbers of callers.
func commits(b *bench) error {
	if !b.pick.MatchString("db.commit") {
		return nil
	}
	return b.onEach(func(e engine, dir string) error {
		url, err := e.url(dir, "commits")
		if err != nil {
			return err
		}
		if err := db.Create(b.ctx, url); err != nil {
			return err
		}
		d, err := db.Open(b.ctx, url, db.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = d.Close() }()
		if err := d.Migrate(b.ctx); err != nil {
			return err
		}
		for _, callers := range []int{1, 16, 256} {
			name := fmt.Sprintf("db.commit.%d%s", callers, e.suffix)
			if err := b.perCore(name, "p256.sign", e.postmaster, func(n int) error { return put(b.ctx, d, callers, n) }); err != nil {
				return err
			}
		}
		return nil
	})
}

// put writes n rows from so many callers.
func put(ctx context.Context, d *db.DB, callers, n int) error {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < n && errs[c] == nil; i += callers {
				errs[c] = d.Update(ctx, func(tx db.Tx) error {
					_, err := tx.ExecContext(ctx, "INSERT INTO settings (name, value) VALUES ($1, 'value')", db.NewID())
					return err
				})
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// onEach calls f for each engine with a directory of its own.
func (b *bench) onEach(f func(e engine, dir string) error) error {
	list, stop, err := engines()
	if err != nil {
		return err
	}
	defer stop()
	for _, e := range list {
		dir, err := os.MkdirTemp("", "signet-bench-")
		if err != nil {
			return err
		}
		if err := errors.Join(f(e, dir), os.RemoveAll(dir)); err != nil {
			return err
		}
	}
	return nil
}

// services measures what a whole city does, with its audit log sealed as it goes.
func services(b *bench) error {
	return b.onEach(func(e engine, dir string) error {
		url, err := e.url(dir, "city")
		if err != nil {
			return err
		}
		const free = "127.0.0.1:0"
		where := city.Where{Data: filepath.Join(dir, "city"), Database: url}
		c, l, err := city.OpenDemo(b.ctx, city.Options{}, city.DemoOptions{Where: where,
			Addresses: city.Addresses{HTTPS: free, HTTP: free, MTLS: free, Debug: free}})
		if err != nil {
			return err
		}
		defer func() { _ = errors.Join(l.Close(), c.Close()) }()
		demo, err := city.WriteDemo(where)
		if err != nil {
			return err
		}
		m := &measured{bench: b, engine: e, city: c, demo: demo}
		return errors.Join(m.durable(), m.token(), m.flow(), m.fapi(), m.certificate(), m.ocsp(), m.crl())
	})
}

// measured is a city under measurement.
type measured struct {
	*bench
	engine engine
	city   *city.City
	demo   city.Demo
}

// durable measures durable issues in batches: record, index, intent, signature,
// outcome, and the log sealed.
func (m *measured) durable() error {
	caller := web.Caller{ClientID: "bench", Agency: "donghu-amr", Scopes: []string{licenses.Scope}}
	return m.perCore("license.durable"+m.engine.suffix, "p256.sign", m.engine.postmaster, func(n int) error {
		for n > 0 {
			batch := make([]licenses.Keyed, min(n, licenses.Batch))
			for i := range batch {
				batch[i] = licenses.Keyed{Key: db.NewID(), Request: request()}
			}
			results, err := m.city.Licenses.Issue(m.ctx, caller, batch)
			if err != nil {
				return err
			}
			for _, r := range results {
				if r.Err != nil {
					return r.Err
				}
			}
			n -= len(batch)
		}
		_, err := m.city.Log.Seal(m.ctx)
		return err
	})
}

func request() licenses.Request {
	return licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: "91990101MA1F001175"}, Data: map[string]any{
		"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川", "category": "餐饮服务经营者",
		"scope": "热食类食品制售", "seats": float64(86), "area_m2": float64(240), "supervisor": "周予安", "online": "是"}}
}

// token measures a client-credentials token, in the handler without sockets.
func (m *measured) token() error {
	mux := http.NewServeMux()
	m.city.OIDC.Mount(mux)
	agency := m.demo.Agencies[1]
	return m.perCore("token.cc"+m.engine.suffix, "p256.sign", m.engine.postmaster, func(n int) error {
		for range n {
			r := httptest.NewRequestWithContext(m.ctx, http.MethodPost, "/oidc/token", strings.NewReader("grant_type=client_credentials&scope=licenses"))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.SetBasicAuth(agency.Client, agency.Secret)
			w := httptest.NewRecorder()
			mux.ServeHTTP(w, r)
			var answer struct {
				AccessToken string `json:"access_token"`
			}
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.AccessToken == "" {
				return fmt.Errorf("token: status %d", w.Code)
			}
		}
		return nil
	})
}

// certificate measures one certificate from a CSR: lint, intent, signature, store,
// and the log sealed. Keys and requests are made outside.
func (m *measured) certificate() error {
	name := "cert.issue" + m.engine.suffix
	if !m.pick.MatchString(name) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "bench"}}, key)
	if err != nil {
		return err
	}
	return m.perCore(name, "x509.create", m.engine.postmaster, func(n int) error {
		for range n {
			if _, err := m.city.CA.Issue(m.ctx, ca.Request{Profile: profile.PermitSigning, Agency: "donghu-amr", CSR: csr, Actor: "bench",
				IdempotencyKey: db.NewID()}); err != nil {
				return err
			}
		}
		_, err := m.city.Log.Seal(m.ctx)
		return err
	})
}
