package ca_test

import (
	"bytes"
	"context"
	"crypto"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestRevocationIsSeenAtOnce: from the moment that Revoke returns, in spite of
// everybody who was asking meanwhile.
func TestRevocationIsSeenAtOnce(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		server, issuer := responder(t, c.CA), c.issuerOf(t, "city")
		bystander := parse(t, c.issue(t, request(t)).DER)
		same := question(t, bystander, issuer, crypto.SHA1)
		first := post(t, server, "city", same)
		for range 4 {
			row := c.issue(t, request(t))
			cert := parse(t, row.DER)
			ctx, stop := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			for i := range 4 {
				q := question(t, cert, issuer, bothHashes[i%2])
				wg.Go(func() {
					for ctx.Err() == nil {
						resp, err := http.Post(server.URL+"/ca/city/ocsp", "application/ocsp-request", bytes.NewReader(q))
						if err != nil {
							t.Error(err)
							return
						}
						_, _ = io.Copy(io.Discard, resp.Body)
						_ = resp.Body.Close()
					}
				})
			}
			for _, hash := range bothHashes {
				if r := opened(t, get(t, server, "city", question(t, cert, issuer, hash), ""), cert, issuer); r.Status != ocsp.Good {
					t.Fatalf("status %d before", r.Status)
				}
			}
			if err := c.Revoke(t.Context(), row.Serial, ca.Superseded, actor); err != nil {
				t.Fatal(err)
			}
			for range 20 {
				for _, hash := range bothHashes {
					if r := opened(t, get(t, server, "city", question(t, cert, issuer, hash), ""), cert, issuer); r.Status != ocsp.Revoked || r.RevocationReason != ocsp.Superseded {
						t.Fatalf("status %d after it was revoked", r.Status)
					}
				}
			}
			own := withNonce(t, question(t, cert, issuer, crypto.SHA1), []byte("after"))
			if r := opened(t, post(t, server, "city", own), cert, issuer); r.Status != ocsp.Revoked {
				t.Errorf("with a nonce status %d after it was revoked", r.Status)
			}
			stop()
			wg.Wait()
		}
		// Whoever is in the same shard has the answer that was signed before.
		if again := post(t, server, "city", same); !bytes.Equal(again.body, first.body) {
			t.Error("a revocation made the others' answers be signed again")
		}
	})
}

// TestReplicasFollowRevocations: within two seconds of Run, which calls this.
func TestReplicasFollowRevocations(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		here, there := c.reopen(t), c.reopen(t)
		one, two, issuer := responder(t, here), responder(t, there), c.issuerOf(t, "city")
		row := c.issue(t, request(t))
		cert := parse(t, row.DER)
		status := func(s *httptest.Server, hash crypto.Hash) int {
			return opened(t, post(t, s, "city", question(t, cert, issuer, hash)), cert, issuer).Status
		}
		for _, hash := range bothHashes {
			if status(one, hash) != ocsp.Good || status(two, hash) != ocsp.Good {
				t.Fatal("not good")
			}
		}
		if err := here.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
			t.Fatal(err)
		}
		if status(one, crypto.SHA1) != ocsp.Revoked {
			t.Error("not revoked where it was revoked")
		}
		there.FollowOCSP(t.Context())
		for _, hash := range bothHashes {
			if status(two, hash) != ocsp.Revoked {
				t.Error("not revoked on the other replica")
			}
		}
	})
}

func TestRunFollowsRevocations(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	there := c.reopen(t)
	server, issuer := responder(t, there), c.issuerOf(t, "city")
	row := c.issue(t, request(t))
	cert := parse(t, row.DER)
	ask := func() int {
		return opened(t, post(t, server, "city", question(t, cert, issuer, crypto.SHA1)), cert, issuer).Status
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- there.Run(ctx) }()
	defer func() { stop(); <-done }()
	if ask() != ocsp.Good {
		t.Fatal("not good")
	}
	if err := c.Revoke(t.Context(), row.Serial, ca.KeyCompromise, actor); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); ask() != ocsp.Revoked; time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("another replica's revocation is not followed")
		}
	}
}
