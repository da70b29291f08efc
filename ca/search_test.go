package ca_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
)

// fixture is a row that a search meets. What is not signed needs no bytes.
type fixture struct {
	serial, agency, subject, status string
	profile                         profile.Kind
	reason                          ca.Reason
	end                             time.Time
}

// insert writes rows beside those of the ceremony, as a program does that knows no
// names: in statements of many.
func (c *city) insert(t testing.TB, list []fixture) {
	t.Helper()
	err := c.db.Update(t.Context(), func(tx db.Tx) error {
		var args []any
		for _, f := range list {
			args = append(args, f.serial, "city", "key", 1, string(f.profile), f.agency, f.subject, f.status, []byte{1}, []byte{2}, []byte{0x30, 0},
				int64(0), db.Micros(f.end), actor, []byte{}, int64(f.reason), int64(0), int64(0))
		}
		for values, args := range db.Inserts(18, args) {
			if _, err := tx.ExecContext(t.Context(), `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, subject, status, tbs_hash,
				key_hash, der, not_before, not_after, actor, request_hash, reason, created_at, changed_at) VALUES `+values, args...); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func numberedSerial(n int) string { return fmt.Sprintf("02%034x", n) }

// all follows a search to its end and returns the serial numbers.
func (c *city) all(t testing.TB, q ca.Query) (serials []string) {
	t.Helper()
	for pages := 0; ; pages++ {
		p, err := c.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if q.Limit > 0 && len(p.Certificates) > q.Limit || pages > 1000 {
			t.Fatalf("a page of %d, or without end", len(p.Certificates))
		}
		for _, one := range p.Certificates {
			if one.DER == nil && one.Status != ca.Intent {
				t.Errorf("%s without its bytes", one.Serial)
			}
			serials = append(serials, one.Serial)
		}
		if p.Next == "" {
			return serials
		}
		q.After = p.Next
	}
}

var searched = func(now time.Time) []fixture {
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	return []fixture{
		{numberedSerial(1), "a", "江城市东湖区市场监督管理局", "issued", profile.PermitSigning, 0, day(5)},
		{numberedSerial(2), "a", "江城市东湖区市场监督管理局", "revoked", profile.PermitSigning, ca.KeyCompromise, day(6)},
		{numberedSerial(3), "b", "江城市西山区教育局", "revoked", profile.PermitSigning, ca.CertificateHold, day(40)},
		{numberedSerial(4), "b", "ＡＢＣ  Works", "issued", profile.PermitSigning, 0, day(-1)},
		{numberedSerial(5), "c", "anan banana", "issued", profile.TLS, 0, day(20)},
		{numberedSerial(6), "c", "100% _like_ 'quote'", "abandoned", profile.PermitSigning, 0, day(20)},
		{numberedSerial(7), "c", "Straße", "issued", profile.TLS, 0, day(400)},
	}
}

func TestSearch(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		now := c.clock.now()
		c.insert(t, searched(now))
		for _, tt := range []struct {
			name string
			q    ca.Query
			want []int
		}{
			{"beginning of a name", ca.Query{Text: "江城市东湖区市场监督管理局"}, []int{1, 2}},
			{"part of a name", ca.Query{Text: "监督"}, []int{1, 2}},
			{"one character", ca.Query{Text: "育"}, []int{3}},
			{"end of a name", ca.Query{Text: "教育局"}, []int{3}},
			{"other case and width", ca.Query{Text: "abc"}, []int{4}},
			{"wide text", ca.Query{Text: "ＷＯＲＫＳ"}, []int{4}},
			{"spaces", ca.Query{Text: "  c   work "}, []int{4}},
			{"found once though it stands there twice", ca.Query{Text: "ana"}, []int{5}},
			{"no wild cards", ca.Query{Text: "%"}, []int{6}},
			{"no wild cards of one", ca.Query{Text: "_l"}, []int{6}},
			{"quotes", ca.Query{Text: "'quote'"}, []int{6}},
			{"nothing", ca.Query{Text: "民政"}, nil},
			{"more than the name", ca.Query{Text: "江城市西山区教育局长"}, nil},
			{"text and status", ca.Query{Text: "监督", Status: ca.Issued}, []int{1}},
			{"text and agency", ca.Query{Text: "监督", Agency: "b"}, nil},
			{"text and expiry", ca.Query{Text: "江城", ExpiresAfter: now, ExpiresBefore: now.Add(5*24*time.Hour + time.Second), Agency: "a"}, []int{1}},
			{"serial", ca.Query{Text: numberedSerial(3)}, []int{3}},
			{"beginning of a serial", ca.Query{Text: numberedSerial(0)[:35]}, []int{1, 2, 3, 4, 5, 6, 7}},
			{"beginning of a serial in capitals", ca.Query{Text: strings.ToUpper(numberedSerial(10)[:36])}, nil},
			{"beginning of a serial and status", ca.Query{Text: numberedSerial(0)[:35], Status: ca.Held}, []int{3}},
			{"agency", ca.Query{Agency: "c"}, []int{5, 6, 7}},
			{"agency and profile", ca.Query{Agency: "c", Profile: profile.TLS}, []int{5, 7}},
			{"held", ca.Query{Status: ca.Held}, []int{3}},
			{"revoked, and so held", ca.Query{Status: ca.Revoked}, []int{2, 3}},
			{"abandoned", ca.Query{Status: ca.Abandoned}, []int{6}},
			{"intents", ca.Query{Status: ca.Intent}, nil},
			{"expired", ca.Query{ExpiresBefore: now}, []int{4}},
			{"expires, the first first", ca.Query{ExpiresAfter: now, ExpiresBefore: now.Add(30 * 24 * time.Hour), Agency: "c"}, []int{5, 6}},
			{"expires from a moment on", ca.Query{ExpiresAfter: now.Add(400 * 24 * time.Hour), Agency: "c"}, []int{7}},
			{"expires before that moment", ca.Query{ExpiresBefore: now.Add(400 * 24 * time.Hour), Agency: "c"}, []int{5, 6}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				var want []string
				for _, n := range tt.want {
					want = append(want, numberedSerial(n))
				}
				for _, limit := range []int{0, 1, 2} {
					q := tt.q
					q.Limit = limit
					got := c.all(t, q)
					if tt.q.Text != "" && len(tt.q.Text) < leastHex {
						slices.Sort(got) // by what matches
					}
					if !slices.Equal(got, want) {
						t.Errorf("by %d: %v, want %v", limit, got, want)
					}
				}
			})
		}
		all := c.all(t, ca.Query{})
		if len(all) != c.rows(t) || !slices.IsSorted(all) {
			t.Errorf("%d of %d", len(all), c.rows(t))
		}
		if got := c.all(t, ca.Query{Profile: profile.Issuer, Limit: 2}); len(got) != 3 {
			t.Errorf("%d issuing CAs", len(got))
		}
	})
}

const leastHex = 36

// TestSearchFindsWhatWasIssuedJustNow, also when another replica has issued it.
func TestSearchFindsWhatWasIssuedJustNow(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		other := c.reopen(t)
		for range 3 {
			cert := c.issue(t, request(t))
			p, err := other.Search(t.Context(), ca.Query{Text: "江城市市场监督"})
			if err != nil || !slices.ContainsFunc(p.Certificates, func(one ca.Certificate) bool { return one.Serial == cert.Serial }) {
				t.Errorf("%d found, %v", len(p.Certificates), err)
			}
		}
	})
}

