package wallet_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json/v2"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
	"github.com/signet-city/signet/licenses/wallet"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const (
	firmCode  = "91990101MA1F001175"
	otherFirm = "91990101MA1F001250"
)

type tokens struct{}

func (tokens) CheckToken(context.Context, string) (web.Caller, error) {
	return web.Caller{}, fault.New(fault.Denied, "no tokens here")
}

var (
	donghu = web.Caller{ClientID: "donghu-api", Agency: "donghu-amr", Scopes: []string{licenses.Scope}}
	edu    = web.Caller{ClientID: "edu-api", Agency: "jiangcheng-edu", Scopes: []string{licenses.Scope}}
)

// city is a small city with a wallet: a real registry, keyring and licences.
type city struct {
	t        testing.TB
	licenses *licenses.Service
	reg      *registry.Registry
	ring     *keys.Ring
	mux      *http.ServeMux
	desk     *counter
	lin      registry.Person // legal representative of the firm, and a teacher
	zhou     registry.Person // holds nothing
	now      time.Time
}

// newCity makes the city. Its clock stands until a test moves it.
func newCity(t testing.TB, d *db.DB) *city {
	t.Helper()
	c := &city{t: t, mux: http.NewServeMux(), desk: &counter{}, now: time.Now().Truncate(time.Second)}
	clock := func() time.Time { return c.now }
	kek, err := keys.NewKEK(filepath.Join(t.TempDir(), "kek"))
	c.must(err)
	c.ring, err = keys.Open(t.Context(), keys.Options{DB: d, KEK: kek})
	c.must(err)
	for _, name := range []string{keys.SecretData, keys.SecretLookup, licenses.PermutationSecret} {
		c.must(c.ring.MakeSecret(t.Context(), name, "ceremony"))
	}
	c.reg, err = registry.New(registry.Options{DB: d, Sealer: c.ring, Now: clock})
	c.must(err)
	c.populate()
	types, err := licenses.ShippedTypes()
	c.must(err)
	c.licenses, err = licenses.New(t.Context(), licenses.Options{DB: d, Ring: c.ring, Registry: c.reg, Types: types, Tokens: tokens{}, Now: clock})
	c.must(err)
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城政务", EN: "Jiangcheng"}, Identify: identify, Logger: testkit.Logger(t)})
	c.must(err)
	s, err := wallet.New(wallet.Options{Licenses: c.licenses, Registry: c.reg, Applications: c.desk, Site: site, Now: clock, Logger: testkit.Logger(t)})
	c.must(err)
	s.Mount(c.mux)
	site.Mount(c.mux)
	return c
}

func (c *city) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// identify takes who is signed in from a header: signing in is another's matter.
func identify(r *http.Request) (*web.Identity, error) {
	text := r.Header.Get("Test-Identity")
	if text == "" {
		return nil, nil
	}
	var id web.Identity
	return &id, json.Unmarshal([]byte(text), &id)
}

func (c *city) populate() {
	c.t.Helper()
	ctx := c.t.Context()
	for _, p := range []struct {
		number, name string
		to           *registry.Person
	}{{"990101198503120117", "林若川", &c.lin}, {"990101199007240181", "周予安", &c.zhou}} {
		added, _, err := c.reg.AddPerson(ctx, "ceremony", registry.Person{Kind: registry.Resident, Number: p.number, Name: p.name})
		c.must(err)
		*p.to = added
	}
	for uscc, name := range map[string]string{firmCode: "江城东湖老灶火锅餐饮有限公司", otherFirm: "江城湖畔咖啡烘焙有限责任公司"} {
		_, err := c.reg.AddFirm(ctx, "ceremony", registry.Firm{USCC: uscc, Name: name, LegalRep: c.lin.ID})
		c.must(err)
	}
	for _, a := range []struct{ id, uscc, zh, en, area, level, licenseType string }{
		{"donghu-amr", "11990101MB0000027X", "江城市东湖区市场监督管理局", "Donghu Market Regulation", "990101", "district", "food-business"},
		{"jiangcheng-edu", "11990100MB00000435", "江城市教育局", "Jiangcheng Education Bureau", "990100", "city", "teacher"},
	} {
		_, err := c.reg.AddAgency(ctx, "ceremony", registry.Agency{ID: a.id, USCC: a.uscc, NameZH: a.zh, NameEN: a.en,
			Level: registry.Level(a.level), Area: a.area, Issuer: "city"})
		c.must(err)
		_, err = c.reg.Authorize(ctx, "ceremony", registry.Authority{Agency: a.id, Type: a.licenseType, Area: a.area,
			From: c.now.Add(-time.Hour), Until: c.now.AddDate(20, 0, 0)})
		c.must(err)
		c.newKey(a.id)
	}
}

