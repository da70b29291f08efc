package agency_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/signet-city/signet/ca"
)

// wrongs are the sentences by which a page says what is wrong.
var wrongs = regexp.MustCompile(`证书请求不可用：[^<]*|详情：[^<]*|原因：[^<]*`)

// TestRefusalsAreInChinese: a page in Chinese says in Chinese why a request is refused.
func TestRefusalsAreInChinese(t *testing.T) {
	c := newTown(t)
	extension := func(value []byte, oid ...int) x509.CertificateRequest {
		return x509.CertificateRequest{ExtraExtensions: []pkix.Extension{{Id: oid, Value: value}}}
	}
	good := csr(t, x509.CertificateRequest{})
	block, _ := pem.Decode([]byte(good))
	changed := func(kind string, at int) string {
		b := append([]byte(nil), block.Bytes...)
		b[at] ^= 1
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, weakKey)
	must(t, err)
	for name, text := range map[string]string{
		"CA:TRUE": csr(t, extension([]byte{0x30, 3, 1, 1, 0xff}, 2, 5, 29, 19)), "keyCertSign": csr(t, extension([]byte{3, 2, 2, 4}, 2, 5, 29, 15)),
		"extended use": csr(t, extension([]byte{0x30, 0}, 2, 5, 29, 37)), "foreign": csr(t, extension([]byte{5, 0}, 1, 2, 3)), "hosts": csr(t, x509.CertificateRequest{DNSNames: []string{"a.example"}}),
		"no PEM": "-----BEGIN x", "no DER": "x", "another PEM": changed("CERTIFICATE", 0), "broken": changed("CERTIFICATE REQUEST", 1), "signature": changed("CERTIFICATE REQUEST", len(block.Bytes)-1),
		"twice": good + good, "weak key": string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), "too large": strings.Repeat("x", ca.MaxCSR+1),
	} {
		a := c.post(t, "mu", "/agency/new", "profile", "document", "csr", text, "key", c.key(t, "mu"))
		said := wrongs.FindAllString(a.body, -1)
		if a.status != http.StatusBadRequest || len(said) == 0 || strings.Contains(strings.Join(said, ""), "request") {
			t.Errorf("%s: %d %q", name, a.status, said)
		}
	}
	// What the authority refuses, at once and after an officer has approved it.
	csrOf, err := x509.ParseCertificateRequest(block.Bytes)
	must(t, err)
	sum := sha256.Sum256(csrOf.RawSubjectPublicKeyInfo)
	sent := c.post(t, "mu", "/agency/new", "profile", "document", "csr", good, "key", c.key(t, "mu"))
	sent.is(t, http.StatusSeeOther)
	must(t, c.ca.BlockKeys(t.Context(), "operator:test", "lost", sum[:]))
	c.post(t, "mu", "/agency/new", "profile", "document", "csr", good, "key", c.key(t, "mu")).is(t, http.StatusConflict, "此密钥在禁用密钥名单上")
	c.post(t, "he", sent.location, "act", "approve", "reason", "x").is(t, http.StatusConflict, "此密钥在禁用密钥名单上")
	c.post(t, "lin", sent.location, "act", "approve", "reason", "x").is(t, http.StatusForbidden, "应当回避")
	c.post(t, "mu", "/agency/new", "profile", "system-server", "hosts", "www.bank.example", "csr", csr(t, x509.CertificateRequest{}), "key", c.key(t, "mu")).
		is(t, http.StatusForbidden, "该部门无权使用名称 ")
	c.exec(t, `UPDATE ca_requests SET state = 'failed', note = 'this key is on the list of blocked keys'`)
	failed := c.get(t, "mu", sent.location)
	failed.is(t, http.StatusOK, "原因：此密钥在禁用密钥名单上")
}

// TestWhyItIsNotWithdrawn: whoever may not decide sees why nothing was done, too.
func TestWhyItIsNotWithdrawn(t *testing.T) {
	c := newTown(t)
	sent := c.post(t, "mu", "/agency/new", "profile", "document", "csr", csr(t, x509.CertificateRequest{}), "key", c.key(t, "mu"))
	c.post(t, "he", sent.location, "act", "approve", "reason", "x").is(t, http.StatusSeeOther)
	c.post(t, "mu", sent.location, "act", "withdraw").is(t, http.StatusConflict, "该申请已审批、撤回或过期")
	if a := c.get(t, "mu", sent.location); strings.Contains(a.body, "该申请已审批、撤回或过期") {
		t.Error("said without reason")
	}
}

// TestNoteText: what is kept in English is known again, and nothing is lost.
func TestNoteText(t *testing.T) {
	for note, zh := range map[string]string{"": "", "this key is compromised or held": "此密钥已泄露或被冻结", `the agency may not have the name "a.example"`: `该部门无权使用名称 "a.example"`,
		"something else": "something else"} {
		if got := ca.NoteText(note); got.ZH != zh || got.EN != note {
			t.Errorf("%q: %+v", note, got)
		}
	}
}
