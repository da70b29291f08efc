package licenses_test

import (
	"bytes"
	"encoding/json/v2"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/licenses"
)

type server struct {
	*httptest.Server
	t *testing.T
}

func serve(t *testing.T, c *city) server {
	mux := http.NewServeMux()
	c.Mount(mux)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return server{s, t}
}

// do sends a request and returns the status and body.
func (s server) do(method, path, token, body string, headers ...string) (int, []byte) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.URL+path, strings.NewReader(body))
	must(s.t, err)
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.Client().Do(r)
	must(s.t, err)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	must(s.t, err)
	return resp.StatusCode, b
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}

func TestAPI(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	const path = "/licenses/v1/licenses"
	status, body := s.do("POST", path, "donghu", text(t, food(nil)), "Idempotency-Key", "a1")
	var l licenses.License
	must(t, json.Unmarshal(body, &l))
	if status != 201 || l.Permit == "" || l.Number == "" || l.Status != licenses.Issued {
		t.Fatalf("%d %s", status, body)
	}
	if again, body2 := s.do("POST", path, "donghu", text(t, food(nil)), "Idempotency-Key", "a1"); again != 201 || !bytes.Equal(body, body2) {
		t.Errorf("replay: %d %s", again, body2)
	}
	cases := []struct {
		name, method, path, token, body string
		headers                         []string
		want                            int
	}{
		{"show", "GET", path + "/" + l.ID, "donghu", "", nil, 200},
		{"list", "GET", path + "?limit=1", "donghu", "", nil, 200},
		{"bad limit", "GET", path + "?limit=0", "donghu", "", nil, 400},
		{"another agency's", "GET", path + "/" + l.ID, "edu", "", nil, 404},
		{"no token", "GET", path + "/" + l.ID, "", "", nil, 401},
		{"bad token", "GET", path + "/" + l.ID, "nobody", "", nil, 401},
		{"narrow token", "GET", path + "/" + l.ID, "narrow", "", nil, 403},
		{"no key", "POST", path, "donghu", text(t, food(nil)), nil, 400},
		{"unknown member", "POST", path, "donghu", `{"type":"food-business","extra":1}`, []string{"Idempotency-Key", "b"}, 400},
		{"twice the same member", "POST", path, "donghu", `{"type":"a","type":"b"}`, []string{"Idempotency-Key", "b"}, 400},
		{"not JSON", "POST", path, "donghu", `type=food`, []string{"Idempotency-Key", "b"}, 400},
		{"too large", "POST", path, "donghu", `{"type":"` + strings.Repeat("x", 300<<10) + `"}`, []string{"Idempotency-Key", "b"}, 413},
		{"no authority", "POST", path, "edu", text(t, food(nil)), []string{"Idempotency-Key", "b"}, 403},
		{"used key", "POST", path, "donghu", text(t, food(func(r *licenses.Request) { r.NotAfter = "2027-12-31" })), []string{"Idempotency-Key", "a1"}, 409},
		{"suspend", "POST", path + "/" + l.ID + "/suspend", "donghu", `{"reason":"r"}`, nil, 200},
		{"suspend again", "POST", path + "/" + l.ID + "/suspend", "donghu", `{"reason":"r"}`, nil, 409},
		{"resume", "POST", path + "/" + l.ID + "/resume", "donghu", `{"reason":"r"}`, nil, 200},
		{"revoke without reason", "POST", path + "/" + l.ID + "/revoke", "donghu", `{"reason":""}`, nil, 400},
		{"revoke", "POST", path + "/" + l.ID + "/revoke", "donghu", `{"reason":"r"}`, nil, 200},
		{"burn", "POST", path + "/" + l.ID + "/burn", "donghu", `{"reason":"r"}`, nil, 404},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			if got, body := s.do(tc.method, tc.path, tc.token, tc.body, tc.headers...); got != tc.want {
				t.Errorf("%d %s, want %d", got, body, tc.want)
			}
		})
	}
}

