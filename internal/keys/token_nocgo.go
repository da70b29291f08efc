//go:build !cgo

package keys

import (
	"context"
	"log/slog"

	"github.com/signet-city/signet/internal/fault"
)

func openToken(context.Context, PKCS11Config, *slog.Logger) (token, error) {
	return nil, fault.New(fault.Invalid, "this program was built without cgo and cannot speak PKCS#11: build it with CGO_ENABLED=1 and a C compiler, or remove pkcs11 from the configuration")
}
