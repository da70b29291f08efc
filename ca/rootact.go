package ca

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"encoding/json/v2"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify/trust"
)

// The root's key is offline. What the city wants of it is a file, the request,
// which people carry to it and whose answer, the response, they carry back:
//
//	AskRoot → request → SignRootRequest (offline) → response → ApplyRoot
//
// Every signature is announced in the log before the request leaves, and the
// response is compared with it when it comes back.
const (
	requestFormat  = "signet-root-request/1"
	responseFormat = "signet-root-response/1"
	maxRootFile    = 1 << 20
	maxFormer      = 16
)

// RootAsk says what an act of the root is for. It always renews the root statement
// and the CRL of each root that signs.
type RootAsk struct {
	Issuers  []string          // issuing CAs whose next key gets its certificate
	NextRoot crypto.PublicKey  // to be named as the root that follows; nil leaves that as it is
	Switch   *x509.Certificate // the named next root takes over; both roots sign
	Former   bool              // the roots before sign their CRLs: what they certified still needs them
	Actor    string
}

// RootRequest is the file that the root is asked with. Offline it is shown to
// those who hold the root's key; nothing in it is secret.
type RootRequest struct {
	Format       string                `json:"format"`
	ID           string                `json:"id"`
	Roots        []RootFile            `json:"roots"`  // that sign, the current one first
	Former       []RootFile            `json:"former"` // that sign their CRLs and nothing else
	Statement    trust.RootStatement   `json:"statement"`
	Certificates []RootCertificateItem `json:"certificates"`
	CRLs         []RootCRLItem         `json:"crls"`
}

// RootFile is one root by its name and certificate.
type RootFile struct {
	Key string `json:"key"`
	DER []byte `json:"certificate"`
}

// RootCertificateItem is one certificate of an issuing CA.
type RootCertificateItem struct {
	Key        string    `json:"key"` // of the keyring
	By         string    `json:"by"`  // root
	Issuer     string    `json:"issuer"`
	CommonName string    `json:"common_name"`
	Org        string    `json:"organization"`
	USCC       string    `json:"uscc"`
	Public     []byte    `json:"public_key"` // SubjectPublicKeyInfo
	Serial     string    `json:"serial"`
	NotBefore  time.Time `json:"not_before"`
	NotAfter   time.Time `json:"not_after"`
	CRL        string    `json:"crl"`
	CAIssuers  string    `json:"ca_issuers"`
	Shard      int64     `json:"shard"`
	TBS        []byte    `json:"tbs_sha256"` // of what is to be signed
}

// RootCRLItem is one CRL of a root.
type RootCRLItem struct {
	By      string         `json:"by"`
	Shard   int64          `json:"shard"`
	URL     string         `json:"url"`
	Number  int64          `json:"number"`
	Changes int64          `json:"changes"`
	From    time.Time      `json:"this_update"`
	Until   time.Time      `json:"next_update"`
	Entries []RootCRLEntry `json:"entries"`
}

// RootCRLEntry is one revoked issuing CA.
type RootCRLEntry struct {
	Serial string    `json:"serial"`
	At     time.Time `json:"at"`
	Reason int       `json:"reason"`
}

var (
	errActOpen = fault.New(fault.Conflict, "another act of the root is under way: apply or withdraw it first")
	errNoAct   = fault.New(fault.NotFound, "no such act of the root is under way")
)

// AskRoot prepares an act of the root and returns the request's file. Everything
// that is to be signed has been linted and is announced in the log. It fails with
// kind Conflict while another act is under way, NotFound for an unknown issuer and
// Invalid for a next root that cannot be one.
func (c *CA) AskRoot(ctx context.Context, a RootAsk) ([]byte, error) {
	q, err := c.askRoot(ctx, a)
	if err != nil {
		return nil, fmt.Errorf("ask root: %w", err)
	}
	return q, nil
}

