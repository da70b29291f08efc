package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/json/v2"
	"errors"
	"fmt"
	"log/slog"
	"maps"

	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/verify/trust"
)

// rootAct is an act of the root in the database.
type rootAct struct {
	id, state, actor  string
	request, response []byte
}

func findAct(ctx context.Context, tx db.Tx, where string, args ...any) (a rootAct, err error) {
	err = tx.QueryRowContext(ctx, `SELECT id, state, actor, request, response FROM ca_root_acts WHERE `+where, args...).
		Scan(&a.id, &a.state, &a.actor, &a.request, &a.response)
	if errors.Is(err, sql.ErrNoRows) {
		return a, errNoAct
	}
	return a, err
}

// ReviewResponse compares a response with its request, as ApplyRoot will, and
// returns what was asked for. It changes nothing.
func (c *CA) ReviewResponse(ctx context.Context, response []byte) (RootRequest, error) {
	a, err := parseRootResponse(response)
	if err != nil {
		return RootRequest{}, err
	}
	var act rootAct
	err = c.db.Read(ctx, func(tx db.Tx) (err error) {
		act, err = findAct(ctx, tx, `id = $1`, a.ID)
		return err
	})
	if err != nil {
		return RootRequest{}, err
	}
	q, err := parseRootRequest(act.request)
	if err != nil || act.state == "done" || act.state == "signed" {
		return q, err
	}
	if act.state != "open" {
		return q, errNoAct
	}
	_, err = c.compare(q, a, act)
	return q, err
}

// parseRootResponse reads the file strictly.
func parseRootResponse(file []byte) (a RootResponse, err error) {
	if len(file) > maxRootFile {
		return a, fault.New(fault.TooLarge, "the root's response is too large")
	}
	if err := json.Unmarshal(file, &a, json.RejectUnknownMembers(true)); err != nil || a.Format != responseFormat || !isText(a.ID, 1, 64) {
		return a, fault.Wrap(fault.Invalid, "this is no response of the root of this version", err)
	}
	return a, nil
}

func (c *CA) applyRoot(ctx context.Context, a RootResponse, response []byte, actor string) error {
	var act rootAct
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		act, err = findAct(ctx, tx, `id = $1`, a.ID)
		return err
	})
	if err != nil {
		return err
	}
	q, err := parseRootRequest(act.request)
	if err != nil {
		return err
	}
	switch act.state {
	case "open":
		done, err := c.compare(q, a, act)
		if err != nil {
			return err
		}
		if err := c.db.Update(ctx, func(tx db.Tx) error { return c.storeAct(ctx, tx, q, done, response, actor) }); err != nil {
			return err
		}
	case "withdrawn":
		return errNoAct
	}
	c.follow(ctx)
	return c.finishAct(ctx, a.ID)
}

// signedAct is a response that was found to be what was asked for.
type signedAct struct {
	statement []byte
	rows      []Certificate
	crls      []*draft
	root      *x509.Certificate // that takes over, nil for none
	rootKey   string
}

