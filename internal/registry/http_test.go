package registry_test

import (
	"context"
	"encoding/json/v2"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

// tokens is a checker that knows a few tokens by heart.
type tokens map[string]web.Caller

func (k tokens) CheckToken(_ context.Context, token string) (web.Caller, error) {
	c, ok := k[token]
	if !ok {
		return c, fault.New(fault.Denied, "no such token")
	}
	return c, nil
}

// client drives the API as one outside does.
type client struct {
	t   *testing.T
	mux *http.ServeMux
}

func newClient(t *testing.T, r *registry.Registry) client {
	c := client{t, http.NewServeMux()}
	r.Mount(c.mux, tokens{
		"operator": {ClientID: "console", Scopes: []string{"registry"}},
		"agency":   {ClientID: "donghu", Agency: "donghu-amr", Scopes: []string{"licenses"}},
	})
	return c
}

// call sends body, if any, and wants that status. It returns what was answered.
func (c client) call(token, method, path, body string, want int) map[string]any {
	c.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	c.mux.ServeHTTP(w, r)
	if w.Code != want {
		c.t.Fatalf("%s %s: status %d, want %d: %s", method, path, w.Code, want, w.Body)
	}
	var answer map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, w.Body)
		}
	}
	return answer
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAPI(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		c := newClient(t, r)
		for _, a := range []registry.Agency{cityAgency, districtAgency} {
			c.call("operator", "POST", "/registry/v1/agencies", text(t, a), 201)
		}
		again := c.call("operator", "POST", "/registry/v1/agencies", text(t, cityAgency), 200)
		if again["name_zh"] != cityAgency.NameZH || again["created"] == nil {
			t.Errorf("answered %v", again)
		}
		other := cityAgency
		other.Issuer = "donghu"
		c.call("operator", "POST", "/registry/v1/agencies", text(t, other), 409)
		if list := c.call("operator", "GET", "/registry/v1/agencies", "", 200)["agencies"].([]any); len(list) != 2 {
			t.Errorf("listed %v", list)
		}
		c.call("operator", "GET", "/registry/v1/agencies/nobody", "", 404)

		power := `{"type":"food-business","area":"990101","from":"2026-01-01T00:00:00+08:00","until":"2036-01-01T00:00:00+08:00"}`
		c.call("operator", "POST", "/registry/v1/agencies/donghu-amr/authorities", power, 201)
		c.call("operator", "POST", "/registry/v1/agencies/donghu-amr/authorities", power, 200)
		c.call("operator", "POST", "/registry/v1/agencies/nobody/authorities", power, 404)
		if list := c.call("operator", "GET", "/registry/v1/agencies/donghu-amr/authorities", "", 200)["authorities"].([]any); len(list) != 1 {
			t.Errorf("listed %v", list)
		}
		c.call("operator", "POST", "/registry/v1/agencies/donghu-amr/successor", `{"successor":"jiangcheng-amr"}`, 200)
		c.call("operator", "POST", "/registry/v1/agencies/jiangcheng-amr/successor", `{"successor":"donghu-amr"}`, 400)

		person := fmt.Sprintf(`{"kind":"resident","number":%q,"name":"王小明"}`, wang.Number)
		added := c.call("operator", "POST", "/registry/v1/people", person, 201)
		if added["number"] != registry.Mask(wang.Number) || added["name"] != nil {
			t.Errorf("answered %v", added)
		}
		c.call("operator", "POST", "/registry/v1/people", person, 200)
		c.call("operator", "POST", "/registry/v1/people", strings.Replace(person, "小", "大", 1), 409)
		found := c.call("operator", "POST", "/registry/v1/people/find", fmt.Sprintf(`{"kind":"resident","number":%q}`, wang.Number), 200)
		if found["id"] != added["id"] || found["name"] != "王小明" {
			t.Errorf("found %v", found)
		}
		c.call("operator", "POST", "/registry/v1/people/find", `{"kind":"passport","number":"E12345678"}`, 404)

		for i := range 3 {
			firm := registry.Firm{USCC: completeUSCC(fmt.Sprintf("91990101MA000000%d", i)), Name: "面馆", LegalRep: added["id"].(string)}
			c.call("operator", "POST", "/registry/v1/firms", text(t, firm), 201)
			c.call("operator", "POST", "/registry/v1/firms", text(t, firm), 200)
			c.call("operator", "GET", "/registry/v1/firms/"+firm.USCC, "", 200)
		}
		page := c.call("operator", "GET", "/registry/v1/firms?limit=2", "", 200)
		next := c.call("operator", "GET", "/registry/v1/firms?limit=2&after="+page["after"].(string), "", 200)
		if len(page["firms"].([]any)) != 2 || len(next["firms"].([]any)) != 1 || next["after"] != nil {
			t.Errorf("pages %v, %v", page, next)
		}
		if e := events(t, d, "registry.firm.add"); len(e) != 3 || !strings.HasPrefix(e[0], "client:console firm:9") {
			t.Errorf("events %v", e)
		}
	})
}

