package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	randv2 "math/rand/v2"
	"slices"
	"time"

	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/licenses/status"
)

// permits measures making and checking one permit's text, without a database.
func permits(b *bench) error {
	types, err := licenses.ShippedTypes()
	if err != nil {
		return err
	}
	food := slices.IndexFunc(types, func(t *licenses.Type) bool { return t.ID == "food-business" })
	dictionary := []byte(types[food].Dictionary)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	claims := permit.Claims{ID: [16]byte{1}, IssuedAt: 1795000000, NotBefore: 1795000000, Expires: 1952000000, Status: permit.Ref{Index: 4711},
		Type: 1, Number: "JY99010120260000001", HolderName: "江城东湖老灶火锅餐饮有限公司", HolderID: "91990101MA1F001175",
		Fields: map[uint64]any{4: "老灶火锅", 5: "江城市东湖区湖滨路18号2幢101室", 6: "林若川", 7: uint64(1), 8: uint64(1), 9: uint64(86), 10: uint64(240), 11: "周予安", 12: uint64(1)}}
	signer := permit.Signer{KID: [8]byte{1}, Alg: permit.ES256, Key: key}
	err = b.perCore("permit.issue", "p256.sign", 0, func(n int) error {
		for range n {
			if _, _, err := permit.Encode(claims, signer, dictionary); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	text, _, err := permit.Encode(claims, signer, dictionary)
	if err != nil {
		return err
	}
	find := func(uint32) []byte { return dictionary }
	return b.perCore("permit.verify", "p256.verify", 0, func(n int) error {
		for range n {
			p, err := permit.Parse(text, find)
			if err != nil {
				return err
			}
			if err := p.Verify(permit.ES256, &key.PublicKey); err != nil {
				return err
			}
		}
		return nil
	})
}

// snapshots measures the snapshot of 100 million permits at 1% listed, a fifth of
// those suspended, against the entropy of three states.
func snapshots(b *bench) error {
	if !b.pick.MatchString("snapshot.bytes") && !b.pick.MatchString("snapshot.build") {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	lists, revoked, suspended := cityLists()
	signer := status.Signer{KID: [8]byte{1}, Alg: -7, Key: key}
	now := time.Now().Unix()
	var file []byte
	err = b.perCore("snapshot.build", "p256.sign", 0, func(n int) error {
		for range max(n/16, 1) { // an operation here is long
			if file, err = status.Encode(1, now, now+86400, lists, signer); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	last := &b.results[len(b.results)-1]
	last.Value, last.Ratio = last.Value/16, last.Ratio/16
	fmt.Printf("snapshot.build: %.1f ms of CPU each\n", 1000/last.Value)
	if s, err := status.Parse(bytes.Clone(file)); err != nil || s.Verify(-7, &key.PublicKey) != nil {
		return fmt.Errorf("snapshot does not verify: %w", err)
	}
	floor := status.Entropy(len(lists)*status.ListSize, revoked, suspended)
	b.add(result{Name: "snapshot.bytes", Value: float64(len(file)), Unit: "bytes", Ratio: float64(len(file)) / floor, Of: "entropy"})
	return nil
}

func cityLists() (lists []status.List, revoked, suspended int) {
	r := randv2.New(randv2.NewPCG(1, 2))
	for no := range uint32(96) {
		l := status.List{No: no}
		for i := range uint32(status.ListSize) {
			switch p := r.IntN(1000); {
			case p < 8:
				l.Revoked = append(l.Revoked, i)
			case p < 10:
				l.Suspended = append(l.Suspended, i)
			}
		}
		l.Revoked, l.Suspended = slices.Clip(l.Revoked), slices.Clip(l.Suspended)
		revoked, suspended = revoked+len(l.Revoked), suspended+len(l.Suspended)
		lists = append(lists, l)
	}
	return lists, revoked, suspended
}
