package console_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/db"
)

// view is a request as the command line reads it.
type view struct {
	ID, Kind, State, Requester, Decider, Method, Note, Reason string
	Title                                                     struct{ ZH, EN string }
	Params, Resolved                                          map[string]any
	Show                                                      []struct {
		Label         struct{ ZH, EN string }
		Value, Person string
	}
	People           map[string]string
	Created, Expires time.Time
}

// lampBody asks for a colour.
func lampBody(to string) map[string]any {
	return map[string]any{"kind": "lamp.set", "params": map[string]any{"to": to}, "reason": "it is time"}
}

// TestAPI goes the command line's way: ask, compute the statement, sign, done.
func TestAPI(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		key, der := newKey(t)
		c.api("cai", "POST", "credentials", map[string]any{"code": c.codes["cai"], "key": base64.StdEncoding.EncodeToString(der), "name": "laptop"}).want(201, `"kind":"key"`, `"name":"laptop"`).lacks(c.codes["cai"])
		a := c.api("ann", "POST", "requests", lampBody("red"), "Idempotency-Key", "k1").want(201)
		var q, again view
		a.decode(&q)
		c.api("ann", "POST", "requests", lampBody("red"), "Idempotency-Key", "k1").want(201).decode(&again)
		if again.ID != q.ID || a.header.Get("Location") != "/security/v1/requests/"+q.ID {
			t.Errorf("made %s and %s at %s", q.ID, again.ID, a.header.Get("Location"))
		}
		if q.State != "open" || q.Title.EN != "Set the lamp" || q.Params["to"] != "red" || q.Resolved["from"] != "green" || len(q.Show) != 1 || q.Show[0].Value != "red" ||
			q.People[c.ids["ann"]] != "宋晚晴" || q.Requester != c.ids["ann"] || q.Reason != "it is time" || !q.Expires.After(q.Created) {
			t.Errorf("request %+v", q)
		}
		c.api("ann", "POST", "requests", lampBody("blue"), "Idempotency-Key", "k1").want(409)
		path := "requests/" + q.ID
		st := c.api("cai", "GET", path+"/statement", nil).want(200)
		if want := must2(c.approvals.Statement(t.Context(), q.ID, c.ids["cai"])); st.body != string(want) || st.header.Get("Content-Type") != "application/cbor" {
			t.Errorf("another statement, %s", st.header.Get("Content-Type"))
		}
		cose := must2(approval.SignCOSE([]byte(st.body), key))
		c.api("cai", "POST", path+"/approve", map[string]any{"cose": cose}).want(200).decode(&q)
		if q.State != "done" || q.Decider != c.ids["cai"] || q.Method != "key" || q.People[c.ids["cai"]] != "罗景行" || c.lamp.runs() != 1 {
			t.Errorf("request %+v after %d runs", q, c.lamp.runs())
		}
		c.api("cai", "POST", path+"/approve", map[string]any{"cose": cose}).want(200)
		if c.lamp.runs() != 1 {
			t.Errorf("%d runs", c.lamp.runs())
		}
		c.get("bob", "/security/requests/"+q.ID).want(200, "Command-line key")
		c.api("bob", "GET", path, nil).want(200).decode(&again)
		if again.State != "done" {
			t.Errorf("state %s", again.State)
		}
		c.api("bob", "GET", "officers", nil).want(200, "罗景行", `"kind":"passkey"`, `"added_by":"founding"`, "laptop")
	})
}

func TestAPILists(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		first, second := c.ask("ann", "red"), c.ask("bob", "blue")
		c.api("bob", "POST", "requests/"+first+"/reject", map[string]any{"reason": "no"}).want(200, `"state":"rejected"`, `"note":"no"`)
		list := func(query string) (ids []string) {
			var body struct{ Requests []view }
			c.api("cai", "GET", "requests"+query, nil).want(200).decode(&body)
			for _, q := range body.Requests {
				if q.Params != nil || q.Show != nil {
					t.Error("a list says what each would do")
				}
				ids = append(ids, q.ID)
			}
			return ids
		}
		for query, want := range map[string]string{"": second + " " + first, "?state=": second + " " + first, "?state=open": second, "?state=rejected": first, "?state=done": "", "?state=open&state=rejected": second + " " + first} {
			if got := strings.Join(list(query), " "); got != want {
				t.Errorf("%q lists %s, want %s", query, got, want)
			}
		}
		c.api("ann", "POST", "requests/"+second+"/withdraw", map[string]any{}).want(403)
		c.api("bob", "POST", "requests/"+second+"/withdraw", map[string]any{}).want(200, `"state":"withdrawn"`)
		c.api("bob", "POST", "requests/"+second+"/withdraw", map[string]any{}).want(409)
	})
}