// newKey puts a fresh certified permit key into use.
func (c *city) newKey(agency string) {
	c.t.Helper()
	ctx := c.t.Context()
	k, err := c.ring.Create(ctx, keys.Spec{Purpose: keys.PurposePermit, Owner: agency, Alg: "ES256", Backend: "file", Actor: "ceremony"})
	c.must(err)
	signer, err := c.ring.Signer(ctx, k.ID)
	c.must(err)
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: agency},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), signer)
	c.must(err)
	c.must(c.ring.Certify(ctx, k.ID, der, "ceremony"))
	c.must(c.ring.Move(ctx, k.ID, keys.Published, "ceremony", "test"))
	_, _, err = c.ring.Promote(ctx, keys.PurposePermit, agency, "ceremony")
	c.must(err)
}

// food issues a licence to a firm.
func (c *city) food(uscc string, change func(*licenses.Request)) *licenses.License {
	c.t.Helper()
	return c.issue(donghu, licenses.Request{Type: "food-business", Holder: licenses.Holder{USCC: uscc}, Data: map[string]any{
		"trade_name": "老灶火锅", "premises": "江城市东湖区湖滨路18号2幢101室", "legal_representative": "林若川",
		"category": "餐饮服务经营者", "scope": "热食类食品制售", "seats": float64(86), "online": "是"}}, change)
}

// teacher issues a licence to a person.
func (c *city) teacher(p registry.Person, change func(*licenses.Request)) *licenses.License {
	c.t.Helper()
	return c.issue(edu, licenses.Request{Type: "teacher", Holder: licenses.Holder{Resident: p.Number},
		Data: map[string]any{"kind": "小学教师资格", "subject": "语文<b>", "granted": "2026-06-30"}}, change)
}

func (c *city) issue(by web.Caller, r licenses.Request, change func(*licenses.Request)) *licenses.License {
	c.t.Helper()
	if change != nil {
		change(&r)
	}
	results, err := c.licenses.Issue(c.t.Context(), by, []licenses.Keyed{{Key: db.NewID(), Request: r}})
	c.must(err)
	c.must(results[0].Err)
	return results[0].License
}

// as returns an identity: the person themselves, or for a firm.
func as(p registry.Person, firm string) *web.Identity {
	id := &web.Identity{Session: "s", Person: p.ID, Name: p.Name, Firm: firm}
	if firm != "" {
		id.FirmName = "江城东湖老灶火锅餐饮有限公司"
	}
	return id
}

// get asks for a page in a language and wants that status.
func (c *city) get(id *web.Identity, lang, path string, want int) (string, http.Header) {
	c.t.Helper()
	return c.do("GET", id, lang, path, want)
}

func (c *city) do(method string, id *web.Identity, lang, path string, want int) (string, http.Header) {
	c.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("Accept-Language", lang)
	if id != nil {
		b, err := json.Marshal(id)
		c.must(err)
		r.Header.Set("Test-Identity", string(b))
	}
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	body, err := io.ReadAll(w.Body)
	c.must(err)
	if w.Code != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, want, body)
	}
	return string(body), w.Header()
}

// wantText checks what a page says and does not say.
func wantText(t testing.TB, page string, says, not []string) {
	t.Helper()
	wrong := false
	for _, s := range says {
		if !strings.Contains(page, s) {
			wrong = true
			t.Errorf("the page does not say %q", s)
		}
	}
	for _, s := range not {
		if strings.Contains(page, s) {
			wrong = true
			t.Errorf("the page says %q", s)
		}
	}
	if wrong {
		t.Log(page)
	}
}
