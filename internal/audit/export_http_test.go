package audit_test

import (
	"bytes"
	"context"
	"encoding/json/v2"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/signet-city/signet/internal/audit"
	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/testkit"
	"github.com/signet-city/signet/internal/web"
)

// tokens are callers by their token.
type tokens map[string]web.Caller

func (t tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	if c, ok := t[token]; ok {
		return c, nil
	}
	return web.Caller{}, fault.New(fault.Denied, "no")
}

// exporter serves the export of a log.
type exporter struct {
	t      *testing.T
	server *httptest.Server
	refuse error // by allow
	asked  audit.ExportSpec
}

func exports(t *testing.T, l *audit.Log) *exporter {
	t.Helper()
	x := &exporter{t: t}
	mux := http.NewServeMux()
	l.Mount(mux)
	l.MountExport(mux, tokens{
		"officer": {ClientID: "desk", Scopes: []string{audit.Scope}},
		"agency":  {ClientID: "agency", Agency: "donghu", Scopes: []string{audit.Scope}},
		"other":   {ClientID: "other", Scopes: []string{"keys"}},
	}, func(_ *http.Request, c web.Caller, s audit.ExportSpec) error {
		x.asked = s
		return x.refuse
	})
	x.server = httptest.NewServer(web.Protect(mux, 1<<20, nil))
	t.Cleanup(x.server.Close)
	return x
}

func (x *exporter) get(token, query string) (*http.Response, []byte, error) {
	x.t.Helper()
	req := must(http.NewRequest("GET", x.server.URL+"/log/v1/export"+query, nil))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

func (x *exporter) must(query string) []byte {
	x.t.Helper()
	resp, body, err := x.get("officer", query)
	if err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/x-ndjson" || resp.Header.Get("Cache-Control") != "no-store" {
		x.t.Fatalf("%s: %d %v %v\n%s", query, resp.StatusCode, resp.Header, err, body)
	}
	return body
}

func TestExport(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, key := newKey(t)
		w := newWitness(t, "witness.example/w1")
		l := watched(t, d, signer, w.watch(t, key))
		der := []byte("\x30\x09certified")
		appendCertificate(t, d, der)
		seal(t, l)
		events := some(600)
		events[20].Data = nil
		ids := appendEvents(t, d, events...)
		seal(t, l)
		if err := erase(t, d, ids[300], erasing); err != nil {
			t.Fatal(err)
		}
		seal(t, l)
		cosigned(t, l)
		x := exports(t, l)
		for query, want := range map[string]audit.ExportSummary{
			"":                   {From: 0, To: 601, Events: 602, Erased: 1, Whole: true},
			"?from=0&to=601":     {From: 0, To: 601, Events: 602, Erased: 1, Whole: true},
			"?from=1":            {From: 1, To: 601, Events: 601, Erased: 1},
			"?to=0":              {Events: 1},
			"?from=255&to=256":   {From: 255, To: 256, Events: 2},
			"?from=255&to=255":   {From: 255, To: 255, Events: 1},
			"?from=256&to=511":   {From: 256, To: 511, Events: 256, Erased: 1},
			"?from=600&to=601":   {From: 600, To: 601, Events: 2},
			"?from=301&to=301":   {From: 301, To: 301, Events: 1, Erased: 1},
			"?to=255":            {To: 255, Events: 256},
			"?from=601":          {From: 601, To: 601, Events: 1},
			"?from=0&to=600":     {To: 600, Events: 601, Erased: 1},
			"?from=512&to=%3600": {From: 512, To: 600, Events: 89},
		} {
			want.Origin, want.Size = origin, 602
			body := x.must(query)
			var copied bytes.Buffer
			told := int64(0)
			got, err := audit.CheckExport(bytes.NewReader(body), &copied, []note.Verifier{key}, func(n int64) { told = n })
			if err != nil || got != want || told != want.Events || !bytes.Equal(copied.Bytes(), body) {
				t.Errorf("%s: %+v, %v, want %+v", query, got, err, want)
			}
			lines := bytes.Split(body, []byte("\n"))
			var end audit.ExportEnd
			if err := json.Unmarshal(lines[len(lines)-2], &end); err != nil || len(signatures(t, []byte(end.Checkpoint), key, w)) != 2 {
				t.Errorf("%s: the end is %s", query, lines[len(lines)-2])
			}
		}
		said := find(t, d, audit.EventFilter{Kind: audit.KindExport})
		if len(said) != 13 || said[0].Actor != "client:desk" || said[0].Object != "log" || said[0].Data["size"] != int64(602) {
			t.Errorf("%d events of it, the first %v", len(said), said[0])
		}
	})
}

