package e2e_test

import (
	"bytes"
	"encoding/json/v2"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// token asks for an access token as a program of the city.
func (s *served) token(t *testing.T, id, secret, scope string) string {
	t.Helper()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Issuer+"/oidc/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	var answer struct {
		Token string `json:"access_token"`
	}
	a := send(t, req)
	if err := json.Unmarshal(a.body, &answer); err != nil || answer.Token == "" {
		t.Fatalf("token: %d %s %v", a.status, a.body, err)
	}
	return answer.Token
}

// answered is an answer read to its end.
type answered struct {
	status int
	header http.Header
	body   []byte
}

var client = &http.Client{Timeout: 20 * time.Second}

func send(t *testing.T, req *http.Request) answered {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 32<<20))
	if err != nil {
		t.Fatalf("%s %s: %v", req.Method, req.URL, err)
	}
	return answered{resp.StatusCode, resp.Header, b}
}

// refused checks that an answer is a refusal in JSON that can be referred to.
func (a answered) refused(t *testing.T, what string) {
	t.Helper()
	var body struct {
		Error     string `json:"error"`
		Message   string `json:"message"`
		Reference string `json:"reference"`
	}
	err := json.Unmarshal(a.body, &body)
	switch {
	case a.status < 400 || a.status > 499:
		t.Errorf("%s: status %d, want 4xx: %.300q", what, a.status, a.body)
	case err != nil || body.Error == "" || body.Message == "" || a.header.Get("Content-Type") != "application/json":
		t.Errorf("%s: status %d without an error in JSON (%v): %.300q", what, a.status, err, a.body)
	case body.Reference == "" || body.Reference != a.header.Get("X-Request-Id"):
		t.Errorf("%s: status %d with the reference %q, X-Request-Id %q", what, a.status, body.Reference, a.header.Get("X-Request-Id"))
	}
}

// oddBodies are bodies that no route takes.
func oddBodies() map[string][]byte {
	return map[string][]byte{
		"empty":       {},
		"null":        []byte("null"),
		"an array":    []byte("[]"),
		"cut off":     []byte(`{"type":`),
		"deep":        bytes.Repeat([]byte(`{"data":`), 20_000),
		"not UTF-8":   []byte("{\"type\":\"\xff\",\"agency\":\"\xff\",\"reason\":\"\xff\"}"),
		"unknown":     []byte(`{"no such member":1}`),
		"twice":       []byte(`{"reason":"a","reason":"b"}`),
		"two values":  []byte(`{}{}`),
		"wrong kinds": []byte(`{"type":1,"holder":[],"data":"","id":{},"agency":{},"purpose":[],"to":7,"reason":{},"uscc":9,"csr":1}`),
		"huge":        append(append([]byte(`{"reason":"`), bytes.Repeat([]byte("a"), 9<<20)...), `"}`...),
	}
}

