package agency_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/signet-city/signet/ca"
	"github.com/signet-city/signet/ca/agency"
	"github.com/signet-city/signet/ca/profile"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const strong = "strong"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// officers are the persons who are officers.
type officers map[string]bool

func (o officers) IsOfficer(_ context.Context, person string) (bool, error) { return o[person], nil }

func (officers) Caller(*http.Request) (string, error) { return "", nil }

// town is a city with people: Mu works in Donghu, Wan in Xishan, He is an officer, Lin
// is one and works in Donghu, and Qiu is nobody.
type town struct {
	ca   *ca.CA
	db   *db.DB
	reg  *registry.Registry
	ids  map[string]*web.Identity
	base string

	unlicensed unlicensed
}

// unlicensed stands for the licences: true says that no firm's is in force.
type unlicensed struct{ atomic.Bool }

// LicensedTx implements ca.Licensed.
func (u *unlicensed) LicensedTx(context.Context, db.Tx, string) (bool, error) { return !u.Load(), nil }

// EndedTx implements ca.Licensed.
func (u *unlicensed) EndedTx(context.Context, db.Tx, ca.Ended, int) ([]ca.Ended, error) {
	return nil, nil
}

func newTown(t *testing.T) *town {
	t.Helper()
	d, ctx := testkit.SQLite(t), t.Context()
	ring, err := keys.Open(ctx, keys.Options{DB: d, KEK: make([]byte, 32), Logger: testkit.Logger(t)})
	must(t, err)
	t.Cleanup(func() { _ = ring.Close() })
	b, err := os.ReadFile("../testdata/ceremony.yaml")
	must(t, err)
	plan, err := ca.ParseCeremony(b)
	must(t, err)
	_, err = ca.Hold(ctx, ca.CeremonyOptions{Ceremony: plan, DB: d, Ring: ring, Passphrase: []byte("correct horse battery staple"), BaseURL: "http://ca.example", Logger: testkit.Logger(t)})
	must(t, err)
	for _, name := range []string{keys.SecretData, keys.SecretLookup} {
		must(t, ring.MakeSecret(ctx, name, "operator:test"))
	}
	reg, err := registry.New(registry.Options{DB: d, Sealer: ring})
	must(t, err)
	for _, a := range []registry.Agency{
		{ID: "donghu-amr", USCC: "11990101MB0000027X", NameZH: "江城市东湖区市场监督管理局", NameEN: "Donghu AMR", Level: registry.District, Area: "990101", Issuer: "donghu"},
		{ID: "xishan-amr", USCC: "11990102MB00000357", NameZH: "江城市西山区市场监督管理局", NameEN: "Xishan AMR", Level: registry.District, Area: "990102", Issuer: "xishan"},
	} {
		_, err := reg.AddAgency(ctx, "operator:test", a)
		must(t, err)
	}
	c := &town{db: d, reg: reg, ids: map[string]*web.Identity{}}
	is := officers{}
	for name, number := range map[string]string{"mu": "990100198001010034", "wan": "990100198001020013", "he": "990100199001010012", "lin": "990100199201010017", "qiu": "990100199401010011"} {
		p, _, err := reg.AddPerson(ctx, "operator:test", registry.Person{Kind: registry.Resident, Number: number, Name: "人" + name})
		must(t, err)
		c.ids[name] = &web.Identity{Session: name, Person: p.ID, Name: name, ACR: strong}
		if post := map[string]string{"mu": "donghu-amr", "wan": "xishan-amr", "lin": "donghu-amr"}[name]; post != "" {
			_, err := reg.Employ(ctx, "operator:test", registry.Post{Person: p.ID, Agency: post, Role: web.RoleClerk})
			must(t, err)
			c.ids[name].Roles = []web.Role{{Agency: post, Name: web.RoleClerk}}
		}
		is[p.ID] = name == "he" || name == "lin"
	}
	c.ca, err = ca.Open(ctx, ca.Options{DB: d, Ring: ring, Agencies: reg, Holders: reg, Officers: is, Licensed: &c.unlicensed, BaseURL: "http://ca.example", Logger: testkit.Logger(t)})
	must(t, err)
	site, err := web.NewSite(web.SiteOptions{Name: web.Text{ZH: "江城", EN: "Jiangcheng"}, Logger: testkit.Logger(t),
		Identify: func(r *http.Request) (*web.Identity, error) { return c.ids[r.Header.Get("X-Test")], nil }})
	must(t, err)
	s, err := agency.New(agency.Options{CA: c.ca, Registry: reg, Firms: reg, Officers: is, Site: site, ACR: strong})
	must(t, err)
	mux := http.NewServeMux()
	site.Mount(mux)
	s.Mount(mux)
	server := httptest.NewServer(web.Protect(mux, 8<<20, nil))
	t.Cleanup(server.Close)
	c.base = server.URL
	return c
}

