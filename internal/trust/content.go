package trust

import (
	"cmp"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/verify/trust"
)

// content returns what the bundle says now, without its number and times, and
// names what had to be left out. Keys and authorities are read before the
// agencies that they name, so that none names an agency not yet seen.
func (p *Publisher) content(ctx context.Context, now time.Time) (b trust.Bundle, left []string, err error) {
	ring, err := p.o.Ring.List(ctx, keys.Filter{Purpose: keys.PurposePermit,
		States: []keys.State{keys.Published, keys.Active, keys.Retiring, keys.Retired, keys.Compromised}})
	if err != nil {
		return b, nil, fmt.Errorf("list permit keys: %w", err)
	}
	authorities, err := p.o.Registry.ListAuthorities(ctx)
	if err != nil {
		return b, nil, fmt.Errorf("list authorities: %w", err)
	}
	agencies, err := p.o.Registry.ListAgencies(ctx)
	if err != nil {
		return b, nil, fmt.Errorf("list agencies: %w", err)
	}
	types := normal(p.o.Types())
	b = trust.Bundle{Types: types, Root: p.root.Load().file}
	known := map[string]bool{}
	for _, a := range agencies {
		known[a.ID] = true
		b.Agencies = append(b.Agencies, agencyOf(a))
	}
	for _, a := range authorities {
		if !slices.ContainsFunc(types, func(t trust.Type) bool { return t.ID == a.Type }) {
			left = append(left, "authority of "+a.Agency+" for unknown type "+a.Type)
			continue
		}
		b.Authority = append(b.Authority, trust.Authority{Agency: a.Agency, Type: a.Type, Area: a.Area, From: a.From.Unix(), Until: a.Until.Unix()})
	}
	for _, no := range p.current[kindSnapshot].Load().covers {
		b.Lists = append(b.Lists, trust.StatusList{No: no, URI: p.o.StatusURI})
	}
	var unfit []string
	b.Keys, unfit = keysOf(ring, known, now)
	for i := range b.Keys {
		if err := p.nameGenuine(ctx, &b.Keys[i], ring); err != nil {
			return b, nil, err
		}
	}
	return b, append(left, unfit...), nil
}

// nameGenuine names the file of a stolen key's genuine permits.
func (p *Publisher) nameGenuine(ctx context.Context, k *trust.Key, ring []keys.Key) (err error) {
	if k.State != trust.KeyCompromised {
		return nil
	}
	for _, one := range ring {
		if sha256.Sum256(one.Certificate) == k.CertHash {
			k.Genuine, err = p.genuine(ctx, one, time.Unix(k.CompromisedAt, 0))
		}
	}
	return err
}

// keysOf returns the keys that belong in the bundle, and names those that would
// if they were not unfit.
func keysOf(ring []keys.Key, agencies map[string]bool, now time.Time) (in []trust.Key, unfit []string) {
	for _, k := range ring {
		key, err := keyOf(k)
		switch {
		case k.Published.IsZero(), err == nil && key.VerifyUntil <= now.Unix(): // never used, or no longer needed
		case err != nil:
			unfit = append(unfit, err.Error())
		case !agencies[k.Owner]:
			unfit = append(unfit, "permit key "+k.ID+" of unknown agency "+k.Owner)
		default:
			in = append(in, key)
		}
	}
	return in, unfit
}

func agencyOf(a registry.Agency) trust.Agency {
	return trust.Agency{ID: a.ID, USCC: a.USCC, Names: trust.Names{ZH: a.NameZH, EN: a.NameEN}, Level: string(a.Level),
		Parent: a.Parent, Area: a.Area, Successor: a.Successor}
}

// permitLife is longer than the longest permit: ten years and the days that
// calendars add.
const permitLife = 3660 * 24 * time.Hour

// states are those that a bundle shows.
var states = map[keys.State]string{
	keys.Published: trust.KeyPublished, keys.Active: trust.KeyActive, keys.Retiring: trust.KeyRetiring,
	keys.Retired: trust.KeyRetired, keys.Compromised: trust.KeyCompromised,
}

// keyOf returns a permit key as the bundle shows it.
//
// A published key may be promoted at any moment, so it may sign from its
// publication, though not before its certificate begins. It may sign until its
// certificate ends or until it was retired, since its private half is then
// destroyed, with trust.Skew for the clocks of replicas. It verifies for
// permitLife after that: no permit that it signed lives longer, and the key
// leaves the bundle then. A compromised key keeps the windows that it had; what
// it signed is for the verifier to judge by the time of the compromise.
func keyOf(k keys.Key) (trust.Key, error) {
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return trust.Key{}, fmt.Errorf("read certificate of key %s: %w", k.ID, err)
	}
	public, ok := k.Public.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return trust.Key{}, fmt.Errorf("certificate of key %s is for another key", k.ID)
	}
	alg, err := trust.AlgOf(k.Public)
	if err != nil {
		return trust.Key{}, err
	}
	hash := sha256.Sum256(k.Certificate)
	from, until := max(k.Published.Unix(), cert.NotBefore.Unix()), cert.NotAfter.Unix()
	if !k.Retired.IsZero() {
		until = min(until, k.Retired.Unix()+1+trust.Skew)
	}
	if until <= from {
		return trust.Key{}, fmt.Errorf("key %s has no time to sign", k.ID)
	}
	t := trust.Key{
		KID: [8]byte(hash[:8]), Alg: alg, Public: cert.RawSubjectPublicKeyInfo, CertHash: hash, Agency: k.Owner,
		SignFrom: from, SignUntil: until, VerifyUntil: until + int64(permitLife/time.Second), State: states[k.State],
	}
	if k.State == keys.Compromised {
		t.CompromisedAt = k.Since.Unix()
	}
	return t, nil
}

// fingerprint names what a bundle says, whatever the order in which it says it
// and apart from its number and times.
func fingerprint(b trust.Bundle) ([32]byte, error) {
	var lines []string
	var failed error
	add := func(v any) {
		line, err := json.Marshal(v)
		failed = cmp.Or(failed, err)
		lines = append(lines, fmt.Sprintf("%T %s", v, line))
	}
	for _, v := range b.Agencies {
		add(v)
	}
	for _, v := range b.Keys {
		add(v)
	}
	for _, v := range b.Authority {
		add(v)
	}
	for _, v := range b.Types {
		add(v)
	}
	for _, v := range b.Lists {
		add(v)
	}
	add(b.Root)
	slices.Sort(lines)
	return sha256.Sum256([]byte(strings.Join(lines, "\n"))), failed
}

// normal returns the types as they come out of a bundle: everything in order,
// and nothing empty that is not nil.
func normal(types []trust.Type) []trust.Type {
	types = slices.Clone(types)
	for i := range types {
		t := &types[i]
		t.Fields = inOrder(t.Fields, func(a, b trust.Field) int { return cmp.Compare(a.No, b.No) })
		t.Lists = inOrder(t.Lists, func(a, b trust.CodeList) int { return strings.Compare(a.ID, b.ID) })
		for j := range t.Lists {
			t.Lists[j].Codes = inOrder(t.Lists[j].Codes, func(a, b trust.Code) int { return cmp.Compare(a.Code, b.Code) })
		}
		if len(t.Dictionary) == 0 {
			t.Dictionary = nil
		}
	}
	return types
}

func inOrder[T any](s []T, order func(a, b T) int) []T {
	if len(s) == 0 {
		return nil
	}
	s = slices.Clone(s)
	slices.SortFunc(s, order)
	return s
}