// oddObjects are well-formed bodies of each route that ask for what cannot be.
var oddObjects = []struct{ path, body string }{
	{"/licenses/v1/licenses", `{"type":"food-business\u0000","holder":{"uscc":"91990101MA1F001175"},"data":{},"not_before":"","not_after":""}`},
	{"/licenses/v1/licenses", `{"type":"food-business","holder":{"uscc":"\u0000"},"data":{"trade_name":"\u0000"},"not_before":"","not_after":""}`},
	{"/licenses/v1/licenses", `{"type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{"seats":1e400},"not_before":"","not_after":""}`},
	{"/licenses/v1/licenses", `{"type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{},"not_before":"292277026596-01-01","not_after":"-1"}`},
	{"/licenses/v1/licenses/%00/revoke", `{"reason":"a\u0000b"}`},
	{"/licenses/v1/licenses/x/suspend", `{"reason":"\u0000"}`},
	{"/registry/v1/agencies", `{"id":"\u0000"}`},
	{"/registry/v1/agencies/%00/successor", `{"successor":"\u0000"}`},
	{"/registry/v1/agencies/%00/authorities", `{"type":"\u0000","area":"\u0000"}`},
	{"/registry/v1/firms", `{"uscc":"\u0000","name":"\u0000"}`},
	{"/registry/v1/people", `{"kind":"resident","number":"\u0000","name":"\u0000"}`},
	{"/registry/v1/people/find", `{"kind":"\u0000","number":"\u0000"}`},
	{"/security/v1/keys/enroll", `{"agency":"\u0000"}`},
	{"/security/v1/keys/rotate", `{"purpose":"permit","owner":"\u0000","from":"\u0000"}`},
	{"/security/v1/keys/rotate", `{"purpose":"\u0000","owner":"donghu-amr","from":"x"}`},
	{"/security/v1/keys/%00/move", `{"to":"retired","reason":"\u0000"}`},
	{"/security/v1/keys/%00/pause", `{"reason":"\u0000"}`},
	{"/security/v1/keys/x/resume", `{"reason":"\u0000"}`},
	{"/security/v1/keys/%ff/compromise", `{"reason":"\u0000","since":"0000-00-00T00:00:00Z"}`},
	{"/security/v1/keys/x/compromise", `{"reason":"a","since":"9999-12-31T23:59:59Z"}`},
	{"/security/v1/root/ask", `{"issuers":["\u0000"]}`},
	{"/security/v1/root/ask", `{"issuers":[],"next":"AAAA","switch":"AAAA"}`},
	{"/security/v1/root/apply", `{"format":"\u0000"}`},
	{"/security/v1/root/withdraw", `{"id":"\u0000"}`},
	{"/security/v1/officers/found", `{"officers":["\u0000","\u0000","\u0000"],"quorum":{"keys":["AAAA"],"need":1}}`},
	{"/security/v1/officers/enroll", `{"person":"\u0000","code":"\u0000","key":"AAAA","name":"\u0000"}`},
	{"/security/v1/officers/glass/statement", `{"officers":["\u0000","\u0000","\u0000"]}`},
	{"/security/v1/officers/glass/apply", `{"statement":"AAAA","signatures":["AAAA"]}`},
	{"/security/v1/requests", `{"kind":"\u0000","params":{},"reason":"\u0000"}`},
	{"/security/v1/requests/%00/approve", `{"cose":"AAAA"}`},
	{"/ca/v1/certificates", `{"agency":"\u0000","csr":"\u0000"}`},
	{"/ca/v1/certificates/%00/revoke", `{"reason":"\u0000"}`},
}

// oddAddresses are addresses at which there is nothing or that ask for nonsense.
var oddAddresses = []string{
	"/licenses/v1/licenses?limit=-1", "/licenses/v1/licenses?limit=99999999999999999999", "/licenses/v1/licenses/%00", "/licenses/v1/licenses/%ff/qr.png",
	"/licenses/v1/licenses/%F0%9F%92%A9/qr.svg", "/registry/v1/agencies/%00", "/registry/v1/agencies/%00/authorities", "/registry/v1/firms/%00", "/registry/v1/firms/%ff",
	"/ca/v1/certificates/%00", "/ca/v1/certificates/zz", "/ca/city/%00", "/ca/%00/ca.crt", "/ca/city/crl/99999999999999999999.crl",
	"/ca/nobody/ocsp/MA==", "/trust/genuine/%00", "/trust/genuine/zz", "/trust/genuine/" + strings.Repeat("00", 32), "/log/v1/export?from=-1", "/log/v1/export?from=%00", "/security/v1/requests/%00",
	"/ca/city/crl/9223372036854775807.crl", "/ca/%00/crl/1.crl", "/log/tile/%00", "/log/tile/63/000", "/log/tile/0/x999/x999/x999/x999/x999/x999/999", "/log/tile/entries/000.p/0",
}

// vagueAddresses filter by nonsense: nothing found is an answer too.
var vagueAddresses = []string{
	"/security/v1/keys?purpose=%00&owner=%00", "/security/v1/keys?purpose=%ff", "/licenses/v1/licenses?number=%00", "/licenses/v1/licenses?holder=%00",
	"/licenses/v1/licenses?after=%00", "/ca/v1/certificates?agency=%00&status=%00&profile=%00&after=%00", "/registry/v1/firms?after=%00&limit=%00", "/registry/v1/agencies?x=%00",
	"/trust/bundle?%00", "/oidc/jwks?%ff", "/oidc/jwks?%zz", "/log/checkpoint?;", "/readyz?%00",
}