func TestSearchRefused(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.insert(t, searched(c.clock.now()))
		p, err := c.Search(t.Context(), ca.Query{Text: "监督", Limit: 1})
		if err != nil || p.Next == "" {
			t.Fatal(p.Next, err)
		}
		name, now := strings.Split(p.Next, "."), c.clock.now()
		for what, q := range map[string]ca.Query{
			"no text but spaces":             {Text: "   "},
			"long text":                      {Text: strings.Repeat("局", 65)},
			"a control character":            {Text: "a\x00b"},
			"no UTF-8":                       {Text: "a\xff"},
			"status":                         {Status: "active"},
			"profile":                        {Profile: "nobody"},
			"expiry that ends first":         {ExpiresAfter: now, ExpiresBefore: now},
			"place of nothing":               {After: "x"},
			"place in capitals":              {After: strings.ToUpper(numberedSerial(10))},
			"place of another order":         {After: p.Next},
			"place without a time":           {ExpiresBefore: now, After: numberedSerial(1)},
			"place with a time of another":   {ExpiresBefore: now, After: "+1." + numberedSerial(1)},
			"place of a serial in names":     {Text: "监督", After: numberedSerial(1)},
			"place of another text":          {Text: "教育", After: p.Next},
			"place of no base64":             {Text: "监督", After: "!!." + name[1] + "." + name[2]},
			"place beyond the name":          {Text: "监督", After: name[0] + ".999." + name[2]},
			"place before the name":          {Text: "监督", After: name[0] + ".-1." + name[2]},
			"place in a name, no serial":     {Text: "监督", After: name[0] + "." + name[1] + ".zz"},
			"place with a name in no form":   {Text: "a", After: "QQ.0." + name[2]},
			"place longer than any place is": {Text: "监督", After: strings.Repeat("A", 1025)},
		} {
			_, err := c.Search(t.Context(), q)
			if err == nil {
				t.Errorf("%s: accepted", what)
			} else if fault.KindOf(err) != fault.Invalid {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, within := range []time.Duration{0, -time.Hour, 11 * 366 * 24 * time.Hour} {
			_, err := c.Expiring(t.Context(), within, ca.Query{})
			wantKind(t, err, fault.Invalid)
		}
	})
}