func TestExportIsAnEventBeforeTheFirstByte(t *testing.T) {
	d := testkit.SQLite(t)
	signer, _ := newKey(t)
	l := newLog(t, d, signer)
	appendEvents(t, d, some(600)...)
	seal(t, l)
	x, err := l.Export(t.Context(), audit.ExportSpec{To: -1, Actor: "client:desk"})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(find(t, d, audit.EventFilter{Kind: audit.KindExport})); n != 1 {
		t.Errorf("%d events before the first byte", n)
	}
	gone := errors.New("the client is gone")
	if err := x.Write(t.Context(), failing{gone}); !errors.Is(err, gone) {
		t.Errorf("Write returned %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestExportRefuses(t *testing.T) {
	testkit.Each(t, func(t *testing.T, d *db.DB) {
		signer, _ := newKey(t)
		l := newLog(t, d, signer)
		x := exports(t, l)
		refused := func(token, query string, status int) {
			t.Helper()
			resp, body, _ := x.get(token, query)
			if resp.StatusCode != status {
				t.Errorf("%s %s: %d %s", token, query, resp.StatusCode, body)
			}
		}
		refused("officer", "", 404)
		appendEvents(t, d, some(10)...)
		seal(t, l)
		appendEvents(t, d, some(10)...) // pending
		refused("", "", 401)
		refused("nobody", "", 401)
		refused("other", "", 403)
		refused("agency", "", 403)
		for _, query := range []string{"?from=10", "?to=10", "?from=5&to=4", "?from=-1", "?to=-1", "?from=01", "?from=", "?to=", "?from=%2B1", "?from=1&from=1",
			"?from=1e1", "?from=9223372036854775807", "?to=99999999999999999999", "?kind=x", "?From=1"} {
			refused("officer", query, 400)
		}
		x.refuse = fault.New(fault.Denied, "two officers are needed")
		refused("officer", "?from=3&to=4", 403)
		if x.asked != (audit.ExportSpec{From: 3, To: 4, Actor: "client:desk"}) {
			t.Errorf("allow was asked for %+v", x.asked)
		}
		if said := find(t, d, audit.EventFilter{Kind: audit.KindExport}); len(said) != 0 {
			t.Errorf("what was refused is recorded as done: %v", said)
		}
	})
}

// TestExportOfDamageIsCut ends the connection rather than hand out what is not the
// log.
func TestExportOfDamageIsCut(t *testing.T) {
	for name, damage := range map[string]string{
		"edited":       "UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 1) WHERE seq = 300",
		"entry too":    "UPDATE audit_events SET content = (SELECT content FROM audit_events WHERE seq = 1), salt = (SELECT salt FROM audit_events WHERE seq = 1), entry = (SELECT entry FROM audit_events WHERE seq = 1), id = 'x', at = (SELECT at FROM audit_events WHERE seq = 1) WHERE seq = 300",
		"removed":      "DELETE FROM audit_events WHERE seq = 300",
		"tile changed": "UPDATE audit_tiles SET hashes = (SELECT hashes FROM audit_tiles WHERE level = 0 AND n = 0) WHERE level = 0 AND n = 1",
		"tile gone":    "DELETE FROM audit_tiles WHERE level = 0 AND n = 1",
		"tile cut":     "UPDATE audit_tiles SET hashes = substr(hashes, 1, 320) WHERE level = 0 AND n = 1",
	} {
		t.Run(name, func(t *testing.T) {
			d := testkit.SQLite(t)
			signer, _ := newKey(t)
			l := newLog(t, d, signer)
			appendEvents(t, d, some(600)...)
			seal(t, l)
			x := exports(t, l)
			meddle(t, d, damage)
			_, body, err := x.get("officer", "")
			if err == nil {
				t.Error("the connection ended as if all was well")
			}
			if _, err := audit.CheckExport(bytes.NewReader(body), io.Discard, nil, nil); fault.KindOf(err) != fault.Invalid {
				t.Errorf("what arrived is taken for whole: %v", err)
			}
			if n := strings.Count(string(body), "\n"); n > 256 {
				t.Errorf("%d lines arrived", n)
			}
		})
	}
}
