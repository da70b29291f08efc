package main

import (
	"crypto"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/adler32"
	"strconv"
	"time"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/read"
	"github.com/signet-city/signet/verify/trust"
)

// goSide answers by the packages.
type goSide struct {
	bases  map[string]basis
	loaded map[string]loaded
}

type loaded struct {
	trust   *verify.Trust
	status  *verify.Snapshot
	options verify.Options
}

func pinOf(spki []byte) crypto.PublicKey {
	for _, alg := range []int64{permit.ES256, permit.ES384, permit.EdDSA} {
		if k, err := trust.ParsePublic(alg, spki); err == nil {
			return k
		}
	}
	return nil
}

func load(b basis, bundle, snapshot []byte, now int64) loaded {
	var l loaded
	if len(bundle) > 0 {
		l.trust, l.options.TrustErr = verify.Load(pinOf(plain(b.Pin)), bundle, time.Unix(now, 0))
	}
	if l.trust != nil && len(snapshot) > 0 {
		l.status, l.options.StatusErr = l.trust.Snapshot(snapshot)
	}
	if b.Genuine != "" {
		g, err := trust.ParseGenuine(plain(b.Genuine))
		if err != nil {
			panic(err)
		}
		l.options.Genuine = []*trust.Genuine{g}
	}
	return l
}

func (g *goSide) basis(q question) loaded {
	key := q.Basis + " " + strconv.FormatInt(q.Now, 10)
	l, ok := g.loaded[key]
	if !ok {
		b := g.bases[q.Basis]
		l = load(b, plain(b.Bundle), plain(b.Status), q.Now)
		g.loaded[key] = l
	}
	return l
}

func (l loaded) check(text string, now int64) verify.Result {
	return verify.Check(text, l.trust, l.status, time.Unix(now, 0), l.options)
}

// answer returns the answer in JSON.
func (g *goSide) answer(q question) string {
	var v any
	b := g.bases[q.Basis]
	switch q.Ask {
	case askFile:
		v = g.file(q)
	case askText:
		v = g.basis(q).check(string(q.body), q.Now)
	case askBundle:
		v = load(b, q.body, plain(b.Status), q.Now).check(b.Permit, q.Now)
	case askStatus:
		v = load(b, plain(b.Bundle), q.body, q.Now).check(b.Permit, q.Now)
	default:
		value, err := g.value(q)
		if err != nil {
			v = map[string]any{"outcome": outcomeOf(err)}
		} else {
			v = map[string]any{"outcome": "valid", "value": value}
		}
	}
	out, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf(`{"threw": %q}`, err)
	}
	return string(out)
}

// file is what the command line does with a file.
func (g *goSide) file(q question) verify.Result {
	l := g.basis(q)
	texts, err := read.Texts(q.body)
	if err == nil {
		return l.check(texts[0], q.Now)
	}
	r := verify.Result{Verdict: verify.Undetermined, Reason: "file_unreadable"}
	switch {
	case errors.Is(err, read.ErrTooLarge):
		r.Verdict, r.Reason = verify.TooLarge, "over_a_bound"
	case errors.Is(err, read.ErrNoCode):
		r.Reason = "no_code_in_file"
	}
	if l.status != nil {
		r.AsOf = l.status.AsOf()
	}
	return r
}

func outcomeOf(err error) string {
	for _, o := range []struct {
		err  error
		word string
	}{
		{permit.ErrTooLarge, "too_large"}, {permit.ErrMalformed, "malformed"}, {permit.ErrDictionary, "unknown_dictionary"},
		{status.ErrTooLarge, "too_large"}, {status.ErrMalformed, "malformed"}, {status.ErrBase, "other_base"},
		{trust.ErrTooLarge, "too_large"}, {trust.ErrMalformed, "malformed"}, {trust.ErrSigner, "no_permitted_signer"},
		{trust.ErrSignature, "bad_signature"}, {trust.ErrExpired, "expired"}, {trust.ErrFuture, "made_after_now"},
	} {
		if errors.Is(err, o.err) {
			return o.word
		}
	}
	return "threw " + err.Error()
}

// value returns what an object says.
func (g *goSide) value(q question) (any, error) {
	now := time.Unix(q.Now, 0)
	spki := plain(q.SPKI)
	switch q.Ask {
	case askPermit:
		return permitValue(q, spki)
	case askSnapshot:
		return snapshotValue(q, spki)
	case askDelta:
		return deltaValue(q, spki)
	case askRoot:
		s, err := trust.OpenRoot(q.body, pinOf(spki), now)
		return rootValue(s), err
	case askTrust:
		b, s, err := trust.OpenBundle(q.body, pinOf(spki), now)
		return map[string]any{"bundle": bundleValue(b), "root": rootValue(s)}, err
	}
	s, err := trust.OpenRoot(plain(q.Root), pinOf(spki), now)
	if err != nil {
		return nil, err
	}
	h, err := trust.OpenHead(q.body, s, now)
	return map[string]any{"bundle": list(h.BundleSeq, hexOf(h.BundleHash[:])), "snapshot": list(h.SnapshotSeq, hexOf(h.SnapshotHash[:])),
		"checkpoint": hexOf(h.Checkpoint), "iat": h.IssuedAt, "exp": h.Expires}, err
}

