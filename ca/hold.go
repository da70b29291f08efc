package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cloudflare/cfssl/csr"

	"github.com/signet-city/signet/ca/lint"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify/trust"
)

// ceremony is the actor of everything that the ceremony does.
const ceremony = "ceremony"

// CeremonyOptions are what Hold needs. Ceremony, DB, Ring, Passphrase and BaseURL
// are required.
type CeremonyOptions struct {
	Ceremony   Ceremony
	DB         *db.DB // migrated
	Ring       *keys.Ring
	Passphrase []byte // of the root key's file
	BaseURL    string // plain http, no path: stands in certificates for good
	Backend    string // of the ring's keys but the log's; "" means keys.BackendFile
	Instance   byte   // first byte of serial numbers; 0 means 1

	// Keep, if set, is given the root key's file and must bring it to safety: it is
	// called before the city exists, so that none comes to be without its root.
	Keep func(rootKeyPEM []byte) error

	Now    func() time.Time // nil means time.Now
	Logger *slog.Logger     // nil discards
}

// Result is what a ceremony made. The root's key is nowhere else.
type Result struct {
	RootCertificate []byte            // DER, for every verifier to pin
	RootKeyPEM      []byte            // encrypted; to be kept apart from everything else
	RootStatement   []byte            // signed by the root
	Issuers         map[string][]byte // certificates in DER, by id
	Keys            []keys.Key        // of the ring, as they stand at the end
}

// Hold makes a city from the reviewed file: the root, the issuing CAs, the signers
// that the root statement names, the services' certificates, and the root's CRL.
//
// It is all or nothing. The keys are made first, as staged ones; everything is
// linted and announced in the log before it is signed; the records of the city
// and the row without which Open finds none are committed last, in one
// transaction. What an aborted ceremony leaves are keys, which the next one
// retires. It fails with kind Conflict if there is a city already, and Invalid for
// options that are not as they should be.
//
// cfssl makes the root's key and the requests that prove possession of every key
// (csr). Its initca is not used: it signs with a serial number and times of its
// own, so that nothing could be linted before.
func Hold(ctx context.Context, o CeremonyOptions) (Result, error) {
	h, err := newHolding(o)
	if err != nil {
		return Result{}, err
	}
	for _, step := range h.steps() {
		if err := step(ctx); err != nil {
			return Result{}, fmt.Errorf("hold ceremony: %w", err)
		}
	}
	return h.result(ctx)
}

// steps are the ceremony, in order. Only the last one makes a city.
func (h *holding) steps() []func(context.Context) error {
	return []func(context.Context) error{h.refuseSecond, h.clear, h.makeRoot, h.makeIssuers, h.makeServices, h.makeSigners,
		h.signRootCRL, h.signStatement, h.keep, h.activate, h.commit}
}

// holding is a ceremony under way.
type holding struct {
	CeremonyOptions
	linter *lint.Linter
	now    time.Time

	root      authorityKey
	rootPEM   []byte
	issuers   map[string]authorityKey
	made      []*made
	signers   map[string][]keys.Key // by purpose; the first becomes active
	crl       draft
	statement []byte
}

// authorityKey is a CA that signs in the ceremony.
type authorityKey struct {
	id   string // issuer
	key  string // of the ring; Root for the root's
	cert *x509.Certificate
	crypto.Signer
}

// made is a certificate of the ceremony.
type made struct {
	row  Certificate
	cert *x509.Certificate
	ring string // key of the ring that it is for, "" for the root
}