func (c *CA) askRoot(ctx context.Context, a RootAsk) ([]byte, error) {
	if !isText(a.Actor, 1, 128) {
		return nil, fault.New(fault.Invalid, "the actor is missing, too long or not printable")
	}
	if err := c.noOpenAct(ctx); err != nil {
		return nil, err
	}
	q := RootRequest{Format: requestFormat, ID: db.NewID()}
	by, err := c.actRoots(&q, a)
	if err != nil {
		return nil, err
	}
	if q.Former = []RootFile{}; a.Former {
		for _, old := range c.roots.Load().before {
			q.Former = append(q.Former, RootFile{old.key, old.cert.Raw})
		}
	}
	var rows []Certificate
	for _, id := range a.Issuers {
		item, row, err := c.askIssuer(ctx, id, by, a.Actor)
		if err != nil {
			return nil, fmt.Errorf("issuer %s: %w", id, err)
		}
		q.Certificates, rows = append(q.Certificates, item), append(rows, row)
	}
	if a.Switch != nil {
		row, err := rootRow(a.Switch, by.key, a.Actor, c.now())
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	if q.Statement, err = c.nextStatement(ctx, a); err != nil {
		return nil, err
	}
	return c.storeRequest(ctx, q, rows, a.Actor)
}

// actRoots says who signs, and returns the root that certifies.
func (c *CA) actRoots(q *RootRequest, a RootAsk) (rootOf, error) {
	r := c.roots.Load()
	q.Roots = []RootFile{{r.current.key, r.current.cert.Raw}}
	if a.Switch == nil {
		return r.current, nil
	}
	next, err := r.statement.NextRoot()
	if err != nil {
		return rootOf{}, err
	}
	if k, ok := next.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(a.Switch.PublicKey) {
		return rootOf{}, fault.New(fault.Invalid, "this certificate is not that of the root which the statement names as the next one")
	}
	if err := c.checkRoot(a.Switch); err != nil {
		return rootOf{}, err
	}
	follower := rootOf{fmt.Sprintf("%s-%d", Root, len(r.before)+2), a.Switch}
	q.Roots = append(q.Roots, RootFile{follower.key, follower.cert.Raw})
	return follower, nil
}

// rootRow is the record of a root's own certificate.
func rootRow(cert *x509.Certificate, key, actor string, now time.Time) (Certificate, error) {
	row, err := newRow(cert, profile.Root, Root, key, 0)
	sum := sha256.Sum256(cert.RawTBSCertificate)
	row.tbsHash, row.Actor, row.CreatedAt, row.ChangedAt, row.DER = sum[:], actor, now, now, cert.Raw
	return row, err
}

// checkRoot fails with kind Invalid for a certificate that is no root of ours.
func (c *CA) checkRoot(cert *x509.Certificate) error {
	if err := cert.CheckSignatureFrom(cert); err != nil || !cert.IsCA {
		return fault.New(fault.Invalid, "this is no root's certificate")
	}
	if _, err := c.linter.Check(profile.Root, cert, nil); err != nil {
		return lintFault(err)
	}
	if now := c.now(); now.Before(cert.NotBefore) || !now.Before(cert.NotAfter) {
		return fault.New(fault.Invalid, "this root's certificate is not valid now")
	}
	return nil
}

// askIssuer describes the certificate that an issuing CA's next key is to get.
func (c *CA) askIssuer(ctx context.Context, id string, by rootOf, actor string) (RootCertificateItem, Certificate, error) {
	plan, ok := c.plan.issuer(id)
	if !ok {
		return RootCertificateItem{}, Certificate{}, fault.New(fault.NotFound, "no such issuer")
	}
	k, err := c.stagedKey(ctx, keys.PurposeCA, id, plan.Algorithm, actor)
	if err != nil {
		return RootCertificateItem{}, Certificate{}, err
	}
	public, err := x509.MarshalPKIXPublicKey(k.Public)
	if err != nil {
		return RootCertificateItem{}, Certificate{}, err
	}
	serial, err := profile.NewSerial(c.instance, rand.Reader)
	if err != nil {
		return RootCertificateItem{}, Certificate{}, err
	}
	now, shard := c.now().UTC().Truncate(time.Second), c.rootShard(by)
	item := RootCertificateItem{Key: k.ID, By: by.key, Issuer: id, CommonName: plan.CommonName, Org: c.plan.City.Organization, USCC: c.plan.City.USCC,
		Public: public, Serial: profile.SerialString(serial), NotBefore: now, NotAfter: now.Add(time.Duration(plan.Years)*365*24*time.Hour - time.Second),
		Shard: shard, CRL: crlURL(c.base, Root, shard), CAIssuers: caURL(c.base, Root, by.cert)}
	t, err := item.template(by.cert)
	if err != nil {
		return item, Certificate{}, fault.New(fault.Invalid, err.Error())
	}
	token, err := c.linter.Check(profile.Issuer, t, by.cert)
	if err != nil {
		return item, Certificate{}, lintFault(err)
	}
	hash := token.Hash()
	item.TBS, item.NotAfter = hash[:], t.NotAfter
	row, err := newRow(t, profile.Issuer, Root, by.key, shard)
	row.tbsHash, row.Actor, row.CreatedAt, row.ChangedAt = hash[:], actor, now, now
	return item, row, err
}

// rootShard is where a root's revocations stand: it has one CRL.
func (c *CA) rootShard(by rootOf) int64 {
	r := c.roots.Load()
	for i, old := range r.before {
		if old.key == by.key {
			return int64(i) + 1
		}
	}
	if by.key == r.current.key {
		return int64(len(r.before)) + 1
	}
	return int64(len(r.before)) + 2
}

// template returns the unsigned certificate. Made twice it is the same: what was
// linted when the root was asked is what the root signs.
func (i RootCertificateItem) template(root *x509.Certificate) (*x509.Certificate, error) {
	public, err := x509.ParsePKIXPublicKey(i.Public)
	if err != nil {
		return nil, errors.New("the public key cannot be read")
	}
	serial, err := profile.ParseSerial(i.Serial)
	if err != nil {
		return nil, err
	}
	return profile.Template(profile.Request{Kind: profile.Issuer, Subject: profile.Subject{Organization: i.Org, USCC: i.USCC, CommonName: i.CommonName},
		Public: public, Serial: serial, NotBefore: i.NotBefore, NotAfter: i.NotAfter, CRL: i.CRL, CAIssuers: i.CAIssuers}, root)
}

// stagedKey returns the staged key of a place without a certificate, or a new one.
func (c *CA) stagedKey(ctx context.Context, purpose, owner, alg, actor string) (keys.Key, error) {
	list, err := c.ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner, States: []keys.State{keys.Staged}})
	if err != nil {
		return keys.Key{}, err
	}
	for _, k := range list {
		if k.Certificate == nil && k.Alg == alg {
			return k, nil
		}
	}
	backend, err := c.backendOf(ctx, purpose, owner, alg)
	if err != nil {
		return keys.Key{}, err
	}
	return c.ring.Create(ctx, keys.Spec{Purpose: purpose, Owner: owner, Alg: alg, Backend: backend, Actor: actor})
}