func TestAPIRefuses(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		key, der := newKey(t)
		c.api("cai", "POST", "credentials", map[string]any{"code": c.codes["cai"], "key": base64.StdEncoding.EncodeToString(der)}).want(201)
		id := c.ask("ann", "red")
		path := "requests/" + id
		sign := func(who string) []byte {
			return must2(approval.SignCOSE(must2(c.approvals.Statement(t.Context(), id, c.ids[who])), key))
		}
		bobs := sign("bob")
		stranger, _ := newKey(t)
		forged := must2(approval.SignCOSE(must2(c.approvals.Statement(t.Context(), id, c.ids["cai"])), stranger))
		none := "requests/06dnpmc3ehxcjn3h0gk7kkxv1r"
		for _, one := range []struct {
			name, who, method, path string
			body                    any
			status                  int
			says                    string
		}{
			{"nobody", "", "GET", "requests", nil, 401, "access token"},
			{"a session is no token", "eve", "GET", "officers", nil, 401, "access token"},
			{"no officer lists", "dan", "GET", "requests", nil, 403, "This is for security officers."},
			{"no officer reads", "dan", "GET", path, nil, 403, "This is for security officers."},
			{"no officer asks", "dan", "POST", "requests", lampBody("red"), 403, "This is for security officers."},
			{"no officer approves", "dan", "POST", path + "/approve", map[string]any{"cose": bobs}, 403, "This is for security officers."},
			{"no officer sees officers", "dan", "GET", "officers", nil, 403, "This is for security officers."},
			{"no officer enrols", "dan", "POST", "credentials", map[string]any{}, 403, "This is for security officers."},
			{"own statement", "ann", "GET", path + "/statement", nil, 403, "nobody approves their own request"},
			{"own request", "ann", "POST", path + "/approve", map[string]any{"cose": bobs}, 403, "nobody approves their own request"},
			{"own rejection", "ann", "POST", path + "/reject", map[string]any{"reason": "x"}, 403, "withdraws"},
			{"another's statement", "cai", "POST", path + "/approve", map[string]any{"cose": bobs}, 403, "signature was not accepted"},
			{"another's key", "bob", "POST", path + "/approve", map[string]any{"cose": bobs}, 403, "signature was not accepted"},
			{"a forged key", "cai", "POST", path + "/approve", map[string]any{"cose": forged}, 403, "signature was not accepted"},
			{"no proof", "cai", "POST", path + "/approve", map[string]any{}, 400, "one signature"},
			{"no COSE", "cai", "POST", path + "/approve", map[string]any{"cose": []byte("x")}, 403, "signature was not accepted"},
			{"no base64", "cai", "POST", path + "/approve", map[string]any{"cose": "!"}, 400, "/cose"},
			{"a passkey here", "cai", "POST", path + "/approve", map[string]any{"passkey": map[string]any{}}, 400, "/passkey"},
			{"a reason too long", "cai", "POST", path + "/reject", map[string]any{"reason": strings.Repeat("x", 501)}, 400, "500"},
			{"withdrawn by another", "cai", "POST", path + "/withdraw", map[string]any{}, 403, "only its requester"},
			{"a body of something else", "ann", "POST", path + "/withdraw", map[string]any{"force": true}, 400, "/force"},
			{"no code to draw", "cai", "POST", path + "/code", map[string]any{}, 404, "no enrolment code"},
			{"unknown read", "cai", "GET", none, nil, 404, "no such request"},
			{"unknown statement", "cai", "GET", none + "/statement", nil, 404, "no such request"},
			{"unknown approved", "cai", "POST", none + "/approve", map[string]any{"cose": bobs}, 404, "no such request"},
			{"unknown rejected", "cai", "POST", none + "/reject", map[string]any{"reason": ""}, 404, "no such request"},
			{"no identifier", "cai", "GET", "requests/%01%ff/statement", nil, 404, "nothing is there"},
			{"a path with NUL", "cai", "GET", "requests/%00/statement", nil, 404, "nothing is there"},
			{"no state", "cai", "GET", "requests?state=%ff", nil, 400, "no such state"},
			{"no kind", "cai", "POST", "requests", map[string]any{"kind": "lamp.unset", "params": map[string]any{}, "reason": "x"}, 400, "no such operation"},
			{"no parameters", "cai", "POST", "requests", map[string]any{"kind": "lamp.set", "reason": "x"}, 400, "parameters"},
			{"parameters of another kind", "cai", "POST", "requests", map[string]any{"kind": "lamp.set", "params": []int{1}, "reason": "x"}, 400, "parameters"},
			{"the check says no", "cai", "POST", "requests", lampBody("plaid"), 400, "is not a colour"},
			{"no reason", "cai", "POST", "requests", map[string]any{"kind": "lamp.set", "params": map[string]any{"to": "red"}}, 400, "a reason is given"},
			{"an unknown member", "cai", "POST", "requests", map[string]any{"kind": "lamp.set", "requester": "x"}, 400, "/requester"},
			{"too much", "cai", "POST", "requests", lampBody(strings.Repeat("x", 80<<10)), 413, "larger"},
			{"about oneself", "ann", "POST", "requests", map[string]any{"kind": "officer.enrol", "params": map[string]any{"person": c.ids["ann"]}, "reason": "x"}, 403, "two others"},
			{"no key in it", "bob", "POST", "credentials", map[string]any{"code": "x", "key": "!"}, 400, "is not DER in base64"},
			{"a wrong code", "bob", "POST", "credentials", map[string]any{"code": "x", "key": base64.StdEncoding.EncodeToString(der)}, 403, "enrolment code"},
		} {
			t.Run(one.name, func(t *testing.T) {
				c.t = t
				a := c.api(one.who, one.method, one.path, one.body, "Idempotency-Key", one.name[:2]+"-key").want(one.status, one.says)
				if a.header.Get("Content-Type") != "application/json" {
					t.Errorf("answers %s", a.header.Get("Content-Type"))
				}
			})
		}
		c.t = t
		c.api("cai", "POST", "requests", lampBody("red")).want(400, "Idempotency-Key")
		c.lamp.set(func(l *lamp) { l.away = true })
		if a := c.api("cai", "POST", "requests", lampBody("red"), "Idempotency-Key", "k").want(503); a.header.Get("Retry-After") == "" {
			t.Error("503 without Retry-After")
		}
		c.lamp.set(func(l *lamp) { l.away = false })
		// The session of an officer opens pages, not the API.
		r := c.request(http.MethodGet, "/security/v1/officers", nil)
		c.send("ann", r).want(401)
		c.wantState(id, approval.Open)
		if c.lamp.runs() != 0 {
			t.Errorf("%d runs", c.lamp.runs())
		}
	})
}