// answer is what a page said.
type answer struct {
	status   int
	location string
	header   http.Header
	body     string
}

func (c *town) send(t *testing.T, who, method, path, kind string, body io.Reader) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.base+path, body)
	must(t, err)
	r.Header.Set("X-Test", who)
	r.Header.Set("Accept-Language", "zh")
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	resp, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(r)
	must(t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	must(t, err)
	return answer{resp.StatusCode, resp.Header.Get("Location"), resp.Header, string(b)}
}

func (c *town) get(t *testing.T, who, path string) answer {
	t.Helper()
	return c.send(t, who, "GET", path, "", nil)
}

func (c *town) post(t *testing.T, who, path string, pairs ...string) answer {
	t.Helper()
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return c.send(t, who, "POST", path, "application/x-www-form-urlencoded", strings.NewReader(v.Encode()))
}

// key is what the form at /agency/new gives to send with it.
func (c *town) key(t *testing.T, who string) string {
	t.Helper()
	m := regexp.MustCompile(`name="key" value="([^"]+)"`).FindStringSubmatch(c.get(t, who, "/agency/new").body)
	if m == nil {
		t.Fatal("the form has no key")
	}
	return m[1]
}

func csr(t *testing.T, template x509.CertificateRequest) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificateRequest(rand.Reader, &template, key)
	must(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

func (a answer) is(t *testing.T, status int, texts ...string) {
	t.Helper()
	if a.status != status {
		t.Errorf("status %d, want %d: %.600s", a.status, status, a.body)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("lacks %q", text)
		}
	}
}

