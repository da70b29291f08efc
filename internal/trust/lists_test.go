package trust_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/testkit"
	. "github.com/signet-city/signet/internal/trust"
	"github.com/signet-city/signet/licenses/status"
	"github.com/signet-city/signet/verify/trust"
)

func ask(p *Publisher, path string, headers ...string) *httptest.ResponseRecorder {
	mux := http.NewServeMux()
	p.Mount(mux)
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w
}

const (
	asJWT = "application/statuslist+jwt"
	asCWT = "application/statuslist+cwt"
)

// statusKey is the city's active status key.
func (c *city) statusKey(t testing.TB) *ecdsa.PublicKey {
	t.Helper()
	k, _, err := c.ring.Active(t.Context(), keys.PurposeStatus, "city")
	if err != nil {
		t.Fatal(err)
	}
	return k.Public.(*ecdsa.PublicKey)
}

func TestStatusLists(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		c := newCity(t, d)
		p := c.publisher(t)
		if w := ask(p, "/status/lists/0"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("before the first publication: status %d", w.Code)
		}
		c.statuses.set(0, 7, status.Revoked)
		c.statuses.set(1, 9, status.Suspended)
		publish(t, p)
		open := map[string]func([]byte) (status.Token, error){
			asJWT: func(b []byte) (status.Token, error) { return status.OpenJWT(b, -7, c.statusKey(t)) },
			asCWT: func(b []byte) (status.Token, error) { return status.OpenCWT(b, -7, c.statusKey(t)) },
		}
		for media, open := range open {
			w := ask(p, "/status/lists/1", "Accept", media)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != media || w.Header().Get("Vary") != "Accept" {
				t.Fatalf("%s: status %d, %v", media, w.Code, w.Header())
			}
			tok, err := open(w.Body.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if tok.Subject != "http://localhost:8080/status/lists/1" || tok.IssuedAt != c.clock.Now().Unix() || tok.Expires != tok.IssuedAt+86400 || tok.TTL != 60 {
				t.Errorf("%s: %s %d %d %d", media, tok.Subject, tok.IssuedAt, tok.Expires, tok.TTL)
			}
			if v, _ := tok.At(9); v != byte(status.Suspended) {
				t.Errorf("%s: index 9 is %d", media, v)
			}
			if v, _ := tok.At(7); v != byte(status.Valid) {
				t.Errorf("%s: index 7 of another list is %d", media, v)
			}
			if w := ask(p, "/status/lists/1", "Accept", media, "If-None-Match", w.Header().Get("ETag")); w.Code != http.StatusNotModified {
				t.Errorf("%s: asked again: status %d", media, w.Code)
			}
		}
		one, two := ask(p, "/status/lists/0"), ask(p, "/status/lists/1")
		c.statuses.set(1, 9, status.Revoked)
		publish(t, p)
		if w := ask(p, "/status/lists/0"); !bytes.Equal(w.Body.Bytes(), one.Body.Bytes()) {
			t.Error("a list was signed anew because another changed")
		}
		w := ask(p, "/status/lists/1", "If-None-Match", two.Header().Get("ETag"))
		if tok, err := open[asJWT](w.Body.Bytes()); err != nil {
			t.Errorf("after a change: status %d, %v", w.Code, err)
		} else if v, _ := tok.At(9); v != byte(status.Revoked) {
			t.Errorf("after a change: index 9 is %d", v)
		}
		c.clock.add(9 * time.Hour)
		publish(t, p)
		if w := ask(p, "/status/lists/0"); bytes.Equal(w.Body.Bytes(), one.Body.Bytes()) {
			t.Error("a third of its life is over and the list is not signed anew")
		}
		if w := ask(p, "/status/lists"); w.Body.String() != `{"status_lists":["http://localhost:8080/status/lists/0","http://localhost:8080/status/lists/1"]}`+"\n" &&
			w.Body.String() != `{"status_lists":["http://localhost:8080/status/lists/0","http://localhost:8080/status/lists/1"]}` {
			t.Errorf("lists: %s", w.Body)
		}
	})
}

// TestStatusListsAreNoNewerThanTheSnapshot: where publishing has stopped, what a list
// says gets older, and expires.
func TestStatusListsAreNoNewerThanTheSnapshot(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	publish(t, p)
	published := c.clock.Now().Unix()
	for _, media := range []string{asJWT, asCWT} {
		c.clock.add(9 * time.Hour) // a snapshot would be due
		first := ask(p, "/status/lists/0", "Accept", media)
		open := status.OpenJWT
		if media == asCWT {
			open = status.OpenCWT
		}
		tok, err := open(first.Body.Bytes(), -7, c.statusKey(t))
		if err != nil || tok.IssuedAt != published || tok.Expires != published+86400 {
			t.Errorf("%s: from %d to %d, want %d, %v", media, tok.IssuedAt, tok.Expires, published, err)
		}
		if again := ask(p, "/status/lists/0", "Accept", media); !bytes.Equal(again.Body.Bytes(), first.Body.Bytes()) {
			t.Errorf("%s: the same was signed anew", media)
		}
	}
	publish(t, p)
	tok, err := status.OpenJWT(ask(p, "/status/lists/0").Body.Bytes(), -7, c.statusKey(t))
	if err != nil || tok.IssuedAt != c.clock.Now().Unix() {
		t.Errorf("after publishing: of %d, %v", tok.IssuedAt, err)
	}
}

