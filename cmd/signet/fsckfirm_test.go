package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json/v2"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/cmd/city"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
)

// succeed runs a command and returns what it printed.
func succeed(t *testing.T, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := report(&stderr, run(t.Context(), args, nil, &stdout, &stderr, nil)); code != 0 {
		t.Fatalf("%q: exit code %d:\n%s", args, code, stderr.String())
	}
	return stdout.Bytes()
}

// foundByCommand founds a firm of the name.
func foundByCommand(t *testing.T, demo, name string) (made foundingView) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "request.json")
	request := `{"name": "` + name + `", "representative": "990101198503120117", "data": {"kind": "有限责任公司（自然人独资）", "capital_10k": 50,
		"currency": "人民币", "address": "江城市东湖区湖滨路18号2幢101室", "industry": "住宿和餐饮业", "scope": "餐饮服务"}}`
	if err := os.WriteFile(file, []byte(request), 0o600); err != nil {
		t.Fatal(err)
	}
	b := succeed(t, "license", "found", "--demo", demo, "--agency", "donghu-amr", "--json", file)
	if err := json.Unmarshal(b, &made); err != nil || made.USCC == "" {
		t.Fatalf("%+v, %v", made, err)
	}
	return made
}

// TestOrderEndsWithTheLicense: of two firms, the one whose licence was revoked by command
// gets no certificate for its order, and the other does.
func TestOrderEndsWithTheLicense(t *testing.T) {
	data := t.TempDir()
	_, demo, stop := startDemo(t, data)
	revoked, other := foundByCommand(t, demo, "江城甲餐饮有限公司"), foundByCommand(t, demo, "江城乙餐饮有限公司")
	succeed(t, "license", "revoke", "--demo", demo, "--agency", "donghu-amr", "--reason", "founded by fraud", revoked.License.ID)
	stop()
	c, err := city.Open(t.Context(), city.Options{Where: city.Where{Data: data}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := c.CA.Redeem(t.Context(), revoked.Order, "person:x", request); err == nil || fault.KindOf(err) != fault.Conflict {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := c.CA.Redeem(t.Context(), other.Order, "person:x", request); err != nil || p.State != ca.Made {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestFsckChecksFirms founds two firms by command. The stopped city is as it should be;
// then one loses its representative's delegation and the other the order for its
// certificate, and of each just that is said.
func TestFsckChecksFirms(t *testing.T) {
	data := t.TempDir()
	_, demo, stop := startDemo(t, data)
	made := [2]foundingView{foundByCommand(t, demo, "江城甲餐饮有限公司"), foundByCommand(t, demo, "江城乙餐饮有限公司")}
	stop()
	fsck := func(code int, want string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		got := report(&stderr, run(t.Context(), []string{"fsck", "--data", data}, nil, &stdout, &stderr, nil))
		if got != code || !regexp.MustCompile(want).MatchString(stdout.String()) {
			t.Errorf("exit code %d, want %d; output does not match %s:\n%s%s", got, code, want, stdout.String(), stderr.String())
		}
	}
	fsck(0, `^fsck: events=[0-9]+ certificates=[0-9]+ licenses=[0-9]+ problems=0\n$`)
	d, err := db.Open(t.Context(), "sqlite:"+filepath.Join(data, "signet.db"), db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	err = d.Update(t.Context(), func(tx db.Tx) error {
		_, err := tx.ExecContext(t.Context(), `DELETE FROM registry_delegations WHERE firm = $1`, made[0].USCC)
		_, err2 := tx.ExecContext(t.Context(), `UPDATE ca_orders SET firm = 'nobody' WHERE id = $1`, made[1].Order)
		return errors.Join(err, err2)
	})
	if err := errors.Join(err, d.Close()); err != nil {
		t.Fatal(err)
	}
	fsck(1, `^founding:`+made[0].ID+`: has no delegation of the legal representative
founding:`+made[1].ID+`: names an order for another firm
certificate-order:`+made[1].Order+`: names a firm that is not in the register
fsck: .* problems=3\n$`)
}
