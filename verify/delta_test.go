package verify_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify"
	"github.com/signet-city/signet/verify/trust"
)

// laterSnapshot is the city's snapshot in which the honest permit is revoked too,
// and the delta that leads to it from the one of the fixtures.
func laterSnapshot(t *testing.T, signer status.Signer) (file, delta []byte) {
	t.Helper()
	before, err := status.Parse(fixture(t, "status.elr1"))
	if err != nil {
		t.Fatal(err)
	}
	ref := honest().Status
	lists := []status.List{{No: 1, Revoked: append([]uint32{}, before.Lists[0].Revoked...), Suspended: before.Lists[0].Suspended}}
	lists[0].Revoked = insert(lists[0].Revoked, ref.Index)
	if file, err = status.Encode(9, asOf+60, asOf+14*day, lists, signer); err != nil {
		t.Fatal(err)
	}
	after, err := status.Parse(file)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := status.Diff(before.Lists, after.Lists)
	if err != nil {
		t.Fatal(err)
	}
	if delta, err = status.EncodeDelta(before.Mark(), after, changes); err != nil {
		t.Fatal(err)
	}
	return file, delta
}

func insert(indices []uint32, index uint32) []uint32 {
	for i, v := range indices {
		if v > index {
			return append(indices[:i:i], append([]uint32{index}, indices[i:]...)...)
		}
	}
	return append(indices, index)
}

func TestDelta(t *testing.T) {
	tr, s := usual(t)
	file, delta := laterSnapshot(t, statusSigner(statusKey))
	later, got, err := tr.Delta(s, delta)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, file) {
		t.Error("another file comes out than was published")
	}
	if want := (trust.Mark{Number: 9, Hash: trust.Hash(file)}); later.State().Snapshot != want {
		t.Errorf("state %+v, want %+v", later.State().Snapshot, want)
	}
	if _, err := trust.Accept(s.State(), later.State()); err != nil {
		t.Error(err)
	}
	text, at := mustPermit(honest(), donghu.signer, nil), time.Unix(now, 0)
	if r := verify.Check(text, tr, s, at, verify.Options{}); r.Verdict != verify.Valid {
		t.Errorf("before: %s", r.Verdict)
	}
	if r := verify.Check(text, tr, later, at, verify.Options{}); r.Verdict != verify.Revoked {
		t.Errorf("after: %s", r.Verdict)
	}
	for name, c := range map[string]struct {
		delta []byte
		base  *verify.Snapshot
		want  error
	}{
		"applied twice":       {delta, later, status.ErrBase},
		"not a delta":         {file, s, status.ErrMalformed},
		"by no status signer": {second(laterSnapshot(t, statusSigner(strangerKey))), s, trust.ErrSigner},
		"by the bundle's":     {second(laterSnapshot(t, statusSigner(bundleKey))), s, trust.ErrSigner},
		"another's under its kid": {second(laterSnapshot(t, status.Signer{KID: trust.KIDOf(spki(statusKey)), Alg: es256, Key: strangerKey})), s,
			status.ErrSignature},
	} {
		if got, file, err := tr.Delta(c.base, c.delta); !errors.Is(err, c.want) || got != nil || file != nil {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

func second(_, b []byte) []byte { return b }