// TestAPIPause: what one officer does on a page they do by command too.
func TestAPIPause(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		k := c.token()
		path, why := "officers/keys/"+k.ID+"/", map[string]any{"reason": "may be stolen"}
		for range 2 { // repeating it changes nothing
			c.api("ann", "POST", path+"pause", why).want(200, `"paused":true`)
		}
		e := c.eventsOf("keys.pause", "key:"+k.ID)
		if !c.paused(k.ID) || len(e) != 1 || e[0].Actor != "person:"+c.ids["ann"] || e[0].Data["reason"] != "may be stolen" {
			t.Errorf("paused %v, events %+v", c.paused(k.ID), e)
		}
		c.api("bob", "POST", path+"resume", map[string]any{"reason": " "}).want(400, "/reason")
		c.api("bob", "POST", path+"resume", map[string]any{"reason": strings.Repeat("x", 501)}).want(400, "/reason")
		c.api("bob", "POST", path+"resume", map[string]any{"reason": "x", "force": true}).want(400, "/force")
		c.api("bob", "POST", "officers/keys/"+db.NewID()+"/resume", why).want(404)
		r := c.request(http.MethodPost, "/security/v1/officers/keys/"+k.ID+"/resume", strings.NewReader(`{"reason":"x"}`))
		c.send("ann", r).want(401)
		if !c.paused(k.ID) {
			t.Error("a refused call resumed the key")
		}
		c.api("bob", "POST", path+"resume", map[string]any{"reason": "it was not"}).want(200, `"paused":false`)
		if c.paused(k.ID) {
			t.Error("the key is still paused")
		}
	})
}

// TestAPICode: whoever approved draws the code, also in the command line.
func TestAPICode(t *testing.T) {
	each(t, func(t *testing.T, c *city) {
		id := c.askFor("ann", approval.KindAdd, "person", c.ids["dan"])
		c.approve("bob", id).want(200)
		c.api("ann", "POST", "requests/"+id+"/code", map[string]any{}).want(404)
		var code struct{ Person, Code string }
		c.api("bob", "POST", "requests/"+id+"/code", map[string]any{}).want(200).decode(&code)
		if code.Person != c.ids["dan"] {
			t.Errorf("a code for %s", code.Person)
		}
		c.enrol("dan", code.Code).want(201)
	})
}