// TestExpiring: what is in force alone, the first to end first, and as many as the
// metric says.
func TestExpiring(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.insert(t, searched(c.clock.now()))
		for within, want := range map[time.Duration][]string{
			6 * 24 * time.Hour: {numberedSerial(1)}, 30 * 24 * time.Hour: {numberedSerial(1), numberedSerial(5)}, 5 * 24 * time.Hour: nil,
		} {
			p, err := c.Expiring(t.Context(), within, ca.Query{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range p.Certificates {
				if one.Profile != profile.OCSP { // those of the ceremony
					got = append(got, one.Serial)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("within %v: %v, want %v", within, got, want)
			}
		}
		reg := prometheus.NewRegistry()
		opened := c.open(t, func(o *ca.Options) { o.Registerer = reg })
		count := func() string {
			opened.CountExpiring(t.Context())
			families, err := reg.Gather()
			if err != nil {
				t.Fatal(err)
			}
			var lines []string
			for _, f := range families {
				for _, m := range f.GetMetric() {
					if f.GetName() == "signet_ca_expiring" {
						lines = append(lines, fmt.Sprintf("%s %s %v", m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue(), m.GetGauge().GetValue()))
					}
				}
			}
			slices.Sort(lines)
			return strings.Join(lines, ", ")
		}
		const want = "ocsp 30d 3, permit 30d 1, permit 7d 1, tls 30d 1"
		if got := count(); got != want {
			t.Errorf("metric: %s, want %s", got, want)
		}
		c.exec(t, `DELETE FROM ca_certificates WHERE serial = $1`, numberedSerial(5))
		if got := count(); got != want {
			t.Errorf("metric: %s: counted for each scrape", got)
		}
		c.clock.advance(11 * time.Minute)
		if got := count(); got != "ocsp 30d 3, permit 30d 1, permit 7d 1" {
			t.Errorf("metric later: %s", got)
		}
	})
}

// TestSearchLooksAtNoTable asks both engines, over 200,000 certificates, how they
// run every query of a search, and follows searches that match next to nothing.
func TestSearchLooksAtNoTable(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		now := c.clock.now()
		c.exec(t, `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, subject, status, tbs_hash,
			key_hash, der, not_before, not_after, actor, request_hash, reason, created_at, changed_at, name)
			WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)
			SELECT '02' || substr('00000000', 1, 8 - length(CAST(i AS TEXT))) || CAST(i AS TEXT), 'city', 'key', 1, 'permit', 'agency-' || CAST(i % 100 AS TEXT),
			'居民' || substr('000000', 1, 6 - length(CAST(i % 50000 AS TEXT))) || CAST(i % 50000 AS TEXT), CASE WHEN i % 1000 = 0 THEN 'revoked' ELSE 'issued' END,
			state.root, state.root, state.root, 0, CAST($1 AS BIGINT) + CAST(i AS BIGINT) * 60000000, 'test', state.root, 4, 0, 0,
			'居民' || substr('000000', 1, 6 - length(CAST(i % 50000 AS TEXT))) || CAST(i % 50000 AS TEXT)
			FROM n, (SELECT root FROM ca_state) state`, db.Micros(now))
		c.exec(t, `INSERT INTO ca_name_parts (part, name) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)
			SELECT DISTINCT substr(name, i), name FROM ca_certificates, n WHERE agency LIKE $1`, "agency-%")
		if n := c.rows(t); n < 200_000 {
			t.Fatalf("%d rows", n)
		}
		if d.Engine() == db.PostgreSQL {
			c.exec(t, `ANALYZE ca_certificates`)
			c.exec(t, `ANALYZE ca_name_parts`)
		}
		for name, q := range ca.SearchQueries(t, now) {
			if plan := testkit.Plan(t, d, q.Text, q.Args...); !strings.Contains(plan, q.Index[d.Engine()]) || strings.Contains(strings.ReplaceAll(plan, "SCAN ca_certificates USING INDEX ca_certificates_intent", ""), "SCAN ca_") || strings.Contains(plan, "Seq Scan") {
				t.Errorf("%s, which needs %s: %s", name, q.Index[d.Engine()], plan)
			}
		}
		for name, q := range map[string]ca.Query{
			"nothing of a name":    {Text: "居民", Status: ca.Abandoned},
			"a name":               {Text: "049999"},
			"nothing of an agency": {Agency: "agency-7", Status: ca.Held},
			"nothing of a profile": {Profile: profile.PermitSigning, Status: ca.Intent},
			"nothing of expiry":    {ExpiresAfter: now, Agency: "nobody"},
			"revoked":              {Status: ca.Revoked},
			"everything":           {},
		} {
			began := time.Now()
			p, err := c.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			t.Logf("%s: %d found, more: %v, %v", name, len(p.Certificates), p.Next != "", took.Round(10*time.Microsecond))
			if took > 5*time.Second { // a bound of ours for broken things, not a measurement
				t.Errorf("%s took %v", name, took)
			}
		}
		if got := c.all(t, ca.Query{Text: "04999", Limit: 7}); len(got) != 44 {
			t.Errorf("%d found by name, want 44", len(got))
		}
		if got := c.all(t, ca.Query{Status: ca.Revoked, Limit: 70}); len(got) != 200 {
			t.Errorf("%d revoked, want 200", len(got))
		}
		if got := c.all(t, ca.Query{Text: "居民", Status: ca.Revoked}); len(got) != 200 {
			t.Errorf("%d revoked by name, want 200", len(got))
		}
	})
}

