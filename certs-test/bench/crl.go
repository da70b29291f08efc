package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/certs-test/cputime"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
)

// A million revocations in shards of ten thousand.
const (
	crlShards = 100
	crlSize   = 10_000
	crlFirst  = 1000 // shard, far from those in use
)

// crl publishes the CRLs of a million revoked certificates while certificates are
// issued: ca.crl is entries per core, ca.crl.memory what this process had in memory
// at most meanwhile, ca.crl.issue how long one certificate took at most, and
// ca.crl.idle how long it took at most in the second before.
func (m *measured) crl() error {
	name := "ca.crl" + m.engine.suffix
	if !m.pick.MatchString(name) {
		return nil
	}
	if err := m.revokeMillion(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	idle, err := m.issueWhile(func(ctx context.Context) error {
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // the peak begins here
		return fmt.Errorf("%s: %w", name, err)
	}
	before, err := cputime.Used(m.engine.postmaster)
	if err != nil {
		return err
	}
	pause, err := m.issueWhile(m.city.CA.PublishCRLs)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	after, err := cputime.Used(m.engine.postmaster)
	if err != nil {
		return err
	}
	peak, err := peakMemory()
	if err != nil {
		return err
	}
	m.add(result{Name: name, Value: crlShards * crlSize / (after - before), Unit: "entries/cpu-s"})
	m.add(result{Name: "ca.crl.memory" + m.engine.suffix, Value: peak, Unit: "MB"})
	m.add(result{Name: "ca.crl.issue" + m.engine.suffix, Value: float64(pause.Microseconds()) / 1000, Unit: "ms"})
	m.add(result{Name: "ca.crl.idle" + m.engine.suffix, Value: float64(idle.Microseconds()) / 1000, Unit: "ms"})
	return m.published()
}

// revokeMillion writes the rows at once: how they came there is not measured.
func (m *measured) revokeMillion() error {
	k, _, err := m.city.Ring.Active(m.ctx, keys.PurposeCA, "donghu")
	if err != nil {
		return err
	}
	now := db.Micros(time.Now())
	for shard := range crlShards {
		number := crlFirst + shard
		err := m.city.DB.Update(m.ctx, func(tx db.Tx) error {
			_, err := tx.ExecContext(m.ctx, `INSERT INTO ca_shards (issuer, shard, issuer_key, url, leased, changes) VALUES ('donghu', $1, $2, $3, $4, $4)`,
				number, k.ID, fmt.Sprintf("%s/ca/donghu/crl/%d.crl", m.city.HTTP, number), crlSize)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(m.ctx, `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, subject, status, tbs_hash,
				key_hash, not_before, not_after, actor, request_hash, reason, revoked_at, created_at, changed_at, name)
				WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)
				SELECT '02' || $1 || CAST(100000 + i AS TEXT) || '00000000000000000000000000', 'donghu', $2, CAST($1 AS BIGINT), 'permit', 'donghu-amr', '', 'revoked', state.root,
				state.root, 0, CAST($3 AS BIGINT), 'bench', state.root, 4, CAST($3 AS BIGINT), CAST($3 AS BIGINT), CAST($3 AS BIGINT), ''
				FROM n, (SELECT statement AS root FROM ca_state) state`, strconv.Itoa(number), k.ID, now)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// issueWhile issues certificates one after another while f runs, and returns how
// long one took at most.
func (m *measured) issueWhile(f func(context.Context) error) (longest time.Duration, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return 0, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- f(m.ctx) }()
	for {
		select {
		case err := <-done:
			return longest, err
		default:
		}
		began := time.Now()
		_, err := m.city.CA.Issue(m.ctx, ca.Request{Profile: profile.PermitSigning, Agency: "donghu-amr", CSR: csr, Actor: "bench", IdempotencyKey: db.NewID()})
		if err != nil {
			<-done
			return longest, err
		}
		longest = max(longest, time.Since(began))
	}
}

// published makes sure that all were published.
func (m *measured) published() error {
	var n int
	err := m.city.DB.Read(m.ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(m.ctx, `SELECT count(*) FROM ca_shards WHERE shard >= $1 AND number > 0 AND covered = changes`, crlFirst).Scan(&n)
	})
	if err == nil && n != crlShards {
		err = fmt.Errorf("ca.crl: %d CRLs of %d", n, crlShards)
	}
	return err
}

// peakMemory returns the most that this process had in memory, in MB.
func peakMemory() (float64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(b) {
		if f := bytes.Fields(line); len(f) == 3 && string(f[0]) == "VmHWM:" {
			kb, err := strconv.ParseFloat(string(f[1]), 64)
			return kb / 1000, err
		}
	}
	return 0, fmt.Errorf("no VmHWM in /proc/self/status")
}
