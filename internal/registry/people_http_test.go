package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/signet-city/signet/internal/db"
	"github.com/signet-city/signet/internal/registry"
)

func TestDelegationAPI(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n, c := addNoodles(t, r), newClient(t, r)
		byNumber := fmt.Sprintf(`"kind":"resident","number":%q`, n.zhou.Number)
		made := c.call("operator", "POST", "/registry/v1/delegations",
			fmt.Sprintf(`{"firm":%q,%s,"from":"2026-01-01T00:00:00+08:00","until":"2027-01-01T00:00:00+08:00"}`, n.firm, byNumber), 201)
		if made["person"] != n.zhou.ID || made["from"] != "2025-12-31T16:00:00Z" || made["created"] == nil || strings.Contains(fmt.Sprint(made), n.zhou.Number) {
			t.Errorf("answered %v", made)
		}
		again := c.call("operator", "POST", "/registry/v1/delegations",
			fmt.Sprintf(`{"firm":%q,"person":%q,"until":"2027-01-01T00:00:00+08:00"}`, n.firm, n.zhou.ID), 200)
		if again["from"] != made["from"] {
			t.Errorf("answered %v, then %v", made, again)
		}
		listed := c.call("operator", "GET", "/registry/v1/firms/"+n.firm+"/delegations", "", 200)["delegations"].([]any)
		if len(listed) != 1 || listed[0].(map[string]any)["person"] != n.zhou.ID {
			t.Errorf("listed %v", listed)
		}
		for range 2 {
			ended := c.call("operator", "POST", "/registry/v1/delegations/withdraw", fmt.Sprintf(`{"firm":%q,%s}`, n.firm, byNumber), 200)
			if ended["may_act"] != false || ended["person"] != n.zhou.ID {
				t.Errorf("answered %v", ended)
			}
		}
		rep := c.call("operator", "POST", "/registry/v1/delegations/withdraw", fmt.Sprintf(`{"firm":%q,"person":%q}`, n.firm, n.rep.ID), 200)
		if rep["may_act"] != true {
			t.Errorf("answered %v", rep)
		}
		if e := events(t, d, "registry.withdraw"); len(e) != 1 || e[0] != "client:console firm:"+n.firm {
			t.Errorf("events %v", e)
		}
	})
}

func TestPostAPI(t *testing.T) {
	each(t, func(t *testing.T, d *db.DB, r *registry.Registry) {
		n, c := addNoodles(t, r), newClient(t, r)
		addAgencies(t, r)
		clerk := fmt.Sprintf(`{"kind":"resident","number":%q,"agency":"donghu-amr","role":"clerk"}`, n.zhou.Number)
		officer := fmt.Sprintf(`{"person":%q,"agency":"","role":"officer"}`, n.zhou.ID)
		c.call("operator", "POST", "/registry/v1/posts", clerk, 201)
		c.call("operator", "POST", "/registry/v1/posts", clerk, 200)
		held := c.call("operator", "POST", "/registry/v1/posts", officer, 201)
		if held["person"] != n.zhou.ID || len(held["posts"].([]any)) != 2 {
			t.Errorf("answered %v", held)
		}
		for range 2 {
			held = c.call("operator", "POST", "/registry/v1/posts/end", clerk, 200)
			if len(held["posts"].([]any)) != 1 {
				t.Errorf("answered %v", held)
			}
		}
		if held = c.call("operator", "POST", "/registry/v1/posts/end", officer, 200); len(held["posts"].([]any)) != 0 {
			t.Errorf("answered %v", held)
		}
		if e := events(t, d, "registry.dismiss"); len(e) != 2 || e[0] != "client:console person:"+n.zhou.ID {
			t.Errorf("events %v", e)
		}
	})
}

func TestPeopleAPIRefuses(t *testing.T) {
	each(t, func(t *testing.T, _ *db.DB, r *registry.Registry) {
		n, client := addNoodles(t, r), newClient(t, r)
		addAgencies(t, r)
		const delegations, withdraw, posts, end = "/registry/v1/delegations", "/registry/v1/delegations/withdraw", "/registry/v1/posts", "/registry/v1/posts/end"
		delegation := fmt.Sprintf(`{"firm":%q,"person":%q}`, n.firm, n.zhou.ID)
		post := fmt.Sprintf(`{"person":%q,"agency":"donghu-amr","role":"clerk"}`, n.zhou.ID)
		for _, c := range []struct {
			name, token, path, body string
			status                  int
		}{
			{"no token", "", delegations, delegation, 401},
			{"another scope", "agency", delegations, delegation, 403},
			{"another scope withdraws", "agency", withdraw, delegation, 403},
			{"another scope employs", "agency", posts, post, 403},
			{"another scope dismisses", "agency", end, post, 403},
			{"nobody named", "operator", delegations, fmt.Sprintf(`{"firm":%q}`, n.firm), 400},
			{"named twice", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":"a","kind":"resident","number":%q}`, n.firm, n.zhou.Number), 400},
			{"no kind", "operator", delegations, fmt.Sprintf(`{"firm":%q,"number":%q}`, n.firm, n.zhou.Number), 400},
			{"id and kind", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":%q,"kind":"resident"}`, n.firm, n.zhou.ID), 400},
			{"bad number", "operator", delegations, fmt.Sprintf(`{"firm":%q,"kind":"resident","number":"110105194912310021"}`, n.firm), 400},
			{"stranger", "operator", delegations, fmt.Sprintf(`{"firm":%q,"kind":"passport","number":"E12345678"}`, n.firm), 404},
			{"unknown firm", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":%q}`, completeUSCC("91990101MA0000009"), n.zhou.ID), 404},
			{"bad time", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":%q,"until":"tomorrow"}`, n.firm, n.zhou.ID), 400},
			{"ended already", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":%q,"until":"2001-01-01T00:00:00Z"}`, n.firm, n.zhou.ID), 400},
			{"own withdrawal", "operator", delegations, fmt.Sprintf(`{"firm":%q,"person":%q,"withdrawn":"2026-01-01T00:00:00Z"}`, n.firm, n.zhou.ID), 400},
			{"unknown member", "operator", withdraw, strings.Replace(delegation, "{", `{"all":true,`, 1), 400},
			{"withdraw from a stranger", "operator", withdraw, fmt.Sprintf(`{"firm":%q,"person":"nobody"}`, n.firm), 404},
			{"unknown role", "operator", posts, strings.Replace(post, "clerk", "king", 1), 400},
			{"unknown agency", "operator", posts, strings.Replace(post, "donghu-amr", "nobody", 1), 404},
			{"own date", "operator", posts, strings.Replace(post, "{", `{"created":"2026-01-01T00:00:00Z",`, 1), 400},
			{"end with a date", "operator", end, strings.Replace(post, "{", `{"created":"2026-01-01T00:00:00Z",`, 1), 400},
			{"too large", "operator", posts, `{"person":"` + strings.Repeat("a", 17<<10) + `"}`, 413},
			{"not JSON", "operator", end, "person=1", 400},
		} {
			t.Run(c.name, func(t *testing.T) {
				client.t = t
				answer := client.call(c.token, "POST", c.path, c.body, c.status)
				if strings.Contains(fmt.Sprint(answer), "110105194912310021") {
					t.Errorf("the answer repeats the number: %v", answer)
				}
			})
		}
		client.t = t
		client.call("operator", "GET", "/registry/v1/firms/"+completeUSCC("91990101MA0000009")+"/delegations", "", 404)
		client.call("agency", "GET", "/registry/v1/firms/"+n.firm+"/delegations", "", 403)
	})
}
