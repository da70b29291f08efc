package web_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// order is a body with one of each kind of member.
type order struct {
	Type   string                `json:"type"`
	Count  uint8                 `json:"count"`
	From   time.Time             `json:"from"`
	Holder struct{ USCC string } `json:"holder"`
}

func TestDecodeJSON(t *testing.T) {
	ok := `{"type":"teacher","count":7,"from":"2026-01-02T03:04:05Z"}`
	tests := []struct {
		name, contentType, body string
		status                  int // 200: accepted
		path, message           string
	}{
		{"good", "application/json", ok, 200, "", ""},
		{"charset", "application/json; charset=UTF-8", ok, 200, "", ""},
		{"white space around", "application/json", "\n " + ok + "\n", 200, "", ""},
		{"no type", "", ok, 415, "", ""},
		{"form", "application/x-www-form-urlencoded", ok, 415, "", ""},
		{"latin", "application/json; charset=latin1", ok, 415, "", ""},
		{"empty", "application/json", "", 400, "", ""},
		{"not json", "application/json", "type=teacher", 400, "", "is not valid JSON at byte 1"},
		{"cut off", "application/json", `{"type":"tea`, 400, "/type", "is not valid JSON at byte 12"},
		{"unknown member", "application/json", `{"kind":"teacher"}`, 400, "/kind", "is not a known member"},
		{"another case", "application/json", `{"Type":"teacher"}`, 400, "/Type", "is not a known member"},
		{"unknown member inside", "application/json", `{"holder":{"x":1}}`, 400, "/holder/x", "is not a known member"},
		{"duplicate", "application/json", `{"type":"a","type":"b"}`, 400, "/type", "appears twice"},
		{"duplicate by escape", "application/json", `{"type":"a","\u0074ype":"b"}`, 400, "/type", "appears twice"},
		{"trailing", "application/json", ok + `{}`, 400, "", ""},
		{"wrong kind", "application/json", `{"type":7}`, 400, "/type", "cannot be a JSON number here"},
		{"out of range", "application/json", `{"count":256}`, 400, "/count", "has a value that does not fit"},
		{"not a time", "application/json", `{"from":"yesterday"}`, 400, "/from", "has a value that does not fit"},
		{"bad utf-8", "application/json", "{\"type\":\"\xff\"}", 400, "/type", ""},
		{"array", "application/json", `[]`, 400, "", "cannot be a JSON array here"},
		{"at the limit", "application/json", ok + strings.Repeat(" ", 256-len(ok)), 200, "", ""},
		{"over the limit", "application/json", ok + strings.Repeat(" ", 257-len(ok)), 413, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				r := httptest.NewRequest("POST", "/", strings.NewReader(tt.body))
				r.Header.Set("Content-Type", tt.contentType)
				if chunked {
					r.ContentLength = -1
				}
				var got order
				err := web.DecodeJSON(httptest.NewRecorder(), r, 256, &got)
				if tt.status == 200 {
					if err != nil || got.Type != "teacher" || got.Count != 7 {
						t.Errorf("got %+v, %v", got, err)
					}
					continue
				}
				if err == nil {
					t.Fatalf("accepted as %+v", got)
				}
				if web.Status(err) != tt.status {
					t.Errorf("status %d, want %d: %v", web.Status(err), tt.status, err)
				}
				checkProblem(t, err, tt.path, tt.message)
			}
		})
	}
}

// checkProblem compares the first problem with what is not empty.
func checkProblem(t *testing.T, err error, path, message string) {
	t.Helper()
	if path == "" && message == "" {
		return
	}
	problems := fault.Problems(err)
	if len(problems) != 1 {
		t.Fatalf("problems %v", problems)
	}
	if problems[0].Path != path || message != "" && problems[0].Message != message {
		t.Errorf("problem %q, want %q at %q", problems[0], message, path)
	}
}

func TestDecodeJSONRefusesCompression(t *testing.T) {
	r := httptest.NewRequest("POST", "/", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", "gzip")
	if err := web.DecodeJSON(httptest.NewRecorder(), r, 10, new(order)); web.Status(err) != 415 {
		t.Errorf("status %d: %v", web.Status(err), err)
	}
}

func TestProblemsRepeatNoValuesAndAreShort(t *testing.T) {
	name := strings.Repeat("证", 5000)
	for _, body := range []string{`{"count":"440101199001011234"}`, `{"from":"440101199001011234"}`, `{"` + name + `":1}`} {
		err := web.UnmarshalJSON([]byte(body), new(order))
		if err == nil || strings.Contains(err.Error(), "440101") || len(err.Error()) > 400 {
			t.Errorf("error of %d bytes: %.500v", len(err.Error()), err)
		}
	}
}

func TestWriteJSON(t *testing.T) {
	w := httptest.NewRecorder()
	if err := web.WriteJSON(w, 201, map[string]any{"b": []string(nil), "a": 1}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`{"a":1,"b":[]}`+"\n", w.Body.String()); diff != "" || w.Code != 201 {
		t.Errorf("status %d\n%s", w.Code, diff)
	}
	if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", w.Header())
	}
	w = httptest.NewRecorder()
	if err := web.WriteJSON(w, 200, make(chan int)); err == nil || w.Body.Len() != 0 {
		t.Errorf("a channel was encoded: %v %q", err, w.Body)
	}
}

func FuzzUnmarshalJSON(f *testing.F) {
	for _, s := range []string{`{"type":"teacher","count":7}`, `{"type":"a","type":"b"}`, `{"holder":{}}`, `[`, `{"from":"x"}`, ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var first order
		if err := web.UnmarshalJSON(b, &first); err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Errorf("kind %v: %v", fault.KindOf(err), err)
			}
			return
		}
		w := httptest.NewRecorder()
		if err := web.WriteJSON(w, 200, first); err != nil {
			t.Fatal(err)
		}
		var second order
		if err := web.UnmarshalJSON(w.Body.Bytes(), &second); err != nil {
			t.Fatalf("our own output is refused: %v", err)
		}
		if diff := cmp.Diff(first, second); diff != "" {
			t.Error(diff)
		}
	})
}

func TestIdempotencyKey(t *testing.T) {
	for _, tt := range []struct {
		name   string
		values []string
		want   string
	}{
		{"one", []string{"4f1c-~!"}, "4f1c-~!"},
		{"as long as may be", []string{strings.Repeat("k", 100)}, strings.Repeat("k", 100)},
		{"none", nil, ""},
		{"empty", []string{""}, ""},
		{"two", []string{"a", "a"}, ""},
		{"too long", []string{strings.Repeat("k", 101)}, ""},
		{"a space", []string{"a b"}, ""},
		{"a line end", []string{"a\nb"}, ""},
		{"beyond ASCII", []string{"é"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header["Idempotency-Key"] = tt.values
			got, err := web.IdempotencyKey(r)
			if got != tt.want || (err == nil) != (tt.want != "") || err != nil && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}
