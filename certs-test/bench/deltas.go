package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	randv2 "math/rand/v2"
	"slices"
	"time"

	"github.com/signet-city/signet/certs-test/cputime"
	"github.com/signet-city/signet/licenses/status"
)

// dayChanges is a day of a city of 100 million permits.
const dayChanges = 5000

// deltas measures a day's delta of the city snapshot, against the entropy of which
// 5,000 among 100 million have changed, and the same city as Status List Tokens,
// against the entropy of its states.
func deltas(b *bench) error {
	if !b.pick.MatchString("snapshot.delta") && !b.pick.MatchString("status.list") {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	signer := status.Signer{KID: [8]byte{1}, Alg: -7, Key: key}
	lists, revoked, suspended := cityLists()
	if b.pick.MatchString("snapshot.delta") {
		if err := dayDelta(b, lists, signer); err != nil {
			return err
		}
	}
	if !b.pick.MatchString("status.list") {
		return nil
	}
	size := 0
	err = b.perList("status.list.build", func(i int) error {
		t, err := status.NewToken(lists[i%len(lists)], "https://city.example/status/lists/1", 1, 2, 60)
		if err != nil {
			return err
		}
		token, err := t.SignCWT(signer)
		if i < len(lists) {
			size += len(token)
		}
		return err
	}, len(lists))
	if err != nil {
		return err
	}
	floor := status.Entropy(len(lists)*status.ListSize, revoked, suspended)
	b.add(result{Name: "status.list.bytes", Value: float64(size), Unit: "bytes", Ratio: float64(size) / floor, Of: "entropy"})
	return nil
}

// perList does an operation n times and reports how many a core does in a second.
func (b *bench) perList(name string, op func(i int) error, n int) error {
	before, err := cputime.Used(0)
	if err != nil {
		return err
	}
	for i := range n {
		if err := op(i); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	after, err := cputime.Used(0)
	if err != nil {
		return err
	}
	b.add(result{Name: name, Value: float64(n) / (after - before), Unit: "ops/cpu-s"})
	return nil
}

// dayDelta revokes 5,000 permits, and measures the delta to the snapshot after them:
// comparing and encoding, without the snapshot's own encoding, and applying.
func dayDelta(b *bench, lists []status.List, signer status.Signer) error {
	now := time.Now().Unix()
	file, err := status.Encode(1, now, now+86400, lists, signer)
	if err != nil {
		return err
	}
	before, err := status.Parse(file)
	if err != nil {
		return err
	}
	next := slices.Clone(lists)
	r := randv2.New(randv2.NewPCG(3, 4))
	for changed := 0; changed < dayChanges; {
		no, index := r.IntN(len(next)), r.Uint32N(status.ListSize)
		at, listed := slices.BinarySearch(next[no].Revoked, index)
		if state, _ := before.Lookup(uint32(no), index); listed || state != status.Valid {
			continue
		}
		next[no].Revoked = slices.Insert(slices.Clone(next[no].Revoked), at, index)
		changed++
	}
	if file, err = status.Encode(2, now, now+86400, next, signer); err != nil {
		return err
	}
	after, err := status.Parse(file)
	if err != nil {
		return err
	}
	var delta []byte
	err = b.perList("snapshot.delta.build", func(int) error {
		changes, err := status.Diff(before.Lists, after.Lists)
		if err != nil {
			return err
		}
		delta, err = status.EncodeDelta(before.Mark(), after, changes)
		return err
	}, 20)
	if err != nil {
		return err
	}
	err = b.perList("snapshot.delta.apply", func(int) error {
		d, err := status.ParseDelta(delta)
		if err != nil {
			return err
		}
		_, got, err := d.Apply(before)
		if err == nil && !bytes.Equal(got, file) {
			err = errors.New("another snapshot comes out")
		}
		return err
	}, 20)
	if err != nil {
		return err
	}
	// Which of the permits that were valid are revoked now, and no more.
	n, k := float64(len(lists)*status.ListSize), float64(dayChanges)
	floor := (k*math.Log2(n/k) + (n-k)*math.Log2(n/(n-k))) / 8
	b.add(result{Name: "snapshot.delta.bytes", Value: float64(len(delta)), Unit: "bytes", Ratio: float64(len(delta)) / floor, Of: "entropy"})
	return nil
}
