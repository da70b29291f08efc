//go:build cgo

package keys

import (
	"context"
	"crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/pkcs11"
	"go.step.sm/crypto/kms/apiv1"
	p11 "go.step.sm/crypto/kms/pkcs11"
	"go.step.sm/crypto/kms/uri"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

const (
	maxSessions = maxConcurrent
	maxPIN      = 255
	reopenAfter = time.Second // at least, so that a token is not asked without end
)

// hsm is a token behind the smallstep KMS. After a token was away every handle
// into it is dead, so a failure closes the connection and opens another, once
// for all who wait. One ring at a time uses a module: the library's
// initialization is shared by the process.
type hsm struct {
	config PKCS11Config
	log    *slog.Logger
	conn   atomic.Pointer[conn] // nil while away

	mu      sync.Mutex // held while reopening; guards the rest
	opened  time.Time  // last attempt
	refused error      // set for good: a PIN tried again would lock the token
	closed  bool
}

// conn is one connection and the handles found through it.
type conn struct {
	kms     *p11.PKCS11
	signers sync.Map // id → crypto.Signer
}

// openToken connects to a token. It fails where trying again would be useless
// or harmful; a token that is merely away is tried again when it is needed.
func openToken(ctx context.Context, c PKCS11Config, log *slog.Logger) (token, error) {
	if c.Module == "" || c.Token == "" || c.PINFile == "" {
		return nil, fault.New(fault.Invalid, "pkcs11 needs a module, a token and a PIN file")
	}
	if _, err := os.Stat(c.Module); err != nil {
		return nil, fmt.Errorf("open pkcs11 module: %w", err)
	}
	if _, err := readPIN(c.PINFile); err != nil {
		return nil, err
	}
	h := &hsm{config: c, log: log}
	if _, err := h.reopen(nil); h.refused != nil {
		return nil, h.refused
	} else if err != nil {
		log.ErrorContext(ctx, "token is away", slog.String("token", c.Token), slog.Any("error", err))
	}
	return h, nil
}

// readPIN reads the user's PIN. An empty one would make the library skip the
// login.
func readPIN(path string) (string, error) {
	b, err := readPrivate(path, maxPIN+2)
	if err != nil {
		return "", fmt.Errorf("read pin file: %w", err)
	}
	pin := strings.TrimRight(string(b), "\r\n")
	if pin == "" || len(pin) > maxPIN || !isText(pin, maxPIN) {
		return "", fault.New(fault.Invalid, "the pin file holds no PIN of 1 to 255 printable bytes")
	}
	return pin, nil
}

// connect opens the token. The PIN travels beside the URI, since the library
// quotes URIs in its errors.
func (h *hsm) connect() (*conn, error) {
	pin, err := readPIN(h.config.PINFile)
	if err != nil {
		return nil, err
	}
	address := uri.New(p11.Scheme, url.Values{
		"module-path":  {h.config.Module},
		"token":        {h.config.Token},
		"max-sessions": {strconv.Itoa(maxSessions)},
	})
	kms, err := p11.New(context.Background(), apiv1.Options{Type: apiv1.PKCS11, URI: address.String(), Pin: pin})
	if err != nil {
		return nil, fmt.Errorf("open token: %w", err) // the wrapping also keeps its stack out of logs
	}
	return &conn{kms: kms}, nil
}

// reopen replaces a connection that failed, nil for none, unless another caller
// has done so.
func (h *hsm) reopen(failed *conn) (*conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.conn.Load()
	switch {
	case h.closed:
		return nil, errors.New("the token is closed")
	case h.refused != nil:
		return nil, h.refused
	case now != nil && now != failed:
		return now, nil
	case time.Since(h.opened) < reopenAfter:
		return nil, errTooSoon
	}
	h.opened = time.Now()
	if now != nil {
		h.conn.Store(nil)
		if err := now.kms.Close(); err != nil { // expected of a token that is away
			h.log.WarnContext(context.Background(), "token not closed", slog.Any("error", err))
		}
	}
	fresh, err := h.connect()
	if isPINError(err) {
		h.refused = fault.Wrap(fault.Invalid, "the token refuses the PIN: correct the PIN file and start again", err)
		return nil, h.refused
	}
	if err != nil {
		return nil, err
	}
	h.conn.Store(fresh)
	return fresh, nil
}

var errOtherKey = errors.New("the token holds another key under this name")

var errTooSoon = errors.New("the token was tried a moment ago")

func isPINError(err error) bool {
	code, ok := errors.AsType[pkcs11.Error](err)
	if !ok {
		return false
	}
	switch code {
	case pkcs11.CKR_PIN_INCORRECT, pkcs11.CKR_PIN_INVALID, pkcs11.CKR_PIN_LEN_RANGE, pkcs11.CKR_PIN_EXPIRED,
		pkcs11.CKR_PIN_LOCKED, pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
		return true
	}
	return false
}

// with calls use with the connection, and once more with a fresh one if that
// failed.
func (h *hsm) with(use func(*conn) error) error {
	c := h.conn.Load()
	var first error
	if c != nil {
		if first = use(c); first == nil || errors.Is(first, errOtherKey) {
			return first
		}
	}
	c, err := h.reopen(c)
	if errors.Is(err, errTooSoon) && first != nil {
		err = first
	}
	if err == nil {
		err = use(c)
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, "the hardware security module does not answer", err)
	}
	return nil
}

// name returns the URI of a key's objects.
func name(id string) (string, error) {
	raw, err := db.IDBytes(id)
	if err != nil {
		return "", err
	}
	return uri.New(p11.Scheme, url.Values{"id": {hex.EncodeToString(raw[:])}, "object": {"signet-" + id}}).String(), nil
}

func (h *hsm) create(id, alg string) (public crypto.PublicKey, err error) {
	algorithm := apiv1.ECDSAWithSHA256
	switch alg {
	case ES256:
	case ES384:
		algorithm = apiv1.ECDSAWithSHA384
	default:
		return nil, errors.New("create key on token: no such algorithm there")
	}
	object, err := name(id)
	if err != nil {
		return nil, err
	}
	err = h.with(func(c *conn) error {
		made, err := c.kms.CreateKey(&apiv1.CreateKeyRequest{Name: object, SignatureAlgorithm: algorithm})
		if err != nil {
			return err
		}
		public = made.PublicKey
		return nil
	})
	return public, err
}

func (h *hsm) sign(id string, public crypto.PublicKey, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	err = h.with(func(c *conn) error {
		signer, err := c.signer(id, public)
		if err != nil {
			return err
		}
		signature, err = signer.Sign(nil, digest, opts)
		return err
	})
	return signature, err
}

// signer finds a key on the token. It fails if the one found there under its
// name is another.
func (c *conn) signer(id string, public crypto.PublicKey) (crypto.Signer, error) {
	if found, ok := c.signers.Load(id); ok {
		return found.(crypto.Signer), nil
	}
	object, err := name(id)
	if err != nil {
		return nil, err
	}
	signer, err := c.kms.CreateSigner(&apiv1.CreateSignerRequest{SigningKey: object})
	if err != nil {
		return nil, err
	}
	if !samePublic(signer.Public(), public) {
		return nil, errOtherKey
	}
	c.signers.Store(id, signer)
	return signer, nil
}

func (h *hsm) destroy(id string) error {
	object, err := name(id)
	if err != nil {
		return err
	}
	return h.with(func(c *conn) error {
		c.signers.Delete(id)
		return c.kms.DeleteKey(object)
	})
}

func (h *hsm) close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if c := h.conn.Swap(nil); c != nil {
		return c.kms.Close()
	}
	return nil
}