func TestAPIRefuses(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *registry.Registry) {
		client := newClient(t, r)
		agency := text(t, cityAgency)
		for _, c := range []struct {
			name, token, method, path, body string
			status                          int
		}{
			{"no token", "", "GET", "/registry/v1/agencies", "", 401},
			{"unknown token", "guess", "GET", "/registry/v1/agencies", "", 401},
			{"another scope", "agency", "GET", "/registry/v1/agencies", "", 403},
			{"another scope adds", "agency", "POST", "/registry/v1/agencies", agency, 403},
			{"no body", "operator", "POST", "/registry/v1/agencies", "", 415},
			{"not JSON", "operator", "POST", "/registry/v1/agencies", "id=1", 400},
			{"unknown member", "operator", "POST", "/registry/v1/agencies", `{"admin":true}`, 400},
			{"name twice", "operator", "POST", "/registry/v1/agencies", `{"id":"a","id":"b"}`, 400},
			{"more behind", "operator", "POST", "/registry/v1/agencies", agency + "{}", 400},
			{"too large", "operator", "POST", "/registry/v1/agencies", `{"id":"` + strings.Repeat("a", 17<<10) + `"}`, 413},
			{"bad person", "operator", "POST", "/registry/v1/people", `{"kind":"resident","number":"110105194912310021","name":"王"}`, 400},
			{"own id", "operator", "POST", "/registry/v1/people", fmt.Sprintf(`{"id":"x","kind":"resident","number":%q,"name":"王"}`, wang.Number), 400},
			{"bad number", "operator", "POST", "/registry/v1/people/find", `{"kind":"resident","number":"1"}`, 400},
			{"bad code", "operator", "GET", "/registry/v1/firms/91", "", 400},
			{"unknown firm", "operator", "GET", "/registry/v1/firms/" + completeUSCC("91990101MA0000001"), "", 404},
			{"limit 0", "operator", "GET", "/registry/v1/firms?limit=0", "", 400},
			{"limit is no number", "operator", "GET", "/registry/v1/firms?limit=ten", "", 400},
			{"limit twice", "operator", "GET", "/registry/v1/firms?limit=1&limit=2", "", 400},
			{"unknown parameter", "operator", "GET", "/registry/v1/firms?q=1", "", 400},
			{"after nothing", "operator", "GET", "/registry/v1/firms?after=1", "", 400},
			{"people are not listed", "operator", "GET", "/registry/v1/people", "", 405},
			{"nothing is deleted", "operator", "DELETE", "/registry/v1/agencies/a", "", 405},
		} {
			t.Run(c.name, func(t *testing.T) {
				client.t = t
				answer := client.call(c.token, c.method, c.path, c.body, c.status)
				if strings.Contains(fmt.Sprint(answer), "110105194912310021") {
					t.Errorf("the answer repeats the number: %v", answer)
				}
			})
		}
	})
}