// backendOf is where the key in use is: the next one goes there too.
func (c *CA) backendOf(ctx context.Context, purpose, owner, alg string) (string, error) {
	if alg == keys.Ed25519 {
		return keys.BackendFile, nil // none through PKCS #11
	}
	list, err := c.ring.List(ctx, keys.Filter{Purpose: purpose, Owner: owner})
	if err != nil || len(list) == 0 {
		return keys.BackendFile, err
	}
	return list[len(list)-1].Backend, nil
}

// nextStatement is the root statement as it should be now: with enough standby
// signers, and without those that are no longer needed.
func (c *CA) nextStatement(ctx context.Context, a RootAsk) (trust.RootStatement, error) {
	r, now := c.roots.Load(), c.now()
	until := min(now.AddDate(c.plan.Root.StatementYears, 0, 0).Unix(), r.current.cert.NotAfter.Unix())
	if a.Switch != nil {
		until = min(until, a.Switch.NotAfter.Unix())
	}
	s := trust.RootStatement{Version: r.statement.Version + 1, IssuedAt: now.Unix(), Expires: until, Next: r.statement.Next}
	if a.Switch != nil {
		s.Next = nil
	}
	if a.NextRoot != nil {
		named, err := nameSigner(a.NextRoot)
		if err != nil {
			return s, fault.Wrap(fault.Invalid, "this key cannot be a root's", err)
		}
		s.Next = named.Public
	}
	before := map[[8]byte]trust.Signer{}
	for _, list := range [][]trust.Signer{r.statement.Bundle, r.statement.Status, r.statement.Log} {
		for _, old := range list {
			before[old.KID] = old
		}
	}
	plans := c.plan.Signers
	for _, p := range []struct {
		purpose string
		plan    SignerPlan
		to      *[]trust.Signer
	}{{keys.PurposeTrust, plans.Trust, &s.Bundle}, {keys.PurposeStatus, plans.Status, &s.Status}, {keys.PurposeLog, plans.Log, &s.Log}} {
		list, err := c.signerKeys(ctx, p.purpose, p.plan, a.Actor)
		if err != nil {
			return s, err
		}
		for _, k := range list {
			named, err := nameSigner(k.Public)
			if err != nil {
				return s, err
			}
			if named.From, named.Until = window(k, before[named.KID], s); named.From < named.Until {
				*p.to = append(*p.to, named)
			}
		}
	}
	return s, nil
}

