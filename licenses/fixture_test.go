package licenses_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"path/filepath"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	firmCode = "91990101MA1F001175"
	resident = "990101198503120117"
)

// callers are the tokens that the fixture accepts.
var callers = map[string]web.Caller{
	"donghu":   {ClientID: "donghu-api", Agency: "donghu-amr", Scopes: []string{licenses.Scope}},
	"edu":      {ClientID: "edu-api", Agency: "jiangcheng-edu", Scopes: []string{licenses.Scope}},
	"narrow":   {ClientID: "donghu-api", Agency: "donghu-amr", Scopes: []string{"registry"}},
	"homeless": {ClientID: "nobody", Scopes: []string{licenses.Scope}},
}

type tokens struct{}

func (tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	c, ok := callers[token]
	if !ok {
		return web.Caller{}, fault.New(fault.Denied, "unknown token")
	}
	return c, nil
}

// city is a small city with two agencies, a firm and a person.
type city struct {
	*licenses.Service
	db      *db.DB
	ring    *keys.Ring
	reg     *registry.Registry
	changes int
}

func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	ctx := t.Context()
	kek, err := keys.NewKEK(filepath.Join(t.TempDir(), "kek"))
	if err != nil {
		t.Fatal(err)
	}
	c := &city{db: d}
	c.ring, err = keys.Open(ctx, keys.Options{DB: d, KEK: kek})
	must(t, err)
	for _, name := range []string{keys.SecretData, keys.SecretLookup, licenses.PermutationSecret} {
		must(t, c.ring.MakeSecret(ctx, name, "ceremony"))
	}
	c.reg, err = registry.New(registry.Options{DB: d, Sealer: c.ring})
	must(t, err)
	c.populate(t)
	types, err := licenses.ShippedTypes()
	must(t, err)
	c.Service, err = licenses.New(ctx, licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: types, Tokens: tokens{}, Orders: orders{}, BatchLines: 160,
		Changed: func() { c.changes++ }})
	must(t, err)
	return c
}

func (c *city) populate(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	p, _, err := c.reg.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: resident, Name: "林若川"})
	must(t, err)
	_, err = c.reg.AddFirm(ctx, "ceremony", registry.Firm{USCC: firmCode, Name: "江城东湖老灶火锅餐饮有限公司", LegalRep: p.ID})
	must(t, err)
	for _, a := range []struct{ id, uscc, zh, area, level, licenseType string }{
		{"donghu-amr", "11990101MB0000027X", "江城市东湖区市场监督管理局", "990101", "district", "food-business"},
		{"jiangcheng-edu", "11990100MB00000435", "江城市教育局", "990100", "city", "teacher"},
	} {
		_, err := c.reg.AddAgency(ctx, "ceremony", registry.Agency{ID: a.id, USCC: a.uscc, NameZH: a.zh, NameEN: a.id,
			Level: registry.Level(a.level), Area: a.area, Issuer: "city"})
		must(t, err)
		_, err = c.reg.Authorize(ctx, "ceremony", registry.Authority{Agency: a.id, Type: a.licenseType, Area: a.area,
			From: time.Now().Add(-time.Hour).Truncate(time.Second), Until: time.Now().AddDate(20, 0, 0).Truncate(time.Second)})
		must(t, err)
		c.newKey(t, a.id)
	}
}

// newKey puts a fresh certified permit key into use.
func (c *city) newKey(t testing.TB, agency string) {
	t.Helper()
	ctx := t.Context()
	k, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: agency, Alg: "ES256", Backend: "file", Actor: "ceremony"})
	must(t, err)
	signer, err := c.ring.Signer(ctx, k.ID)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: agency},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	must(t, err)
	must(t, c.ring.Certify(ctx, k.ID, der, "ceremony"))
	must(t, c.ring.Move(ctx, k.ID, keys.Published, "ceremony", "test"))
	_, _, err = c.ring.Promote(ctx, keys.PurposePermit, agency, "ceremony")
	must(t, err)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// food is a request that is right; change makes it another.
func food(change func(*licenses.Request)) licenses.Request {
	r := licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: firmCode}, Data: map[string]any{
		"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川",
		"category": "餐饮服务经营者", "scope": "热食类食品制售", "seats": float64(86), "online": "是",
	}}
	if change != nil {
		change(&r)
	}
	return r
}

func teacher() licenses.Request {
	return licenses.Request{Type: "teacher", Holder: licenses.Holder{Resident: resident},
		Data: map[string]any{"kind": "小学教师资格", "subject": "语文", "granted": "2026-06-30"}}
}

// issue issues one licence and fails the test if it is not.
func (c *city) issue(t testing.TB, caller, key string, r licenses.Request) *licenses.License {
	t.Helper()
	results, err := c.Issue(t.Context(), callers[caller], []licenses.Keyed{{Key: key, Request: r}})
	must(t, err)
	must(t, results[0].Err)
	return results[0].License
}