func newHolding(o CeremonyOptions) (*holding, error) {
	if o.DB == nil || o.Ring == nil || o.Ceremony.source == nil {
		return nil, errors.New("hold ceremony: a parsed ceremony, a database and a keyring are required")
	}
	if err := cmpErr(checkBase(o.BaseURL), checkPassphrase(o.Passphrase)); err != nil {
		return nil, err
	}
	if o.Backend == "" {
		o.Backend = keys.BackendFile
	}
	if o.Instance == 0 {
		o.Instance = 1
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := &holding{CeremonyOptions: o, now: o.Now(), issuers: map[string]authorityKey{}, signers: map[string][]keys.Key{}}
	var err error
	h.linter, err = lint.New()
	return h, err
}

// ErrHeld is returned by Hold where there is a city already.
var ErrHeld = fault.New(fault.Conflict, "a ceremony was held here already")

func (h *holding) refuseSecond(ctx context.Context) error {
	err := h.DB.Read(ctx, func(tx db.Tx) error {
		_, err := readState(ctx, tx)
		return err
	})
	if err == nil {
		return ErrHeld
	}
	if errors.Is(err, ErrNoCity) {
		return nil
	}
	return err
}

// purposes are those of the keys that a ceremony makes.
var purposes = []string{keys.PurposeCA, keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog, keys.PurposeOCSP, keys.PurposeTLS}

// clear retires what an aborted ceremony left in the ring: first what is in use,
// so that the rest of its place can follow it along the legal edges.
func (h *holding) clear(ctx context.Context) error {
	for _, purpose := range purposes {
		for _, states := range [][]keys.State{{keys.Retiring, keys.Active}, {keys.Staged, keys.Published}} {
			list, err := h.Ring.List(ctx, keys.Filter{Purpose: purpose, States: states})
			if err != nil {
				return err
			}
			for _, k := range list {
				if err := h.retire(ctx, k); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (h *holding) retire(ctx context.Context, k keys.Key) error {
	path := map[keys.State][]keys.State{
		keys.Staged:    {keys.Retired},
		keys.Published: {keys.Active, keys.Retiring, keys.Retired},
		keys.Active:    {keys.Retiring, keys.Retired},
		keys.Retiring:  {keys.Retired},
	}[k.State]
	for _, to := range path {
		if err := h.Ring.Move(ctx, k.ID, to, ceremony, "left by an aborted ceremony"); err != nil {
			return err
		}
	}
	return nil
}

// newKey makes a key of the ring and proves that it can sign.
func (h *holding) newKey(ctx context.Context, purpose, owner, algorithm string) (keys.Key, crypto.Signer, error) {
	backend := h.Backend
	if algorithm == keys.Ed25519 {
		backend = keys.BackendFile // none through PKCS #11
	}
	k, err := h.Ring.Create(ctx, keys.Spec{Purpose: purpose, Owner: owner, Alg: algorithm, Backend: backend, Actor: ceremony})
	if err != nil {
		return keys.Key{}, nil, err
	}
	s, err := h.Ring.Signer(ctx, k.ID)
	return k, s, err
}

func (h *holding) makeRoot(ctx context.Context) error {
	size := map[string]int{keys.ES256: 256, keys.ES384: 384}[h.Ceremony.Root.Algorithm]
	generated, err := (&csr.KeyRequest{A: "ecdsa", S: size}).Generate()
	if err != nil {
		return fmt.Errorf("make root key: %w", err)
	}
	signer, ok := generated.(crypto.Signer)
	if !ok {
		return errors.New("make root key: it cannot sign")
	}
	if h.rootPEM, err = encryptRootKey(signer, h.Passphrase); err != nil {
		return err
	}
	h.root = authorityKey{id: Root, key: Root, Signer: signer}
	plan := h.Ceremony.Root
	m, err := h.certify(ctx, order{kind: profile.Root, name: plan.CommonName, days: plan.Years * 365, key: signer}, h.root)
	if err != nil {
		return err
	}
	h.root.cert = m.cert
	return nil
}

func (h *holding) makeIssuers(ctx context.Context) error {
	for _, is := range h.Ceremony.Issuers {
		k, signer, err := h.newKey(ctx, keys.PurposeCA, is.ID, is.Algorithm)
		if err != nil {
			return fmt.Errorf("make issuer %s: %w", is.ID, err)
		}
		m, err := h.certify(ctx, order{kind: profile.Issuer, name: is.CommonName, days: is.Years * 365, key: signer, ring: k.ID}, h.root)
		if err != nil {
			return fmt.Errorf("make issuer %s: %w", is.ID, err)
		}
		h.issuers[is.ID] = authorityKey{id: is.ID, key: k.ID, cert: m.cert, Signer: signer}
	}
	return nil
}

// makeServices makes an OCSP signer for each issuer, and the key of the city's own
// servers.
func (h *holding) makeServices(ctx context.Context) error {
	c := h.Ceremony
	for _, is := range c.Issuers {
		k, signer, err := h.newKey(ctx, keys.PurposeOCSP, is.ID, c.OCSP.Algorithm)
		if err != nil {
			return fmt.Errorf("make OCSP signer of %s: %w", is.ID, err)
		}
		o := order{kind: profile.OCSP, name: ocspName(is), days: c.OCSP.Days, key: signer, ring: k.ID}
		if _, err := h.certify(ctx, o, h.issuers[is.ID]); err != nil {
			return fmt.Errorf("make OCSP signer of %s: %w", is.ID, err)
		}
	}
	k, signer, err := h.newKey(ctx, keys.PurposeTLS, Owner, c.TLS.Algorithm)
	if err != nil {
		return fmt.Errorf("make TLS key: %w", err)
	}
	o := order{kind: profile.TLS, name: c.TLS.Hosts[0], hosts: c.TLS.Hosts, days: c.TLS.Days, key: signer, ring: k.ID}
	if _, err := h.certify(ctx, o, h.issuers[c.TLS.Issuer]); err != nil {
		return fmt.Errorf("make TLS certificate: %w", err)
	}
	return nil
}

// order is one certificate that the ceremony wants.
type order struct {
	kind  profile.Kind
	name  string
	hosts []string
	days  int
	key   crypto.Signer
	ring  string
}

// certify goes the way of every certificate: request, template, lint, intent,
// signature, comparison. The record is kept until the end.
func (h *holding) certify(ctx context.Context, o order, by authorityKey) (*made, error) {
	pub, err := h.request(o)
	if err != nil {
		return nil, err
	}
	serial, err := profile.NewSerial(h.Instance, rand.Reader)
	if err != nil {
		return nil, err
	}
	r := profile.Request{Kind: o.kind, Subject: h.Ceremony.subject(o.name), Public: pub, Serial: serial, Hosts: o.hosts,
		NotBefore: h.now, NotAfter: h.now.Add(time.Duration(o.days)*24*time.Hour - time.Second)}
	var shard int64
	if by.cert != nil {
		shard = 1
		r.CRL, r.CAIssuers = crlURL(h.BaseURL, by.id, shard), caURL(h.BaseURL, by.id, by.cert)
		r.OCSP = responderOf(h.BaseURL, o.kind, by.id)
	}
	t, err := profile.Template(r, by.cert)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the ceremony cannot be held: "+err.Error())
	}
	token, err := h.linter.Check(o.kind, t, by.cert)
	if err != nil {
		return nil, lintFault(err)
	}
	row, err := newRow(t, o.kind, by.id, by.key, shard)
	if err != nil {
		return nil, err
	}
	hash := token.Hash()
	row.tbsHash, row.Actor, row.CreatedAt, row.ChangedAt = hash[:], ceremony, h.now, h.now
	if err := h.announce(ctx, row.event("intent")); err != nil {
		return nil, err
	}
	m := &made{row: row, ring: o.ring}
	if m.cert, err = token.Sign(by.Signer); err != nil {
		return nil, err
	}
	m.row.DER = m.cert.Raw
	h.made = append(h.made, m)
	return m, nil
}

// request lets cfssl make the request for a key and returns the key once the
// request has proved its possession.
func (h *holding) request(o order) (crypto.PublicKey, error) {
	r := &csr.CertificateRequest{CN: o.name, Names: []csr.Name{{C: profile.Country, O: h.Ceremony.City.Organization,
		OID: map[string]string{profile.OIDOrganizationIdentifier.String(): profile.OrganizationIdentifier(h.Ceremony.City.USCC)}}}}
	der, err := csr.GenerateDER(o.key, r)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	parsed, err := ParseCSR(o.kind, der)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	return parsed.PublicKey, nil
}

func (h *holding) announce(ctx context.Context, events ...audit.Event) error {
	return h.DB.Update(ctx, func(tx db.Tx) error {
		_, err := audit.Append(ctx, tx, events...)
		return err
	})
}

// makeSigners makes the keys that the root statement names.
func (h *holding) makeSigners(ctx context.Context) error {
	for purpose, plan := range h.signerPlans() {
		for range 1 + plan.Standby {
			k, _, err := h.newKey(ctx, purpose, Owner, plan.Algorithm)
			if err != nil {
				return fmt.Errorf("make %s signer: %w", purpose, err)
			}
			h.signers[purpose] = append(h.signers[purpose], k)
		}
	}
	return nil
}

func (h *holding) signerPlans() map[string]SignerPlan {
	s := h.Ceremony.Signers
	return map[string]SignerPlan{keys.PurposeTrust: s.Trust, keys.PurposeStatus: s.Status, keys.PurposeLog: s.Log}
}

func (h *holding) signRootCRL(ctx context.Context) error {
	h.crl = draft{issuer: Root, shard: 1, key: Root, url: crlURL(h.BaseURL, Root, 1), number: 1,
		from: h.now.UTC().Truncate(time.Second), until: h.now.Add(time.Duration(h.Ceremony.Root.CRLDays) * 24 * time.Hour).UTC().Truncate(time.Second)}
	if err := h.announce(ctx, h.crl.event(ceremony, "intent")); err != nil {
		return err
	}
	return h.crl.sign(h.linter, h.root.cert, h.root)
}

func (h *holding) signStatement(ctx context.Context) error {
	until := h.now.Add(time.Duration(h.Ceremony.Root.StatementYears) * 365 * 24 * time.Hour).Unix()
	s := trust.RootStatement{Version: 1, IssuedAt: h.now.Unix(), Expires: until}
	for purpose, list := range map[string]*[]trust.Signer{keys.PurposeTrust: &s.Bundle, keys.PurposeStatus: &s.Status, keys.PurposeLog: &s.Log} {
		for _, k := range h.signers[purpose] {
			named, err := nameSigner(k.Public)
			if err != nil {
				return err
			}
			named.From, named.Until = s.IssuedAt, until
			*list = append(*list, named)
		}
	}
	event := audit.Event{Kind: "trust.root.intent", Actor: ceremony, Object: "root:1", Data: map[string]any{"version": int64(1), "expires": until}}
	if err := h.announce(ctx, event); err != nil {
		return err
	}
	root, err := nameSigner(h.root.Public())
	if err != nil {
		return err
	}
	if h.statement, err = trust.SignRoot(s, trust.KeySigner{KID: root.KID, Alg: root.Alg, Key: h.root.Signer}); err != nil {
		return err
	}
	if _, err := trust.OpenRoot(h.statement, h.root.Public(), h.now); err != nil {
		return fmt.Errorf("check root statement: %w", err)
	}
	return nil
}

func nameSigner(pub crypto.PublicKey) (trust.Signer, error) {
	spki, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return trust.Signer{}, fmt.Errorf("name signer: %w", err)
	}
	alg, err := trust.AlgOf(pub)
	if err != nil {
		return trust.Signer{}, fmt.Errorf("name signer: %w", err)
	}
	return trust.Signer{KID: trust.KIDOf(spki), Alg: alg, Public: spki}, nil
}

func (h *holding) keep(context.Context) error {
	if h.Keep == nil {
		return nil
	}
	if err := h.Keep(h.rootPEM); err != nil {
		return fmt.Errorf("keep root key: %w", err)
	}
	return nil
}

// activate attaches the certificates and puts the keys into use. Standby signers
// stay published.
func (h *holding) activate(ctx context.Context) error {
	for _, m := range h.made {
		if m.ring == "" {
			continue
		}
		if err := h.Ring.Certify(ctx, m.ring, m.cert.Raw, ceremony); err != nil {
			return err
		}
		if err := h.move(ctx, m.ring, keys.Published, keys.Active); err != nil {
			return err
		}
	}
	for _, list := range h.signers {
		for i, k := range list {
			to := []keys.State{keys.Published, keys.Active}
			if i > 0 {
				to = to[:1]
			}
			if err := h.move(ctx, k.ID, to...); err != nil {
				return err
			}
		}
	}
	return nil
}

func (h *holding) move(ctx context.Context, id string, to ...keys.State) error {
	for _, s := range to {
		if err := h.Ring.Move(ctx, id, s, ceremony, ceremony); err != nil {
			return err
		}
	}
	return nil
}

// commit writes the whole city, its state last.
func (h *holding) commit(ctx context.Context) error {
	err := h.DB.Update(ctx, func(tx db.Tx) error {
		if err := h.insertShards(ctx, tx); err != nil {
			return err
		}
		for _, m := range h.made {
			row := m.row
			if err := insertRow(ctx, tx, &row); err != nil {
				return err
			}
			if err := storeIssued(ctx, tx, &row); err != nil {
				return err
			}
		}
		if _, err := audit.Append(ctx, tx, h.outcome()...); err != nil {
			return err
		}
		return insertState(ctx, tx, state{plan: h.Ceremony.source, root: h.root.cert.Raw, statement: h.statement, heldAt: h.now})
	})
	if db.IsUnique(err) {
		return ErrHeld
	}
	return err
}

func (h *holding) insertShards(ctx context.Context, tx db.Tx) error {
	for _, is := range h.Ceremony.Issuers {
		if err := insertIssuer(ctx, tx, is.ID, h.Ceremony.level(is), is.Area); err != nil {
			return err
		}
		if err := insertShard(ctx, tx, newShard{issuer: is.ID, shard: 1, key: h.issuers[is.ID].key, url: crlURL(h.BaseURL, is.ID, 1), leased: shardBlock}); err != nil {
			return err
		}
	}
	if err := insertShard(ctx, tx, newShard{issuer: Root, shard: 1, key: Root, url: h.crl.url, leased: shardBlock}); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE ca_shards SET reserved = $1 WHERE issuer = $2 AND shard = 1`, h.crl.number, Root); err != nil {
		return err
	}
	return h.crl.store(ctx, tx, ceremony)
}

func (h *holding) outcome() []audit.Event {
	plan, root, statement := sha256.Sum256(h.Ceremony.source), sha256.Sum256(h.root.cert.Raw), sha256.Sum256(h.statement)
	return []audit.Event{
		{Kind: "trust.root.outcome", Actor: ceremony, Object: "root:1", Data: map[string]any{"sha256": statement[:]}},
		{Kind: "ceremony.hold", Actor: ceremony, Object: "city", Data: map[string]any{"plan_sha256": plan[:], "root_sha256": root[:], "statement_sha256": statement[:]}},
	}
}

func (h *holding) result(ctx context.Context) (Result, error) {
	r := Result{RootCertificate: h.root.cert.Raw, RootKeyPEM: h.rootPEM, RootStatement: h.statement, Issuers: map[string][]byte{}}
	for id, a := range h.issuers {
		r.Issuers[id] = a.cert.Raw
	}
	for _, purpose := range purposes {
		list, err := h.Ring.List(ctx, keys.Filter{Purpose: purpose, States: []keys.State{keys.Active, keys.Published}})
		if err != nil {
			return Result{}, fmt.Errorf("hold ceremony: %w", err)
		}
		r.Keys = append(r.Keys, list...)
	}
	return r, nil
}