// gone is how long after its end a signer is still named: what it signed may be
// carried by verifiers for 92 days (docs/spec/trust.md, rule 19).
const gone = 93 * 24 * time.Hour

// window returns the time in which what a key signed counts, an empty one for
// never. A log's key is named for good: its old checkpoints are proofs.
func window(k keys.Key, before trust.Signer, s trust.RootStatement) (from, until int64) {
	from, until = s.IssuedAt, s.Expires
	if before.From > 0 {
		from = before.From
	}
	var end time.Time
	switch k.State {
	case keys.Retired:
		end = k.Retired
	case keys.Compromised:
		end = k.Since
	default:
		return from, until
	}
	if before.From == 0 || k.Purpose != keys.PurposeLog && end.Add(gone).Unix() < s.IssuedAt {
		return 0, 0
	}
	return from, min(until, end.Unix())
}

// signerKeys returns the keys of a purpose that a statement may name, after it has
// made standby ones up to the plan.
func (c *CA) signerKeys(ctx context.Context, purpose string, plan SignerPlan, actor string) ([]keys.Key, error) {
	list, err := c.ring.List(ctx, keys.Filter{Purpose: purpose, Owner: Owner})
	if err != nil {
		return nil, err
	}
	waiting := 0
	for _, k := range list {
		if k.State == keys.Staged || k.State == keys.Published {
			waiting++
		}
	}
	for ; waiting < max(1, plan.Standby); waiting++ { // or the next rotation would need an act before it
		backend, err := c.backendOf(ctx, purpose, Owner, plan.Algorithm)
		if err != nil {
			return nil, err
		}
		k, err := c.ring.Create(ctx, keys.Spec{Purpose: purpose, Owner: Owner, Alg: plan.Algorithm, Backend: backend, Actor: actor})
		if err != nil {
			return nil, err
		}
		list = append(list, k)
	}
	return list, nil
}

func (c *CA) noOpenAct(ctx context.Context) error {
	return c.db.Read(ctx, func(tx db.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM ca_root_acts WHERE state IN ('open', 'signed')`).Scan(&n)
		if err == nil && n > 0 {
			return errActOpen
		}
		return err
	})
}

// storeRequest reserves the CRLs' numbers, announces every signature and keeps the
// request.
func (c *CA) storeRequest(ctx context.Context, q RootRequest, rows []Certificate, actor string) (file []byte, err error) {
	now := c.now()
	drafts := q.CRLs
	err = c.db.Update(ctx, func(tx db.Tx) error {
		q.CRLs = slices.Clone(drafts)
		var events []audit.Event
		for _, root := range slices.Concat(q.Roots, q.Former) {
			item, event, err := c.askCRL(ctx, tx, root, actor, now)
			if err != nil {
				return err
			}
			q.CRLs, events = append(q.CRLs, item), append(events, event)
		}
		for i := range rows {
			events = append(events, rows[i].event("intent"))
		}
		events = append(events, statementEvent(q, actor, "intent"))
		if file, err = json.Marshal(q, json.Deterministic(true)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO ca_root_acts (id, state, request, actor, created_at, changed_at) VALUES ($1, 'open', $2, $3, $4, $4)`,
			q.ID, file, actor, db.Micros(now))
		if err != nil {
			return err
		}
		_, err = audit.Append(ctx, tx, events...)
		return err
	})
	if db.IsUnique(err) {
		return nil, errActOpen
	}
	return file, err
}

func statementEvent(q RootRequest, actor, step string) audit.Event {
	hash := sha256.Sum256(q.Roots[len(q.Roots)-1].DER)
	return audit.Event{Kind: "trust.root." + step, Actor: actor, Object: fmt.Sprintf("root:%d", q.Statement.Version), Data: map[string]any{
		"version": int64(q.Statement.Version), "expires": q.Statement.Expires, "act": q.ID, "root_sha256": hash[:]}}
}