func TestSearchOverHTTP(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		c.insert(t, searched(c.clock.now()))
		r := request(t)
		r.Agency = "donghu-amr"
		own := c.issue(t, r)
		server := c.serve(t)
		get := func(path, token string) (status int, serials []string, next string) {
			status, _, b := call{method: "GET", path: path, token: token}.do(t, server)
			var page struct {
				Certificates []struct{ Serial string }
				Next         string
			}
			if err := json.Unmarshal(b, &page); err != nil && status < 300 {
				t.Errorf("%s: %v", path, err)
			}
			for _, one := range page.Certificates {
				serials = append(serials, one.Serial)
			}
			return status, serials, page.Next
		}
		if status, got, next := get("/ca/v1/certificates?q=%E7%9B%91%E7%9D%A3&limit=1&status=issued&agency=a", "officer"); status != 200 || !slices.Equal(got, []string{numberedSerial(1)}) || next == "" && len(got) != 1 {
			t.Errorf("%d %v %q", status, got, next)
		}
		status, first, next := get("/ca/v1/certificates?agency=c&limit=2", "officer")
		if status != 200 || len(first) != 2 || next == "" {
			t.Fatalf("%d %v %q", status, first, next)
		}
		if status, rest, next := get("/ca/v1/certificates?agency=c&limit=2&after="+next, "officer"); status != 200 || len(rest) != 1 || next != "" {
			t.Errorf("%d %v %q", status, rest, next)
		}
		if status, got, _ := get("/ca/v1/expiring?within=6d&profile=permit", "officer"); status != 200 || !slices.Equal(got, []string{numberedSerial(1)}) {
			t.Errorf("expiring: %d %v", status, got)
		}
		// An agency's client finds its own, whatever it asks.
		for _, path := range []string{"/ca/v1/certificates?q=%E6%B1%9F%E5%9F%8E", "/ca/v1/certificates?q=" + own.Serial[:10], "/ca/v1/certificates", "/ca/v1/expiring?within=3650d"} {
			if status, got, _ := get(path, "donghu"); status != 200 || !slices.Equal(got, []string{own.Serial}) {
				t.Errorf("%s as donghu: %d %v", path, status, got)
			}
		}
		for path, want := range map[string]int{
			"/ca/v1/certificates?agency=jiangcheng-amr": 403, "/ca/v1/expiring?agency=jiangcheng-amr": 403,
			"/ca/v1/certificates?limit=0": 400, "/ca/v1/certificates?limit=1001": 400, "/ca/v1/certificates?limit=x": 400,
			"/ca/v1/certificates?expires_before=tomorrow": 400, "/ca/v1/certificates?expires_after=0001-01-01T00:00:00Z": 400,
			"/ca/v1/certificates?status=good": 400, "/ca/v1/certificates?profile=x": 400, "/ca/v1/certificates?after=x": 400,
			"/ca/v1/certificates?q=%00": 400, "/ca/v1/certificates?q=%FF": 400,
			"/ca/v1/expiring?within=0d": 400, "/ca/v1/expiring?within=-1d": 400, "/ca/v1/expiring?within=30": 400, "/ca/v1/expiring?within=1y": 400,
			"/ca/v1/expiring?within=4000d": 400, "/ca/v1/expiring?within=99999999999999999999h": 400, "/ca/v1/expiring?within=d": 400,
		} {
			if status, _, _ := get(path, "donghu"); status != want {
				t.Errorf("%s: %d, want %d", path, status, want)
			}
		}
		for _, path := range []string{"/ca/v1/certificates?q=a", "/ca/v1/expiring"} {
			if status, _, _ := get(path, ""); status != 401 {
				t.Errorf("%s without a token: %d", path, status)
			}
			if status, _, _ := get(path, "other"); status != 403 {
				t.Errorf("%s with another scope: %d", path, status)
			}
		}
	})
}