// TestFromAskingToDownload: a clerk asks, an officer approves, the clerk downloads.
func TestFromAskingToDownload(t *testing.T) {
	c := newTown(t)
	key, text := c.key(t, "mu"), csr(t, x509.CertificateRequest{})
	sent := c.post(t, "mu", "/agency/new", "profile", "document", "csr", text, "key", key)
	sent.is(t, http.StatusSeeOther)
	if again := c.post(t, "mu", "/agency/new", "profile", "document", "csr", text, "key", key); again.location != sent.location {
		t.Errorf("sent twice: %s and %s", sent.location, again.location)
	}
	at := sent.location
	c.get(t, "mu", at).is(t, http.StatusOK, "待审批", "撤回申请", "江城市东湖区市场监督管理局", "人mu")
	c.get(t, "mu", "/agency").is(t, http.StatusOK, at)
	c.get(t, "he", "/agency").is(t, http.StatusOK, at, "等待安全官审批")
	c.get(t, "he", at).is(t, http.StatusOK, "批准", "P-256")
	c.post(t, "he", at, "act", "approve").is(t, http.StatusBadRequest, "理由须填写")
	c.post(t, "he", at, "act", "approve", "reason", "符合\n规定").is(t, http.StatusSeeOther)
	done := c.get(t, "mu", at)
	done.is(t, http.StatusOK, "已签发", "符合 规定", "人he")
	cert := regexp.MustCompile(`/agency/certificates/[0-9a-f]+`).FindString(done.body)
	c.get(t, "mu", cert).is(t, http.StatusOK, "电子文件签章", "有效")
	file := c.get(t, "mu", cert+"/chain.pem")
	file.is(t, http.StatusOK)
	block, rest := pem.Decode([]byte(file.body))
	above, none := pem.Decode(rest)
	leaf, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	issuer, err := x509.ParseCertificate(above.Bytes)
	must(t, err)
	if leaf.CheckSignatureFrom(issuer) != nil || len(bytes.TrimSpace(none)) > 0 || !strings.Contains(file.header.Get("Content-Disposition"), "attachment") {
		t.Errorf("chain of %s, %v", leaf.Subject, file.header)
	}
	one := c.get(t, "mu", cert+"/certificate.pem")
	if one.status != http.StatusOK || strings.Count(one.body, "BEGIN CERTIFICATE") != 1 {
		t.Errorf("%d %s", one.status, one.body)
	}
	c.get(t, "mu", cert+"/key.pem").is(t, http.StatusNotFound)

	// The agency finds it, and no other does.
	serial := strings.TrimPrefix(cert, "/agency/certificates/")
	for _, query := range []string{"q=" + serial[:10], "q=%E7%9B%91%E7%9D%A3", "state=issued"} {
		c.get(t, "mu", "/agency?"+query).is(t, http.StatusOK, cert)
		if a := c.get(t, "wan", "/agency?"+query); strings.Contains(a.body, cert) {
			t.Errorf("%s shows another agency's certificate", query)
		}
	}
	for _, query := range []string{"q=" + serial[:10] + "0000", "state=held", "q=%E9%97%A8%E6%88%B7"} {
		c.get(t, "mu", "/agency?"+query).is(t, http.StatusOK, "没有符合条件的证书")
	}
	c.get(t, "mu", "/agency?state=stolen").is(t, http.StatusOK, "无法按此条件查找")
	c.get(t, "mu", "/agency?after=zz").is(t, http.StatusOK, "无法按此条件查找")
	for _, path := range []string{at, cert, cert + "/certificate.pem", cert + "/chain.pem"} {
		c.get(t, "wan", path).is(t, http.StatusNotFound)
		c.get(t, "qiu", path).is(t, http.StatusForbidden)
		if a := c.get(t, "", path); a.status != http.StatusSeeOther && a.status != http.StatusUnauthorized {
			t.Errorf("%s for nobody: %d", path, a.status)
		}
	}
	// Who keeps a key for permits could sign documents with it: an officer decides, too.
	sent = c.post(t, "mu", "/agency/new", "profile", "permit", "csr", csr(t, x509.CertificateRequest{}), "key", c.key(t, "mu"))
	if sent.status != http.StatusSeeOther || !strings.HasPrefix(sent.location, "/agency/requests/") {
		t.Errorf("%d %s", sent.status, sent.location)
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	c := newTown(t)
	a := c.post(t, "mu", "/agency/new", "profile", "system-server", "hosts", "A.example *.b", "name", "x", "key", c.key(t, "mu"), "csr", "no CSR")
	a.is(t, http.StatusBadRequest, `id="hosts-problem"`, `id="name-problem"`, `id="csr-problem"`, "no CSR", "*.b")
	good := csr(t, x509.CertificateRequest{})
	for name, tt := range map[string]struct {
		pairs []string
		says  string
	}{
		"nothing":              {nil, "证书请求为必填项"},
		"no profile":           {[]string{"csr", good}, "请选择证书用途"},
		"another's profile":    {[]string{"profile", "officer", "csr", good}, "请选择证书用途"},
		"the root":             {[]string{"profile", "root", "csr", good}, "请选择证书用途"},
		"no CSR":               {[]string{"profile", "document"}, "证书请求为必填项"},
		"a host in the CSR":    {[]string{"profile", "document", "csr", csr(t, x509.CertificateRequest{DNSNames: []string{"x.example"}})}, `id="csr-problem"`},
		"a private key":        {[]string{"profile", "document", "csr", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"}, `id="csr-problem"`},
		"hosts of a document":  {[]string{"profile", "document", "csr", good, "hosts", "x.example"}, `id="hosts-problem"`},
		"no name of a program": {[]string{"profile", "system-client", "csr", good}, `id="name-problem"`},
		"a foreign host":       {[]string{"profile", "system-server", "csr", good, "hosts", "www.foreign.example"}, "www.foreign.example"},
		"a forged key":         {[]string{"profile", "document", "csr", good, "key", "x"}, "表单已失效"},
	} {
		pairs := tt.pairs
		if name != "a forged key" {
			pairs = append(pairs, "key", c.key(t, "mu"))
		}
		a := c.post(t, "mu", "/agency/new", pairs...)
		if a.status < 400 || a.status >= 500 || !strings.Contains(a.body, tt.says) || !strings.Contains(a.body, "请更正以下问题") {
			t.Errorf("%s: %d lacks %s", name, a.status, tt.says)
		}
	}
	if list, err := c.ca.ListPending(t.Context(), ca.PendingFilter{}); err != nil || len(list) != 0 {
		t.Errorf("%d requests, %v", len(list), err)
	}
	c.post(t, "he", "/agency/new", "profile", "document", "csr", good).is(t, http.StatusForbidden)
	c.get(t, "he", "/agency/new").is(t, http.StatusForbidden)
	c.get(t, "mu", "/agency?agency=xishan-amr").is(t, http.StatusForbidden)
	c.post(t, "mu", "/agency/new", "csr", strings.Repeat("x", 70<<10)).is(t, http.StatusRequestEntityTooLarge)
}

func TestAFile(t *testing.T) {
	c := newTown(t)
	upload := func(pasted, file string) answer {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for name, value := range map[string]string{"profile": "document", "key": c.key(t, "mu"), "csr": pasted} {
			must(t, w.WriteField(name, value))
		}
		f, err := w.CreateFormFile("file", "request.csr")
		must(t, err)
		_, err = f.Write([]byte(file))
		must(t, err)
		must(t, w.Close())
		return c.send(t, "mu", "POST", "/agency/new", w.FormDataContentType(), &b)
	}
	good := csr(t, x509.CertificateRequest{})
	block, _ := pem.Decode([]byte(good))
	upload("", good).is(t, http.StatusSeeOther)
	upload("", string(block.Bytes)).is(t, http.StatusSeeOther)
	upload(good, "").is(t, http.StatusSeeOther)
	upload(good, good).is(t, http.StatusBadRequest, `id="file-problem"`)
	upload("", "x").is(t, http.StatusBadRequest, `id="file-problem"`)
	upload("", strings.Repeat("x", ca.MaxCSR+1)).is(t, http.StatusBadRequest, `id="file-problem"`)
}

// TestWhoDecidesHere: an officer of elsewhere with a passkey, and nobody else; whoever
// works at the agency withdraws, and nobody else.
func TestWhoDecidesHere(t *testing.T) {
	c := newTown(t)
	at := c.post(t, "mu", "/agency/new", "profile", "document", "csr", csr(t, x509.CertificateRequest{}), "key", c.key(t, "mu")).location
	for who, status := range map[string]int{"mu": http.StatusForbidden, "lin": http.StatusForbidden, "wan": http.StatusNotFound, "qiu": http.StatusForbidden} {
		for _, act := range []string{"approve", "reject"} {
			c.post(t, who, at, "act", act, "reason", "x").is(t, status)
		}
	}
	c.ids["he"].ACR = "weak"
	c.post(t, "he", at, "act", "approve", "reason", "x").is(t, http.StatusForbidden, "通行密钥")
	c.get(t, "he", at).is(t, http.StatusOK, "审批须使用通行密钥登录")
	c.ids["he"].ACR = strong
	for _, act := range []string{"", "issue", "APPROVE"} {
		c.post(t, "he", at, "act", act, "reason", "x").is(t, http.StatusBadRequest)
	}
	c.post(t, "he", at, "act", "withdraw").is(t, http.StatusForbidden)
	c.post(t, "wan", at, "act", "withdraw").is(t, http.StatusNotFound)
	c.post(t, "mu", at+"x", "act", "withdraw").is(t, http.StatusNotFound)
	c.post(t, "lin", at, "act", "withdraw").is(t, http.StatusSeeOther)
	c.post(t, "he", at, "act", "approve", "reason", "x").is(t, http.StatusConflict)
	if found, err := c.ca.Search(t.Context(), ca.Query{Profile: profile.DocumentSigning}); err != nil || len(found.Certificates) != 0 {
		t.Errorf("%d certificates, %v", len(found.Certificates), err)
	}
}
