package agency_test

import (
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

// TestOrderPages: whoever acts for the firm, and nobody else, brings one request and
// downloads the certificate; a withdrawn delegate finds nothing any more.
func TestOrderPages(t *testing.T) {
	c, ctx := newTown(t), t.Context()
	uscc, err := registry.MakeUSCC(registry.Enterprise, "990101", 0)
	must(t, err)
	firm := registry.Firm{USCC: uscc, Name: "江城湖畔小馆餐饮有限公司", LegalRep: c.ids["qiu"].Person}
	id := db.NewID()
	must(t, c.db.Update(ctx, func(tx db.Tx) error {
		if err := c.reg.FoundTx(ctx, tx, "person:"+c.ids["mu"].Person, firm); err != nil {
			return err
		}
		return c.ca.OrderTx(ctx, tx, id, "person:"+c.ids["mu"].Person, uscc)
	}))
	_, err = c.reg.Delegate(ctx, "operator:test", registry.Delegation{Firm: uscc, Person: c.ids["wan"].Person, From: time.Now().Add(-time.Hour).Truncate(time.Second)})
	must(t, err)
	at, good := "/firm/orders/"+id, csr(t, x509.CertificateRequest{})
	for _, who := range []string{"qiu", "wan"} {
		c.get(t, who, "/firm").is(t, http.StatusOK, at, firm.Name, "待使用")
		c.get(t, who, at).is(t, http.StatusOK, uscc, "提交并签发")
	}
	c.get(t, "mu", "/firm").is(t, http.StatusOK, "没有订购的证书")
	for _, who := range []string{"mu", "he", "lin"} { // who ordered it, and officers
		c.get(t, who, at).is(t, http.StatusNotFound)
		c.get(t, who, at+"/chain.pem").is(t, http.StatusNotFound)
		c.post(t, who, at, "csr", good).is(t, http.StatusNotFound)
	}
	if a := c.get(t, "", at); a.status != http.StatusSeeOther && a.status != http.StatusUnauthorized {
		t.Errorf("nobody: %d", a.status)
	}
	c.get(t, "qiu", "/firm/orders/"+db.NewID()).is(t, http.StatusNotFound)
	c.get(t, "qiu", at+"/chain.pem").is(t, http.StatusNotFound)
	c.post(t, "qiu", at).is(t, http.StatusBadRequest, "证书请求为必填项", `id="csr-problem"`)
	for name, text := range map[string]string{"no CSR": "x", "a host": csr(t, x509.CertificateRequest{DNSNames: []string{"x.example"}}),
		"a private key": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"} {
		if a := c.post(t, "qiu", at, "csr", text); a.status != http.StatusBadRequest || !strings.Contains(a.body, `id="csr-problem"`) {
			t.Errorf("%s: %d", name, a.status)
		}
	}
	c.post(t, "qiu", at, "csr", strings.Repeat("x", 70<<10)).is(t, http.StatusRequestEntityTooLarge)
	c.unlicensed.Store(true)
	c.post(t, "wan", at, "csr", good).is(t, http.StatusConflict, "没有有效的营业执照")
	c.get(t, "wan", at).is(t, http.StatusOK, "提交并签发")
	c.unlicensed.Store(false)
	for range 2 { // sent twice it is the same
		if a := c.post(t, "wan", at, "csr", good); a.status != http.StatusSeeOther || a.location != at {
			t.Fatalf("%d to %s: %.500s", a.status, a.location, a.body)
		}
	}
	c.post(t, "qiu", at, "csr", csr(t, x509.CertificateRequest{})).is(t, http.StatusConflict, "此预订单已提交过其他证书请求")
	c.get(t, "qiu", at).is(t, http.StatusOK, "有效", at+"/chain.pem")
	c.get(t, "qiu", at+"/key.pem").is(t, http.StatusNotFound)
	block, rest := pem.Decode([]byte(c.get(t, "qiu", at+"/chain.pem").body))
	above, none := pem.Decode(rest)
	if block == nil || above == nil || len(strings.TrimSpace(string(none))) > 0 {
		t.Fatal("no chain of two")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	issuer, err := x509.ParseCertificate(above.Bytes)
	must(t, err)
	if err := leaf.CheckSignatureFrom(issuer); err != nil || leaf.Subject.CommonName != firm.Name {
		t.Errorf("%s, %v", leaf.Subject, err)
	}
	must(t, c.reg.Withdraw(ctx, "operator:test", uscc, c.ids["wan"].Person))
	for _, path := range []string{at, at + "/certificate.pem"} {
		c.get(t, "wan", path).is(t, http.StatusNotFound)
	}
}
