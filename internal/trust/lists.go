package trust

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// tokenTTL is for how long a Status List Token may be kept without asking again, in
// seconds. It is short because asking costs an unchanged one a 304.
const tokenTTL = 60

// The media types of a Status List Token, the first for whoever names none
// (draft-ietf-oauth-status-list section 8.1).
const (
	mediaJWT = "application/" + status.TypeJWT
	mediaCWT = status.TypeCWT
)

// tokenCache holds the Status List Tokens that were asked for, by list and media
// type. A token is signed when somebody asks for it and its list has changed. It
// says nothing that the snapshot, whose intent and outcome stand in the log, does
// not say; like an OCSP answer it is counted and not logged. The lock is held while
// one is signed.
type tokenCache struct {
	mu   sync.Mutex
	kept map[tokenName]*token
}

type tokenName struct {
	no    uint32
	media string
}

type token struct {
	object
	kid  [8]byte
	list status.List
}

// base is the address under which the lists stand.
func (p *Publisher) base() string { return strings.TrimSuffix(p.o.StatusURI, "/snapshot") }

// getLists names every list (section 9.3).
func (p *Publisher) getLists(w http.ResponseWriter, r *http.Request) error {
	o, err := p.find(r.Context(), kindSnapshot)
	if err != nil {
		return err
	}
	var body struct {
		Lists []string `json:"status_lists"`
	}
	for _, no := range o.covers {
		body.Lists = append(body.Lists, fmt.Sprintf("%s/lists/%d", p.base(), no))
	}
	return web.WriteJSON(w, http.StatusOK, body)
}

// getList serves one list as a token, a JWT or a CWT as Accept wishes.
func (p *Publisher) getList(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Vary", "Accept")
	no, err := strconv.ParseUint(r.PathValue("no"), 10, 32)
	if err != nil || r.PathValue("no") != strconv.FormatUint(no, 10) {
		return fault.New(fault.NotFound, "there is no such list")
	}
	if r.URL.Query().Has("time") { // section 8.4
		http.Error(w, "lists are served as they are now", http.StatusNotImplemented)
		return nil
	}
	media := accepted(r.Header.Values("Accept"))
	if media == "" {
		http.Error(w, "a list is "+mediaJWT+" or "+mediaCWT, http.StatusNotAcceptable)
		return nil
	}
	t, err := p.token(r.Context(), tokenName{uint32(no), media})
	if err != nil {
		return err
	}
	w.Header().Set("Access-Control-Allow-Origin", "*") // wallets in browsers ask too (section 8.2)
	serveAs(w, r, &t.object, media)
	return nil
}

// accepted returns the media type that the fields of Accept prefer, "" where they
// take neither (RFC 9110 section 12.5.1).
func accepted(fields []string) string {
	if len(fields) == 0 {
		return mediaJWT
	}
	quality := map[string]float64{}
	for part := range strings.SplitSeq(strings.Join(fields, ","), ",") {
		media, parameters, _ := strings.Cut(part, ";")
		q := 1.0
		for parameter := range strings.SplitSeq(parameters, ";") {
			if name, value, ok := strings.Cut(strings.TrimSpace(parameter), "="); ok && strings.EqualFold(name, "q") {
				var err error
				if q, err = strconv.ParseFloat(value, 64); err != nil || !(q >= 0 && q <= 1) {
					q = 0
				}
			}
		}
		quality[strings.ToLower(strings.TrimSpace(media))] = q
	}
	of := func(media string) float64 {
		for _, name := range []string{media, "application/*", "*/*"} {
			if q, ok := quality[name]; ok {
				return q
			}
		}
		return 0
	}
	jwt, cwt := of(mediaJWT), of(mediaCWT)
	switch {
	case jwt == 0 && cwt == 0:
		return ""
	case cwt > jwt:
		return mediaCWT
	}
	return mediaJWT
}

