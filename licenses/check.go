package licenses

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/adler32"
	"reflect"
	"time"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/licenses/permit"
)

// CheckAll re-reads every licence: its record opens, its permit parses, says what
// the record says, verifies under the certificate of the key that the permits
// table names, and its intent and outcome stand in the log. Licences in signing
// are completed first by Sweep, or reported. It returns how many it read.
func (s *Service) CheckAll(ctx context.Context, report func(id, problem string)) (n int, err error) {
	byKey, err := s.permitKeys(ctx)
	if err != nil {
		return 0, err
	}
	for after := ""; ; {
		var page []*License
		var problems map[string]error
		err := s.db.Read(ctx, func(tx db.Tx) (err error) {
			page, err = s.find(ctx, tx, "l.id > $1 AND l.id IN (SELECT id FROM licenses WHERE id > $1 ORDER BY id LIMIT 200)", after)
			if err != nil {
				return err
			}
			problems = map[string]error{}
			for _, l := range page {
				if err := s.checkOne(ctx, tx, l, byKey); err != nil {
					problems[l.ID] = err
				}
			}
			return nil
		})
		if err != nil {
			return n, fmt.Errorf("check licences: %w", err)
		}
		for _, l := range page {
			if err := problems[l.ID]; err != nil {
				report(l.ID, err.Error())
			}
		}
		if len(page) == 0 {
			return n, nil
		}
		n += len(page)
		after = page[len(page)-1].ID
	}
}

// permitKeys returns the certified permit keys by the name that permits carry.
func (s *Service) permitKeys(ctx context.Context) (map[[8]byte]keys.Key, error) {
	list, err := s.ring.List(ctx, keys.Filter{Purpose: keys.PurposePermit})
	if err != nil {
		return nil, fmt.Errorf("check licences: %w", err)
	}
	byKey := map[[8]byte]keys.Key{}
	for _, k := range list {
		if k.Certificate != nil {
			byKey[permit.KID(k.Certificate)] = k
		}
	}
	return byKey, nil
}

func (s *Service) checkOne(ctx context.Context, tx db.Tx, l *License, byKey map[[8]byte]keys.Key) error {
	events, err := audit.Find(ctx, tx, audit.EventFilter{Object: "license:" + l.ID})
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	for _, e := range events {
		kinds[e.Kind]++
	}
	if l.Status == Signing {
		return errors.New("is still in signing")
	}
	if kinds[EventIntent] != 1 || kinds[EventOutcome] != 1 {
		return fmt.Errorf("has %d intent and %d outcome events, want one of each", kinds[EventIntent], kinds[EventOutcome])
	}
	if l.Status == Expired && s.now().Before(l.NotAfter) || kinds[EventExpire] > 1 {
		return fmt.Errorf("has come to its end %d times, and ends on %s", kinds[EventExpire], l.NotAfter.Format(time.DateOnly))
	}
	if l.Permit == "" {
		return errors.New("has no permit")
	}
	if s.typeOf(l) == nil {
		return errors.New("is of an unknown type or version")
	}
	p, err := permit.Parse(l.Permit, s.dictionary)
	if err != nil {
		return err
	}
	k, ok := byKey[p.KID]
	if !ok || k.Owner != l.Agency {
		return errors.New("is signed by a key that is not its agency's")
	}
	public, err := certified(k)
	if err != nil {
		return err
	}
	alg, err := permit.Algorithm(k.Alg)
	if err != nil {
		return err
	}
	if err := p.Verify(alg, public); err != nil {
		return err
	}
	want, err := s.claims(l, time.Unix(p.IssuedAt, 0))
	if err != nil {
		return err
	}
	if err := checkReplaced(ctx, tx, l); err != nil {
		return err
	}
	if !reflect.DeepEqual(want, p.Claims) {
		return errors.New("has a permit that differs from its record")
	}
	return nil
}

func certified(k keys.Key) (crypto.PublicKey, error) {
	c, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate of key %s: %w", k.ID, err)
	}
	return c.PublicKey, nil
}

// dictionary finds a type's preset dictionary by its Adler-32.
func (s *Service) dictionary(sum uint32) []byte {
	for _, t := range s.Types() { // a dictionary stays in all later versions
		if d := t.dictionary(); d != nil && adler32.Checksum(d) == sum {
			return d
		}
	}
	return nil
}
