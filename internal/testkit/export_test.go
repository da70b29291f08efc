package testkit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"testing"

	"github.com/signet-city/signet/internal/web"
)

// Wrong returns what is wrong with each page, in Chinese and in large English.
func Wrong(t *testing.T, site *web.Site, pages *web.Pages, fixtures []Fixture) map[string][]string {
	t.Helper()
	c := newChecker(t, site, pages, fixtures)
	all := map[string][]string{}
	for i, f := range fixtures {
		for _, l := range []aLook{allLooks[0], allLooks[3]} {
			wrong, err := c.check(i, l)
			if err != nil {
				t.Fatal(err)
			}
			all[f.Name] = append(all[f.Name], wrong...)
		}
	}
	return all
}

// Seen returns what the browser's pages did wrong so far, allowed or not.
func Seen(ctx context.Context) []string {
	w := ctx.Value(watchKey{}).(*watch)
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.wrong(nil)
}

// Keep writes one page.
func Keep(dir, pkg string, site *web.Site, pages *web.Pages, f Fixture) error {
	return keepPages(dir, pkg, site, pages, []Fixture{f})
}

// NewPasskey makes a passkey as a demo city does.
func NewPasskey(t *testing.T, rpID string, signCount uint32) (Passkey, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id)
	text := base64.RawURLEncoding.EncodeToString
	return Passkey{CredentialID: text(id), UserHandle: text([]byte("handle")), PrivateKeyPKCS8: text(der), SignCount: signCount, RPID: rpID}, id
}