// token returns a token from memory, or signs it: when its list has changed, a third
// of its life is over or the status signer is another. It has the times of the snapshot
// that it is drawn from: where nothing is published any more, no token calls what was
// known then the state of now.
func (p *Publisher) token(ctx context.Context, name tokenName) (*token, error) {
	o, err := p.find(ctx, kindSnapshot)
	if err != nil {
		return nil, err
	}
	i, ok := slices.BinarySearch(o.covers, name.no)
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no such list")
	}
	list, now := o.snapshot.Lists[i], p.o.Now()
	c := &p.tokens
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.kept[name]; t != nil && t.kid == o.snapshot.KID && (t.issued == o.issued || t.isFresh("", freshShare, now)) && sameList(t.list, list) {
		return t, nil
	}
	t, err := p.signToken(ctx, name, list, o)
	if err != nil {
		return nil, fmt.Errorf("sign status list: %w", err)
	}
	if c.kept == nil {
		c.kept = map[tokenName]*token{}
	}
	c.kept[name] = t
	p.metrics.tokens.Inc()
	return t, nil
}

func sameList(a, b status.List) bool {
	return slices.Equal(a.Revoked, b.Revoked) && slices.Equal(a.Suspended, b.Suspended)
}

// signToken signs a token and opens it again as a wallet would.
func (p *Publisher) signToken(ctx context.Context, name tokenName, list status.List, from *object) (*token, error) {
	signer, err := p.signer(ctx, keys.PurposeStatus, p.root.Load().Status, p.o.Now())
	if err != nil {
		return nil, err
	}
	t := &token{kid: signer.KID, list: list}
	t.issued, t.expires = from.issued, from.expires
	said, err := status.NewToken(list, fmt.Sprintf("%s/lists/%d", p.base(), name.no), t.issued, t.expires, tokenTTL)
	if err != nil {
		return nil, err
	}
	sign, open := said.SignJWT, status.OpenJWT
	if name.media == mediaCWT {
		sign, open = said.SignCWT, status.OpenCWT
	}
	if t.body, err = sign(status.Signer(signer)); err != nil {
		return nil, err
	}
	got, err := open(t.body, signer.Alg, signer.Key.Public())
	if err != nil {
		return nil, fmt.Errorf("check what was signed: %w", err)
	}
	if got.Subject != said.Subject || got.Expires != said.Expires || string(got.Statuses) != string(said.Statuses) {
		return nil, fmt.Errorf("check what was signed: the list does not say what it should")
	}
	t.hash = trust.Hash(t.body)
	return t, nil
}

// jwk is a public key (RFC 7517, RFC 8037).
type jwk struct {
	Kty string `json:"kty"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y,omitempty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
}

// getStatusKeys serves the status signers of the root statement as a JWK set, for
// those who read the lists and not the root statement. The lists name them by kid.
func (p *Publisher) getStatusKeys(w http.ResponseWriter, _ *http.Request) error {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	for _, s := range p.root.Load().Status {
		public, err := trust.ParsePublic(s.Alg, s.Public)
		if err != nil {
			return err
		}
		if k, ok := newJWK(public); ok {
			k.Kid, k.Alg, k.Use = status.NameKey(s.KID), status.NameAlg(s.Alg), "sig"
			set.Keys = append(set.Keys, k)
		}
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	return web.WriteJSON(w, http.StatusOK, set)
}

// newJWK returns a key that signs lists; ok is false for one of another kind.
func newJWK(public crypto.PublicKey) (k jwk, ok bool) {
	e := base64.RawURLEncoding
	switch public := public.(type) {
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		if err != nil {
			return jwk{}, false
		}
		half := (len(point) - 1) / 2
		return jwk{Kty: "EC", Crv: public.Params().Name, X: e.EncodeToString(point[1 : 1+half]), Y: e.EncodeToString(point[1+half:])}, true
	case ed25519.PublicKey:
		return jwk{Kty: "OKP", Crv: "Ed25519", X: e.EncodeToString(public)}, true
	}
	return jwk{}, false
}