// TestOddRequestsAreRefused sends every public route what it cannot take: it says
// so, and never that something went wrong inside. PostgreSQL and SQLite differ in
// what text they store.
func TestOddRequestsAreRefused(t *testing.T) {
	engines(t, func(t *testing.T, database func(*testing.T) string) {
		s := demo(t, filepath.Join(t.TempDir(), "city"), append(on(database(t)), anyPort...)...)
		o := odd{served: s, operator: s.token(t, s.Operator.ID, s.Operator.Secret, "keys ca registry")}
		for _, a := range s.Agencies {
			if a.ID == agency {
				o.agency = s.token(t, a.Client, a.Secret, "licenses")
			}
		}
		t.Run("bodies", o.bodies)
		t.Run("text with NUL", o.nul)
		t.Run("addresses", o.addresses)
		t.Run("batch", o.batch)
		t.Run("token endpoint", o.tokens)
		s.stop(t) // also looks for errors in its log
	})
}

type odd struct {
	*served
	operator, agency string // access tokens
}

// ask sends a request; kind is the content type of the body, "" for none.
func (o odd) ask(t *testing.T, method, path, kind, bearer string, body []byte) answered {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, o.Issuer+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	req.Header.Set("Idempotency-Key", fmt.Sprintf("%x", len(path)))
	return send(t, req)
}

// bearer returns the token that a path is for.
func (o odd) bearer(path string) string {
	if strings.HasPrefix(path, "/licenses/") {
		return o.agency
	}
	return o.operator
}

func (o odd) bodies(t *testing.T) {
	seen := map[string]bool{}
	for _, one := range oddObjects {
		o.ask(t, "POST", one.path, "application/json", o.bearer(one.path), []byte(one.body)).refused(t, "POST "+one.path+" "+one.body)
		if seen[one.path] {
			continue
		}
		seen[one.path] = true
		for name, body := range oddBodies() {
			o.ask(t, "POST", one.path, "application/json", o.bearer(one.path), body).refused(t, "POST "+one.path+" "+name)
		}
		o.ask(t, "POST", one.path, "text/plain", o.bearer(one.path), []byte(one.body)).refused(t, "POST "+one.path+" as text")
		o.ask(t, "POST", one.path, "application/json", "", []byte(one.body)).refused(t, "POST "+one.path+" without a token")
		o.ask(t, "POST", one.path, "application/json", strings.Repeat("a.", 4000), []byte(one.body)).refused(t, "POST "+one.path+" with a wrong token")
	}
}

// nul puts a NUL into text of requests that are right but for it: PostgreSQL stores
// none.
func (o odd) nul(t *testing.T) {
	l := o.issue(t)
	for _, act := range []string{"suspend", "revoke"} {
		path := "/licenses/v1/licenses/" + l.ID + "/" + act
		o.ask(t, "POST", path, "application/json", o.agency, []byte(`{"reason":"a\u0000b"}`)).refused(t, "POST "+path)
	}
	for _, name := range []string{"湖畔", "江城市", "热食类", "周予安", "林若川"} {
		body := strings.Replace(licenseRequest, name, name+`\u0000`, 1)
		o.ask(t, "POST", "/licenses/v1/licenses", "application/json", o.agency, []byte(body)).refused(t, "a licence with NUL after "+name)
	}
	for name := range o.certificates(t) {
		id := name[strings.LastIndex(name, " ")+1:]
		path := "/security/v1/keys/" + id + "/move"
		o.ask(t, "POST", path, "application/json", o.operator, []byte(`{"to":"retiring","reason":"a\u0000b"}`)).refused(t, "POST "+path)
	}
}

