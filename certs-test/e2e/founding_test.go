package e2e_test

import (
	"bytes"
	"encoding/json/v2"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
)

// TestNewFirm founds a firm through the API: its permit verifies offline, its legal
// representative acts for it at once, and brings a request made by openssl for the
// certificate, which openssl verifies. Nothing is out of order afterwards.
func TestNewFirm(t *testing.T) {
	openssl, dir := tool(t, "openssl"), filepath.Join(t.TempDir(), "city")
	s := demo(t, dir, anyPort...)
	person, registrar := s.Citizens[0], s.Agencies[0]
	for _, a := range s.Agencies {
		if a.ID == agency {
			registrar = a
		}
	}
	number := ""
	for _, p := range s.People {
		if p.Name == person.Name {
			number = p.Resident
		}
	}
	body, err := json.Marshal(map[string]any{"name": "江城湖畔小馆餐饮有限公司", "representative": number, "data": map[string]any{"kind": "有限责任公司（自然人独资）",
		"address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务", "capital_10k": 50, "currency": "人民币"}})
	if err != nil {
		t.Fatal(err)
	}
	token := s.token(t, registrar.Client, registrar.Secret, "licenses")
	var got struct {
		USCC    string `json:"uscc"`
		Order   string `json:"certificate_order"`
		License license
	}
	for range 2 { // the same key, the same firm
		before := got.USCC
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.Issuer+"/licenses/v1/foundings", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "one-pass")
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("%d %s, %v", resp.StatusCode, b, err)
		}
		if err := json.Unmarshal(b, &got, json.MatchCaseInsensitiveNames(true)); err != nil {
			t.Fatal(err)
		}
		if before != "" && got.USCC != before {
			t.Errorf("%s and %s under one key", before, got.USCC)
		}
	}

	b := tab{t, testkit.Browser(t)}
	b.open(s.Issuer + "/wallet")
	b.signIn(person)
	b.see(".switch summary")
	b.click(".switch summary")
	b.fill(map[string]string{"firm": got.USCC})
	b.press("act")
	b.see(`.card.permit a[href="/wallet/` + got.License.ID + `"]`)
	b.click(`a[href="/firm"]`)
	b.click(`a[href="/firm/orders/` + got.Order + `"]`)
	b.see("[name=csr]")
	files := t.TempDir()
	key, request := filepath.Join(files, "key.pem"), filepath.Join(files, "request.pem")
	if r := finish(t, exec.CommandContext(t.Context(), openssl, "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=x", "-keyout", key, "-out", request)); r.code != 0 {
		t.Fatal(r.err)
	}
	b.fill(map[string]string{"csr": string(read(t, request))})
	b.click(".actions button")
	b.see(`a[href$="/chain.pem"]`)
	chain := b.text(`(() => { const x = new XMLHttpRequest(); x.open("GET", document.querySelector('a[href$="/chain.pem"]').href, false); x.send(); return x.responseText })()`)
	file := write(t, filepath.Join(files, "chain.pem"), []byte(chain))
	if r := finish(t, exec.CommandContext(t.Context(), openssl, "verify", "-x509_strict", "-CAfile", s.RootPEM, "-untrusted", file, file)); r.code != 0 {
		t.Errorf("%s%s", r.out, r.err)
	}
	if r := finish(t, exec.CommandContext(t.Context(), openssl, "x509", "-in", file, "-noout", "-subject", "-nameopt", "utf8")); !strings.Contains(r.out, got.USCC) {
		t.Errorf("the certificate does not name the firm: %s%s", r.out, r.err)
	}

	s.stop(t)
	permit := write(t, filepath.Join(files, "permit.txt"), []byte(got.License.Permit))
	if r := run(t, "verify", "--data", dir, "--json", permit); r.code != 0 || !strings.Contains(r.out, `"valid"`) || !strings.Contains(r.out, got.USCC) {
		t.Errorf("code %d\n%s%s", r.code, r.out, r.err)
	}
	if last := run(t, "fsck", "--data", dir).last(); !strings.HasSuffix(last, "problems=0") {
		t.Error(last)
	}
}