func TestQRIsReadByZbar(t *testing.T) {
	zbar, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("zbarimg is not installed (apt-get install zbar-tools)")
	}
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	l := c.issue(t, "donghu", "k", food(nil))
	status, png := s.do("GET", "/licenses/v1/licenses/"+l.ID+"/qr.png", "donghu", "")
	if status != 200 {
		t.Fatalf("%d %s", status, png)
	}
	cmd := exec.CommandContext(t.Context(), zbar, "--raw", "-q", "PNG:-")
	cmd.Stdin = bytes.NewReader(png)
	out, err := cmd.Output()
	must(t, err)
	if got := strings.TrimSpace(string(out)); got != l.Permit {
		t.Errorf("zbarimg read %q, want %q", got, l.Permit)
	}
	t.Logf("permit of %d characters", len(l.Permit))
}

func TestSVGDrawsTheSameModules(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	l := c.issue(t, "donghu", "k", food(nil))
	status, svg := s.do("GET", "/licenses/v1/licenses/"+l.ID+"/qr.svg", "donghu", "")
	if status != 200 {
		t.Fatalf("%d %s", status, svg)
	}
	var doc struct {
		ViewBox string `xml:"viewBox,attr"`
		Paths   []struct {
			D string `xml:"d,attr"`
		} `xml:"path"`
	}
	must(t, xml.Unmarshal(svg, &doc))
	var side int
	if _, err := fmt.Sscanf(doc.ViewBox, "0 0 %d", &side); err != nil || len(doc.Paths) != 2 {
		t.Fatalf("%s: %v", doc.ViewBox, err)
	}
	drawn := modules(t, doc.Paths[1].D)
	_, body := s.do("GET", "/licenses/v1/licenses/"+l.ID+"/qr.png", "donghu", "")
	wantModules(t, body, side, drawn)
}

func TestBatch(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	s := serve(t, c)
	var in strings.Builder
	type keyed struct {
		Key string `json:"key"`
		licenses.Request
	}
	for i := range 150 {
		switch {
		case i%50 == 7:
			in.WriteString("{\"key\": broken}\n")
		case i%50 == 8:
			in.WriteString(text(t, keyed{fmt.Sprint("b", i), food(func(r *licenses.Request) { r.Type = "none" })}) + "\n")
		default:
			in.WriteString(text(t, keyed{fmt.Sprint("b", i), food(nil)}) + "\n")
		}
	}
	first := s.batch(in.String())
	if len(first) != 150 {
		t.Fatalf("%d answers for 150 lines", len(first))
	}
	for i, a := range first {
		bad := i%50 == 7 || i%50 == 8
		if a.Line != i+1 || (a.Error == "invalid") != bad || (a.Permit != "") == bad {
			t.Errorf("line %d: %+v", i+1, a)
		}
	}
	for i, a := range s.batch(in.String()) { // sent again whole: nothing twice
		if a.ID != first[i].ID {
			t.Errorf("line %d became licence %s and then %s", i+1, first[i].ID, a.ID)
		}
	}
	c.wantClean(t, 144)
	var long strings.Builder
	for range 161 {
		long.WriteString("{}\n")
	}
	if got := s.batch(long.String()); len(got) < 1 || got[len(got)-1].Error != "too_large" || got[len(got)-1].Line != 161 {
		t.Errorf("a batch over its bound ended with %+v", got[len(got)-1])
	}
	cut := s.batch(text(t, keyed{"cut", food(nil)}) + "\n" + strings.Repeat("x", 70<<10))
	if len(cut) != 2 || cut[0].Permit == "" || cut[1].Error != "too_large" || cut[1].Line != 2 {
		t.Errorf("an endless line: %+v", cut)
	}
}

type answer struct {
	Line                           int
	Key, ID, Number, Permit, Error string
}

func (s server) batch(in string) (answers []answer) {
	s.t.Helper()
	status, body := s.do("POST", "/licenses/v1/batch", "donghu", in, "Content-Type", "application/x-ndjson")
	if status != 200 {
		s.t.Fatalf("batch: %d %s", status, body)
	}
	for line := range strings.Lines(string(body)) {
		var a answer
		must(s.t, json.Unmarshal([]byte(line), &a, json.MatchCaseInsensitiveNames(true)))
		answers = append(answers, a)
	}
	return answers
}