func TestStatusListsRefuse(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	publish(t, p)
	for path, want := range map[string]int{
		"/status/lists/1": 404, "/status/lists/00": 404, "/status/lists/-1": 404, "/status/lists/x": 404, "/status/lists/4294967296": 404,
		"/status/lists/0?time=1": 501, "/status/lists/0": 200,
	} {
		if w := ask(p, path); w.Code != want {
			t.Errorf("%s: status %d, want %d", path, w.Code, want)
		}
	}
	for accept, want := range map[string]string{
		"*/*": asJWT, "application/*": asJWT, asJWT: asJWT, asCWT: asCWT, "Application/StatusList+CWT": asCWT,
		asJWT + ";q=0.5, " + asCWT: asCWT, asCWT + ";q=0.5, " + asJWT + ";q=0.6": asJWT, "*/*;q=0.1, " + asCWT + "; Q=0.9": asCWT,
		"text/html, " + asCWT: asCWT, asJWT + ";q=0, */*": asCWT,
		"": "", "text/html": "", "application/json": "", asJWT + ";q=0": "", asJWT + ";q=2": "", asJWT + ";q=x": "", asJWT + ";q=NaN": "", "*/*;q=0": "",
	} {
		w := ask(p, "/status/lists/0", "Accept", accept)
		if got := w.Header().Get("Content-Type"); want == "" && w.Code != http.StatusNotAcceptable || want != "" && (w.Code != 200 || got != want) {
			t.Errorf("Accept %q: status %d, %s; want %q", accept, w.Code, got, want)
		}
	}
}

// TestStatusKeys holds that the set has the key that signs, under the kid that the
// lists name.
func TestStatusKeys(t *testing.T) {
	c := newCity(t, testkit.SQLite(t))
	p := c.publisher(t)
	var set struct {
		Keys []map[string]string
	}
	if err := json.Unmarshal(ask(p, "/status/keys").Body.Bytes(), &set); err != nil || len(set.Keys) != 1 {
		t.Fatalf("%v, %v", set, err)
	}
	point, err := c.statusKey(t).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(c.statusKey(t))
	if err != nil {
		t.Fatal(err)
	}
	e := base64.RawURLEncoding
	want := map[string]string{"kty": "EC", "crv": "P-256", "x": e.EncodeToString(point[1:33]), "y": e.EncodeToString(point[33:]),
		"alg": "ES256", "use": "sig", "kid": status.NameKey(kidOf(spki))}
	for name, v := range want {
		if set.Keys[0][name] != v {
			t.Errorf("%s: %q, want %q", name, set.Keys[0][name], v)
		}
	}
}

// TestStatusListsAreReadByOthers gives a list to npm's @sd-jwt/jwt-status-list.
func TestStatusListsAreReadByOthers(t *testing.T) {
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	dir, err := filepath.Abs("../../certs-test/web")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "node_modules/@sd-jwt/jwt-status-list")); err != nil {
		t.Skip("@sd-jwt/jwt-status-list is not installed: make test does it with npm ci where that may install")
	}
	c := newCity(t, testkit.SQLite(t))
	for i := range uint32(40) {
		c.statuses.set(0, i*i*600, status.State(1+i%2))
	}
	p := c.publisher(t)
	publish(t, p)
	in, err := json.Marshal(map[string]any{"token": ask(p, "/status/lists/0").Body.String(), "keys": json.RawMessage(ask(p, "/status/keys").Body.Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "status-list.mjs")
	cmd.Dir, cmd.Stdin, cmd.Stderr = dir, bytes.NewReader(in), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	lists, err := c.statuses.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	for _, i := range lists[0].Revoked {
		want[jsonNumber(i)] = 1
	}
	for _, i := range lists[0].Suspended {
		want[jsonNumber(i)] = 2
	}
	if len(got) != len(want) || len(want) != 40 {
		t.Errorf("%d statuses read, %d given", len(got), len(want))
	}
	for i, v := range want {
		if got[i] != v {
			t.Errorf("index %s was read as %d, is %d", i, got[i], v)
		}
	}
}

func jsonNumber(i uint32) string { return strconv.FormatUint(uint64(i), 10) }

func kidOf(spki []byte) [8]byte { return trust.KIDOf(spki) }
