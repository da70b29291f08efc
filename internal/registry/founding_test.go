package registry_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
)

// TestMakeUSCC: every code passes the standard's check, holds its department, category
// and area, and no two numbers share a body, near each other or far.
func TestMakeUSCC(t *testing.T) {
	seen := map[string]int64{}
	for _, from := range []int64{0, 1 << 20, 31*31*31*31*31*31 - 4000} {
		for n := from; n < from+4000; n++ {
			code := must(registry.MakeUSCC(registry.Enterprise, "990101", n))(t)
			if err := registry.CheckUSCC(code); err != nil || !strings.HasPrefix(code, "91990101MA") {
				t.Fatalf("%d: %s, %v", n, code, err)
			}
			if old, twice := seen[code[8:16]]; twice {
				t.Fatalf("%d and %d share a body", old, n)
			}
			seen[code[8:16]] = n
		}
	}
	first := must(registry.MakeUSCC(registry.Enterprise, "990101", 0))(t)
	if again := must(registry.MakeUSCC(registry.Enterprise, "990101", 0))(t); again != first {
		t.Errorf("%s and %s", first, again)
	}
	for category, begins := range map[registry.Category]string{registry.SoleTrader: "92", registry.Cooperative: "93"} {
		if code := must(registry.MakeUSCC(category, "990102", 7))(t); code[:8] != begins+"990102" || registry.CheckUSCC(code) != nil {
			t.Errorf("%c: %s", category, code)
		}
	}
	for name, c := range map[string]struct {
		category registry.Category
		area     string
		n        int64
		kind     fault.Kind
	}{
		"no category":      {0, "990101", 0, fault.Invalid},
		"an agency":        {'9', "990101", 0, fault.Invalid},
		"no area":          {registry.Enterprise, "", 0, fault.Invalid},
		"unknown province": {registry.Enterprise, "000101", 0, fault.Invalid},
		"before the first": {registry.Enterprise, "990101", -1, fault.Unavailable},
		"after the last":   {registry.Enterprise, "990101", 31 * 31 * 31 * 31 * 31 * 31, fault.Unavailable},
	} {
		if code, err := registry.MakeUSCC(c.category, c.area, c.n); err == nil || fault.KindOf(err) != c.kind || code != "" {
			t.Errorf("%s: %q, %v", name, code, err)
		}
	}
}

// TestBodiesHaveTheirCheckCharacter holds the ninth character of bodies against those
// of codes that are in public use.
func TestBodiesHaveTheirCheckCharacter(t *testing.T) {
	for body, want := range map[string]byte{"79965505": '8', "19220382": '1', "71526726": 'X', "MA1F0011": '7'} {
		if got := registry.BodyCheck(body); got != want {
			t.Errorf("%s: %c, want %c", body, got, want)
		}
	}
}

// found founds f in a transaction of its own.
func found(t testing.TB, d *db.DB, r *registry.Registry, f registry.Firm) error {
	t.Helper()
	return d.Update(t.Context(), func(tx db.Tx) error { return r.FoundTx(t.Context(), tx, actor, f) })
}

func newFirm(t testing.TB, n int64, name, rep string) registry.Firm {
	t.Helper()
	return registry.Firm{USCC: must(registry.MakeUSCC(registry.Enterprise, "990101", n))(t), Name: name, LegalRep: rep}
}

func TestFoundTx(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		ctx := t.Context()
		p, _, err := r.AddPerson(ctx, actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		f := newFirm(t, 0, "江城(东湖)面馆有限公司", p.ID)
		if err := found(t, d, r, f); err != nil {
			t.Fatal(err)
		}
		if got := must(r.FindFirm(ctx, f.USCC))(t); got.Name != f.Name || got.LegalRep != p.ID || !got.Created.Equal(now) {
			t.Errorf("%+v", got)
		}
		list := must(r.ListDelegations(ctx, f.USCC))(t)
		if len(list) != 1 || list[0].Person != p.ID || !list[0].From.Equal(now) || !list[0].Until.IsZero() {
			t.Errorf("%+v", list)
		}
		wantMay(t, r, p.ID, f.USCC, now, true)
		old := must(r.AddFirm(ctx, actor, registry.Firm{USCC: completeUSCC("91990101MA0000001"), Name: "江城（西山）茶馆", LegalRep: p.ID}))(t)
		for name, c := range map[string]struct {
			firm registry.Firm
			want error
			kind fault.Kind
		}{
			"its name":                   {newFirm(t, 1, f.Name, p.ID), registry.ErrNameTaken, fault.Conflict},
			"its name in another width":  {newFirm(t, 1, "江城（东湖）面馆　有限公司", p.ID), registry.ErrNameTaken, fault.Conflict},
			"the name of a known firm":   {newFirm(t, 1, "江城（西山）茶馆", p.ID), registry.ErrNameTaken, fault.Conflict},
			"that name in another width": {newFirm(t, 1, "江城(西山)茶馆", p.ID), registry.ErrNameTaken, fault.Conflict},
			"its code":                   {newFirm(t, 0, "另一家", p.ID), registry.ErrCodeTaken, fault.Conflict},
			"the code of a known firm":   {registry.Firm{USCC: completeUSCC("91990101MA0000001"), Name: "另一家", LegalRep: p.ID}, registry.ErrCodeTaken, fault.Conflict},
			"nobody":                     {newFirm(t, 1, "另一家", "nobody"), registry.ErrPerson, fault.NotFound},
			"no name":                    {newFirm(t, 1, "", p.ID), nil, fault.Invalid},
			"a wrong code":               {registry.Firm{USCC: "91990101MA0000000X", Name: "另一家", LegalRep: p.ID}, nil, fault.Invalid},
		} {
			err := found(t, d, r, c.firm)
			if err == nil || fault.KindOf(err) != c.kind || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if taken := must(r.NameTaken(ctx, "江城（东湖）面馆有限公司"))(t); !taken {
			t.Error("the name of the founded firm is free")
		}
		if taken := must(r.NameTaken(ctx, "江城(西山)茶馆"))(t); !taken || !old {
			t.Error("the name of the known firm is free")
		}
		if taken := must(r.NameTaken(ctx, "另一家"))(t); taken {
			t.Error("a refused founding has taken its name")
		}
		if n, m := len(events(t, d, "registry.firm.add")), len(events(t, d, "registry.delegate")); n != 2 || m != 1 {
			t.Errorf("%d and %d events", n, m)
		}
	})
}

// TestFoundTxRaces: of many who found under one name, or under one code, one does.
func TestFoundTxRaces(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		p, _, err := r.AddPerson(t.Context(), actor, wang)
		if err != nil {
			t.Fatal(err)
		}
		for what, firm := range map[string]func(i int64) registry.Firm{
			"name": func(i int64) registry.Firm { return newFirm(t, 100+i, "同名有限公司", p.ID) },
			"code": func(i int64) registry.Firm { return newFirm(t, 50, fmt.Sprintf("第%d家", i), p.ID) },
		} {
			var wg sync.WaitGroup
			errs := make([]error, 16)
			for i := range errs {
				f := firm(int64(i))
				wg.Go(func() { errs[i] = found(t, d, r, f) })
			}
			wg.Wait()
			won := 0
			for _, err := range errs {
				switch {
				case err == nil:
					won++
				case fault.KindOf(err) != fault.Conflict:
					t.Errorf("%s: %v", what, err)
				}
			}
			if won != 1 {
				t.Errorf("%s: %d won", what, won)
			}
		}
	})
}
