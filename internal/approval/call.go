package approval

import (
	"context"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// An officer's command line says who calls by signing the call with the officer's
// key: the header Authorization is "Officer TIME SIGNATURE", TIME in seconds and
// SIGNATURE a COSE_Sign1 in base64url of what content returns. Its typ is another
// than a statement's, so that neither passes for the other.
const (
	typeCall   = "application/signet-call+cose"
	callScheme = "Officer "
	callLife   = 5 * time.Minute // and as far ahead: clocks differ
	maxCall    = 256 << 10       // bytes of a body
)

var errCall = web.Refuse(fault.Denied, web.Text{ZH: "调用未由安全官的密钥签名，或已过期。", EN: "the call is not signed by a security officer's key, or too old"})

// callContent is what is signed: the call and nothing that a proxy changes.
func callContent(origin string, at int64, method, target, key string, body []byte) []byte {
	sum := sha256.Sum256(body)
	return []byte(strings.Join([]string{"signet call 1", origin, strconv.FormatInt(at, 10), method, target, key, hex.EncodeToString(sum[:])}, "\n"))
}

// SignCall signs a request to the service whose issuer is origin. The body is what
// the request will carry; the header Idempotency-Key must be set before.
func SignCall(r *http.Request, body []byte, origin string, key crypto.Signer, now time.Time) error {
	sign1, err := signAs(typeCall, callContent(origin, now.Unix(), r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), body), key)
	if err != nil {
		return fmt.Errorf("sign call: %w", err)
	}
	r.Header.Set("Authorization", callScheme+strconv.FormatInt(now.Unix(), 10)+" "+base64.RawURLEncoding.EncodeToString(sign1))
	return nil
}

// Caller returns which officer signed a call, and leaves its body to be read
// again. It fails with kind Denied unless the key is a credential of somebody who
// is an officer now. A call that is heard twice does the same as once: what changes
// something carries an idempotency key, which is signed too.
func (s *Service) Caller(r *http.Request) (person string, err error) {
	stamp, text, ok := strings.Cut(strings.TrimPrefix(r.Header.Get("Authorization"), callScheme), " ")
	if !strings.HasPrefix(r.Header.Get("Authorization"), callScheme) || !ok {
		return "", errCall
	}
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return "", errCall
	}
	if age := s.o.Now().Sub(time.Unix(at, 0)); age > callLife || age < -callLife {
		return "", errCall
	}
	sign1, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(text) > base64.RawURLEncoding.EncodedLen(MaxCOSE) {
		return "", errCall
	}
	p, _, err := parseSign1(sign1, typeCall)
	if err != nil {
		return "", errCall
	}
	body, err := readCall(r)
	if err != nil {
		return "", err
	}
	content := callContent(s.o.Issuer, at, r.Method, r.URL.RequestURI(), r.Header.Get("Idempotency-Key"), body)
	return s.callerBy(r.Context(), p.KID, content, sign1)
}

// readCall reads the body and puts it back.
func readCall(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCall+1))
	if err != nil {
		return nil, fmt.Errorf("read call: %w", err)
	}
	if len(body) > maxCall {
		return nil, fault.New(fault.TooLarge, "the body is too large")
	}
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	return body, nil
}

// callerBy finds the officer whose key signed the content.
func (s *Service) callerBy(ctx context.Context, kid [8]byte, content, sign1 []byte) (string, error) {
	var list []credential
	err := s.o.DB.Read(ctx, func(tx db.Tx) (err error) {
		list, err = readCredentials(ctx, tx, `kind = $1 AND removed_at = 0 AND person IN (SELECT person FROM officers WHERE removed_at = 0)`, MethodKey)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, c := range list {
		if string(c.handle[:len(kid)]) != string(kid[:]) || !c.Until.IsZero() && !s.o.Now().Before(c.Until) {
			continue
		}
		public, err := parseKey(c.publicKey)
		if err != nil {
			return "", err
		}
		switch err := verifyAs(typeCall, content, sign1, public); {
		case err == nil:
			return c.Person, nil
		case !errors.Is(err, ErrSignature):
			return "", err
		}
	}
	return "", errCall
}
