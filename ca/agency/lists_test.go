package agency_test

import (
	"crypto/x509"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

func (c *town) exec(t *testing.T, query string, args ...any) {
	t.Helper()
	must(t, c.db.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), query, args...)
		return err
	}))
}

// lists follows the links that go on from a page, and returns the addresses under a
// prefix on each.
func (c *town) lists(t *testing.T, who, path, prefix, on string) (pages [][]string) {
	t.Helper()
	row := regexp.MustCompile(`href="(` + prefix + `[^"]+)"`)
	next := regexp.MustCompile(`href="([^"]*[?&]` + on + `=[^"]*)"`)
	for path != "" && len(pages) < 10 {
		a := c.get(t, who, path)
		a.is(t, http.StatusOK)
		var found []string
		for _, m := range row.FindAllStringSubmatch(a.body, -1) {
			found = append(found, m[1])
		}
		pages, path = append(pages, found), ""
		for _, m := range next.FindAllStringSubmatch(a.body, -1) {
			if !strings.Contains(m[1], "lang=") && !strings.Contains(m[1], "text=") { // the same page, otherwise
				path = html.UnescapeString(m[1])
			}
		}
	}
	return pages
}

// TestEveryRequestIsReached: the oldest of many requests too, by those who decide and by
// those who asked. They wait for a month.
func TestEveryRequestIsReached(t *testing.T) {
	c := newTown(t)
	const many = 53
	for i := range many {
		_, err := c.ca.Submit(t.Context(), ca.Request{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: []byte(csr(t, x509.CertificateRequest{})),
			Actor: "client:x", IdempotencyKey: fmt.Sprint(i)})
		must(t, err)
	}
	for who, on := range map[string]string{"he": "waiting", "mu": "requests"} {
		seen := map[string]bool{}
		pages := c.lists(t, who, "/agency", "/agency/requests/", on)
		for _, page := range pages {
			for _, address := range page {
				seen[address] = true
			}
		}
		if len(seen) != many || len(pages) != 2 || len(pages[0]) != 50 {
			t.Errorf("%s sees %d requests on %d pages, want %d", who, len(seen), len(pages), many)
		}
		c.get(t, who, "/agency?"+on+"=a%00").is(t, http.StatusBadRequest)
	}
	// One list goes on, and the other stays where it is.
	lin := c.get(t, "lin", "/agency?q=x")
	for _, on := range []string{"waiting", "requests"} {
		if m := regexp.MustCompile(`href="([^"]*` + on + `=[^"]*)"`).FindStringSubmatch(lin.body); m == nil || !strings.Contains(m[1], "q=x") {
			t.Errorf("%s: %v", on, m)
		}
	}
}

// TestAPageWithoutCertificatesIsNotTheEnd: what is passed over is not nothing.
func TestAPageWithoutCertificatesIsNotTheEnd(t *testing.T) {
	c := newTown(t)
	cert, err := c.ca.Issue(t.Context(), ca.Request{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: []byte(csr(t, x509.CertificateRequest{})), Actor: "client:x"})
	must(t, err)
	for i := range 50 { // that came to nothing, and stand before it
		c.exec(t, `INSERT INTO ca_certificates (serial, issuer, issuer_key, shard, profile, agency, subject, status, tbs_hash, key_hash, not_before, not_after, actor, request_hash, created_at, changed_at)
			SELECT $1, issuer, issuer_key, shard, profile, agency, subject, 'abandoned', tbs_hash, key_hash, not_before, not_after, actor, request_hash, created_at, changed_at
			FROM ca_certificates WHERE serial = $2`, fmt.Sprintf("01%034x", i+1), cert.Serial)
	}
	first := c.get(t, "mu", "/agency")
	first.is(t, http.StatusOK, "更多证书", "尚未找到")
	for _, text := range []string{"还没有证书", "没有符合条件的证书"} {
		if strings.Contains(first.body, text) {
			t.Errorf("says %s", text)
		}
	}
	if pages := c.lists(t, "mu", "/agency", "/agency/certificates/", "after"); len(pages) != 2 || len(pages[1]) != 1 {
		t.Errorf("%v", pages)
	}
}

// TestAnExpiredCertificateIsNotInForce: the register's status stays, and people ask
// whether it counts.
func TestAnExpiredCertificateIsNotInForce(t *testing.T) {
	c := newTown(t)
	issue := func(from time.Time) ca.Certificate {
		t.Helper()
		cert, err := c.ca.Issue(t.Context(), ca.Request{Profile: profile.DocumentSigning, Agency: "donghu-amr", CSR: []byte(csr(t, x509.CertificateRequest{})), Actor: "client:x", NotBefore: from})
		must(t, err)
		return cert
	}
	now := time.Now()
	ended, early, good, held := issue(now), issue(now.Add(24*time.Hour)), issue(now), issue(now)
	must(t, c.ca.Revoke(t.Context(), held.Serial, ca.CertificateHold, "client:x"))
	c.exec(t, `UPDATE ca_certificates SET not_after = $1 WHERE serial IN ($2, $3)`, db.Micros(now.Add(-time.Minute)), ended.Serial, held.Serial)
	for _, tt := range []struct {
		cert ca.Certificate
		tag  string
	}{{ended, "已过期"}, {early, "尚未生效"}, {good, "有效"}, {held, "已冻结"}} {
		want := regexp.MustCompile(`<span class="tag [a-z]*">` + tt.tag + `</span>`)
		if a := c.get(t, "mu", "/agency/certificates/"+tt.cert.Serial); !want.MatchString(a.body) {
			t.Errorf("its page does not say %s", tt.tag)
		}
		if a := c.get(t, "mu", "/agency?q="+tt.cert.Serial); !want.MatchString(a.body) {
			t.Errorf("the list does not say %s", tt.tag)
		}
	}
}

// TestAnOrderSaysHowItsCertificateStands: that it was issued once is not what a firm asks.
func TestAnOrderSaysHowItsCertificateStands(t *testing.T) {
	c := newTown(t)
	firm := registry.Firm{USCC: "91990101MA0000017J", Name: "江城东湖面馆有限公司", LegalRep: c.ids["wan"].Person}
	_, err := c.reg.AddFirm(t.Context(), "operator:test", firm)
	must(t, err)
	id := db.NewID()
	must(t, c.db.Update(t.Context(), func(tx db.Tx) error { return c.ca.OrderTx(t.Context(), tx, id, "person:x", firm.USCC) }))
	at := "/firm/orders/" + id
	c.post(t, "wan", at, "csr", csr(t, x509.CertificateRequest{})).is(t, http.StatusSeeOther)
	c.get(t, "wan", at).is(t, http.StatusOK, ">有效</span>")
	found, err := c.ca.Search(t.Context(), ca.Query{Profile: profile.Firm})
	must(t, err)
	must(t, c.ca.Revoke(t.Context(), found.Certificates[0].Serial, ca.CertificateHold, "client:x"))
	c.get(t, "wan", at).is(t, http.StatusOK, ">已冻结</span>")
	must(t, c.ca.Revoke(t.Context(), found.Certificates[0].Serial, ca.KeyCompromise, "client:x"))
	c.get(t, "wan", at).is(t, http.StatusOK, ">已吊销</span>")
}