// compare checks a response against its request as a stranger would.
func (c *CA) compare(q RootRequest, a RootResponse, act rootAct) (s signedAct, err error) {
	if len(a.Certificates) != len(q.Certificates) || len(a.CRLs) != len(q.CRLs) {
		return s, fault.New(fault.Invalid, "the response lacks something that was asked for, or has more")
	}
	byKey := map[string]*x509.Certificate{}
	for _, r := range q.Roots {
		if byKey[r.Key], err = x509.ParseCertificate(r.DER); err != nil {
			return s, err
		}
		opened, err := trust.OpenRoot(a.Statement, byKey[r.Key].PublicKey, c.now())
		if err != nil {
			return s, fault.Wrap(fault.Invalid, "the response's root statement does not verify", err)
		}
		if !sameStatement(opened, q.Statement) {
			return s, fault.New(fault.Invalid, "the response's root statement is not the one that was asked for")
		}
	}
	lists := maps.Clone(byKey)
	for _, r := range q.Former {
		if lists[r.Key], err = x509.ParseCertificate(r.DER); err != nil {
			return s, err
		}
	}
	s.statement = a.Statement
	for i, item := range q.Certificates {
		row, err := c.compareCertificate(item, a.Certificates[i], byKey[item.By], act.actor)
		if err != nil {
			return s, fmt.Errorf("certificate of %s: %w", item.Issuer, err)
		}
		s.rows = append(s.rows, row)
	}
	for i, item := range q.CRLs {
		d, err := item.draft()
		if err != nil {
			return s, err
		}
		d.der = a.CRLs[i].DER
		if err := d.verify(c.linter, lists[item.By]); err != nil {
			return s, fault.Wrap(fault.Invalid, "the response's CRL is not the one that was asked for", err)
		}
		s.crls = append(s.crls, d)
	}
	if last := q.Roots[len(q.Roots)-1]; len(q.Roots) == 2 {
		s.root, s.rootKey = byKey[last.Key], last.Key
		row, err := rootRow(s.root, last.Key, act.actor, c.now())
		if err != nil {
			return s, err
		}
		s.rows = append(s.rows, row)
	}
	return s, nil
}

// sameStatement compares what two statements say, in whatever order.
func sameStatement(a, b trust.RootStatement) bool {
	list := func(s []trust.Signer) map[[8]byte]string {
		m := map[[8]byte]string{}
		for _, k := range s {
			m[k.KID] = fmt.Sprint(k)
		}
		return m
	}
	same := func(x, y []trust.Signer) bool {
		p, q := list(x), list(y)
		for kid, s := range p {
			if q[kid] != s {
				return false
			}
		}
		return len(p) == len(q) && len(x) == len(y)
	}
	return a.Version == b.Version && a.IssuedAt == b.IssuedAt && a.Expires == b.Expires && bytes.Equal(a.Next, b.Next) &&
		same(a.Bundle, b.Bundle) && same(a.Status, b.Status) && same(a.Log, b.Log)
}

func (c *CA) compareCertificate(item RootCertificateItem, got SignedRootItem, root *x509.Certificate, actor string) (Certificate, error) {
	cert, err := x509.ParseCertificate(got.DER)
	if err != nil {
		return Certificate{}, fault.Wrap(fault.Invalid, "it cannot be read", err)
	}
	if got.Key != item.Key || root == nil || cert.CheckSignatureFrom(root) != nil {
		return Certificate{}, fault.New(fault.Invalid, "the root did not sign it")
	}
	if sum := sha256.Sum256(cert.RawTBSCertificate); !bytes.Equal(sum[:], item.TBS) {
		return Certificate{}, fault.New(fault.Invalid, "it is not what was announced")
	}
	row, err := newRow(cert, profile.Issuer, Root, item.By, item.Shard)
	now := c.now()
	row.tbsHash, row.Actor, row.CreatedAt, row.ChangedAt, row.DER = item.TBS, actor, now, now, cert.Raw
	return row, err
}

// storeAct makes the act real, once.
func (c *CA) storeAct(ctx context.Context, tx db.Tx, q RootRequest, s signedAct, response []byte, actor string) error {
	now := db.Micros(c.now())
	res, err := tx.ExecContext(ctx, `UPDATE ca_root_acts SET state = 'signed', response = $1, changed_at = $2 WHERE id = $3 AND state = 'open'`, response, now, q.ID)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, fault.New(fault.Conflict, "this act of the root was applied or withdrawn meanwhile"))
	}
	for i := range s.rows {
		row := s.rows[i]
		if err := insertRow(ctx, tx, &row); err != nil {
			return err
		}
		if err := storeIssued(ctx, tx, &row); err != nil {
			return err
		}
	}
	for _, d := range s.crls {
		if err := d.store(ctx, tx, actor); err != nil {
			return err
		}
	}
	if err := c.storeStatement(ctx, tx, s, now); err != nil {
		return err
	}
	if err := db.Notify(ctx, tx, rootTopic); err != nil {
		return err
	}
	_, err = audit.Append(ctx, tx, statementEvent(q, actor, "outcome"))
	return err
}

