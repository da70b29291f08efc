package main

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

// deltas adds the vectors of deltas with mutants of them, and deltas between random
// snapshots with mutants whose header is signed again.
func (b *builder) deltas() error {
	vectors, err := readVectors(filepath.Join(b.dir, "elr1-delta"))
	if err != nil {
		return err
	}
	for _, v := range vectors {
		body, err := hex.DecodeString(strings.TrimSpace(string(v.body)))
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		base, err := hex.DecodeString(v.head["base"])
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		alg, err := strconv.ParseInt(v.head["alg"], 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
		q := question{Name: "elr1-delta/" + v.name, Ask: askDelta, Alg: alg, SPKI: v.head["spki"], From: b64(base), body: body, want: v.head["expect"], result: v.head["result"]}
		b.add(q)
		if len(body) < 1<<16 {
			b.fileMutants(q, body, 12)
		}
	}
	return b.histories(40)
}

// histories adds n deltas between random snapshots, which must lead to the later one's
// file, and mutants of each.
func (b *builder) histories(n int) error {
	signer := status.Signer{KID: trust.KIDOf(spki(statusKey)), Alg: permit.ES256, Key: steady{statusKey}}
	for i := range n {
		r := dice(fmt.Sprint("history ", i))
		before := randomLists(r, 1+r.IntN(3))
		after := alter(r, before)
		base := must(status.Encode(5, now-day, now+13*day, before, signer))
		next := must(status.Encode(6+r.Uint64N(3), now-60, now+13*day, after, signer))
		from, to := must(status.Parse(base)), must(status.Parse(next))
		delta, err := status.EncodeDelta(from.Mark(), to, must(status.Diff(from.Lists, to.Lists)))
		if err != nil {
			return err
		}
		hash := to.Hash()
		q := question{Name: fmt.Sprint("delta/", i), Ask: askDelta, Alg: permit.ES256, SPKI: b64(spki(statusKey)), From: b64(base), body: delta, want: "valid", result: hexOf(hash[:])}
		b.add(q)
		b.fileMutants(q, delta, 4)
		b.resignedDeltas(q, r, 8)
	}
	return nil
}

// resignedDeltas mutates the header, the base or the changes, and signs again.
func (b *builder) resignedDeltas(q question, r *rand.Rand, n int) {
	q.want, q.result, q.mutant = "", "", true
	delta := q.body
	for i := range n {
		t := tree(delta)
		one, changes := t.kids[0].kids[0].kids, t.kids[2]
		switch r.IntN(3) {
		case 0:
			one[2].text = mutate(one[2].text, r)
		case 1:
			changes.text = scratch(changes.text, r)
		default:
			t.kids[1].kids[r.IntN(len(t.kids[1].kids))].numbers(r)
		}
		one[3].text = signature(statusKey, one[0].text, nil, one[2].text)
		m := q
		m.Name, m.body = fmt.Sprintf("%s/resigned~%d", q.Name, i), t.append(nil)
		b.add(m)
	}
}

// randomLists returns lists with rising numbers, some of them dense.
func randomLists(r *rand.Rand, n int) []status.List {
	lists := make([]status.List, n)
	for i := range lists {
		lists[i].No = uint32(3 * i)
		lists[i].Revoked, lists[i].Suspended = apart(randomIndices(r), randomIndices(r))
	}
	return lists
}

func randomIndices(r *rand.Rand) []uint32 {
	most := uint32(pick(r, 64, 5000, status.ListSize))
	indices := make([]uint32, r.IntN(40))
	for i := range indices {
		indices[i] = r.Uint32N(most)
	}
	slices.Sort(indices)
	return slices.Compact(indices)
}

// apart takes from b what is in a.
func apart(a, b []uint32) (_, _ []uint32) {
	return a, slices.DeleteFunc(b, func(i uint32) bool { return slices.Contains(a, i) })
}

// alter returns what the lists may be later: some indices others, and sometimes a list
// more, which need not be the last.
func alter(r *rand.Rand, lists []status.List) []status.List {
	var later []status.List
	for _, l := range lists {
		keep := func(uint32) bool { return r.IntN(4) == 0 }
		revoked := append(slices.DeleteFunc(slices.Clone(l.Revoked), keep), randomIndices(r)...)
		suspended := append(slices.DeleteFunc(slices.Clone(l.Suspended), keep), l.Revoked[:len(l.Revoked)/3]...)
		slices.Sort(revoked)
		slices.Sort(suspended)
		l.Suspended, l.Revoked = apart(slices.Compact(suspended), slices.Compact(revoked))
		later = append(later, l)
		if r.IntN(3) == 0 {
			fresh := randomLists(r, 1)[0]
			fresh.No = l.No + 1
			later = append(later, fresh)
		}
	}
	return later
}

// deltaValue returns what a delta leads to from the snapshot in hand.
func deltaValue(q question, spki []byte) (any, error) {
	base, err := status.Parse(plain(q.From))
	if err != nil {
		return nil, err
	}
	d, err := status.ParseDelta(q.body)
	if err != nil {
		return nil, err
	}
	key, err := trust.ParsePublic(q.Alg, spki)
	if err != nil || d.Verify(q.Alg, key) != nil {
		return map[string]any{"verified": false}, nil
	}
	s, file, err := d.Apply(base)
	if err != nil {
		return nil, err
	}
	if hash := s.Hash(); q.result != "" && hexOf(hash[:]) != q.result {
		return nil, fmt.Errorf("another file than %s", q.result)
	}
	q.body = file
	return snapshotValue(q, spki)
}