func (o odd) addresses(t *testing.T) {
	for _, path := range oddAddresses {
		o.ask(t, "GET", path, "", o.bearer(path), nil).refused(t, "GET "+path)
	}
	for _, path := range vagueAddresses {
		if a := o.ask(t, "GET", path, "", o.bearer(path), nil); a.status != http.StatusOK {
			a.refused(t, "GET "+path)
		}
	}
	for _, path := range []string{"/no/such/address", "/licenses", "/licenses/v1/licenses/x/y/z"} {
		if a := o.ask(t, "GET", path, "", "", nil); a.status != http.StatusNotFound {
			t.Errorf("GET %s: status %d, want 404", path, a.status)
		}
	}
	if a := o.ask(t, "DELETE", "/licenses/v1/licenses", "", o.agency, nil); a.status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE of all licences: status %d, want 405", a.status)
	}
}

// batch answers line by line: a bad line spoils itself.
func (o odd) batch(t *testing.T) {
	var lines bytes.Buffer
	for _, body := range oddBodies() {
		if len(body) < 32<<10 {
			lines.Write(append(bytes.ReplaceAll(body, []byte("\n"), nil), '\n'))
		}
	}
	lines.WriteString(`{"key":"\u0000","type":"food-business","holder":{"uscc":"91990101MA1F001175"},"data":{},"not_before":"","not_after":""}` + "\n")
	lines.WriteString(`{"key":"k","type":"\u0000","holder":{"uscc":"\u0000"},"data":{"a":"\u0000"},"not_before":"","not_after":""}` + "\n")
	lines.Write(bytes.Repeat([]byte("a"), 1<<20)) // longer than a line may be
	a := o.ask(t, "POST", "/licenses/v1/batch", "application/x-ndjson", o.agency, lines.Bytes())
	if a.status != http.StatusOK {
		a.refused(t, "batch")
		return
	}
	n := 0
	for line := range bytes.Lines(a.body) {
		var outcome struct {
			Error string `json:"error"`
		}
		if err := json.Unmarshal(line, &outcome); err != nil || outcome.Error == "" || outcome.Error == "internal" || outcome.Error == "unavailable" {
			t.Errorf("batch: %v: %s", err, line)
		}
		n++
	}
	if want := 11; n != want { // 8 odd bodies that are lines, two well-formed ones, the end
		t.Errorf("batch: %d outcomes, want %d\n%s", n, want, a.body)
	}
}

// tokens sends the token endpoint what is no token request. Its errors are those
// of RFC 6749; the reference is in the header.
func (o odd) tokens(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, one := range []struct{ name, kind, body string }{
		{"empty", form, ""},
		{"JSON", "application/json", `{"grant_type":"client_credentials"}`},
		{"bad escape", form, "grant_type=%zz"},
		{"NUL", form, "grant_type=client_credentials&client_id=%00&client_secret=%00&scope=%00"},
		{"not UTF-8", form, "grant_type=client_credentials&client_id=%ff&client_secret=%ff"},
		{"twice", form, "grant_type=client_credentials&grant_type=password"},
		{"other grant", form, "grant_type=password&username=a&password=b"},
		{"huge", form, "grant_type=client_credentials&scope=" + strings.Repeat("a", 9<<20)},
	} {
		a := o.ask(t, "POST", "/oidc/token", one.kind, "", []byte(one.body))
		o.tokenRefused(t, one.name, a)
	}
	for name, id := range map[string]string{"NUL": "%00", "not UTF-8": "%ff", "unknown": "nobody", "long": strings.Repeat("a", 8000)} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, o.Issuer+"/oidc/token", strings.NewReader("grant_type=client_credentials"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", form)
		req.SetBasicAuth(id, id)
		o.tokenRefused(t, "client "+name, send(t, req))
	}
}

func (o odd) tokenRefused(t *testing.T, name string, a answered) {
	t.Helper()
	var body struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(a.body, &body); a.status < 400 || a.status > 499 || err != nil || body.Error == "" || a.header.Get("X-Request-Id") == "" {
		t.Errorf("token request, %s: status %d, reference %q: %.300s", name, a.status, a.header.Get("X-Request-Id"), a.body)
	}
}