// storeStatement is a compare-and-swap against the statement that this process
// knows: an act of the root replaces the one it was made from.
func (c *CA) storeStatement(ctx context.Context, tx db.Tx, s signedAct, now int64) error {
	r := c.roots.Load()
	root, key := r.current.cert.Raw, r.current.key
	if s.root != nil {
		_, err := tx.ExecContext(ctx, `INSERT INTO ca_roots (key, der, until) VALUES ($1, $2, $3)`, key, root, now)
		if err != nil {
			return err
		}
		root, key = s.root.Raw, s.rootKey
	}
	res, err := tx.ExecContext(ctx, `UPDATE ca_state SET statement = $1, root = $2, root_key = $3 WHERE one = 1 AND statement = $4`, s.statement, root, key, r.file)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return cmpErr(err, fault.New(fault.Conflict, "the root statement was replaced meanwhile: withdraw this act and ask anew"))
	}
	return nil
}

// finishAct publishes the keys that a signed act is about. It may be repeated.
func (c *CA) finishAct(ctx context.Context, id string) error {
	var act rootAct
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		act, err = findAct(ctx, tx, `id = $1`, id)
		return err
	})
	if err != nil || act.state != "signed" {
		return err
	}
	var a RootResponse
	if err := json.Unmarshal(act.response, &a); err != nil {
		return err
	}
	for _, item := range a.Certificates {
		if err := c.ring.Certify(ctx, item.Key, item.DER, act.actor); err != nil {
			return err
		}
		if err := c.publish(ctx, item.Key, act.actor); err != nil {
			return err
		}
	}
	if err := c.publishNamed(ctx, act.actor); err != nil {
		return err
	}
	return c.db.Update(ctx, func(tx db.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE ca_root_acts SET state = 'done', changed_at = $1 WHERE id = $2 AND state = 'signed'`, db.Micros(c.now()), id)
		return err
	})
}

// publishNamed publishes the signers that the statement names now.
func (c *CA) publishNamed(ctx context.Context, actor string) error {
	s := c.roots.Load().statement
	named := map[[8]byte]bool{}
	for _, list := range [][]trust.Signer{s.Bundle, s.Status, s.Log} {
		for _, k := range list {
			named[k.KID] = true
		}
	}
	for _, purpose := range []string{keys.PurposeTrust, keys.PurposeStatus, keys.PurposeLog} {
		list, err := c.ring.List(ctx, keys.Filter{Purpose: purpose, Owner: Owner, States: []keys.State{keys.Staged}})
		if err != nil {
			return err
		}
		for _, k := range list {
			if n, err := nameSigner(k.Public); err == nil && named[n.KID] {
				if err := c.publish(ctx, k.ID, actor); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// publish moves a staged key on; one that has moved is left alone.
func (c *CA) publish(ctx context.Context, id, actor string) error {
	k, err := c.ring.Find(ctx, id)
	if err != nil || k.State != keys.Staged {
		return err
	}
	return c.ring.Move(ctx, id, keys.Published, actor, "act of the root")
}

// completeActs finishes what a crash left signed.
func (c *CA) completeActs(ctx context.Context) {
	var act rootAct
	err := c.db.Read(ctx, func(tx db.Tx) (err error) {
		act, err = findAct(ctx, tx, `state = 'signed'`)
		return err
	})
	if errors.Is(err, errNoAct) {
		return
	}
	if err == nil {
		err = c.finishAct(ctx, act.id)
	}
	if err != nil && ctx.Err() == nil {
		c.log.ErrorContext(ctx, "complete act of the root", slog.Any("cause", err))
	}
}
