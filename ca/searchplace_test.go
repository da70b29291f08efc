package ca_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// TestPlacesTellNothing: a search for one agency's certificates stops at others', and
// the place that it names tells neither their names nor their serial numbers.
func TestPlacesTellNothing(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		now := c.clock.now()
		var list []fixture
		for i := range 400 { // more names than one page looks through
			list = append(list, fixture{numberedSerial(1 + i), "donghu-amr", fmt.Sprintf("secret-%04d", i), "issued", profile.SystemClient, 0, now.Add(time.Hour)})
		}
		list = append(list, fixture{numberedSerial(900), "xishan-amr", "secret-zz", "issued", profile.SystemClient, 0, now.Add(2 * time.Hour)},
			fixture{numberedSerial(901), "xishan-amr", "secret-zzz", "issued", profile.SystemClient, 0, now.Add(3 * time.Hour)})
		c.insert(t, list)
		q := ca.Query{Text: "secret", Agency: "xishan-amr"}
		for range 3 { // the names of so many are entered in steps
			if _, err := c.Search(t.Context(), q); err != nil {
				t.Fatal(err)
			}
		}
		p, err := c.Search(t.Context(), q)
		if err != nil || p.Next == "" {
			t.Fatalf("one page was enough, %v", err)
		}
		plain, err := base64.RawURLEncoding.DecodeString(strings.Split(p.Next, ".")[0])
		if err != nil || strings.Contains(string(plain), "secret") || strings.Contains(p.Next, numberedSerial(1)[:30]) {
			t.Errorf("the place tells %q, %v", plain, err)
		}
		if got := c.all(t, q); len(got) != 2 {
			t.Errorf("found %v", got)
		}
		for name, one := range map[string]ca.Query{
			"another agency":   {Text: "secret", Agency: "donghu-amr", After: p.Next},
			"the operator":     {Text: "secret", After: p.Next},
			"changed":          {Text: "secret", Agency: "xishan-amr", After: p.Next[:len(p.Next)-4] + "AAAA"},
			"too short":        {Text: "secret", Agency: "xishan-amr", After: "AA"},
			"made by hand":     {Agency: "xishan-amr", After: numberedSerial(1)},
			"another search":   {Agency: "xishan-amr", After: p.Next},
			"control, no text": {Agency: "xishan-amr", After: "\x00"},
		} {
			_, err := c.Search(t.Context(), one)
			if err == nil {
				t.Errorf("%s: accepted", name)
				continue
			}
			wantKind(t, err, fault.Invalid)
		}
		soon, err := c.Expiring(t.Context(), 24*time.Hour, ca.Query{Agency: "xishan-amr", Limit: 1})
		if err != nil || len(soon.Certificates) != 1 || soon.Next == "" || strings.Contains(soon.Next, numberedSerial(900)) {
			t.Errorf("%d that expire, place %q, %v", len(soon.Certificates), soon.Next, err)
		}
	})
}