func permitValue(q question, spki []byte) (any, error) {
	d := plain(q.Dictionary)
	p, err := permit.Parse(string(q.body), func(id uint32) []byte {
		if len(d) > 0 && adler32.Checksum(d) == id {
			return d
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	key, err := trust.ParsePublic(q.Alg, spki)
	hash := p.SigStructureHash()
	fields := map[string]any{}
	for no, v := range p.Fields {
		fields[strconv.FormatUint(no, 10)] = v
	}
	return map[string]any{
		"verified": err == nil && p.Verify(q.Alg, key) == nil,
		"kid":      hexOf(p.KID[:]), "alg": p.Alg, "cti": hexOf(p.ID[:]), "iat": p.IssuedAt, "nbf": p.NotBefore, "exp": p.Expires,
		"status": list(p.Status.List, p.Status.Index), "cnf": hexOf(p.Confirmation), "type": p.Type, "number": p.Number,
		"name": p.HolderName, "holder": p.HolderID, "fields": fields, "hash": hexOf(hash[:]),
	}, nil
}

func snapshotValue(q question, spki []byte) (any, error) {
	s, err := status.Parse(q.body)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParsePublic(q.Alg, spki)
	hash := s.Hash()
	lists := []any{}
	for _, l := range s.Lists {
		lists = append(lists, list(l.No, append([]uint32{}, l.Revoked...), append([]uint32{}, l.Suspended...)))
	}
	return map[string]any{
		"verified": err == nil && s.Verify(q.Alg, key) == nil,
		"kid":      hexOf(s.KID[:]), "alg": s.Alg, "seq": strconv.FormatUint(s.Seq, 10), "iat": s.IssuedAt, "exp": s.Expires, "hash": hexOf(hash[:]), "lists": lists,
	}, nil
}

func rootValue(s trust.RootStatement) any {
	signers := func(all []trust.Signer) []any {
		out := []any{}
		for _, k := range all {
			out = append(out, list(hexOf(k.KID[:]), k.Alg, hexOf(k.Public), k.From, k.Until))
		}
		return out
	}
	return map[string]any{"version": s.Version, "iat": s.IssuedAt, "exp": s.Expires,
		"bundle": signers(s.Bundle), "status": signers(s.Status), "log": signers(s.Log), "next": hexOf(s.Next)}
}

func bundleValue(b trust.Bundle) any {
	agencies, keys, authority, types, lists := []any{}, []any{}, []any{}, []any{}, []any{}
	for _, a := range b.Agencies {
		agencies = append(agencies, list(a.ID, a.USCC, a.ZH, a.EN, a.Level, a.Parent, a.Area, a.Successor))
	}
	for _, k := range b.Keys {
		keys = append(keys, list(hexOf(k.KID[:]), k.Alg, hexOf(k.Public), hexOf(k.CertHash[:]), k.Agency, k.SignFrom, k.SignUntil, k.VerifyUntil, k.State, k.CompromisedAt, hexOf(k.Genuine)))
	}
	for _, a := range b.Authority {
		authority = append(authority, list(a.Agency, a.Type, a.Area, a.From, a.Until))
	}
	for _, t := range b.Types {
		fields, codeLists := []any{}, []any{}
		for _, f := range t.Fields {
			fields = append(fields, list(f.No, f.Name, f.ZH, f.EN, f.List))
		}
		for _, l := range t.Lists {
			codes := []any{}
			for _, c := range l.Codes {
				codes = append(codes, list(c.Code, c.Value, c.ZH, c.EN))
			}
			codeLists = append(codeLists, list(l.ID, codes))
		}
		types = append(types, list(t.Code, t.ID, t.ZH, t.EN, t.HolderKind, fields, codeLists, hexOf(t.Dictionary), t.MaxStatusAge, t.Reissue))
	}
	for _, l := range b.Lists {
		lists = append(lists, list(l.No, l.URI))
	}
	return map[string]any{"seq": b.Seq, "iat": b.IssuedAt, "exp": b.Expires, "previous": hexOf(b.Previous),
		"agencies": agencies, "keys": keys, "authority": authority, "types": types, "lists": lists, "root": hexOf(b.Root)}
}

func list(v ...any) []any { return v }

func hexOf(b []byte) string { return hex.EncodeToString(b) }
