//go:build !cgo

package keys_test

import (
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
)

func TestTokenWithoutCgo(t *testing.T) {
	_, err := keys.Open(t.Context(), keys.Options{DB: testkit.SQLite(t), KEK: testKEK,
		PKCS11: &keys.PKCS11Config{Module: "/usr/lib/softhsm/libsofthsm2.so", Token: "x", PINFile: "/dev/null"}})
	wantKind(t, err, fault.Invalid)
	if !strings.Contains(fault.Public(err), "CGO_ENABLED=1") {
		t.Errorf("no remedy in %q", fault.Public(err))
	}
}
