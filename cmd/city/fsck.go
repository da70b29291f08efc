package city

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/licenses"
)

// Counts are what fsck looked at and found.
type Counts struct {
	Events       int64 `json:"events"`
	Certificates int   `json:"certificates"`
	Licenses     int   `json:"licenses"`
	Problems     int   `json:"problems"`
}

// Fsck recomputes the audit log, re-lints every certificate, compares every
// licence with its record and permit, and every new firm with what was made with it,
// and finds every act of the ledger. It changes nothing. Each problem goes to
// report as it is found.
//
// A directory in which no city was finished holds nothing to check: every count
// is 0, and any line of the ledger is a problem.
func Fsck(ctx context.Context, o Options, ledger []Entry, report func(what, problem string)) (Counts, error) {
	var n Counts
	problem := func(what, text string) {
		n.Problems++
		report(what, text)
	}
	c, err := Open(ctx, o)
	if unfinished(o.Where, err) {
		for _, e := range ledger {
			problem(fmt.Sprintf("ledger:%d", e.N), "no city was finished here")
		}
		return n, nil
	}
	if err != nil {
		return n, err
	}
	defer func() { _ = c.Close() }()
	n.Events, _, err = c.verifyLog(ctx, nil, func(kind, event, detail string) { problem("event:"+event, kind+": "+detail) })
	if err != nil {
		return n, err
	}
	n.Certificates, err = c.CA.Audit(ctx, func(serial, text string) { problem("certificate:"+serial, text) })
	if err != nil {
		return n, err
	}
	n.Licenses, err = c.Licenses.CheckAll(ctx, func(id, text string) { problem("license:"+id, text) })
	if err != nil {
		return n, err
	}
	if err = c.checkFirms(ctx, problem); err != nil {
		return n, err
	}
	_, wrong, err := approval.Verify(ctx, c.DB, c.Issuer)
	if err != nil {
		return n, err
	}
	for _, p := range wrong {
		problem("approval:"+p.Request, p.Detail)
	}
	for _, e := range ledger {
		if err := c.checkEntry(ctx, e); err != nil {
			problem(fmt.Sprintf("ledger:%d", e.N), fmt.Sprintf("%s %s: %v", e.Act, e.Object, err))
		}
	}
	return n, nil
}

// checkFirms looks at every founding of a firm and every order for a firm's certificate.
func (c *City) checkFirms(ctx context.Context, problem func(what, text string)) error {
	if _, err := c.Licenses.CheckFoundings(ctx, c.CA.OrderedTx, problem); err != nil {
		return err
	}
	_, err := c.CA.CheckOrders(ctx, func(id, text string) { problem("certificate-order:"+id, text) })
	return err
}

// unfinished reports whether err comes of no city having been finished where w
// points: the directory is marked so, or empty, or the database says so. A city
// that lost its database or its key-encryption key is no such thing.
func unfinished(w Where, err error) bool {
	if err == nil {
		return false
	}
	if _, stat := os.Stat(filepath.Join(w.Data, incomplete)); stat == nil {
		return true
	}
	if _, stat := os.Stat(w.Data); stat == nil && emptyDirectory(w.Data) == nil {
		return true
	}
	return errors.Is(err, errNoCity)
}

// checkEntry finds one acknowledged act.
func (c *City) checkEntry(ctx context.Context, e Entry) error {
	switch e.Act {
	case ActCity:
		return same(hash(c.RootCertificate().Raw), e.Proof)
	case ActCertificate:
		cert, err := c.CA.Find(ctx, e.Object)
		if err != nil {
			return err
		}
		return same(hash(cert.DER), e.Proof)
	case ActLicense, ActRevoke:
		l, err := c.Licenses.Any(ctx, e.Object)
		if err != nil {
			return err
		}
		if e.Act == ActRevoke && l.Status != licenses.Revoked {
			return fmt.Errorf("is %s", l.Status)
		}
		if e.Act == ActRevoke {
			return nil
		}
		return same(hash([]byte(l.Permit)), e.Proof)
	case ActRotate:
		now, err := c.Ring.Find(ctx, e.Object)
		if err != nil {
			return err
		}
		before, err := c.Ring.Find(ctx, e.Proof)
		if err != nil {
			return err
		}
		if now.Activated.IsZero() || before.State == keys.Active {
			return fmt.Errorf("the key is %s and the one before %s", now.State, before.State)
		}
		return nil
	case ActPublish:
		return c.checkPublished(ctx, e)
	case ActSignIn:
		return c.checkGranted(ctx, e)
	default:
		return errors.New("an act that is not known")
	}
}

// checkPublished finds the outcome of a published snapshot in the log: the
// snapshot itself is not kept for ever.
func (c *City) checkPublished(ctx context.Context, e Entry) error {
	var records []audit.Record
	err := c.DB.Read(ctx, func(tx db.Tx) (err error) {
		records, err = audit.Find(ctx, tx, audit.EventFilter{Kind: "trust.snapshot.outcome", Object: e.Object})
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		if sum, ok := r.Data["hash"].([]byte); ok && hex.EncodeToString(sum) == e.Proof && r.Data["published"] == true {
			return nil
		}
	}
	return errors.New("was never published")
}

// checkGranted finds a grant of tokens to a relying party in the log.
func (c *City) checkGranted(ctx context.Context, e Entry) error {
	var records []audit.Record
	err := c.DB.Read(ctx, func(tx db.Tx) (err error) {
		records, err = audit.Find(ctx, tx, audit.EventFilter{Kind: "oidc.grant"})
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		if r.Data["client"] == e.Object {
			return nil
		}
	}
	return errors.New("no sign-in for this client was recorded")
}

func same(have, want string) error {
	if have != want {
		return fmt.Errorf("has hash %s, want %s", have, want)
	}
	return nil
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// AuditVerify recomputes the log of the city at o, with checkpoints kept outside
// if there are any.
func AuditVerify(ctx context.Context, o Options, checkpoints [][]byte, report func(kind, event, detail string)) (size int64, problems int, err error) {
	c, err := Open(ctx, o)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = c.Close() }()
	return c.verifyLog(ctx, checkpoints, report)
}

func (c *City) verifyLog(ctx context.Context, checkpoints [][]byte, report func(kind, event, detail string)) (size int64, problems int, err error) {
	verifiers, err := c.logVerifiers(ctx)
	if err != nil {
		return 0, 0, err
	}
	r, err := audit.Verify(ctx, c.DB, audit.VerifyOptions{Origin: c.origin(), Verifiers: verifiers, Checkpoints: checkpoints})
	if err != nil {
		return 0, 0, err
	}
	for _, p := range r.Problems {
		report(p.Kind, p.Event, p.Detail)
	}
	return r.Size, len(r.Problems) + int(r.More), nil
}