// askCRL describes a root's next CRL under a number of its own.
func (c *CA) askCRL(ctx context.Context, tx db.Tx, root RootFile, actor string, now time.Time) (RootCRLItem, audit.Event, error) {
	cert, err := x509.ParseCertificate(root.DER)
	if err != nil {
		return RootCRLItem{}, audit.Event{}, err
	}
	d := draft{issuer: Root, key: root.Key, shard: c.rootShard(rootOf{root.Key, cert}), from: now.UTC().Truncate(time.Second),
		until: now.Add(time.Duration(c.plan.Root.CRLDays) * 24 * time.Hour).UTC().Truncate(time.Second)}
	d.url = crlURL(c.base, Root, d.shard)
	err = tx.QueryRowContext(ctx, `UPDATE ca_shards SET reserved = reserved + 1 WHERE issuer = $1 AND shard = $2 RETURNING reserved, changes`,
		Root, d.shard).Scan(&d.number, &d.changes)
	if errors.Is(err, sql.ErrNoRows) { // a new root's first
		d.number = 1
		_, err = tx.ExecContext(ctx, `INSERT INTO ca_shards (issuer, shard, issuer_key, url, leased, reserved) VALUES ($1, $2, $3, $4, 0, 1)`,
			Root, d.shard, d.key, d.url)
	}
	if err != nil {
		return RootCRLItem{}, audit.Event{}, err
	}
	if d.entries, err = revokedIn(ctx, tx, Root, d.shard, d.from); err != nil {
		return RootCRLItem{}, audit.Event{}, err
	}
	item := RootCRLItem{By: d.key, Shard: d.shard, URL: d.url, Number: d.number, Changes: d.changes, From: d.from, Until: d.until, Entries: []RootCRLEntry{}}
	for _, e := range d.entries {
		item.Entries = append(item.Entries, RootCRLEntry{profile.SerialString(e.SerialNumber), e.RevocationTime, e.ReasonCode})
	}
	return item, d.event(actor, "intent"), nil
}

// draft is the CRL as the rest of this package knows it.
func (i RootCRLItem) draft() (*draft, error) {
	d := &draft{issuer: Root, key: i.By, url: i.URL, shard: i.Shard, number: i.Number, changes: i.Changes, from: i.From, until: i.Until}
	for _, e := range i.Entries {
		n, err := profile.ParseSerial(e.Serial)
		if err != nil {
			return nil, err
		}
		d.entries = append(d.entries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: e.At, ReasonCode: e.Reason})
	}
	return d, nil
}

// parseRootRequest reads the file strictly.
func parseRootRequest(file []byte) (q RootRequest, err error) {
	if len(file) > maxRootFile {
		return q, fault.New(fault.TooLarge, "the root request is too large")
	}
	if err := json.Unmarshal(file, &q, json.RejectUnknownMembers(true)); err != nil || q.Format != requestFormat {
		return q, fault.Wrap(fault.Invalid, "this is no root request of this version", err)
	}
	if len(q.Roots) < 1 || len(q.Roots) > 2 || len(q.Former) > maxFormer || len(q.CRLs) != len(q.Roots)+len(q.Former) {
		return q, fault.New(fault.Invalid, "the root request names too few or too many roots")
	}
	return q, nil
}

// WithdrawRoot gives up the act under way. What was made for it is asked for again
// by the next one. It fails with kind NotFound if there is none with this id, or
// if it has been signed.
func (c *CA) WithdrawRoot(ctx context.Context, id, actor string) error {
	if !isText(id, 1, 64) {
		return fmt.Errorf("withdraw act of the root: %w", errNoAct)
	}
	err := c.db.Update(ctx, func(tx db.Tx) error {
		res, err := tx.ExecContext(ctx, `UPDATE ca_root_acts SET state = 'withdrawn', changed_at = $1 WHERE id = $2 AND state = 'open'`, db.Micros(c.now()), id)
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n != 1 {
			return cmpErr(err, errNoAct)
		}
		_, err = audit.Append(ctx, tx, audit.Event{Kind: "trust.root.withdrawn", Actor: actor, Object: "act:" + id})
		return err
	})
	if err != nil {
		return fmt.Errorf("withdraw act of the root: %w", err)
	}
	return nil
}

// OpenRootAct returns the request's file of the act under way, or NotFound.
func (c *CA) OpenRootAct(ctx context.Context) (file []byte, err error) {
	err = c.db.Read(ctx, func(tx db.Tx) error {
		return tx.QueryRowContext(ctx, `SELECT request FROM ca_root_acts WHERE state IN ('open', 'signed')`).Scan(&file)
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoAct
	}
	return file, err
}

// Fingerprint is how people compare certificates and keys: SHA-256 in hexadecimal.
func Fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
