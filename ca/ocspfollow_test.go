package ca_test

import (
	"context"
	"crypto"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/testkit"
)

// TestOCSPDoesNotWaitForCRLs: while a replica is at its CRLs, which takes as long as there
// are many, it notices what others revoke.
func TestOCSPDoesNotWaitForCRLs(t *testing.T) {
	d, err := db.Open(t.Context(), testkit.PostgresURL(t), db.Options{}) // SQLite has one writer, who waits for nobody
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = d.Close() }()
	c := newCity(t, d)
	c.publish(t)
	cert, other := c.issue(t, ca.Request{Profile: request(t).Profile, Agency: "donghu-amr", Key: ecKey(t), Actor: actor}), c.issue(t, request(t))
	if cert.Issuer == other.Issuer {
		t.Fatal("both are one issuer's")
	}
	replica := c.reopen(t)
	server := responder(t, replica)
	x, issuer := parse(t, cert.DER), c.issuerOf(t, cert.Issuer)
	asked := func() int {
		return opened(t, post(t, server, cert.Issuer, question(t, x, issuer, crypto.SHA256)), x, issuer).Status
	}
	if got := asked(); got != ocsp.Good {
		t.Fatalf("status %d", got)
	}
	// A CRL is due, and its shard is somebody's for the time being.
	if err := c.Revoke(t.Context(), other.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	locked, free, ended := make(chan struct{}, 2), make(chan struct{}), make(chan error, 2)
	go func() {
		ended <- d.Update(context.WithoutCancel(t.Context()), func(tx db.Tx) error {
			_, err := tx.ExecContext(t.Context(), `UPDATE ca_shards SET busy_until = busy_until WHERE issuer = $1`, other.Issuer)
			locked <- struct{}{}
			<-free
			return err
		})
	}()
	<-locked
	ctx, stop := context.WithCancel(t.Context())
	go func() { ended <- replica.Run(ctx) }()
	defer func() {
		stop()
		close(free)
		for range 2 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	time.Sleep(time.Second) // the replica comes to its CRLs
	if err := c.Revoke(t.Context(), cert.Serial, ca.Superseded, actor); err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); asked() != ocsp.Revoked; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatal("it is still good")
		}
	}
}
